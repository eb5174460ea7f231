"""The matching role in one process: what others ask of it.

Wiring: history and matching know each other, so matching is made first, history gets it, and then
`attach_history` closes the circle, before the first poll.
"""

import asyncio
from collections.abc import Callable, Sequence

from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey, TaskType
from perdure.core.errors import InvalidArgumentError, UnavailableError
from perdure.core.matching.worker_registry import WorkerRegistry
from perdure.matching import describe
from perdure.matching.departed import DepartedWorkers, WorkerOfQueue
from perdure.matching.forwarding import QueueTasks
from perdure.matching.observer import MatchingObserver, QueueStatistics, SilentObserver
from perdure.matching.operator_limits import OperatorLimits, QueueRates
from perdure.matching.partitions import Partitions
from perdure.matching.polling import EMPTY, Polls
from perdure.matching.queries import Queries
from perdure.matching.reader import QueueRows
from perdure.matching.reservation import PollerReservation
from perdure.matching.settings import MatchingSettings
from perdure.matching.waiting import ForwardedTask
from perdure.matching.workers import Workers
from perdure.persistence.ports import StoreError
from perdure.rpc.clients import (
    Encoded,
    ForwardOutcome,
    Namespace,
    Poller,
    QueryOutcome,
    QueryTask,
)
from perdure.rpc.history_client import HistoryTasks
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import ErrorCallback, TaskSet
from perdure.telemetry.tracing import NO_TRACING, Tracer


class MatchingEngine:
    """A `MatchingNode`: the task queues of this process."""

    __slots__ = (
        "_clock",
        "_closing",
        "_departed",
        "_ids",
        "_limits",
        "_partitions",
        "_polls",
        "_queries",
        "_rows",
        "_settings",
        "_tasks",
        "_workers",
    )

    def __init__(
        self,
        *,
        store: QueueRows,
        clock: Clock,
        ids: Ids,
        settings: MatchingSettings,
        incarnation: str,
        on_error: ErrorCallback,
        observer: MatchingObserver | None = None,
        rates: QueueRates | None = None,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        """Makes an engine without queues.

        Args:
            store: Where the rows of queues are.
            clock: Tells the time that is reported; waiting goes by the event loop's clock.
            ids: Names polls, and gives jitter.
            settings: Bounds of memory and time.
            incarnation: The store's, which is part of every task token.
            on_error: Told of background work that died of a bug.
            observer: Counts for metrics.
            rates: What operators say of how fast queues hand out tasks.
            tracer: Where spans of tasks that wait go.
        """
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._rows = store
        self._closing = False
        self._tasks = TaskSet(on_error=on_error)
        self._partitions = Partitions(
            settings=settings,
            observer=observer or SilentObserver(),
            rows=store,
            tasks=self._tasks,
            jitter=ids.random,
            queue_tasks=self,
        )
        self._limits: OperatorLimits | None = None
        if rates is not None:
            self._limits = OperatorLimits(
                rates=rates,
                partitions=self._partitions,
                shares=settings.read_partitions,
                period_seconds=settings.config_refresh,
                tasks=self._tasks,
            )
            self._partitions.on_load = self._limits.loaded
        self._polls = Polls(
            settings=settings,
            clock=clock,
            ids=ids,
            tasks=self._tasks,
            incarnation=incarnation,
            tracer=tracer,
        )
        self._queries = Queries(poller_window=settings.query_poller)
        self._workers = Workers(
            seconds=settings.worker_memory, capacity=settings.remembered_workers
        )
        self._departed = DepartedWorkers(settings.departed_memory, settings.departed_workers)

    def attach_cluster(self, cluster: QueueTasks) -> None:
        """Says how to reach other nodes' partitions, before the first poll or hint.

        Without it all partitions are this engine's.
        """
        self._partitions.queue_tasks = cluster

    def attach_history(self, history: HistoryTasks) -> None:
        """Says who records starts; once, before the first poll."""
        assert self._polls.history is None
        self._polls.history = history

    def reserve(self, queue: TaskQueueKey) -> PollerReservation | None:
        """Takes a poller that waits in this process; None when there is none.

        It is one of the partition, or else of another one of its queue.
        """
        partition = self._partitions.get(queue)
        if partition is not None and (waiter := partition.reserve()) is not None:
            return PollerReservation(partition, waiter)
        if self._settings.partitions > 1:
            for other in self._partitions.others(queue):
                if (waiter := other.reserve()) is not None:
                    return PollerReservation(other, waiter)
        return None

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Hands over committed tasks as hints; what does not fit is dropped and read later."""
        for task in tasks:
            sticky_of = "" if task.sticky else None
            self._partitions.load(task.key.queue, sticky_of).offer(task)

    async def poll_workflow_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollWorkflowTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for a workflow or query task; an empty response after `timeout` seconds."""
        queue = TaskQueueKey(namespace.id, request.task_queue.name, TaskType.WORKFLOW, partition)
        return await self._poll(queue, request, timeout)

    async def poll_activity_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollActivityTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for an activity task; an empty response after `timeout` seconds."""
        queue = TaskQueueKey(namespace.id, request.task_queue.name, TaskType.ACTIVITY, partition)
        if request.task_queue_metadata.HasField("max_tasks_per_second"):
            rate = request.task_queue_metadata.max_tasks_per_second.value
            # Each partition hands out its share.
            self._partitions.load(queue).limit_rate(rate / self._settings.read_partitions)
        return await self._poll(queue, request, timeout)

    async def forward_task(
        self, task: DispatchTask, limited: bool, timeout: float
    ) -> ForwardOutcome:
        """Has a poller of the root start a task of another partition, where nobody polls.

        Args:
            task: The task.
            limited: Whether its own partition keeps to the rate that workers set.
            timeout: How long to wait for a poller, in seconds.

        Raises:
            UnavailableError: The server is shutting down.
        """
        self._refuse_when_closing()
        root = self._partitions.load(task.key.queue._replace(partition=0))
        loop = asyncio.get_running_loop()
        forwarded = ForwardedTask(task, limited, loop.create_future())
        timer = loop.call_later(timeout, root.withdraw_forwarded, forwarded)
        try:
            root.offer_forwarded(forwarded)
            return await forwarded.outcome
        finally:
            timer.cancel()
            root.withdraw_forwarded(forwarded)

    async def query(self, queue: TaskQueueKey, task: QueryTask, timeout: float) -> QueryOutcome:
        """Has a worker of the queue answer a query.

        Raises:
            FailedPreconditionError: Nobody answered, and nobody polled the queue lately.
            DeadlineExceededError: Nobody answered within `timeout` seconds.
            UnavailableError: The server is shutting down.
        """
        self._refuse_when_closing()
        return await self._queries.ask(self._partitions.load(queue), task, timeout)

    async def respond_query_task_completed(
        self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a worker's answer on; NotFoundError when nobody waits for it any more."""
        self._queries.answer(query_task_id, request)

    def has_recent_poller(self, queue: TaskQueueKey) -> bool:
        """Tells whether a poller was seen on the queue in the last 10 s, or waits now."""
        partition = self._partitions.get(queue)
        return partition is not None and partition.polled_within(self._settings.recent_poller)

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest, partition: int = 0
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics of a partition.

        Raises:
            InvalidArgumentError: The queue has no name.
            UnavailableError: The store does not answer.
        """
        name = request.task_queue.name
        if not name:
            raise InvalidArgumentError("taskQueue is not set")
        if request.api_mode != enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED:
            task_type = _task_type(request.task_queue_type)
            queue = TaskQueueKey(namespace.id, name, task_type, partition)
            return describe.legacy(request, await self._report(queue, request.report_stats))
        types = [_task_type(number) for number in request.task_queue_types] or list(TaskType)
        reports = {
            task_type: await self._report(
                TaskQueueKey(namespace.id, name, task_type, partition), request.report_stats
            )
            for task_type in types
        }
        return describe.enhanced(request, reports)

    async def abandon_queue(self, namespace_id: str, task_queue: str) -> None:
        """Notes that the worker of a sticky queue is going away: nobody will poll it again."""
        for partition in self._partitions.named(namespace_id, task_queue):
            partition.abandoned = True

    async def cancel_polls(
        self, namespace_id: str, task_queue: str, worker_instance_key: str
    ) -> int:
        """Ends a worker's outstanding polls with an empty response; returns how many."""
        if not worker_instance_key:
            return 0
        if self._settings.partitions > 1:
            self._departed.add(WorkerOfQueue(namespace_id, task_queue, worker_instance_key))

        def polled_by_worker(poller: Poller) -> bool:
            return poller.request.worker_instance_key == worker_instance_key

        ended = 0
        for partition in self._partitions.named(namespace_id, task_queue):
            ended += partition.end_polls(polled_by_worker)
        return ended

    async def record_worker_heartbeat(
        self, namespace: Namespace, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats of workers of a namespace."""
        return self._workers.record(namespace.id, request)

    async def list_workers(
        self, namespace: Namespace, request: wf.ListWorkersRequest
    ) -> wf.ListWorkersResponse:
        """Returns a page of the workers of a namespace."""
        return self._workers.list(namespace.id, request)

    async def describe_worker(
        self, namespace: Namespace, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last; NotFoundError when it is not known."""
        return self._workers.describe(namespace.id, request)

    async def count_workers(
        self, namespace: Namespace, request: wf.CountWorkersRequest
    ) -> wf.CountWorkersResponse:
        """Returns how many workers of a namespace there are."""
        return self._workers.count(namespace.id, request)

    @property
    def workers(self) -> WorkerRegistry:
        """The workers that are known here by their heartbeats."""
        return self._workers.registry

    def release_queues(self, moved: Callable[[TaskQueueKey], bool]) -> int:
        """Lets go of queues that another node serves from now on; returns how many.

        Their polls end with an empty response, so that workers poll at the new owner; their queries
        fail with NotOwnerError, so that they are asked there.
        """
        released = self._partitions.release(moved)
        self._queries.release(released)
        return len(released)

    def statistics(self) -> list[QueueStatistics]:
        """Returns the state of every loaded queue, for gauges."""
        return [
            QueueStatistics(
                queue=partition.queue,
                pending_polls=partition.polls,
                backlog_count=partition.backlog.approximate_count,
                oldest_scheduled_time=partition.backlog.approximate_oldest,
            )
            for partition in self._partitions
        ]

    def stop_polls(self) -> None:
        """Ends outstanding polls with an empty response and refuses new ones, as unavailable."""
        self._closing = True
        if self._limits is not None:
            self._limits.close()
        self._partitions.close()
        self._queries.close()

    async def close(self) -> None:
        """Ends polls and queries, and waits for what goes on in the background."""
        self.stop_polls()
        await self._tasks.close(drain_seconds=self._settings.drain)
        self._polls.closed = True

    async def _poll(
        self,
        queue: TaskQueueKey,
        request: wf.PollWorkflowTaskQueueRequest | wf.PollActivityTaskQueueRequest,
        wait_seconds: float,
    ) -> Encoded:
        self._refuse_when_closing()
        if self._departed and self._has_departed(queue, request.worker_instance_key):
            return EMPTY
        poller = Poller(self._ids.request_id(), request.identity, request)
        partition = self._partitions.load(queue, _sticky_of(request.task_queue))
        return await self._polls.poll(partition, poller, wait_seconds)

    def _has_departed(self, queue: TaskQueueKey, worker_instance_key: str) -> bool:
        return WorkerOfQueue(queue.namespace_id, queue.name, worker_instance_key) in self._departed

    def _refuse_when_closing(self) -> None:
        if self._closing:
            # An empty response would have the worker ask again at once.
            raise UnavailableError("the server is shutting down")

    async def _report(self, queue: TaskQueueKey, count: bool) -> describe.QueueReport:
        partition = self._partitions.get(queue)
        limit = self._settings.describe_rows
        rows: list[DispatchTask] = []
        if count:
            try:
                rows = await self._rows.read_queue(queue, None, limit)
            except StoreError as error:
                raise UnavailableError("the backlog cannot be read now") from error
        now = self._clock.now()
        if partition is None:
            return describe.QueueReport([], rows, len(rows), 0.0, 0.0, now)
        estimate = partition.backlog.approximate_count if len(rows) == limit else 0
        loop_time = asyncio.get_running_loop().time()
        return describe.QueueReport(
            pollers=partition.pollers.since(now - round(self._settings.poller_history * 1e9)),
            backlog=rows,
            backlog_count=max(len(rows), estimate),
            add_rate=partition.added.per_second(loop_time),
            dispatch_rate=partition.dispatched.per_second(loop_time),
            now=now,
        )


def _sticky_of(task_queue: TaskQueue) -> str | None:
    """Returns the normal queue of a sticky one; None for a normal queue."""
    return task_queue.normal_name if task_queue.kind == enums.TASK_QUEUE_KIND_STICKY else None


def _task_type(number: int) -> TaskType:
    """Returns the type of a queue, the workflow queue being the default."""
    return TaskType.ACTIVITY if number == TaskType.ACTIVITY else TaskType.WORKFLOW
