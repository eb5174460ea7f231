"""What can happen to a workflow task.

    NONE ──schedule──► SCHEDULED ──start──► STARTED ──complete──► NONE
                          │  ▲                 │
          expire_sticky ──┘  └──── undo_start ─┤
             (NONE)                            └─ fail | time_out ──► NONE

Ending a task never schedules the next one: `schedule` is called when its caller knows whether one
is needed.
"""

from dataclasses import dataclass, field

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import task_complete_metadata_pb2 as sdk

from perdure.core.matching.partitions import partition_of
from perdure.core.outcomes import WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.core.protobuf import seconds, set_timestamp
from perdure.core.transition import transition
from perdure.core.workflow.state import Deadline, DeadlineKind, Run
from perdure.core.workflow.step import RunStep
from perdure.core.workflow_task.events import (
    fill_scheduled,
    fill_started,
    has_many_updates,
    make_durable,
    write_held_back,
)
from perdure.core.workflow_task.state import (
    WorkflowTaskStatus,
    deadline,
    is_started,
    is_transient,
    status,
)
from perdure.core.workflow_task.tasks import dispatch_key, dispatch_task
from perdure.proto import stored_pb2 as stored

NONE, SCHEDULED, STARTED = (
    WorkflowTaskStatus.NONE,
    WorkflowTaskStatus.SCHEDULED,
    WorkflowTaskStatus.STARTED,
)


SPECULATIVE_SCHEDULE_TO_START = seconds(5)
"""After which a speculative task that no worker has asked for becomes a normal one."""


def _status(step: RunStep) -> WorkflowTaskStatus:
    return status(step.run.state)


@dataclass(slots=True, frozen=True)
class Completion:
    """What a worker says when it completes a workflow task."""

    identity: str
    sdk_metadata: sdk.WorkflowTaskCompletedMetadata | None = None
    extra: history.WorkflowTaskCompletedEventAttributes = field(
        default_factory=history.WorkflowTaskCompletedEventAttributes
    )


@transition(_status, sources={NONE}, target={SCHEDULED})
def schedule(step: RunStep, *, original_scheduled_time: int = 0) -> None:
    """Schedules a workflow task, on the sticky queue of the run's last worker if it still polls.

    Args:
        step: The run's step.
        original_scheduled_time: When the first of a row of heartbeats was scheduled.
    """
    state = step.state
    if step.flush_buffer():
        state.workflow_task_attempt = 1
    event_queue, dispatch_queue = _choose_queue(step)
    task = _new_task(step, dispatch_queue)
    task.original_scheduled_time = original_scheduled_time or step.now
    if task.attempt == 1:
        fill_scheduled(step, step.event(events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED), task)
        if event_queue != dispatch_queue:
            clear_stickiness(state)
    state.workflow_task.CopyFrom(task)
    step.add_task(dispatch_task(step.run, state.workflow_task))
    _note_deadline(step)


@transition(_status, sources={NONE}, target={SCHEDULED})
def schedule_speculative(step: RunStep) -> None:
    """Schedules a task for updates, of which nothing is written until there is need."""
    assert not step.run.buffered, "buffered events bring about a task that is written"
    _, dispatch_queue = _choose_queue(step)
    task = _new_task(step, dispatch_queue)
    task.schedule_to_start_timeout = task.schedule_to_start_timeout or SPECULATIVE_SCHEDULE_TO_START
    step.state.workflow_task.CopyFrom(task)
    step.run.speculative = True
    _note_time(step)
    step.offer(dispatch_task(step.run, step.state.workflow_task))
    _note_deadline(step)


def _new_task(step: RunStep, queue: str) -> stored.WorkflowTask:
    state, attempt = step.state, step.state.workflow_task_attempt
    sticky = queue != step.run.start.task_queue
    task_id = step.context.ids.task_id()
    return stored.WorkflowTask(
        scheduled_event_id=state.next_event_id,
        attempt=attempt,
        scheduled_time=step.now,
        original_scheduled_time=step.now,
        start_to_close_timeout=_start_to_close(step, attempt),
        task_id=task_id,
        task_queue=queue,
        sticky=sticky,
        partition=0 if sticky else partition_of(task_id, step.context.settings.write_partitions),
        schedule_to_start_timeout=state.sticky_timeout if sticky else 0,
        cause=step.context.cause,
    )


def _choose_queue(step: RunStep) -> tuple[str, str]:
    # The event names the sticky queue even when its worker turns out to be gone.
    state, normal = step.state, step.run.start.task_queue
    if not state.sticky_task_queue or state.workflow_task_attempt > 1:
        return normal, normal
    if step.context.has_poller(state.sticky_task_queue):
        return state.sticky_task_queue, state.sticky_task_queue
    return state.sticky_task_queue, normal


def is_held_back(run: Run) -> bool:
    """Tells whether the task's scheduled and started events are not in the history yet."""
    return run.speculative or is_transient(run.state.workflow_task)


def _start_to_close(step: RunStep, attempt: int) -> int:
    # A worker that fails again and again answers only by letting the task time out, so a longer
    # timeout is what keeps it from spinning.
    settings, timeout = step.context.settings, step.run.start.task_timeout
    over = attempt - settings.critical_workflow_task_attempt
    if over < 0:
        return timeout
    grown = timeout << min(over, 32)
    return timeout + min(grown, settings.max_workflow_task_backoff)


def clear_stickiness(state: stored.RunState) -> None:
    """Forgets which worker has the run in its cache."""
    state.sticky_task_queue = ""
    state.sticky_timeout = 0


def _note_deadline(step: RunStep) -> None:
    if step.run.speculative:
        # What nothing is written of has no timer row: memory keeps its time.
        step.watched = True
    elif due := deadline(step.state):
        step.run.add_deadline(Deadline(due, DeadlineKind.WORKFLOW_TASK))


@transition(_status, sources={SCHEDULED}, target={STARTED})
def start(step: RunStep, *, request_id: str, identity: str, build_id: str = "") -> None:
    """Gives the task to a worker."""
    state, settings = step.state, step.context.settings
    task = state.workflow_task
    _withdraw(step)
    if is_transient(task) and task.scheduled_event_id != state.next_event_id:
        # Something happened since the attempt was scheduled, so the task is a normal one again.
        task.attempt = state.workflow_task_attempt = 1
        task.scheduled_event_id = state.next_event_id
        fill_scheduled(step, step.event(events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED), task)
    if not step.run.speculative:
        step.task_outcomes.append(WorkflowTaskOutcome(WorkflowTaskEnding.STARTED, task.attempt))
    task.started_time = step.now
    task.request_id = request_id
    task.identity = identity
    task.build_id = build_id
    task.nonce = step.context.ids.nonce()
    task.history_size_bytes = state.history_size_bytes + step.batch.ByteSize()
    task.suggest_continue_as_new = (
        state.next_event_id > settings.suggest_continue_as_new_events
        or state.history_size_bytes >= settings.suggest_continue_as_new_bytes
        or has_many_updates(step)
    )
    if is_held_back(step.run):
        task.started_event_id = task.scheduled_event_id + 1
        step.touched = step.touched or not step.run.speculative
        _note_time(step)
    else:
        event = step.event(events.EVENT_TYPE_WORKFLOW_TASK_STARTED)
        task.started_event_id = event.event_id
        fill_started(step, event, task)
    _note_deadline(step)


def _note_time(step: RunStep) -> None:
    """Has later steps be no earlier than this one, although it writes nothing."""
    step.state.last_event_time = step.now


@transition(_status, sources={SCHEDULED}, target={SCHEDULED})
def leave_sticky_queue(step: RunStep) -> None:
    """Moves a task that waits on a sticky queue to the normal one: its worker is gone."""
    _withdraw(step)
    _move_to_normal_queue(step)
    if step.run.speculative:
        step.offer(dispatch_task(step.run, step.state.workflow_task))
        _note_deadline(step)
        return
    clear_stickiness(step.state)
    step.add_task(dispatch_task(step.run, step.state.workflow_task))
    step.touched = True


def _withdraw(step: RunStep) -> None:
    """Takes a scheduled task back from its queue."""
    key = dispatch_key(step.run, step.state.workflow_task)
    if step.run.speculative:
        step.offers.pop(key, None)
    else:
        step.delete_task(key)


def _move_to_normal_queue(step: RunStep) -> None:
    task = step.state.workflow_task
    task.task_queue = step.run.start.task_queue
    task.sticky = False
    task.schedule_to_start_timeout = SPECULATIVE_SCHEDULE_TO_START if step.run.speculative else 0
    task.task_id = step.context.ids.task_id()
    task.partition = partition_of(task.task_id, step.context.settings.write_partitions)


@transition(_status, sources={STARTED}, target={SCHEDULED})
def undo_start(step: RunStep) -> None:
    """Makes a started task pending again, because its poller was gone before the reply.

    The started event is history already, so a normal task ends as timed out and its successor is
    scheduled; a transient or speculative one has left no trace and simply waits again.
    """
    if step.run.speculative:
        task = step.state.workflow_task
        task.started_event_id = task.started_time = 0
        task.request_id = task.identity = task.build_id = task.nonce = ""
        _move_to_normal_queue(step)
        step.offer(dispatch_task(step.run, task))
        _note_deadline(step)
        return
    if is_transient(step.state.workflow_task):
        attempt = step.state.workflow_task.attempt
        _end(step)
        step.state.workflow_task_attempt = attempt
    else:
        _write_timed_out(step, enums.TIMEOUT_TYPE_START_TO_CLOSE)
        _end(step)
    clear_stickiness(step.state)
    schedule(step)


@transition(_status, sources={STARTED}, target={NONE})
def complete(step: RunStep, completion: Completion) -> int:
    """Ends the task as completed; returns the id of the completed event."""
    state = step.state
    task = state.workflow_task
    make_durable(step, identity=completion.identity, build_id=task.build_id)
    if is_transient(task):
        write_held_back(step)
    event = step.event(events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    attributes = event.workflow_task_completed_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.started_event_id = task.started_event_id
    attributes.identity = completion.identity
    if completion.sdk_metadata is not None:
        attributes.sdk_metadata.CopyFrom(completion.sdk_metadata)
        state.sdk_name = completion.sdk_metadata.sdk_name or state.sdk_name
        state.sdk_version = completion.sdk_metadata.sdk_version or state.sdk_version
    attributes.MergeFrom(completion.extra)
    state.last_started_event_id = task.started_event_id
    state.last_completed_event_id = event.event_id
    state.workflow_task_attempt = 1
    _end(step)
    return event.event_id


def transient_events(step: RunStep) -> history.History:
    """Returns the scheduled and started events that a transient task has not written yet."""
    task, unwritten = step.state.workflow_task, history.History()
    scheduled = unwritten.events.add(
        event_id=task.scheduled_event_id, event_type=events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    )
    set_timestamp(scheduled.event_time, task.scheduled_time)
    fill_scheduled(step, scheduled, task)
    started = unwritten.events.add(
        event_id=task.started_event_id, event_type=events.EVENT_TYPE_WORKFLOW_TASK_STARTED
    )
    set_timestamp(started.event_time, task.started_time)
    fill_started(step, started, task)
    return unwritten


@dataclass(slots=True, frozen=True)
class Failure:
    """Why a workflow task failed."""

    cause: causes.WorkflowTaskFailedCause.ValueType
    identity: str = ""
    failure: failures.Failure | None = None
    build_id: str = ""


@transition(_status, sources={STARTED}, target={NONE})
def fail(step: RunStep, failure: Failure) -> None:
    """Ends the task as failed; the next one is another attempt."""
    make_durable(step, identity=failure.identity, build_id=failure.build_id)
    task = step.state.workflow_task
    if not is_transient(task):
        event = step.event(events.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        attributes = event.workflow_task_failed_event_attributes
        attributes.scheduled_event_id = task.scheduled_event_id
        attributes.started_event_id = task.started_event_id
        attributes.cause = failure.cause
        attributes.identity = failure.identity
        if failure.build_id:
            attributes.worker_version.build_id = failure.build_id
        if failure.failure is not None:
            attributes.failure.CopyFrom(failure.failure)
    _end_unsuccessfully(step)


@transition(_status, sources={STARTED}, target={NONE})
def time_out(step: RunStep) -> None:
    """Ends the task because its worker has not answered in time; the next is another attempt."""
    make_durable(step)
    task = step.state.workflow_task
    if not is_transient(task):
        _write_timed_out(step, enums.TIMEOUT_TYPE_START_TO_CLOSE)
    _end_unsuccessfully(step)


def _end_unsuccessfully(step: RunStep) -> None:
    # A sticky worker may just have lost its cache: the first try elsewhere is a first attempt.
    state = step.state
    if not state.sticky_task_queue:
        state.workflow_task_attempt = state.workflow_task.attempt + 1
    clear_stickiness(state)
    _end(step)


@transition(_status, sources={SCHEDULED}, target={NONE})
def expire_sticky(step: RunStep) -> None:
    """Takes the task back from a sticky queue whose worker did not ask for it in time.

    A speculative task is taken back from any queue.
    """
    make_durable(step)
    task = step.state.workflow_task
    step.delete_task(dispatch_key(step.run, task))
    _write_timed_out(step, enums.TIMEOUT_TYPE_SCHEDULE_TO_START)
    clear_stickiness(step.state)
    _end(step)


def _write_timed_out(step: RunStep, timeout_type: enums.TimeoutType.ValueType) -> None:
    task = step.state.workflow_task
    event = step.event(events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    attributes = event.workflow_task_timed_out_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.started_event_id = task.started_event_id
    attributes.timeout_type = timeout_type


def discard(step: RunStep) -> None:
    """Drops whatever task there is, because the run closes.

    A started task gets its failed event first, as the real server writes it.
    """
    if is_started(step.state):
        fail(
            step,
            Failure(
                causes.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, identity="history-service"
            ),
        )
    elif step.state.HasField("workflow_task"):
        _withdraw(step)
        step.run.speculative = False
        _end(step)


@transition(_status, sources={STARTED}, target={NONE})
def drop_speculative(step: RunStep) -> None:
    """Ends a speculative task that its worker has nothing to write for, as if it had never been."""
    assert step.run.speculative, "any other task has left a trace"
    step.run.speculative = False
    step.state.ClearField("workflow_task")
    step.wakes = True


def _end(step: RunStep) -> None:
    step.state.ClearField("workflow_task")
    step.touched = True


def schedule_if_needed(step: RunStep) -> None:
    """Schedules a task for a new event, unless one exists or the first one is delayed."""
    state = step.state
    if step.run.schedule is not None:
        # Schedules have no workflow tasks.
        return
    if _status(step) is NONE and not state.first_workflow_task_due and step.run.is_running:
        schedule(step)
