"""A matching engine with the smallest honest store and history around it, on virtual time.

The rows are the truth, as in a real store: a start deletes one, an undo brings it back. A read
sees the rows of the moment at which it began, and returns later.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchKey, DispatchTask, RunKey, TaskQueueKey, TaskType
from perdure.core.errors import UnavailableError
from perdure.matching.engine import MatchingEngine
from perdure.matching.operator_limits import QueueRates
from perdure.matching.settings import MatchingSettings
from perdure.persistence.ports import StoreUnavailable
from perdure.rpc.clients import (
    Encoded,
    MatchingClient,
    Namespace,
    Poller,
    QueryOutcome,
    QueryTask,
    StaleTask,
)
from perdure.runtime.deterministic import SeededIds
from perdure.telemetry.tracing import NO_TRACING, Tracer
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop

NAMESPACE = Namespace("11111111-2222-3333-4444-555555555555", "default")
WORKFLOWS = TaskQueueKey(NAMESPACE.id, "queue", TaskType.WORKFLOW)
ACTIVITIES = TaskQueueKey(NAMESPACE.id, "queue", TaskType.ACTIVITY)

_RESPONSES = {
    TaskType.WORKFLOW: wf.PollWorkflowTaskQueueResponse,
    TaskType.ACTIVITY: wf.PollActivityTaskQueueResponse,
}

T = TypeVar("T")


def task_of(
    task_id: int, *, queue: TaskQueueKey = WORKFLOWS, priority: int = 3, scheduled_time: int = 0
) -> DispatchTask:
    key = DispatchKey(queue, "", priority, "", task_id)
    run = RunKey(queue.namespace_id, f"workflow-{task_id}", f"run-{task_id}")
    return DispatchTask(key, task_id % 16_384, run, 2, 1, scheduled_time)


class Rows:
    """The rows of all queues, and a store that reads them."""

    def __init__(self) -> None:
        self.tasks: dict[DispatchKey, DispatchTask] = {}
        self.reads: list[tuple[TaskQueueKey, DispatchKey | None, int]] = []
        self.failing: Callable[[], bool] = lambda: False
        self.latency: Callable[[], float] = lambda: 0.001

    def write(self, *tasks: DispatchTask) -> None:
        self.tasks.update({task.key: task for task in tasks})

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        self.reads.append((queue, after, limit))
        keys = sorted(key for key in self.tasks if key.queue == queue)
        snapshot = [self.tasks[key] for key in keys if after is None or key > after]
        await asyncio.sleep(self.latency())
        if self.failing():
            raise StoreUnavailable("the store is down")
        return snapshot[:limit]

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        numbers = {key.queue.partition for key in self.tasks if key.queue[:3] == queue[:3]}
        await asyncio.sleep(self.latency())
        if self.failing():
            raise StoreUnavailable("the store is down")
        return min((number for number in numbers if number > queue.partition), default=None)


class History:
    """Decides what has started, by the rows; `started` counts, by workflow id."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.by_request: dict[str, DispatchTask] = {}
        self.started: list[str] = []
        self.undone: list[str] = []
        self.attempts = 0
        self.refuse: Callable[[DispatchTask], bool] = lambda _: False
        self.before: Callable[[DispatchTask], Awaitable[None]] | None = None
        self.after: Callable[[DispatchTask], Awaitable[None]] | None = None
        self.hint: Callable[[DispatchTask], None] = lambda _: None
        self.answer: Callable[[DispatchTask], Encoded] = response_to

    async def record_workflow_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        return await self._record(task, poller)

    async def record_activity_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        return await self._record(task, poller)

    async def _record(self, task: DispatchTask, poller: Poller) -> Encoded:
        self.attempts += 1
        if self.before is not None:
            await self.before(task)
        if self.refuse(task):
            raise UnavailableError("shard is moving")
        if self.by_request.get(poller.request_id) != task:
            if self.rows.tasks.pop(task.key, None) is None:
                raise StaleTask
            self.by_request[poller.request_id] = task
            self.started.append(task.run.workflow_id)
        if self.after is not None:
            await self.after(task)
        return self.answer(task)

    async def undo_task_started(self, task: DispatchTask, request_id: str) -> None:
        await asyncio.sleep(0.001)
        if self.by_request.pop(request_id, None) is None:
            return
        self.undone.append(task.run.workflow_id)
        self.started.remove(task.run.workflow_id)
        self.rows.write(task)
        self.hint(task)

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        raise AssertionError("matching does not ask for that")


class World:
    """An engine, its rows, its history, and pollers."""

    def __init__(
        self,
        loop: SimulatedLoop,
        settings: MatchingSettings,
        seed: int,
        rates: QueueRates | None = None,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        self.loop = loop
        self.clock = SimulatedClock(loop=loop)
        self.rows = Rows()
        self.history = History(self.rows)
        self.errors: list[tuple[str, BaseException]] = []
        self.engine = MatchingEngine(
            store=self.rows,
            clock=self.clock,
            ids=SeededIds(generator=random.Random(seed), clock=self.clock),
            settings=settings,
            incarnation="incarnation",
            on_error=lambda name, error: self.errors.append((name, error)),
            rates=rates,
            tracer=tracer,
        )
        self.engine.attach_history(self.history)
        client: MatchingClient = self.engine
        self.history.hint = lambda task: client.add_tasks([task])

    def commit(self, *tasks: DispatchTask) -> None:
        """Writes rows and hands over their hints."""
        self.rows.write(*tasks)
        self.engine.add_tasks(tasks)

    def poll(
        self,
        queue: TaskQueueKey = WORKFLOWS,
        *,
        identity: str = "worker",
        key: str = "",
        seconds: float = 60.0,
        tasks_per_second: float | None = None,
    ) -> asyncio.Task[Encoded]:
        """Starts a poll; its answer lacks what `advised_poll` tells apart."""

        async def answer() -> Encoded:
            response = await self._poll(queue, identity, key, seconds, tasks_per_second)
            return without_advice(queue, response)

        return self.loop.create_task(answer())

    async def advised_poll(
        self, queue: TaskQueueKey = WORKFLOWS, *, sticky_of: str = ""
    ) -> tuple[int, int]:
        """Polls; returns the answer's backlog count, and by how many polls to change (0: none)."""
        response = await self._poll(queue, "worker", "", 60.0, None, sticky_of=sticky_of)
        message = _RESPONSES[queue.task_type].FromString(response)
        assert message.task_token, "it got a task"
        count = getattr(message, "backlog_count_hint", 0)
        return count, message.poller_scaling_decision.poll_request_delta_suggestion

    async def _poll(
        self,
        queue: TaskQueueKey,
        identity: str,
        key: str,
        seconds: float,
        tasks_per_second: float | None,
        *,
        sticky_of: str = "",
    ) -> Encoded:
        named = TaskQueue(name=queue.name)
        if sticky_of:
            named.kind = enums.TASK_QUEUE_KIND_STICKY
            named.normal_name = sticky_of
        if queue.task_type is TaskType.ACTIVITY:
            activity = wf.PollActivityTaskQueueRequest(
                task_queue=named, identity=identity, worker_instance_key=key
            )
            if tasks_per_second is not None:
                activity.task_queue_metadata.max_tasks_per_second.value = tasks_per_second
            return await self.engine.poll_activity_task_queue(NAMESPACE, activity, seconds)
        workflow = wf.PollWorkflowTaskQueueRequest(
            task_queue=named, identity=identity, worker_instance_key=key
        )
        return await self.engine.poll_workflow_task_queue(NAMESPACE, workflow, seconds)

    async def waiting_poll(
        self, queue: TaskQueueKey = WORKFLOWS, *, identity: str = "worker", key: str = ""
    ) -> asyncio.Task[Encoded]:
        """Starts a poll and lets it get as far as it can without time passing."""
        poll = self.poll(queue, identity=identity, key=key)
        await settle()
        return poll

    def ask(
        self, query_task_id: str = "query", *, seconds: float = 5.0
    ) -> asyncio.Task[QueryOutcome]:
        """Starts a query."""
        head = wf.PollWorkflowTaskQueueResponse(attempt=1).SerializeToString()
        run = RunKey(NAMESPACE.id, "workflow", "run")
        task = QueryTask(query_task_id, NAMESPACE.id, run, head)
        return self.loop.create_task(self.engine.query(WORKFLOWS, task, seconds))


def response_to(task: DispatchTask) -> Encoded:
    return response_with(task.run.workflow_id)


def response_with(token: str) -> Encoded:
    response = wf.PollWorkflowTaskQueueResponse(task_token=token.encode())
    return Encoded(response.SerializeToString())


def without_advice(queue: TaskQueueKey, response: Encoded) -> Encoded:
    message = _RESPONSES[queue.task_type].FromString(response)
    message.ClearField("poller_scaling_decision")
    if isinstance(message, wf.PollWorkflowTaskQueueResponse):
        message.ClearField("backlog_count_hint")
    return Encoded(message.SerializeToString())


async def settle() -> None:
    """Lets everything run that does not wait for time."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(
    scenario: Callable[[World], Coroutine[Any, Any, T]],
    *,
    settings: MatchingSettings | None = None,
    seed: int = 1,
    reorder_probability: float = 0.0,
    rates: QueueRates | None = None,
    tracer: Tracer = NO_TRACING,
) -> T:
    """Runs a scenario on virtual time; fails when background work fails or is left over."""
    generator = random.Random(seed)
    loop = SimulatedLoop(generator=generator, reorder_probability=reorder_probability)
    world = World(loop, settings or MatchingSettings(), seed, rates, tracer)

    async def main() -> T:
        try:
            return await scenario(world)
        finally:
            await world.engine.close()

    try:
        result = loop.run_until_complete(main())
    finally:
        loop.close()
    assert world.errors == []
    return result
