"""What matching tells metrics: polls, tasks and backlogs, by task queue.

Series are bound when a queue comes into memory and dropped with it.
"""

from collections.abc import Callable, Iterable

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.matching.observer import QueueObserver, QueueStatistics
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Kind

_TASK_TYPES = {TaskType.WORKFLOW: "Workflow", TaskType.ACTIVITY: "Activity"}
_OF_A_QUEUE = (
    catalogue.POLL_SUCCESS,
    catalogue.POLL_SUCCESS_SYNC,
    catalogue.POLL_TIMEOUTS,
    catalogue.PENDING_POLLS,
    catalogue.APPROXIMATE_BACKLOG_COUNT,
)
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


class MatchingMetrics:
    """A `MatchingObserver`."""

    def __init__(self, metrics: Metrics, *, namespace_name: NamespaceName) -> None:
        self._metrics = metrics.scoped(**_CONSTANT)
        self._namespace_name = namespace_name

    def queue_loaded(self, queue: TaskQueueKey) -> QueueObserver:
        """Binds a queue's series."""
        return QueueMetrics(self._metrics.scoped(**self._labels(queue)))

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        """Drops a queue's series."""
        labels = self._labels(queue)
        for metric in _OF_A_QUEUE:
            if metric.kind is Kind.COUNTER:
                self._metrics.counter(metric).drop(**labels)
            else:
                self._metrics.gauge(metric).drop(**labels)

    def sample(self, statistics: Iterable[QueueStatistics]) -> None:
        """Sets the gauges of loaded queues."""
        for queue in statistics:
            metrics = self._metrics.scoped(**self._labels(queue.queue))
            metrics.gauge(catalogue.PENDING_POLLS).bind().set(queue.pending_polls)
            backlog = metrics.gauge(catalogue.APPROXIMATE_BACKLOG_COUNT)
            backlog.bind(task_priority="").set(queue.backlog_count)

    def _labels(self, queue: TaskQueueKey) -> dict[str, str]:
        return {
            "namespace": self._namespace_name(queue.namespace_id),
            "partition": str(queue.partition),
            "task_type": _TASK_TYPES[queue.task_type],
            "taskqueue": queue.name,
        }


class QueueMetrics:
    """A `QueueObserver`."""

    __slots__ = ("_success", "_sync", "_timeouts")

    def __init__(self, metrics: Metrics) -> None:
        self._success = metrics.counter(catalogue.POLL_SUCCESS).bind()
        self._sync = metrics.counter(catalogue.POLL_SUCCESS_SYNC).bind()
        self._timeouts = metrics.counter(catalogue.POLL_TIMEOUTS).bind()

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
        """Counts nothing: schedule-to-start is history's."""
