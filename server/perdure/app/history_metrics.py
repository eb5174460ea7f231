"""What history tells metrics: transitions, and how runs end."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.commit import Commit, VisibilityRow
from perdure.proto.stored_pb2 import RunState
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
NamespaceName = Callable[[str], str]
"""Returns the name of a namespace, by its id."""
_SERIES_KEPT = 10_000


class HistoryMetrics:
    """A `CommitObserver`; series are bound when a namespace or a workflow type is first seen."""

    def __init__(self, metrics: Metrics, *, namespace_name: NamespaceName) -> None:
        self._metrics = metrics.scoped(service_name="history", namespace_state="active")
        self._namespace_name = namespace_name
        self._lost = self._metrics.counter(catalogue.GROUP_COMMIT_LOST).bind()
        self._transitions: dict[str, HistogramSeries] = {}
        self._endings: dict[_Ending, CounterSeries] = {}

    def committed(self, commit: Commit) -> None:
        """Counts transitions, and the runs that they closed."""
        transitions = self._transitions.get(commit.namespace_id)
        if transitions is None:
            transitions = self._bind_transitions(commit.namespace_id)
        for run in commit.runs:
            if not run.deleted:
                transitions.observe(RunState.FromString(run.state).state_transition_count)
        for row in commit.visibility:
            if row.close_time:
                self._closed(row)

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
        ending = _Ending(row.status, row.namespace_id, row.task_queue, row.workflow_type)
        series = self._endings.get(ending)
        if series is None:
            series = self._metrics.counter(_CLOSED[row.status]).bind(
                namespace=self._namespace_name(row.namespace_id),
                operation="CompletionStats",
                taskqueue=row.task_queue,
                workflowType=row.workflow_type,
            )
            if len(self._endings) < _SERIES_KEPT:
                self._endings[ending] = series
        series.value += 1


class _Ending(NamedTuple):
    status: int
    namespace_id: str
    task_queue: str
    workflow_type: str
