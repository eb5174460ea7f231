"""A run's workflow task: none, scheduled, or started by a worker.

Theory of operation. At most one workflow task exists at a time. Its first attempt writes events as
it goes; a later one (transient) writes them only when it completes, so that a worker that keeps
failing does not grow the history. One that only brings updates (speculative) is in memory only: if
the worker refuses them all, nothing is written of it; when anything else is written, so is the
task, which is a normal one from then on. It may wait on a worker's sticky queue, whose
schedule-to-start timeout sends it back to the normal queue.
"""

from enum import Enum, auto

from perdure.proto import stored_pb2 as stored


class WorkflowTaskStatus(Enum):
    """What the workflow task is doing."""

    NONE = auto()
    SCHEDULED = auto()
    STARTED = auto()


def status(state: stored.RunState) -> WorkflowTaskStatus:
    """Returns what a run's workflow task is doing."""
    if not state.HasField("workflow_task"):
        return WorkflowTaskStatus.NONE
    if state.workflow_task.started_event_id:
        return WorkflowTaskStatus.STARTED
    return WorkflowTaskStatus.SCHEDULED


def is_started(state: stored.RunState) -> bool:
    """Tells whether a worker has the workflow task: external events are buffered until it ends."""
    return state.HasField("workflow_task") and state.workflow_task.started_event_id > 0


def is_transient(task: stored.WorkflowTask) -> bool:
    """Tells whether the task's scheduled and started events are not in the history yet."""
    return task.attempt > 1


def deadline(state: stored.RunState) -> int:
    """Returns when the task times out (start-to-close, or schedule-to-start); 0 for never."""
    if not state.HasField("workflow_task"):
        return 0
    task = state.workflow_task
    if task.started_event_id:
        return task.started_time + task.start_to_close_timeout
    if task.schedule_to_start_timeout:
        return task.scheduled_time + task.schedule_to_start_timeout
    return 0
