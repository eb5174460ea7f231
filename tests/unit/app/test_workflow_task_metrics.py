"""Workflow tasks, commands, timeouts and sizes of durable commits, as metrics."""

from temporalio.api.enums.v1 import command_type_pb2 as commands
from temporalio.api.enums.v1 import failed_cause_pb2 as causes

from perdure.app.workflow_task_metrics import WorkflowTaskMetrics
from perdure.core.commit import ActivityEnding, ActivityOutcome, Commit
from perdure.core.outcomes import CommandNote, RunSizes, WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import HistogramSeries

TIMER = commands.COMMAND_TYPE_START_TIMER
ACTIVITY = commands.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK
UNHANDLED = causes.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE


def told(commit: Commit) -> dict[str, dict[tuple[str, ...], float]]:
    """Returns the values that a commit comes to, of histograms the sums, without zeroes."""
    metrics = Metrics()
    WorkflowTaskMetrics(metrics, namespace_name=lambda _: "default").committed(commit)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in metrics.families():
        for key, series in family.series():
            value = series.total if isinstance(series, HistogramSeries) else series.current()
            if value:
                found.setdefault(family.metric.name, {})[key] = value
    return found


def commit() -> Commit:
    return Commit(namespace_id="id-1", workflow_id="w", slot=1, epoch=1)


def test_a_completed_task_counts_its_commands() -> None:
    done = commit()
    notes = (CommandNote(TIMER, None), CommandNote(ACTIVITY, 300), CommandNote(ACTIVITY, 5))
    done.task_outcomes += [
        WorkflowTaskOutcome(WorkflowTaskEnding.STARTED, 1),
        WorkflowTaskOutcome(WorkflowTaskEnding.COMPLETED, 1, commands=notes, sticky=True),
        WorkflowTaskOutcome(WorkflowTaskEnding.COMPLETED, 2),
    ]
    where = ("default", "WorkflowContext", "history")
    answered = ("default", "RespondWorkflowTaskCompleted", "history")
    assert told(done) == {
        "command": {("StartTimer", *answered): 1, ("ScheduleActivityTask", *answered): 2},
        "complete_workflow_task_sticky_disabled_count": {answered[1:]: 1},
        "complete_workflow_task_sticky_enabled_count": {answered[1:]: 1},
        "event_blob_size": {
            ("ScheduleActivityTask", "default", "ScheduleActivityTask", "history"): 305
        },
        "workflow_task_attempt": {where: 1},
        "workflow_tasks_completed": {
            ("true", *where, "Unspecified"): 1,
            ("false", *where, "Unspecified"): 1,
        },
    }


def test_failures_say_whose_they_are() -> None:
    failed = commit()
    failed.task_outcomes += [
        WorkflowTaskOutcome(WorkflowTaskEnding.FAILED, 3, cause=UNHANDLED),
        WorkflowTaskOutcome(WorkflowTaskEnding.FAILED, 1, cause=UNHANDLED, refused=True),
    ]
    cause = "WorkflowWorkerUnhandledFailure"
    tail = ("history", "Unspecified")
    assert told(failed)["failed_workflow_tasks"] == {
        (cause, "false", "default", "RespondWorkflowTaskFailed", *tail): 1,
        (cause, "true", "default", "RespondWorkflowTaskCompleted", *tail): 1,
    }


def test_timeouts_are_those_of_tasks_and_of_activities() -> None:
    late = commit()
    late.task_outcomes.append(
        WorkflowTaskOutcome(WorkflowTaskEnding.TIMED_OUT, 1, timeout="ScheduleToStart")
    )
    late.outcomes += [
        ActivityOutcome(ActivityEnding.TIMED_OUT, "A", "q", "W", True, None, 1, "Heartbeat", 2),
        ActivityOutcome(ActivityEnding.FAILED, "A", "q", "W", True, None, 1),
    ]
    tail = ("history", "Unspecified")
    assert told(late) == {
        "heartbeat_timeout": {("false", "default", "TimerActiveTaskActivityTimeout", *tail): 1},
        "schedule_to_start_timeout": {
            ("true", "default", "TimerActiveTaskWorkflowTaskTimeout", *tail): 1
        },
    }


def test_sizes_are_seen_at_every_change_and_at_the_end() -> None:
    ended = commit()
    ended.sizes += [RunSizes(3, 5, 400, 90, closed=False), RunSizes(6, 11, 3000, 50, closed=True)]
    tail = ("default", "ExecutionStats", "history")
    assert told(ended) == {
        "history_count": {tail: 16, ("default", "CompletionStats", "history"): 11},
        "history_size": {tail: 3400, ("default", "CompletionStats", "history"): 3000},
        "mutable_state_size": {("workflow", "default", "SessionStats", "history"): 140},
    }
