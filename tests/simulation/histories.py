"""What must hold of every history by itself, whatever the workflow did.

Rules that hold here: pure functions that yield a sentence for each thing that is wrong.
"""

from collections.abc import Callable, Iterator

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as workflow_enums
from temporalio.api.history.v1 import message_pb2 as history

from simulation.invariants import CLOSE_STATUS, FinalRun

Event = history.HistoryEvent

_ACTIVITY_CLOSED = {
    events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    events.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    events.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}

_TASK_CLOSED = {
    events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "workflow_task_completed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_FAILED: "workflow_task_failed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: "workflow_task_timed_out_event_attributes",
}


def check_history(run: FinalRun) -> Iterator[str]:
    """Yields what is wrong with a closed run's history."""
    for check in _CHECKS:
        for problem in check(run):
            yield f"run {run.run_id} of {run.workflow_id}: {problem}"


def ids_are_contiguous(run: FinalRun) -> Iterator[str]:
    """Event ids count up from 1."""
    for expected, event in enumerate(run.events, start=1):
        if event.event_id != expected:
            yield f"event {event.event_id} is at position {expected}"
            return


def has_one_start_and_one_end(run: FinalRun) -> Iterator[str]:
    """A history begins with the start and ends with the only close event."""
    if not run.events:
        yield "it has no events"
        return
    types = [event.event_type for event in run.events]
    if types.count(events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED) != 1 or types[0] != 1:
        yield "it does not begin with its only start"
    closes = [index for index, each in enumerate(types) if each in CLOSE_STATUS]
    if not closes:
        yield "it never ended"
    elif closes != [len(types) - 1]:
        yield f"it has close events at {[index + 1 for index in closes]} of {len(types)}"


def workflow_tasks_are_paired(run: FinalRun) -> Iterator[str]:
    """A workflow task is scheduled, started and ended in this order, one at a time."""
    scheduled = started = 0
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            if scheduled:
                yield f"task {event.event_id} is scheduled while {scheduled} is pending"
            scheduled, started = event.event_id, 0
        elif event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            names = event.workflow_task_started_event_attributes.scheduled_event_id
            if started or names != scheduled or not scheduled:
                yield f"event {event.event_id} starts {names}, pending is {scheduled}"
            started = event.event_id
        elif event.event_type in _TASK_CLOSED:
            attributes = getattr(event, _TASK_CLOSED[event.event_type])
            named = (attributes.scheduled_event_id, attributes.started_event_id)
            if named != (scheduled, started):
                yield f"event {event.event_id} ends {named}, pending is {(scheduled, started)}"
            scheduled = started = 0


def activities_are_paired(run: FinalRun) -> Iterator[str]:
    """An activity is scheduled first, starts once, ends once, and names its own events."""
    started: dict[int, int | None] = {}
    ended: set[int] = set()
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            started[event.event_id] = None
        elif event.event_type == events.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            scheduled = event.activity_task_started_event_attributes.scheduled_event_id
            if started.get(scheduled, 0) is not None:
                yield f"event {event.event_id} starts activity {scheduled}, which is not waiting"
            started[scheduled] = event.event_id
        elif event.event_type in _ACTIVITY_CLOSED:
            attributes = getattr(event, _ACTIVITY_CLOSED[event.event_type])
            scheduled = attributes.scheduled_event_id
            if scheduled not in started or scheduled in ended:
                yield f"event {event.event_id} ends activity {scheduled}, which is not pending"
            elif (started[scheduled] or 0) != attributes.started_event_id:
                yield f"event {event.event_id} names start {attributes.started_event_id}"
            ended.add(scheduled)


def timers_are_paired(run: FinalRun) -> Iterator[str]:
    """A timer fires or is cancelled once, and never fires early."""
    pending: dict[int, Event] = {}
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_TIMER_STARTED:
            pending[event.event_id] = event
        elif event.event_type == events.EVENT_TYPE_TIMER_CANCELED:
            if pending.pop(event.timer_canceled_event_attributes.started_event_id, None) is None:
                yield f"event {event.event_id} cancels a timer that is not pending"
        elif event.event_type == events.EVENT_TYPE_TIMER_FIRED:
            start = pending.pop(event.timer_fired_event_attributes.started_event_id, None)
            if start is None:
                yield f"event {event.event_id} fires a timer that is not pending"
                continue
            timeout = start.timer_started_event_attributes.start_to_fire_timeout.ToNanoseconds()
            early = timeout - (_time(event) - _time(start))
            if early > 0:
                yield f"event {event.event_id} fires {early} ns early"


def timeouts_are_not_early(run: FinalRun) -> Iterator[str]:
    """An activity's last attempt does not time out before its time is up.

    Workflow tasks are no part of this: one whose poller has gone is ended early, as timed out.
    """
    by_id = {event.event_id: event for event in run.events}
    for event in run.events:
        if event.event_type != events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            continue
        attributes = event.activity_task_timed_out_event_attributes
        kind = attributes.failure.timeout_failure_info.timeout_type
        started = by_id.get(attributes.started_event_id)
        if started is None or kind != workflow_enums.TIMEOUT_TYPE_START_TO_CLOSE:
            continue
        scheduled = by_id[attributes.scheduled_event_id].activity_task_scheduled_event_attributes
        elapsed = _time(event) - _time(started)
        early = scheduled.start_to_close_timeout.ToNanoseconds() - elapsed
        if early > 0:
            yield f"event {event.event_id} times out {early} ns early"


def decisions_do_not_go_back_in_time(run: FinalRun) -> Iterator[str]:
    """Events that are never buffered have times that do not decrease."""
    latest = 0
    for event in run.events:
        if event.event_type not in _NEVER_BUFFERED:
            continue
        if _time(event) < latest:
            yield f"event {event.event_id} is {latest - _time(event)} ns before an earlier one"
        latest = max(latest, _time(event))


_NEVER_BUFFERED = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    events.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    *_TASK_CLOSED,
    events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    events.EVENT_TYPE_TIMER_STARTED,
    *CLOSE_STATUS,
}

_CHECKS: tuple[Callable[[FinalRun], Iterator[str]], ...] = (
    ids_are_contiguous,
    has_one_start_and_one_end,
    workflow_tasks_are_paired,
    activities_are_paired,
    timers_are_paired,
    timeouts_are_not_early,
    decisions_do_not_go_back_in_time,
)


def _time(event: Event) -> int:
    return event.event_time.ToNanoseconds()
