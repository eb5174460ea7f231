"""Drives one workflow by hand: the client's calls and the worker's, each exactly once.

A `Driver` holds a workflow id and a task queue of its own. Every method is one RPC with sensible
defaults; keyword arguments are fields of the request and replace the defaults. Nothing is retried,
so that what a test observes is what the server did.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice import v1 as wf

from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv

WORKER = "worker"
"""The identity of the worker's half of a driver."""

CONDITION_DEADLINE_SECONDS = 15.0
_POLL_SECONDS = 15.0
_Result = TypeVar("_Result")


def payloads(*texts: str) -> Payloads:
    """Returns JSON string payloads."""
    encoding = {"encoding": b"json/plain"}
    return Payloads(
        payloads=[Payload(metadata=encoding, data=f'"{text}"'.encode()) for text in texts]
    )


def payload(text: str) -> Payload:
    """Returns one JSON string payload."""
    return payloads(text).payloads[0]


def application_failure(
    message: str, *, kind: str = "", non_retryable: bool = False, **fields: Any
) -> Failure:
    """Returns a failure as user code raises it."""
    info = {"type": kind, "non_retryable": non_retryable, **fields}
    return build(Failure, message=message, source="conformance", application_failure_info=info)


async def until(
    condition: Callable[[], Awaitable[_Result | None]],
    *,
    what: str,
    deadline: float = CONDITION_DEADLINE_SECONDS,
) -> _Result:
    """Asks again until `condition` returns something true; fails after `deadline` seconds."""
    async with asyncio.timeout(deadline):
        while True:
            result = await condition()
            if result:
                return result
            await asyncio.sleep(0.02)
    raise AssertionError(f"never seen: {what}")


class Driver:
    """One workflow id, one task queue, and the client and worker that use them."""

    def __init__(self, env: ScenarioEnv, *, workflow: str = "wf", queue: str = "queue") -> None:
        self.env = env
        self.workflow_id = env.name(workflow)
        self.queue = env.name(queue)

    @property
    def sticky_queue(self) -> str:
        """The name of this worker's sticky queue."""
        return self.queue + ".sticky"

    def execution(self, run_id: str = "") -> WorkflowExecution:
        """Returns the workflow's id, with a run id where that matters."""
        return WorkflowExecution(workflow_id=self.workflow_id, run_id=run_id)

    # What clients call.

    def start_request(self, **fields: Any) -> wf.StartWorkflowExecutionRequest:
        """Returns a start request with the given fields."""
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE,
            "workflow_id": self.workflow_id,
            "workflow_type": {"name": "Conformance"},
            "task_queue": {"name": self.queue},
            "identity": IDENTITY,
        }
        return build(wf.StartWorkflowExecutionRequest, **defaults | fields)

    async def start(self, **fields: Any) -> wf.StartWorkflowExecutionResponse:
        """StartWorkflowExecution."""
        return await call(self.env, self.start_request(**fields), wf.StartWorkflowExecutionResponse)

    async def signal(
        self, name: str, run_id: str = "", **fields: Any
    ) -> wf.SignalWorkflowExecutionResponse:
        """SignalWorkflowExecution."""
        request = build(
            wf.SignalWorkflowExecutionRequest,
            **{
                "namespace": NAMESPACE,
                "workflow_execution": self.execution(run_id),
                "signal_name": name,
                "identity": IDENTITY,
            }
            | fields,
        )
        return await call(self.env, request, wf.SignalWorkflowExecutionResponse)

    async def signal_with_start(
        self, name: str, **fields: Any
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """SignalWithStartWorkflowExecution."""
        request = build(
            wf.SignalWithStartWorkflowExecutionRequest,
            **{
                "namespace": NAMESPACE,
                "workflow_id": self.workflow_id,
                "workflow_type": {"name": "Conformance"},
                "task_queue": {"name": self.queue},
                "signal_name": name,
                "identity": IDENTITY,
            }
            | fields,
        )
        return await call(self.env, request, wf.SignalWithStartWorkflowExecutionResponse)

    async def cancel(
        self, run_id: str = "", **fields: Any
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """RequestCancelWorkflowExecution."""
        request = build(
            wf.RequestCancelWorkflowExecutionRequest,
            **{
                "namespace": NAMESPACE,
                "workflow_execution": self.execution(run_id),
                "identity": IDENTITY,
            }
            | fields,
        )
        return await call(self.env, request, wf.RequestCancelWorkflowExecutionResponse)

    async def terminate(
        self, run_id: str = "", **fields: Any
    ) -> wf.TerminateWorkflowExecutionResponse:
        """TerminateWorkflowExecution."""
        request = build(
            wf.TerminateWorkflowExecutionRequest,
            **{
                "namespace": NAMESPACE,
                "workflow_execution": self.execution(run_id),
                "identity": IDENTITY,
            }
            | fields,
        )
        return await call(self.env, request, wf.TerminateWorkflowExecutionResponse)

    async def query(
        self, kind: str = "state", run_id: str = "", *, timeout: float = 10.0, **fields: Any
    ) -> wf.QueryWorkflowResponse:
        """QueryWorkflow."""
        request = build(
            wf.QueryWorkflowRequest,
            **{
                "namespace": NAMESPACE,
                "execution": self.execution(run_id),
                "query": {"query_type": kind},
            }
            | fields,
        )
        return await call(self.env, request, wf.QueryWorkflowResponse, timeout=timeout)

    async def describe(self, run_id: str = "") -> wf.DescribeWorkflowExecutionResponse:
        """DescribeWorkflowExecution."""
        request = build(
            wf.DescribeWorkflowExecutionRequest,
            namespace=NAMESPACE,
            execution=self.execution(run_id),
        )
        return await call(self.env, request, wf.DescribeWorkflowExecutionResponse)

    async def history_page(
        self, run_id: str = "", **fields: Any
    ) -> wf.GetWorkflowExecutionHistoryResponse:
        """GetWorkflowExecutionHistory."""
        request = build(
            wf.GetWorkflowExecutionHistoryRequest,
            **{"namespace": NAMESPACE, "execution": self.execution(run_id)} | fields,
        )
        return await call(self.env, request, wf.GetWorkflowExecutionHistoryResponse)

    async def history(self, run_id: str = "") -> list[HistoryEvent]:
        """Returns all events of a run."""
        events: list[HistoryEvent] = []
        token = b""
        while True:
            page = await self.history_page(run_id, next_page_token=token)
            events.extend(page.history.events)
            token = page.next_page_token
            if not token:
                return events

    async def closed(self, run_id: str = "") -> HistoryEvent:
        """Waits until a run has closed and returns its last event."""
        token = b""
        while True:
            page = await self.history_page(
                run_id,
                wait_new_event=True,
                history_event_filter_type="HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT",
                next_page_token=token,
            )
            if page.history.events:
                return page.history.events[-1]
            token = page.next_page_token

    async def reset_sticky(self, run_id: str = "") -> wf.ResetStickyTaskQueueResponse:
        """ResetStickyTaskQueue."""
        request = build(
            wf.ResetStickyTaskQueueRequest, namespace=NAMESPACE, execution=self.execution(run_id)
        )
        return await call(self.env, request, wf.ResetStickyTaskQueueResponse)

    async def reset(
        self, event_id: int, run_id: str = "", **fields: Any
    ) -> wf.ResetWorkflowExecutionResponse:
        """ResetWorkflowExecution, to just before a workflow task's end."""
        request = build(
            wf.ResetWorkflowExecutionRequest,
            **{
                "namespace": NAMESPACE,
                "workflow_execution": self.execution(run_id),
                "workflow_task_finish_event_id": event_id,
                "reason": "because",
                "request_id": str(uuid.uuid4()),
                "identity": IDENTITY,
            }
            | fields,
        )
        return await call(self.env, request, wf.ResetWorkflowExecutionResponse)

    # What workers call.

    async def poll(
        self, *, sticky: bool = False, timeout: float = _POLL_SECONDS
    ) -> wf.PollWorkflowTaskQueueResponse:
        """PollWorkflowTaskQueue; fails when no task comes within `timeout` seconds."""
        queue: dict[str, Any] = {"name": self.queue}
        if sticky:
            kind = TaskQueueKind.TASK_QUEUE_KIND_STICKY
            queue = {"name": self.sticky_queue, "kind": kind, "normal_name": self.queue}
        request = build(
            wf.PollWorkflowTaskQueueRequest, namespace=NAMESPACE, task_queue=queue, identity=WORKER
        )
        task = await call(self.env, request, wf.PollWorkflowTaskQueueResponse, timeout=timeout)
        assert task.task_token, f"no workflow task on {queue['name']} within {timeout} s"
        return task

    async def complete(
        self, task: wf.PollWorkflowTaskQueueResponse, *commands: Command, **fields: Any
    ) -> wf.RespondWorkflowTaskCompletedResponse:
        """RespondWorkflowTaskCompleted."""
        request = build(
            wf.RespondWorkflowTaskCompletedRequest,
            **{
                "namespace": NAMESPACE,
                "task_token": task.task_token,
                "identity": WORKER,
                "commands": commands,
            }
            | fields,
        )
        return await call(self.env, request, wf.RespondWorkflowTaskCompletedResponse)

    async def step(
        self, *commands: Command, sticky: bool = False, **fields: Any
    ) -> wf.RespondWorkflowTaskCompletedResponse:
        """Polls a workflow task and completes it with the given commands."""
        return await self.complete(await self.poll(sticky=sticky), *commands, **fields)

    async def step_after_signal(
        self, *commands: Command, **fields: Any
    ) -> wf.RespondWorkflowTaskCompletedResponse:
        """Wakes an idle workflow with a signal, then does as `step`."""
        await self.signal("wake")
        return await self.step(*commands, **fields)

    def sticky(self, *, seconds: float = 10.0) -> dict[str, Any]:
        """Returns the fields of a completion that make this worker's queue the sticky one."""
        kind = TaskQueueKind.TASK_QUEUE_KIND_STICKY
        return {
            "sticky_attributes": {
                "worker_task_queue": {
                    "name": self.sticky_queue,
                    "kind": kind,
                    "normal_name": self.queue,
                },
                "schedule_to_start_timeout": {
                    "seconds": int(seconds),
                    "nanos": int(seconds % 1 * 1e9),
                },
            }
        }

    async def fail_task(
        self, task: wf.PollWorkflowTaskQueueResponse, **fields: Any
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """RespondWorkflowTaskFailed."""
        request = build(
            wf.RespondWorkflowTaskFailedRequest,
            **{"namespace": NAMESPACE, "task_token": task.task_token, "identity": WORKER} | fields,
        )
        return await call(self.env, request, wf.RespondWorkflowTaskFailedResponse)

    async def answer_query(
        self, task: wf.PollWorkflowTaskQueueResponse, **fields: Any
    ) -> wf.RespondQueryTaskCompletedResponse:
        """RespondQueryTaskCompleted."""
        request = build(
            wf.RespondQueryTaskCompletedRequest,
            **{"namespace": NAMESPACE, "task_token": task.task_token} | fields,
        )
        return await call(self.env, request, wf.RespondQueryTaskCompletedResponse)

    async def poll_activity(
        self, *, queue: str = "", timeout: float = _POLL_SECONDS
    ) -> wf.PollActivityTaskQueueResponse:
        """PollActivityTaskQueue; fails when no task comes within `timeout` seconds."""
        request = build(
            wf.PollActivityTaskQueueRequest,
            namespace=NAMESPACE,
            task_queue={"name": queue or self.queue},
            identity=WORKER,
        )
        task = await call(self.env, request, wf.PollActivityTaskQueueResponse, timeout=timeout)
        assert task.task_token, f"no activity task within {timeout} s"
        return task

    async def heartbeat(
        self, task: wf.PollActivityTaskQueueResponse, *details: str
    ) -> wf.RecordActivityTaskHeartbeatResponse:
        """RecordActivityTaskHeartbeat."""
        request = build(
            wf.RecordActivityTaskHeartbeatRequest,
            namespace=NAMESPACE,
            task_token=task.task_token,
            identity=WORKER,
            details=payloads(*details) if details else None,
        )
        return await call(self.env, request, wf.RecordActivityTaskHeartbeatResponse)

    async def complete_activity(
        self, task: wf.PollActivityTaskQueueResponse, result: str = "done"
    ) -> wf.RespondActivityTaskCompletedResponse:
        """RespondActivityTaskCompleted."""
        request = build(
            wf.RespondActivityTaskCompletedRequest,
            namespace=NAMESPACE,
            task_token=task.task_token,
            identity=WORKER,
            result=payloads(result),
        )
        return await call(self.env, request, wf.RespondActivityTaskCompletedResponse)

    async def fail_activity(
        self, task: wf.PollActivityTaskQueueResponse, failure: Failure, **fields: Any
    ) -> wf.RespondActivityTaskFailedResponse:
        """RespondActivityTaskFailed."""
        request = build(
            wf.RespondActivityTaskFailedRequest,
            **{
                "namespace": NAMESPACE,
                "task_token": task.task_token,
                "identity": WORKER,
                "failure": failure,
            }
            | fields,
        )
        return await call(self.env, request, wf.RespondActivityTaskFailedResponse)

    async def cancel_activity(
        self, task: wf.PollActivityTaskQueueResponse, *details: str
    ) -> wf.RespondActivityTaskCanceledResponse:
        """RespondActivityTaskCanceled."""
        request = build(
            wf.RespondActivityTaskCanceledRequest,
            namespace=NAMESPACE,
            task_token=task.task_token,
            identity=WORKER,
            details=payloads(*details) if details else None,
        )
        return await call(self.env, request, wf.RespondActivityTaskCanceledResponse)

    # Conditions to wait for.

    async def round_trips(self, count: int = 5) -> None:
        """Lets a call that was sent before reach the workflow: later calls overtake none."""
        for _ in range(count):
            await self.describe()

    async def event(self, kind: str, run_id: str = "", *, count: int = 1) -> HistoryEvent:
        """Waits until the history holds `count` events of a type, such as "TIMER_FIRED"."""

        async def seen() -> HistoryEvent | None:
            found = [e for e in await self.history(run_id) if event_type(e) == kind]
            return found[count - 1] if len(found) >= count else None

        return await until(seen, what=f"{count} × {kind}")


def event_type(event: HistoryEvent) -> str:
    """Returns a history event's type as in "TIMER_FIRED"."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")


async def code_of(answer: Awaitable[object]) -> str:
    """Awaits an RPC and returns its status code's name."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"
