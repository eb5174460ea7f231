"""What can happen to a user timer: it starts, then fires or is cancelled."""

from collections.abc import Iterator

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.protobuf import capped_ns, set_duration
from perdure.core.workflow.state import timer_deadline
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored


def start(
    step: RunStep,
    attributes: commands.StartTimerCommandAttributes,
    metadata: user_metadata.UserMetadata | None,
    completed_event_id: int,
) -> None:
    """Starts a timer (its command has been validated)."""
    duration = capped_ns(attributes.start_to_fire_timeout)
    event = step.event(events.EVENT_TYPE_TIMER_STARTED)
    started = event.timer_started_event_attributes
    started.timer_id = attributes.timer_id
    if attributes.HasField("start_to_fire_timeout"):
        set_duration(started.start_to_fire_timeout, duration)
    started.workflow_task_completed_event_id = completed_event_id
    if metadata is not None:
        event.user_metadata.CopyFrom(metadata)
    timer = stored.TimerInfo(
        timer_id=attributes.timer_id,
        started_event_id=event.event_id,
        due=step.now + duration,
        cause=step.context.cause,
    )
    step.run.timers[timer.timer_id] = timer
    step.put_item(ItemKey(ItemKind.TIMER, timer.timer_id), timer.SerializeToString())
    step.run.add_deadline(timer_deadline(timer))


def fire(step: RunStep, timer: stored.TimerInfo) -> None:
    """Fires a timer that is due."""
    _forget(step, timer)

    def fill(event: history.HistoryEvent) -> None:
        attributes = event.timer_fired_event_attributes
        attributes.timer_id = timer.timer_id
        attributes.started_event_id = timer.started_event_id

    step.external_event(events.EVENT_TYPE_TIMER_FIRED, fill)


def cancel(step: RunStep, timer_id: str, identity: str, completed_event_id: int) -> None:
    """Cancels a timer, also one whose firing still waits in the buffer."""
    timer = step.run.timers.get(timer_id)
    if timer is not None:
        started_event_id = timer.started_event_id
        _forget(step, timer)
    else:
        key, fired = next(_buffered_fires(step, timer_id))
        started_event_id = fired.timer_fired_event_attributes.started_event_id
        step.unbuffer(key)
    attributes = step.event(events.EVENT_TYPE_TIMER_CANCELED).timer_canceled_event_attributes
    attributes.timer_id = timer_id
    attributes.started_event_id = started_event_id
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.identity = identity


def fires_from_buffer(step: RunStep, timer_id: str) -> bool:
    """Tells whether the timer has fired, unseen by the worker."""
    return next(_buffered_fires(step, timer_id), None) is not None


def _buffered_fires(step: RunStep, timer_id: str) -> Iterator[tuple[int, history.HistoryEvent]]:
    for key, event in step.run.buffered.items():
        if event.timer_fired_event_attributes.timer_id == timer_id:
            yield key, event


def _forget(step: RunStep, timer: stored.TimerInfo) -> None:
    del step.run.timers[timer.timer_id]
    step.delete_item(ItemKey(ItemKind.TIMER, timer.timer_id))
