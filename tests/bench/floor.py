"""The floor: a grpc.aio server on uvloop that answers the scenario's RPCs and does nothing else.

It parses each request, hands tasks to waiting pollers, and answers with canned bytes. It keeps two
counters per open workflow, no state machine, no history, nothing on disk: what it costs is what the
transport costs, and no server behind the same transport can cost less.

Run by the runner as `python -m bench.floor`.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import click
import grpc
import grpc.aio
import uvloop
from google.protobuf.message import Message
from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.enums.v1.task_queue_pb2 import TaskQueueKind
from temporalio.api.workflowservice.v1 import request_response_pb2 as messages

from bench import floor_responses as canned
from bench.requests import TIMER_DELAY
from bench.rpcs import SERVICE
from bench.scenarios import BY_NAME, Outcome, Scenario


@dataclass(slots=True, eq=False)
class Workflow:
    """What the floor knows of an open workflow.

    Attributes:
        token: Task token of all its tasks.
        execution: Serialised WorkflowExecution.
        closed: Resolved when the workflow has completed.
        issued: Commands issued.
        seen: Outcomes that were handed to the worker.
        pending: Outcomes that were not yet.
        has_task: Whether a workflow task is queued or at the worker.
        is_new: Whether no workflow task has been handed out yet.
    """

    token: bytes
    execution: bytes
    closed: asyncio.Future[bytes]
    issued: int = 0
    seen: int = 0
    pending: int = 0
    has_task: bool = True
    is_new: bool = True


@dataclass(slots=True)
class Floor:
    """The handlers, and the queues in which tasks and pollers meet."""

    scenario: Scenario
    workflows: dict[str, Workflow] = field(default_factory=dict)
    normal: asyncio.Queue[Workflow] = field(default_factory=asyncio.Queue)
    sticky: asyncio.Queue[Workflow] = field(default_factory=asyncio.Queue)
    activities: asyncio.Queue[Workflow] = field(default_factory=asyncio.Queue)

    async def describe_namespace(self, _: Message) -> bytes:
        """Say that the namespace is there."""
        return canned.NOTHING

    async def start(self, request: messages.StartWorkflowExecutionRequest) -> bytes:
        """Queue the first workflow task."""
        workflow_id = request.workflow_id
        execution = WorkflowExecution(workflow_id=workflow_id, run_id=canned.RUN_ID)
        workflow = Workflow(
            token=canned.TOKEN_PADDING + workflow_id.encode(),
            execution=execution.SerializeToString(),
            closed=asyncio.get_running_loop().create_future(),
        )
        self.workflows[workflow_id] = workflow
        self.normal.put_nowait(workflow)
        return canned.STARTED

    async def signal(self, request: messages.SignalWorkflowExecutionRequest) -> bytes:
        """Count an outcome."""
        self._on_outcome(self.workflows[request.workflow_execution.workflow_id])
        return canned.SIGNALED

    async def history(self, request: messages.GetWorkflowExecutionHistoryRequest) -> bytes:
        """Wait for the close event."""
        workflow_id = request.execution.workflow_id
        close_event = await self.workflows[workflow_id].closed
        del self.workflows[workflow_id]
        return close_event

    async def poll_workflow(self, request: messages.PollWorkflowTaskQueueRequest) -> bytes:
        """Wait for a workflow task."""
        is_sticky = request.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY
        return self._hand_out(await (self.sticky if is_sticky else self.normal).get())

    async def complete_workflow_task(
        self, request: messages.RespondWorkflowTaskCompletedRequest
    ) -> bytes:
        """Go on to what the commands of the scenario lead to."""
        workflow = self._of_token(request.task_token)
        workflow.has_task = False
        if workflow.seen >= self.scenario.outcomes:
            workflow.closed.set_result(canned.CLOSED)
            return canned.NOTHING
        if workflow.seen == workflow.issued and self.scenario.width:
            self._issue(workflow)
        if not workflow.pending:
            return canned.NOTHING
        workflow.has_task = True
        return canned.NEXT_WORKFLOW_TASK.fill(self._hand_out(workflow))

    async def poll_activity(self, _: Message) -> bytes:
        """Wait for an activity task."""
        workflow = await self.activities.get()
        return canned.ACTIVITY_TASK.fill(workflow.token, workflow.execution)

    async def complete_activity(
        self, request: messages.RespondActivityTaskCompletedRequest
    ) -> bytes:
        """Count an outcome."""
        self._on_outcome(self._of_token(request.task_token))
        return canned.NOTHING

    def _of_token(self, token: bytes) -> Workflow:
        return self.workflows[token[len(canned.TOKEN_PADDING) :].decode()]

    def _issue(self, workflow: Workflow) -> None:
        workflow.issued += self.scenario.width
        if self.scenario.outcome is Outcome.TIMER:
            delay_s = TIMER_DELAY.total_seconds()
            asyncio.get_running_loop().call_later(delay_s, self._on_outcome, workflow)
            return
        for _ in range(self.scenario.width):
            self.activities.put_nowait(workflow)

    def _on_outcome(self, workflow: Workflow) -> None:
        workflow.pending += 1
        if not workflow.has_task:
            workflow.has_task = True
            self.sticky.put_nowait(workflow)

    def _hand_out(self, workflow: Workflow) -> bytes:
        """A workflow task with every outcome that is pending."""
        outcomes = canned.OUTCOME_EVENTS[self.scenario.outcome] * workflow.pending
        workflow.seen += workflow.pending
        workflow.pending = 0
        if workflow.is_new:
            workflow.is_new = False
            history = canned.FIRST_EVENTS + outcomes + canned.FIRST_TASK_EVENTS
        else:
            history = canned.COMPLETED_TASK_EVENTS + outcomes + canned.LATER_TASK_EVENTS
        return canned.WORKFLOW_TASK.fill(workflow.token, workflow.execution, history)


def handlers(floor: Floor) -> grpc.GenericRpcHandler:
    """The floor's methods under the names of the WorkflowService."""
    methods: dict[str, Callable[..., Awaitable[bytes]]] = {
        "DescribeNamespace": floor.describe_namespace,
        "StartWorkflowExecution": floor.start,
        "SignalWorkflowExecution": floor.signal,
        "GetWorkflowExecutionHistory": floor.history,
        "PollWorkflowTaskQueue": floor.poll_workflow,
        "RespondWorkflowTaskCompleted": floor.complete_workflow_task,
        "PollActivityTaskQueue": floor.poll_activity,
        "RespondActivityTaskCompleted": floor.complete_activity,
    }
    return grpc.method_handlers_generic_handler(
        SERVICE, {name: _adapt(name, method) for name, method in methods.items()}
    )


def _adapt(
    name: str, method: Callable[..., Awaitable[bytes]]
) -> "grpc.RpcMethodHandler[Message, bytes]":
    async def handle(request: Message, _: object) -> bytes:
        return await method(request)

    parse = getattr(messages, f"{name}Request").FromString
    return grpc.unary_unary_rpc_method_handler(handle, request_deserializer=parse)


async def serve(port: int, scenario: Scenario) -> None:
    """Serve on the loopback interface until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(Floor(scenario)),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await stop.wait()
    await server.stop(grace=None)


@click.command()
@click.option("--port", required=True, type=int, help="TCP port on 127.0.0.1.")
@click.option("--scenario", required=True, type=click.Choice(sorted(BY_NAME)))
def main(port: int, scenario: str) -> None:
    """Answer the RPCs of one scenario."""
    uvloop.run(serve(port, BY_NAME[scenario]))


if __name__ == "__main__":
    main()
