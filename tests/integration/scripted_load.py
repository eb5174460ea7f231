"""A load that touches what Perdure can do, round after round: what metrics and boards are shown.

A round has one of everything, at the same time: workflows that end in every way, messages of every
kind, timeouts, listings, requests that are refused, a schedule. How often, and in which order
within a round, is nothing that a test may count on: only that each thing happens again and again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DeleteWorkflowExecutionRequest,
    PollActivityTaskQueueRequest,
    QueryWorkflowRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from integration.scripted_workflows import (
    ACTIVITIES,
    DESERTED_QUEUE,
    NARROW_QUEUE,
    QUEUE,
    UNPOLLED_QUEUE,
    WORKFLOWS,
    Crowd,
    Fails,
    Family,
    GoesOn,
    Quick,
    Talks,
    Troubles,
    Waits,
)
from perdure.config.settings import Given, Values, resolve_all

LIMITED_NAMESPACE = "limited"
NAMESPACES = ("default", LIMITED_NAMESPACE)
"""Those that the server must have."""
_LIMITS = (Given("frontend.namespaceRPS", 1, LIMITED_NAMESPACE),)
_SHORT = timedelta(seconds=1)
_FIRST_TASK_ENDS = 4
"""The event with which the first workflow task of a workflow is completed."""
_REQUESTS_AT_ONCE = 8
"""More than the limited namespace lets through."""


def settings() -> Values:
    """Returns the settings with which some requests of the load are refused."""
    values, problems = resolve_all(_LIMITS)
    assert problems == []
    return values


@asynccontextmanager
async def scripted_load(address: str, runtime: Runtime | None = None) -> AsyncIterator[Client]:
    """Runs workers and rounds until the block ends; a round that goes wrong ends the block."""
    client = await Client.connect(address, runtime=runtime)
    runner = UnsandboxedWorkflowRunner()
    usual = Worker(
        client,
        task_queue=QUEUE,
        workflows=WORKFLOWS,
        activities=ACTIVITIES,
        workflow_runner=runner,
    )
    narrow = Worker(
        client, task_queue=NARROW_QUEUE, activities=ACTIVITIES, max_concurrent_activities=1
    )
    async with usual, narrow:
        script = await Script.begin(client)
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_rounds(script, done))
            try:
                yield client
            finally:
                done.set()


async def _rounds(script: "Script", done: asyncio.Event) -> None:
    number = 0
    while not done.is_set():
        await script.round(number)
        number += 1


class Script:
    """The rounds. Make one with `Script.begin`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = uuid4().hex[:8]

    @classmethod
    async def begin(cls, client: Client) -> "Script":
        """Makes the schedule, which goes on by itself."""
        action = ScheduleActionStartWorkflow(Quick.run, id="scheduled", task_queue=QUEUE)
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=_SHORT)])
        with suppress(ScheduleAlreadyRunningError):
            await client.create_schedule("scripted", Schedule(action=action, spec=spec))
        return cls(client)

    async def round(self, number: int) -> None:
        """Does everything once."""
        async with asyncio.TaskGroup() as steps:
            for step in (
                *(self.completes, self.fails, self.is_cancelled, self.is_terminated),
                *(self.times_out, self.goes_on, self.is_reset, self.talks, self.has_troubles),
                *(self.waits_in_line, self.has_children, self.is_looked_for, self.is_refused),
                *(self.is_limited, self.nobody_answers, self.goes_away, self.is_deleted),
            ):
                workflow_id = f"{self._prefix}-{number}-{step.__name__}"
                steps.create_task(step(workflow_id), name=workflow_id)

    async def completes(self, workflow_id: str) -> None:
        await self._client.execute_workflow(Quick.run, id=workflow_id, task_queue=QUEUE)

    async def fails(self, workflow_id: str) -> None:
        with suppress(WorkflowFailureError):
            await self._client.execute_workflow(Fails.run, id=workflow_id, task_queue=QUEUE)

    async def is_cancelled(self, workflow_id: str) -> None:
        handle = await self._client.start_workflow(Waits.run, id=workflow_id, task_queue=QUEUE)
        await handle.cancel()
        with suppress(WorkflowFailureError):
            await handle.result()

    async def is_terminated(self, workflow_id: str) -> None:
        handle = await self._client.start_workflow(Waits.run, id=workflow_id, task_queue=QUEUE)
        await handle.terminate("the script says so")

    async def times_out(self, workflow_id: str) -> None:
        with suppress(WorkflowFailureError):
            await self._client.execute_workflow(
                Waits.run, id=workflow_id, task_queue=QUEUE, run_timeout=_SHORT
            )

    async def goes_on(self, workflow_id: str) -> None:
        await self._client.execute_workflow(GoesOn.run, True, id=workflow_id, task_queue=QUEUE)

    async def is_reset(self, workflow_id: str) -> None:
        """Completes, and again from after its first workflow task."""
        handle = await self._client.start_workflow(Quick.run, id=workflow_id, task_queue=QUEUE)
        await handle.result()
        request = ResetWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=workflow_id, run_id=handle.result_run_id or ""
            ),
            reason="the script says so",
            request_id=uuid4().hex,
            workflow_task_finish_event_id=_FIRST_TASK_ENDS,
        )
        await self._client.workflow_service.reset_workflow_execution(request, retry=True)
        await self._client.get_workflow_handle(workflow_id).result()

    async def talks(self, workflow_id: str) -> None:
        handle = await self._client.start_workflow(Talks.run, id=workflow_id, task_queue=QUEUE)
        await handle.execute_update(Talks.add, 1)
        with suppress(WorkflowUpdateFailedError):
            await handle.execute_update(Talks.add, -1)
        assert await handle.query(Talks.total) == 1
        await self._client.start_workflow(
            Talks.run, id=workflow_id, task_queue=QUEUE, start_signal="finish"
        )
        assert await handle.result() == 1

    async def has_troubles(self, workflow_id: str) -> None:
        await self._client.execute_workflow(Troubles.run, id=workflow_id, task_queue=QUEUE)

    async def waits_in_line(self, workflow_id: str) -> None:
        await self._client.execute_workflow(Crowd.run, id=workflow_id, task_queue=QUEUE)

    async def has_children(self, workflow_id: str) -> None:
        await self._client.execute_workflow(Family.run, id=workflow_id, task_queue=QUEUE)

    async def is_looked_for(self, workflow_id: str) -> None:
        async for _ in self._client.list_workflows("WorkflowType = 'Quick'", limit=10):
            pass
        await self._client.count_workflows("ExecutionStatus = 'Running'")
        await self._client.get_schedule_handle("scripted").trigger()

    async def is_deleted(self, workflow_id: str) -> None:
        await self._client.execute_workflow(Quick.run, id=workflow_id, task_queue=QUEUE)
        request = DeleteWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        )
        await self._client.workflow_service.delete_workflow_execution(request)

    async def is_refused(self, workflow_id: str) -> None:
        """Asks for a workflow that is not there, and starts one twice."""
        with suppress(RPCError):
            await self._client.get_workflow_handle(workflow_id).describe()
        handle = await self._client.start_workflow(Waits.run, id=workflow_id, task_queue=QUEUE)
        with suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(Waits.run, id=workflow_id, task_queue=QUEUE)
        await handle.terminate()
        with suppress(RPCError):
            await handle.signal(Waits.nudge)

    async def is_limited(self, workflow_id: str) -> None:
        request = CountWorkflowExecutionsRequest(namespace=LIMITED_NAMESPACE)
        count = self._client.workflow_service.count_workflow_executions
        calls = (count(request, retry=False) for _ in range(_REQUESTS_AT_ONCE))
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(answer, BaseException) and not _is(
                answer, RPCStatusCode.RESOURCE_EXHAUSTED
            ):
                raise answer

    async def nobody_answers(self, workflow_id: str) -> None:
        """A workflow without a worker: its task waits, it cannot be queried, and it times out."""
        handle = await self._client.start_workflow(
            Waits.run, id=workflow_id, task_queue=UNPOLLED_QUEUE, run_timeout=2 * _SHORT
        )
        request = QueryWorkflowRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
            query=WorkflowQuery(query_type="__stack_trace"),
        )
        with suppress(RPCError):
            await self._client.workflow_service.query_workflow(request, timeout=_SHORT / 2)
        with suppress(WorkflowFailureError):
            await handle.result()

    async def goes_away(self, workflow_id: str) -> None:
        """A worker asks for a task, and is gone before there is one."""
        request = PollActivityTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=DESERTED_QUEUE),
            identity=workflow_id,
        )
        poll = self._client.workflow_service.poll_activity_task_queue
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHORT.total_seconds() / 2):
                await poll(request, retry=False)


def _is(error: BaseException, status: RPCStatusCode) -> bool:
    return isinstance(error, RPCError) and error.status is status
