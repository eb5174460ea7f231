"""What can happen to a pending activity.

(command) ──schedule──► SCHEDULED ──start──► STARTED
                          ▲  ▲                │ │ │
             retry_comes ─┘  └─ undo_start ───┘ │ └─ heartbeat (STARTED)
                 │                              │
            BACKING_OFF ◄──────── back_off ─────┘   (PAUSED, where it is to be paused)
SCHEDULED, BACKING_OFF ── pause ──► PAUSED ── unpause ──► SCHEDULED, or BACKING_OFF for a while
STARTED ── pause, unpause, reset (stays) ;  any other ── reset ──► as unpause, or stays PAUSED
any ── request_cancel (stays) ;  any ── close ──► CLOSED (no row any more)
"""

from collections.abc import Callable

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata

from perdure.core import retry
from perdure.core.activity.state import ActivityStatus, status
from perdure.core.activity.tasks import dispatch_key, dispatch_task
from perdure.core.activity.validator import derive_timeouts
from perdure.core.commit import DispatchTask
from perdure.core.matching.partitions import partition_of
from perdure.core.protobuf import set_duration, set_timestamp
from perdure.core.transition import transition
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

SCHEDULED, STARTED, BACKING_OFF, PAUSED, CLOSED = (
    ActivityStatus.SCHEDULED,
    ActivityStatus.STARTED,
    ActivityStatus.BACKING_OFF,
    ActivityStatus.PAUSED,
    ActivityStatus.CLOSED,
)
OPEN = {SCHEDULED, STARTED, BACKING_OFF, PAUSED}


def schedule(
    step: RunStep,
    attributes: commands.ScheduleActivityTaskCommandAttributes,
    metadata: user_metadata.UserMetadata | None,
    completed_event_id: int,
) -> stored.ActivityInfo:
    """Writes the scheduled event and the pending activity (its command has been validated)."""
    run = step.run
    timeouts = derive_timeouts(attributes, run.start.run_timeout)
    policy = retry.with_defaults(attributes.retry_policy)
    event = step.event(events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    scheduled = event.activity_task_scheduled_event_attributes
    scheduled.activity_id = attributes.activity_id
    scheduled.activity_type.CopyFrom(attributes.activity_type)
    scheduled.task_queue.name = attributes.task_queue.name or run.start.task_queue
    scheduled.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    if attributes.HasField("header"):
        scheduled.header.CopyFrom(attributes.header)
    if attributes.HasField("input"):
        scheduled.input.CopyFrom(attributes.input)
    set_duration(scheduled.schedule_to_close_timeout, timeouts.schedule_to_close)
    set_duration(scheduled.schedule_to_start_timeout, timeouts.schedule_to_start)
    set_duration(scheduled.start_to_close_timeout, timeouts.start_to_close)
    set_duration(scheduled.heartbeat_timeout, timeouts.heartbeat)
    scheduled.workflow_task_completed_event_id = completed_event_id
    scheduled.use_workflow_build_id = attributes.use_workflow_build_id
    scheduled.retry_policy.CopyFrom(policy)
    activity = stored.ActivityInfo(
        scheduled_event_id=event.event_id,
        activity_id=attributes.activity_id,
        activity_type=attributes.activity_type.name,
        task_queue=scheduled.task_queue.name,
        scheduled_time=step.now,
        attempt_scheduled_time=step.now,
        schedule_to_close_timeout=timeouts.schedule_to_close,
        schedule_to_start_timeout=timeouts.schedule_to_start,
        start_to_close_timeout=timeouts.start_to_close,
        heartbeat_timeout=timeouts.heartbeat,
        retry_policy=policy,
        attempt=1,
        cause=step.context.cause,
    )
    if attributes.HasField("priority"):
        scheduled.priority.CopyFrom(attributes.priority)
    priority = attributes.priority if attributes.HasField("priority") else run.start.priority
    activity.priority.CopyFrom(priority)
    if metadata is not None:
        event.user_metadata.CopyFrom(metadata)
        activity.user_metadata.CopyFrom(metadata)
    run.activities[event.event_id] = activity
    run.activity_ids[activity.activity_id] = event.event_id
    return activity


def dispatch(step: RunStep, activity: stored.ActivityInfo) -> DispatchTask:
    """Offers the present attempt to workers."""
    activity.task_id = step.context.ids.task_id()
    activity.partition = partition_of(activity.task_id, step.context.settings.write_partitions)
    task = dispatch_task(step.run, activity)
    step.add_task(task)
    step.put_activity(activity)
    return task


@transition(status, sources={SCHEDULED, PAUSED}, target={STARTED})
def start(
    activity: stored.ActivityInfo,
    step: RunStep,
    *,
    request_id: str,
    identity: str,
) -> None:
    """Gives the present attempt to a worker; a paused one only to who answers it by id."""
    if status(activity) is SCHEDULED:
        step.delete_task(dispatch_key(step.run, activity))
    activity.started_time = step.now
    activity.request_id = request_id
    activity.identity = identity
    activity.nonce = step.context.ids.nonce()
    activity.last_worker_identity = identity
    step.put_activity(activity)


@transition(status, sources={STARTED}, target={SCHEDULED, PAUSED})
def undo_start(activity: stored.ActivityInfo, step: RunStep) -> None:
    """Makes the attempt pending again, because its poller was gone before the reply."""
    _forget_start(activity)
    if activity.HasField("pause"):
        step.put_activity(activity)
    else:
        dispatch(step, activity)


def _forget_start(activity: stored.ActivityInfo) -> None:
    for field in ("started_time", "request_id", "identity", "nonce", "build_id"):
        activity.ClearField(field)


@transition(status, sources={STARTED}, target={STARTED})
def heartbeat(
    activity: stored.ActivityInfo, step: RunStep, details: common.Payloads | None, identity: str
) -> None:
    """Notes that the worker is alive, and how far it has got."""
    activity.last_heartbeat_time = step.now
    if identity:
        activity.last_worker_identity = identity
    if details is None:
        activity.ClearField("heartbeat_details")
    else:
        activity.heartbeat_details.CopyFrom(details)
    step.put_activity(activity)


@transition(status, sources={STARTED, SCHEDULED}, target={BACKING_OFF, PAUSED})
def back_off(
    activity: stored.ActivityInfo, step: RunStep, failure: failures.Failure, delay: int
) -> None:
    """Ends an attempt; the next one is dispatched after `delay` nanoseconds."""
    activity.last_failure.CopyFrom(truncated(failure, step.context.settings.activity_failure_limit))
    if not failure.HasField("timeout_failure_info"):
        activity.last_attempt_complete_time = step.now
    if not activity.started_time:
        step.delete_task(dispatch_key(step.run, activity))
    _forget_start(activity)
    activity.attempt += 1
    _forget_reset(activity)
    _wait(activity, step, delay)
    step.put_activity(activity)


def _wait(activity: stored.ActivityInfo, step: RunStep, delay: int) -> None:
    activity.retry_due = 0 if activity.HasField("pause") else step.now + delay
    activity.retry_interval = delay
    activity.attempt_scheduled_time = step.now + delay


def _forget_reset(activity: stored.ActivityInfo) -> None:
    if activity.drops_heartbeat:
        drop_heartbeat(activity)
    activity.is_reset = False
    activity.drops_heartbeat = False


def drop_heartbeat(activity: stored.ActivityInfo) -> None:
    """Forgets what the last heartbeat said, and when."""
    activity.ClearField("heartbeat_details")
    activity.ClearField("last_heartbeat_time")


def truncated(failure: failures.Failure, limit: int) -> failures.Failure:
    """Returns a failure, or a note in its place when it has more than `limit` bytes."""
    if failure.ByteSize() <= limit:
        return failure
    note = failures.Failure(message="Failure exceeds size limit.")
    note.server_failure_info.SetInParent()
    return note


@transition(status, sources={BACKING_OFF}, target={SCHEDULED})
def retry_comes(activity: stored.ActivityInfo, step: RunStep) -> None:
    """Dispatches the next attempt."""
    activity.retry_due = 0
    activity.attempt_scheduled_time = step.now
    dispatch(step, activity)


@transition(status, sources=OPEN - {PAUSED}, target={STARTED, PAUSED})
def pause(activity: stored.ActivityInfo, step: RunStep, by: stored.ActivityPause) -> None:
    """Lets no further attempt begin; a worker that has one goes on with it."""
    if status(activity) is SCHEDULED:
        step.delete_task(dispatch_key(step.run, activity))
    activity.retry_due = 0
    activity.pause.CopyFrom(by)
    step.put_activity(activity)


@transition(status, sources={STARTED, PAUSED}, target={STARTED, SCHEDULED, BACKING_OFF})
def unpause(
    activity: stored.ActivityInfo, step: RunStep, *, delay: int, reset_attempts: bool
) -> None:
    """Ends a pause; what no worker has is dispatched after `delay` nanoseconds."""
    activity.ClearField("pause")
    if reset_attempts:
        activity.attempt = 1
    if activity.started_time:
        step.put_activity(activity)
    else:
        _begin_anew(activity, step, delay)


@transition(status, sources=OPEN, target=OPEN)
def reset(
    activity: stored.ActivityInfo,
    step: RunStep,
    *,
    delay: int,
    drops_heartbeat: bool,
    keep_paused: bool,
) -> None:
    """Counts attempts anew; what no worker has is dispatched after `delay` nanoseconds.

    A worker that has the first attempt learns of it by heartbeat. A later attempt of before is
    not the worker's any more.
    """
    if status(activity) is SCHEDULED:
        step.delete_task(dispatch_key(step.run, activity))
    activity.attempt = 1
    activity.is_reset = True
    activity.drops_heartbeat |= drops_heartbeat
    if not keep_paused:
        activity.ClearField("pause")
    if activity.started_time or activity.HasField("pause"):
        step.put_activity(activity)
    else:
        _begin_anew(activity, step, delay)


def _begin_anew(activity: stored.ActivityInfo, step: RunStep, delay: int) -> None:
    activity.ClearField("last_failure")
    _forget_reset(activity)
    if delay:
        _wait(activity, step, delay)
        step.put_activity(activity)
    else:
        activity.retry_due = 0
        activity.attempt_scheduled_time = step.now
        dispatch(step, activity)


@transition(status, sources=OPEN, target=OPEN)
def reschedule(
    activity: stored.ActivityInfo, step: RunStep, change: Callable[[stored.ActivityInfo], None]
) -> None:
    """Changes an activity's options; what waits does so by the new ones."""
    before = status(activity)
    if before is SCHEDULED:
        step.delete_task(dispatch_key(step.run, activity))
    change(activity)
    if before is SCHEDULED:
        dispatch(step, activity)
        return
    if before is BACKING_OFF:
        activity.ClearField("last_failure")
        if activity.attempt > 1:
            ended = activity.retry_due - activity.retry_interval
            # As on the real server, which takes the coming attempt for the one that has failed.
            delay = retry.next_interval(activity.retry_policy, activity.attempt)
            activity.retry_due = ended + delay
            activity.retry_interval = delay
            activity.attempt_scheduled_time = activity.retry_due
    step.put_activity(activity)


@transition(status, sources=OPEN, target=OPEN)
def request_cancel(
    activity: stored.ActivityInfo, step: RunStep, completed_event_id: int
) -> history.HistoryEvent:
    """Records that the workflow wants the activity cancelled; its worker learns by heartbeat."""
    event = step.event(events.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    attributes = event.activity_task_cancel_requested_event_attributes
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.workflow_task_completed_event_id = completed_event_id
    activity.cancel_requested = True
    activity.cancel_requested_event_id = event.event_id
    step.put_activity(activity)
    return event


Fill = Callable[[history.HistoryEvent, int], None]


@transition(status, sources=OPEN, target={CLOSED})
def close(
    activity: stored.ActivityInfo,
    step: RunStep,
    event_type: events.EventType.ValueType,
    fill: Fill,
) -> None:
    """Writes the started event, if an attempt ran, and the closing one, and forgets the activity.

    Args:
        activity: The activity.
        step: The run's step.
        event_type: The closing event's type.
        fill: Fills in the closing event, given the started event's id (0 while it is buffered).
    """
    started_event_id = 0
    if activity.started_time:
        started_event_id = _write_started(step, activity)
    elif status(activity) is SCHEDULED:
        step.delete_task(dispatch_key(step.run, activity))
    step.external_event(event_type, lambda event: fill(event, started_event_id))
    step.delete_activity(activity)
    activity.ClearField("started_time")
    activity.ClearField("retry_due")
    activity.ClearField("pause")
    activity.attempt = 0


def _write_started(step: RunStep, activity: stored.ActivityInfo) -> int:
    written: list[history.HistoryEvent] = []

    def fill(event: history.HistoryEvent) -> None:
        attributes = event.activity_task_started_event_attributes
        attributes.scheduled_event_id = activity.scheduled_event_id
        attributes.identity = activity.identity
        attributes.request_id = activity.request_id
        attributes.attempt = activity.attempt
        if activity.build_id:
            attributes.worker_version.build_id = activity.build_id
        if activity.HasField("last_failure"):
            attributes.last_failure.CopyFrom(activity.last_failure)
        set_timestamp(event.event_time, activity.started_time)
        written.append(event)

    step.external_event(events.EVENT_TYPE_ACTIVITY_TASK_STARTED, fill)
    return written[0].event_id
