"""Metrics of workflow tasks, commands and the sizes of runs. A part of the catalogue."""

from perdure.telemetry.labels import OPERATION, RPC
from perdure.telemetry.metric import Metric, Unit, counter, histogram

_ATTEMPT = ("first_attempt", *RPC, "versioning_behavior")

ACTION = counter(
    "action",
    ("action_type", *RPC),
    "What a provider would bill: requests, commands, answers to updates, repeated activities.",
)
COMMAND = counter("command", ("commandType", *RPC), "Commands of workers that were taken.")
WORKFLOW_TASK_ATTEMPT = histogram(
    "workflow_task_attempt", RPC, "Number of the attempt of workflow tasks started.", Unit.COUNT
)
WORKFLOW_TASKS_COMPLETED = counter(
    "workflow_tasks_completed", _ATTEMPT, "Workflow tasks that workers completed."
)
FAILED_WORKFLOW_TASKS = counter(
    "failed_workflow_tasks",
    ("failure", *_ATTEMPT),
    "Workflow tasks that failed, by the cause: by their worker, or since its answer was refused.",
)
COMPLETE_WORKFLOW_TASK_STICKY_ENABLED_COUNT = counter(
    "complete_workflow_task_sticky_enabled_count",
    OPERATION,
    "Workflow tasks completed by workers that keep the run in their cache.",
)
COMPLETE_WORKFLOW_TASK_STICKY_DISABLED_COUNT = counter(
    "complete_workflow_task_sticky_disabled_count",
    OPERATION,
    "Workflow tasks completed by workers that do not.",
)
SCHEDULE_TO_START_TIMEOUT = counter(
    "schedule_to_start_timeout",
    _ATTEMPT,
    "Attempts of activities, and workflow tasks on sticky queues, that nobody took in time.",
)
START_TO_CLOSE_TIMEOUT = counter(
    "start_to_close_timeout",
    _ATTEMPT,
    "Attempts of activities, and workflow tasks, that were not answered in time.",
)
SCHEDULE_TO_CLOSE_TIMEOUT = counter(
    "schedule_to_close_timeout", _ATTEMPT, "Activities that took too long, all attempts together."
)
HEARTBEAT_TIMEOUT = counter(
    "heartbeat_timeout", _ATTEMPT, "Attempts of activities whose heartbeats stopped."
)
HISTORY_SIZE = histogram(
    "history_size",
    RPC,
    "Bytes of a run's history: whenever it changes (ExecutionStats), and at its end"
    " (CompletionStats).",
    Unit.BYTES,
)
HISTORY_COUNT = histogram(
    "history_count", RPC, "Events of a run's history, at the same moments.", Unit.COUNT
)
MUTABLE_STATE_SIZE = histogram(
    "mutable_state_size",
    ("archetype", *RPC),
    "Bytes of a run's state with its pending items, whenever it changes.",
    Unit.BYTES,
)
EVENT_BLOB_SIZE = histogram(
    "event_blob_size",
    ("commandType", *RPC),
    "Bytes that a command brings: an input, a result, a failure, a marker's details.",
    Unit.BYTES,
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Metric)
)
"""Every metric above, in order."""
