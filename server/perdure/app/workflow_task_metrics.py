"""What history tells metrics of workflow tasks, commands, timeouts and the sizes of runs."""

from collections.abc import Callable, Mapping
from functools import cache

from temporalio.api.enums.v1 import command_type_pb2 as commands
from temporalio.api.enums.v1 import failed_cause_pb2 as causes

from perdure.core.commit import ActivityEnding, Commit
from perdure.core.outcomes import CommandNote, RunSizes, WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.core.workflow.problems import camel_case
from perdure.telemetry import workflow_catalogue as catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.metric import Metric
from perdure.telemetry.series import CounterSeries, HistogramSeries

_RESPOND_COMPLETED = "RespondWorkflowTaskCompleted"
_COMMANDS = commands.DESCRIPTOR.enum_types_by_name["CommandType"].values_by_number
_CAUSES = causes.DESCRIPTOR.enum_types_by_name["WorkflowTaskFailedCause"].values_by_number
_TIMEOUTS: Mapping[str, Metric] = {
    "StartToClose": catalogue.START_TO_CLOSE_TIMEOUT,
    "ScheduleToStart": catalogue.SCHEDULE_TO_START_TIMEOUT,
    "ScheduleToClose": catalogue.SCHEDULE_TO_CLOSE_TIMEOUT,
    "Heartbeat": catalogue.HEARTBEAT_TIMEOUT,
}


class WorkflowTaskMetrics:
    """Counts what durable commits say; series are bound when a namespace is first seen."""

    def __init__(self, metrics: Metrics, *, namespace_name: Callable[[str], str]) -> None:
        self._metrics = metrics.scoped(service_name="history")
        self._namespace_name = namespace_name
        completed = self._metrics.scoped(operation=_RESPOND_COMPLETED)
        self._sticky = completed.counter(
            catalogue.COMPLETE_WORKFLOW_TASK_STICKY_ENABLED_COUNT
        ).bind()
        self._not_sticky = completed.counter(
            catalogue.COMPLETE_WORKFLOW_TASK_STICKY_DISABLED_COUNT
        ).bind()
        self._namespaces: dict[str, _NamespaceSeries] = {}

    def committed(self, commit: Commit) -> None:
        """Counts a durable commit."""
        series = self._namespaces.get(commit.namespace_id)
        if series is None:
            name = self._namespace_name(commit.namespace_id)
            series = _NamespaceSeries(self._metrics.scoped(namespace=name))
            self._namespaces[commit.namespace_id] = series
        for sizes in commit.sizes:
            series.sized(sizes)
        for outcome in commit.task_outcomes:
            series.task(outcome)
            if outcome.ending is WorkflowTaskEnding.COMPLETED:
                (self._sticky if outcome.sticky else self._not_sticky).value += 1
        for ended in commit.outcomes:
            if ended.ending is ActivityEnding.TIMED_OUT:
                series.timed_out("TimerActiveTaskActivityTimeout", ended.timeout, ended.attempt)


class _NamespaceSeries:
    """The series of one namespace; what is rare is bound when it happens."""

    __slots__ = (
        "_attempts",
        "_blobs",
        "_commands",
        "_completed",
        "_ended",
        "_metrics",
        "_open",
        "_retried",
        "_state",
    )

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open = _sizes(metrics, "ExecutionStats")
        self._ended: tuple[HistogramSeries, HistogramSeries] | None = None
        # The real server tells the kind of an execution by its archetype: here all are workflows.
        self._state = metrics.histogram(catalogue.MUTABLE_STATE_SIZE).bind(
            archetype="workflow", operation="SessionStats"
        )
        self._attempts = metrics.histogram(catalogue.WORKFLOW_TASK_ATTEMPT).bind(
            operation="WorkflowContext"
        )
        self._completed = self._bind_completed(first=True)
        self._retried: CounterSeries | None = None
        self._commands: dict[int, CounterSeries] = {}
        self._blobs: dict[int, HistogramSeries] = {}

    def sized(self, sizes: RunSizes) -> None:
        """Notes how large a run is."""
        size, count = self._open
        size.observe(sizes.history_bytes)
        count.observe(sizes.history_events)
        self._state.observe(sizes.state_bytes)
        if sizes.closed:
            if self._ended is None:
                self._ended = _sizes(self._metrics, "CompletionStats")
            size, count = self._ended
            size.observe(sizes.history_bytes)
            count.observe(sizes.history_events)

    def task(self, outcome: WorkflowTaskOutcome) -> None:
        """Counts what became of a workflow task."""
        match outcome.ending:
            case WorkflowTaskEnding.STARTED:
                self._attempts.observe(outcome.attempt)
            case WorkflowTaskEnding.COMPLETED:
                self._task_completed(outcome)
            case WorkflowTaskEnding.FAILED:
                self._task_failed(outcome)
            case WorkflowTaskEnding.TIMED_OUT:
                operation = "TimerActiveTaskWorkflowTaskTimeout"
                self.timed_out(operation, outcome.timeout, outcome.attempt)

    def timed_out(self, operation: str, timeout: str, attempt: int) -> None:
        """Counts a timeout."""
        self._metrics.counter(_TIMEOUTS[timeout]).bind(
            operation=operation, **_of_attempt(first=attempt == 1)
        ).inc()

    def _task_completed(self, outcome: WorkflowTaskOutcome) -> None:
        if outcome.attempt == 1:
            self._completed.value += 1
        else:
            if self._retried is None:
                self._retried = self._bind_completed(first=False)
            self._retried.value += 1
        for command in outcome.commands:
            self._command(command)

    def _command(self, command: CommandNote) -> None:
        kind = command.command_type
        count = self._commands.get(kind)
        if count is None:
            count = self._metrics.counter(catalogue.COMMAND).bind(
                commandType=command_name(kind), operation=_RESPOND_COMPLETED
            )
            self._commands[kind] = count
        count.value += 1
        if command.payload_bytes is not None:
            size = self._blobs.get(kind)
            if size is None:
                name = command_name(kind)
                size = self._metrics.histogram(catalogue.EVENT_BLOB_SIZE).bind(
                    commandType=name, operation=name
                )
                self._blobs[kind] = size
            size.observe(command.payload_bytes)

    def _task_failed(self, outcome: WorkflowTaskOutcome) -> None:
        name = _CAUSES[outcome.cause].name
        self._metrics.counter(catalogue.FAILED_WORKFLOW_TASKS).bind(
            failure=camel_case(name.removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")),
            operation=_RESPOND_COMPLETED if outcome.refused else "RespondWorkflowTaskFailed",
            **_of_attempt(first=outcome.attempt == 1),
        ).inc()

    def _bind_completed(self, *, first: bool) -> CounterSeries:
        return self._metrics.counter(catalogue.WORKFLOW_TASKS_COMPLETED).bind(
            operation="WorkflowContext", **_of_attempt(first=first)
        )


def _sizes(metrics: Metrics, operation: str) -> tuple[HistogramSeries, HistogramSeries]:
    return (
        metrics.histogram(catalogue.HISTORY_SIZE).bind(operation=operation),
        metrics.histogram(catalogue.HISTORY_COUNT).bind(operation=operation),
    )


def _of_attempt(*, first: bool) -> dict[str, str]:
    return {"first_attempt": str(first).lower(), "versioning_behavior": "Unspecified"}


@cache
def command_name(number: int) -> str:
    """Returns a command's type as the real server prints it: ScheduleActivityTask."""
    return camel_case(_COMMANDS[number].name.removeprefix("COMMAND_TYPE_"))
