"""What matching tells metrics: polls, tasks and backlogs, by task queue.

Series are bound when a queue comes into memory and dropped with it. A worker's sticky queue has no
series of its own: those of all sticky queues are counted together, as partition `__sticky__` of
the normal queue of their workers. So a worker's coming and going makes no series.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.core.matching.worker_registry import WorkerRegistry
from perdure.matching.observer import QueueObserver, QueueStatistics
from perdure.runtime.ports import Clock
from perdure.telemetry import catalogue, server_catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Kind, Metric
from perdure.telemetry.series import CounterSeries, HistogramSeries

_TASK_TYPES = {TaskType.WORKFLOW: "Workflow", TaskType.ACTIVITY: "Activity"}
_RECORD_STARTED = {
    TaskType.WORKFLOW: "RecordWorkflowTaskStarted",
    TaskType.ACTIVITY: "RecordActivityTaskStarted",
}
_ADD = {TaskType.WORKFLOW: "AddWorkflowTask", TaskType.ACTIVITY: "AddActivityTask"}
_POLL = {TaskType.WORKFLOW: "PollWorkflowTaskQueue", TaskType.ACTIVITY: "PollActivityTaskQueue"}
_OF_A_QUEUE = (
    catalogue.POLL_SUCCESS,
    catalogue.POLL_SUCCESS_SYNC,
    catalogue.POLL_TIMEOUTS,
    catalogue.POLL_LATENCY,
    catalogue.TASKS_ADDED,
    catalogue.NO_POLLER_TASKS,
    catalogue.PENDING_POLLS,
    catalogue.APPROXIMATE_BACKLOG_COUNT,
    catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS,
    server_catalogue.LOCAL_TO_LOCAL_MATCHES,
    server_catalogue.REMOTE_TO_LOCAL_MATCHES,
    server_catalogue.SYNC_THROTTLE_COUNT,
)
_OF_MATCHES = (
    catalogue.SYNCMATCH_LATENCY,
    catalogue.ASYNCMATCH_LATENCY,
    server_catalogue.TASK_DISPATCH_LATENCY,
)
_OF_ALL_PARTITIONS = (catalogue.TASK_SCHEDULE_TO_START_LATENCY,)
_NORMAL, _STICKY, _OMITTED = "__normal__", "__sticky__", "__omitted__"
_CONSTANT = {
    "namespace_state": "active",
    "operation": "TaskQueueMgr",
    "service_name": "matching",
    "worker_build_id": "",
    "worker_deployment_name": "",
    "worker_version": "__unversioned__",
}
_NOT_FORWARDED = {"forwarded": "false", "task_priority": "", "versioning_behavior": "Unspecified"}
"""Of tasks and polls that came to this partition itself."""
NamespaceName = Callable[[str], str]
"""Returns the name of a namespace, by its id."""


class _QueueLabels(NamedTuple):
    """What the series of a queue are called. Several queues may have the same."""

    namespace: str
    partition: str
    task_type: str
    taskqueue: str

    def of_all_partitions(self) -> "_QueueLabels":
        """Returns the labels where partitions of one queue are not told apart."""
        return self if self.partition == _STICKY else self._replace(partition=_NORMAL)


class MatchingMetrics:
    """A `MatchingObserver`."""

    def __init__(self, metrics: Metrics, *, namespace_name: NamespaceName, clock: Clock) -> None:
        self._metrics = metrics.scoped(**_CONSTANT)
        self._of_matches = metrics.scoped(service_name="matching")
        self._queue_count = self._of_matches.gauge(catalogue.LOADED_TASK_QUEUE_COUNT)
        self._of_history = metrics.scoped(service_name="history")
        self._namespace_name = namespace_name
        self._clock = clock
        self._loaded: dict[TaskQueueKey, _QueueLabels] = {}
        self._queues: Counter[_QueueLabels] = Counter()

    def queue_loaded(self, queue: TaskQueueKey, sticky_of: str | None) -> QueueObserver:
        """Binds a queue's series."""
        labels = self._labels(queue, sticky_of)
        together = labels.of_all_partitions()
        self._loaded[queue] = labels
        self._queues.update({labels, together})
        self._count_queues(labels, 1)
        of_history = self._of_history.scoped(
            **together._asdict(), operation=_RECORD_STARTED[queue.task_type]
        )
        of_matches = self._of_matches.scoped(**labels._asdict())
        forwarded = self._of_matches.scoped(
            namespace=labels.namespace,
            operation=f"MatchingClient{_ADD[queue.task_type]}",
            service_role="matching",
        )
        return QueueMetrics(
            self._metrics.scoped(**labels._asdict()),
            schedule_to_start=of_history.histogram(catalogue.TASK_SCHEDULE_TO_START_LATENCY).bind(),
            sync=of_matches.histogram(catalogue.SYNCMATCH_LATENCY).bind(
                operation=_ADD[queue.task_type]
            ),
            held=of_matches.histogram(catalogue.ASYNCMATCH_LATENCY).bind(
                operation=_POLL[queue.task_type]
            ),
            matches=_Matches(of_matches.scoped(**_CONSTANT)),
            forwarded=forwarded.counter(server_catalogue.FORWARDED).bind(),
        )

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        """Drops a queue's series, unless other queues have the same."""
        labels = self._loaded.pop(queue)
        together = labels.of_all_partitions()
        self._queues.subtract({labels, together})
        self._count_queues(labels, -1)
        if not self._queues[labels]:
            _drop(self._metrics, _OF_A_QUEUE, labels)
            _drop(self._of_matches, _OF_MATCHES, labels)
        if not self._queues[together]:
            _drop(self._of_history, _OF_ALL_PARTITIONS, together)
        self._queues = +self._queues

    def _count_queues(self, labels: _QueueLabels, more: int) -> None:
        self._queue_count.bind(
            namespace=labels.namespace, operation="MatchingEngine", task_type=labels.task_type
        ).inc(more)

    def sample(self, statistics: Iterable[QueueStatistics]) -> None:
        """Sets the gauges of loaded queues."""
        polls: Counter[_QueueLabels] = Counter()
        backlog: Counter[_QueueLabels] = Counter()
        oldest: dict[_QueueLabels, int] = {}
        now = self._clock.now()
        for queue in statistics:
            labels = self._loaded[queue.queue]
            polls[labels] += queue.pending_polls
            backlog[labels] += queue.backlog_count
            scheduled = queue.oldest_scheduled_time or now
            oldest[labels] = min(oldest.get(labels, now), scheduled)
        for labels, scheduled in oldest.items():
            metrics = self._metrics.scoped(**labels._asdict())
            metrics.gauge(catalogue.PENDING_POLLS).bind().set(polls[labels])
            metrics.gauge(catalogue.APPROXIMATE_BACKLOG_COUNT).bind(task_priority="").set(
                backlog[labels]
            )
            age = metrics.gauge(catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS).bind()
            age.set((now - scheduled) * 1e-9)

    def _labels(self, queue: TaskQueueKey, sticky_of: str | None) -> _QueueLabels:
        sticky = sticky_of is not None
        return _QueueLabels(
            namespace=self._namespace_name(queue.namespace_id),
            partition=_STICKY if sticky else str(queue.partition),
            task_type=_TASK_TYPES[queue.task_type],
            taskqueue=(sticky_of or _OMITTED) if sticky else queue.name,
        )


class WorkerMetrics:
    """How many workers are known by their heartbeats."""

    def __init__(self, metrics: Metrics) -> None:
        metrics = metrics.scoped(service_name="matching")
        self._added = metrics.counter(catalogue.WORKER_REGISTRY_WORKERS_ADDED).bind()
        self._removed = metrics.counter(catalogue.WORKER_REGISTRY_WORKERS_REMOVED).bind()
        self._use = metrics.gauge(catalogue.WORKER_REGISTRY_CAPACITY_UTILIZATION).bind()

    def sample(self, registry: WorkerRegistry) -> None:
        """Takes over what the registry has counted."""
        self._added.value = registry.added
        self._removed.value = registry.removed
        self._use.set(len(registry) / registry.capacity)


def _drop(family: Metrics, metrics: Iterable[Metric], labels: _QueueLabels) -> None:
    for metric in metrics:
        match metric.kind:
            case Kind.COUNTER:
                family.counter(metric).drop(**labels._asdict())
            case Kind.GAUGE:
                family.gauge(metric).drop(**labels._asdict())
            case Kind.HISTOGRAM:
                family.histogram(metric).drop(**labels._asdict())


class _Matches:
    """Where tasks and pollers of a queue have met; what has not happened has no series."""

    __slots__ = ("_kinds", "_metrics")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._kinds: dict[tuple[bool, bool], tuple[CounterSeries, HistogramSeries]] = {}

    def matched(self, latency: float, *, sync: bool, forwarded: bool) -> None:
        """Counts a task that was started, after so many seconds."""
        kind = (sync, forwarded)
        count, series = self._kinds.get(kind) or self._bind(kind)
        count.value += 1
        series.observe(latency)

    def throttled(self) -> None:
        """Counts a task that has to wait."""
        self._metrics.counter(server_catalogue.SYNC_THROTTLE_COUNT).bind().inc()

    def _bind(self, kind: tuple[bool, bool]) -> tuple[CounterSeries, HistogramSeries]:
        sync, forwarded = kind
        metric = (
            server_catalogue.REMOTE_TO_LOCAL_MATCHES
            if forwarded
            else server_catalogue.LOCAL_TO_LOCAL_MATCHES
        )
        latency = self._metrics.histogram(server_catalogue.TASK_DISPATCH_LATENCY).bind(
            forwarded=str(forwarded).lower(),
            operation="MatchingEngine",
            source="History" if sync else "DbBacklog",
            task_priority="",
        )
        self._kinds[kind] = (self._metrics.counter(metric).bind(), latency)
        return self._kinds[kind]


class QueueMetrics:
    """A `QueueObserver`."""

    __slots__ = (
        "_added_held",
        "_added_matched",
        "_forwarded",
        "_held_latency",
        "_matches",
        "_schedule_to_start",
        "_success",
        "_sync",
        "_sync_latency",
        "_timeouts",
        "_unpolled",
        "_waited_for_nothing",
        "_waited_for_task",
    )

    def __init__(
        self,
        metrics: Metrics,
        *,
        schedule_to_start: HistogramSeries,
        sync: HistogramSeries,
        held: HistogramSeries,
        matches: "_Matches",
        forwarded: CounterSeries,
    ) -> None:
        self._success = metrics.counter(catalogue.POLL_SUCCESS).bind()
        self._sync = metrics.counter(catalogue.POLL_SUCCESS_SYNC).bind()
        self._timeouts = metrics.counter(catalogue.POLL_TIMEOUTS).bind()
        self._unpolled = metrics.counter(catalogue.NO_POLLER_TASKS).bind()
        added = metrics.scoped(**_NOT_FORWARDED).counter(catalogue.TASKS_ADDED)
        self._added_matched = added.bind(task_add_result="sync_match")
        self._added_held = added.bind(task_add_result="backlog")
        waited = metrics.scoped(**_NOT_FORWARDED).histogram(catalogue.POLL_LATENCY)
        self._waited_for_task = waited.bind(poll_result="dispatch")
        self._waited_for_nothing = waited.bind(poll_result="timeout")
        self._schedule_to_start = schedule_to_start
        self._sync_latency = sync
        self._held_latency = held
        self._matches = matches
        self._forwarded = forwarded

    def task_matched(self) -> None:
        """A task came, and a poller waited for it."""
        self._added_matched.value += 1

    def task_held(self, unpolled: bool) -> None:
        """A task came and waits for a poller."""
        self._added_held.value += 1
        if unpolled:
            self._unpolled.value += 1

    def poll_succeeded(self, sync: bool, waited: float) -> None:
        """A poll got a task or a query."""
        self._success.value += 1
        if sync:
            self._sync.value += 1
        self._waited_for_task.observe(waited)

    def poll_timed_out(self, waited: float) -> None:
        """A poll ended with an empty response."""
        self._timeouts.value += 1
        self._waited_for_nothing.observe(waited)

    def task_forwarded(self) -> None:
        """A task was sent to the root partition."""
        self._forwarded.value += 1

    def task_throttled(self) -> None:
        """A task waits for the rate limit."""
        self._matches.throttled()

    def task_dispatched(self, latency: float, sync: bool, forwarded: bool = False) -> None:
        """Notes how long a task waited, and whose poller has got it."""
        self._matches.matched(latency, sync=sync, forwarded=forwarded)
        self._schedule_to_start.observe(latency)
        (self._sync_latency if sync else self._held_latency).observe(latency)
