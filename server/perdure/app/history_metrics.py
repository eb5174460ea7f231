"""What history tells metrics: transitions, and how runs and activities end."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.app.schedule_metrics import ScheduleMetrics
from perdure.app.workflow_task_metrics import WorkflowTaskMetrics
from perdure.core.commit import ActivityEnding, ActivityOutcome, Commit, VisibilityRow
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Metric
from perdure.telemetry.series import CounterSeries, HistogramSeries

_CLOSED: Mapping[int, Metric] = {
    enums.WORKFLOW_EXECUTION_STATUS_COMPLETED: catalogue.WORKFLOW_SUCCESS,
    enums.WORKFLOW_EXECUTION_STATUS_FAILED: catalogue.WORKFLOW_FAILED,
    enums.WORKFLOW_EXECUTION_STATUS_CANCELED: catalogue.WORKFLOW_CANCEL,
    enums.WORKFLOW_EXECUTION_STATUS_TERMINATED: catalogue.WORKFLOW_TERMINATE,
    enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: catalogue.WORKFLOW_CONTINUED_AS_NEW,
    enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: catalogue.WORKFLOW_TIMEOUT,
}
_OPERATIONS: Mapping[ActivityEnding, str] = {
    ActivityEnding.COMPLETED: "RespondActivityTaskCompleted",
    ActivityEnding.FAILED: "RespondActivityTaskFailed",
    ActivityEnding.CANCELED: "RespondActivityTaskCanceled",
    ActivityEnding.TIMED_OUT: "TimerActiveTaskActivityTimeout",
}
_ACTIVITIES_ENDED: Mapping[ActivityEnding, Metric] = {
    ActivityEnding.COMPLETED: catalogue.ACTIVITY_SUCCESS,
    ActivityEnding.FAILED: catalogue.ACTIVITY_FAIL,
    ActivityEnding.CANCELED: catalogue.ACTIVITY_CANCEL,
    ActivityEnding.TIMED_OUT: catalogue.ACTIVITY_TIMEOUT,
}
_ATTEMPTS_ENDED: Mapping[ActivityEnding, Metric] = {
    ActivityEnding.FAILED: catalogue.ACTIVITY_TASK_FAIL,
    ActivityEnding.TIMED_OUT: catalogue.ACTIVITY_TASK_TIMEOUT,
}
NamespaceName = Callable[[str], str]
"""Returns the name of a namespace, by its id."""
_SERIES_KEPT = 10_000
"""Beyond these the series of a type is looked up whenever something of that type ends."""
_SECONDS = 1e-9
"""Times are nanoseconds, latencies are seconds."""


class HistoryMetrics:
    """A `CommitObserver`; series are bound when a namespace or a type is first seen."""

    def __init__(self, metrics: Metrics, *, namespace_name: NamespaceName) -> None:
        self._metrics = metrics.scoped(service_name="history", namespace_state="active")
        self._namespace_name = namespace_name
        self._lost = self._metrics.counter(catalogue.GROUP_COMMIT_LOST).bind()
        self._schedules = ScheduleMetrics(
            metrics.scoped(service_name="history"), namespace_name=namespace_name
        )
        self._deleted = self._metrics.counter(catalogue.WORKFLOW_CLEANUP_DELETE).bind(
            operation="ProcessDeleteHistoryEvent"
        )
        self._tasks = WorkflowTaskMetrics(metrics, namespace_name=namespace_name)
        self._transitions: dict[str, HistogramSeries] = {}
        self._runs: dict[_RunType, _RunSeries] = {}
        self._activities: dict[_ActivityType, _ActivitySeries] = {}

    def committed(self, commit: Commit) -> None:
        """Counts transitions, and the runs and attempts of activities that they ended."""
        transitions = self._transitions.get(commit.namespace_id)
        if transitions is None:
            transitions = self._bind_transitions(commit.namespace_id)
        for sizes in commit.sizes:
            transitions.observe(sizes.transitions)
        for run in commit.runs:
            if run.deleted:
                self._deleted.value += 1
        self._tasks.committed(commit)
        for row in commit.visibility:
            if row.close_time:
                self._closed(row)
        for outcome in commit.outcomes:
            self._activity_ended(commit.namespace_id, outcome)
        if commit.schedule_outcomes:
            self._schedules.committed(commit)

    def commits_lost(self, unknown: bool) -> None:
        """Counts a loss."""
        self._lost.value += 1

    def _bind_transitions(self, namespace_id: str) -> HistogramSeries:
        series = self._metrics.histogram(catalogue.STATE_TRANSITION_COUNT).bind(
            namespace=self._namespace_name(namespace_id), operation="WorkflowContext"
        )
        self._transitions[namespace_id] = series
        return series

    def _closed(self, row: VisibilityRow) -> None:
        kind = _RunType(row.status, row.namespace_id, row.task_queue, row.workflow_type)
        series = self._runs.get(kind)
        if series is None:
            series = self._bind_run(kind)
            if len(self._runs) < _SERIES_KEPT:
                self._runs[kind] = series
        series.closed.value += 1
        series.latency.observe((row.close_time - row.start_time) * _SECONDS)

    def _bind_run(self, kind: "_RunType") -> "_RunSeries":
        metrics = self._metrics.scoped(
            namespace=self._namespace_name(kind.namespace_id),
            operation="CompletionStats",
            taskqueue=kind.task_queue,
            workflowType=kind.workflow_type,
        )
        return _RunSeries(
            metrics.counter(_CLOSED[kind.status]).bind(),
            metrics.histogram(catalogue.WORKFLOW_SCHEDULE_TO_CLOSE_LATENCY).bind(),
        )

    def _activity_ended(self, namespace_id: str, outcome: ActivityOutcome) -> None:
        kind = _ActivityType(
            namespace_id,
            outcome.ending,
            outcome.activity_type,
            outcome.task_queue,
            outcome.workflow_type,
            outcome.timeout,
        )
        series = self._activities.get(kind)
        if series is None:
            series = _ActivitySeries(self._metrics, self._namespace_name(namespace_id), kind)
            if len(self._activities) < _SERIES_KEPT:
                self._activities[kind] = series
        series.ended(outcome)


class _RunType(NamedTuple):
    status: int
    namespace_id: str
    task_queue: str
    workflow_type: str


class _RunSeries(NamedTuple):
    closed: CounterSeries
    latency: HistogramSeries


class _ActivityType(NamedTuple):
    namespace_id: str
    ending: ActivityEnding
    activity_type: str
    task_queue: str
    workflow_type: str
    timeout: str


class _ActivitySeries:
    """What is counted of one kind of ending of one activity type.

    Series of what has not happened are not made, as with the real server: an activity whose
    failures are all retried has no `activity_fail`.
    """

    __slots__ = ("_attempts", "_closed", "_ending", "_labels", "_latencies", "_metrics")

    def __init__(self, metrics: Metrics, namespace: str, kind: _ActivityType) -> None:
        self._metrics = metrics.scoped(
            activityType=kind.activity_type,
            namespace=namespace,
            operation=_OPERATIONS[kind.ending],
            taskqueue=kind.task_queue,
            versioning_behavior="Unspecified",
            workflowType=kind.workflow_type,
        )
        self._ending = kind.ending
        self._labels = {"timeout_type": kind.timeout} if kind.timeout else {}
        attempts = _ATTEMPTS_ENDED.get(kind.ending)
        self._attempts = self._count(attempts) if attempts is not None else None
        self._closed: tuple[CounterSeries, HistogramSeries] | None = None
        self._latencies: tuple[HistogramSeries, HistogramSeries] | None = None

    def ended(self, outcome: ActivityOutcome) -> None:
        """Counts an ending."""
        if self._attempts is not None:
            self._attempts.value += 1
        # What a timeout ended took as long as the timeout: it would hide how long work takes.
        if outcome.start_to_close is not None and self._ending is not ActivityEnding.TIMED_OUT:
            latency = outcome.start_to_close * _SECONDS
            for series in self._latencies or self._bind_latencies():
                series.observe(latency)
        if outcome.closed:
            count, total = self._closed or self._bind_closed()
            count.value += 1
            total.observe(outcome.schedule_to_close * _SECONDS)

    def _bind_latencies(self) -> tuple[HistogramSeries, HistogramSeries]:
        self._latencies = (
            self._metrics.histogram(catalogue.ACTIVITY_START_TO_CLOSE_LATENCY).bind(),
            self._metrics.histogram(catalogue.ACTIVITY_END_TO_END_LATENCY).bind(),
        )
        return self._latencies

    def _bind_closed(self) -> tuple[CounterSeries, HistogramSeries]:
        self._closed = (
            self._count(_ACTIVITIES_ENDED[self._ending]),
            self._metrics.histogram(catalogue.ACTIVITY_SCHEDULE_TO_CLOSE_LATENCY).bind(),
        )
        return self._closed

    def _count(self, metric: Metric) -> CounterSeries:
        return self._metrics.counter(metric).bind(**self._labels)
