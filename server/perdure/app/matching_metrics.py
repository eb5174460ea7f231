"""What matching tells metrics: polls, tasks and backlogs, by task queue.

Series are bound when a queue comes into memory and dropped with it. A worker's sticky queue has no
series of its own: those of all sticky queues are counted together, as partition `__sticky__` of
the normal queue of their workers. So a worker's coming and going makes no series.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.matching.observer import QueueObserver, QueueStatistics
from perdure.runtime.ports import Clock
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Kind, Metric

_TASK_TYPES = {TaskType.WORKFLOW: "Workflow", TaskType.ACTIVITY: "Activity"}
_RECORD_STARTED = {
    TaskType.WORKFLOW: "RecordWorkflowTaskStarted",
    TaskType.ACTIVITY: "RecordActivityTaskStarted",
}
_OF_A_QUEUE = (
    catalogue.POLL_SUCCESS,
    catalogue.POLL_SUCCESS_SYNC,
    catalogue.POLL_TIMEOUTS,
    catalogue.PENDING_POLLS,
    catalogue.APPROXIMATE_BACKLOG_COUNT,
    catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS,
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
        of_history = self._of_history.scoped(
            **together._asdict(), operation=_RECORD_STARTED[queue.task_type]
        )
        return QueueMetrics(self._metrics.scoped(**labels._asdict()), of_history)

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        """Drops a queue's series, unless other queues have the same."""
        labels = self._loaded.pop(queue)
        together = labels.of_all_partitions()
        self._queues.subtract({labels, together})
        if not self._queues[labels]:
            self._drop(_OF_A_QUEUE, labels)
        if not self._queues[together]:
            self._drop(_OF_ALL_PARTITIONS, together)
        self._queues = +self._queues

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

    def _drop(self, metrics: Iterable[Metric], labels: _QueueLabels) -> None:
        for metric in metrics:
            match metric.kind:
                case Kind.COUNTER:
                    self._metrics.counter(metric).drop(**labels._asdict())
                case Kind.GAUGE:
                    self._metrics.gauge(metric).drop(**labels._asdict())
                case Kind.HISTOGRAM:
                    self._of_history.histogram(metric).drop(**labels._asdict())

    def _labels(self, queue: TaskQueueKey, sticky_of: str | None) -> _QueueLabels:
        sticky = sticky_of is not None
        return _QueueLabels(
            namespace=self._namespace_name(queue.namespace_id),
            partition=_STICKY if sticky else str(queue.partition),
            task_type=_TASK_TYPES[queue.task_type],
            taskqueue=(sticky_of or _OMITTED) if sticky else queue.name,
        )


class QueueMetrics:
    """A `QueueObserver`."""

    __slots__ = ("_schedule_to_start", "_success", "_sync", "_timeouts")

    def __init__(self, metrics: Metrics, of_history: Metrics) -> None:
        self._success = metrics.counter(catalogue.POLL_SUCCESS).bind()
        self._sync = metrics.counter(catalogue.POLL_SUCCESS_SYNC).bind()
        self._timeouts = metrics.counter(catalogue.POLL_TIMEOUTS).bind()
        latency = of_history.histogram(catalogue.TASK_SCHEDULE_TO_START_LATENCY)
        self._schedule_to_start = latency.bind()

    def task_added(self) -> None:
        """Counts nothing: tasks are counted when they are dispatched."""

    def poll_succeeded(self, sync: bool) -> None:
        """A poll got a task or a query."""
        self._success.value += 1
        if sync:
            self._sync.value += 1

    def poll_timed_out(self) -> None:
        """A poll ended with an empty response."""
        self._timeouts.value += 1

    def task_dispatched(self, latency: float, sync: bool) -> None:
        """Notes how long a task waited."""
        self._schedule_to_start.observe(latency)
