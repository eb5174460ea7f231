"""Events that wait for a started workflow task to end, and the order in which they then appear."""

from collections.abc import Iterator, Mapping

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history

_CLOSING = frozenset(
    {
        events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        events.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
        events.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
    }
)


def reordered(
    buffered: Mapping[int, history.HistoryEvent],
) -> Iterator[tuple[int, history.HistoryEvent]]:
    """Yields buffered events as they are appended: what closes something comes last.

    The real server does so, and SDKs count on the close of an activity
    or a child after its start.
    """
    closing: list[tuple[int, history.HistoryEvent]] = []
    for key, event in list(buffered.items()):
        if event.event_type in _CLOSING:
            closing.append((key, event))
        else:
            yield key, event
    yield from closing


def closed_in_buffer(buffered: Mapping[int, history.HistoryEvent]) -> Iterator[int]:
    """Yields the scheduled event ids of activities whose end the worker has not seen yet."""
    for event in buffered.values():
        attributes = activity_close_attributes(event)
        if attributes is not None:
            yield attributes.scheduled_event_id


ActivityCloseAttributes = (
    history.ActivityTaskCompletedEventAttributes
    | history.ActivityTaskFailedEventAttributes
    | history.ActivityTaskTimedOutEventAttributes
    | history.ActivityTaskCanceledEventAttributes
)


def activity_close_attributes(event: history.HistoryEvent) -> ActivityCloseAttributes | None:
    """Returns the attributes of an event that closes an activity, None for any other event."""
    match event.event_type:
        case events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            return event.activity_task_completed_event_attributes
        case events.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            return event.activity_task_failed_event_attributes
        case events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            return event.activity_task_timed_out_event_attributes
        case events.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
            return event.activity_task_canceled_event_attributes
        case _:
            return None


ChildCloseAttributes = (
    history.ChildWorkflowExecutionCompletedEventAttributes
    | history.ChildWorkflowExecutionFailedEventAttributes
    | history.ChildWorkflowExecutionCanceledEventAttributes
    | history.ChildWorkflowExecutionTimedOutEventAttributes
    | history.ChildWorkflowExecutionTerminatedEventAttributes
)


def child_close_attributes(event: history.HistoryEvent) -> ChildCloseAttributes | None:
    """Returns the attributes of an event that tells a child's end, None for any other event."""
    match event.event_type:
        case events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
            return event.child_workflow_execution_completed_event_attributes
        case events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
            return event.child_workflow_execution_failed_event_attributes
        case events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
            return event.child_workflow_execution_canceled_event_attributes
        case events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
            return event.child_workflow_execution_timed_out_event_attributes
        case events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
            return event.child_workflow_execution_terminated_event_attributes
        case _:
            return None


def link_started(event: history.HistoryEvent, started: dict[int, int]) -> None:
    """Gives a buffered event the id of its started event, which only now has one.

    Args:
        event: The next event to be appended.
        started: Started events by what they are of, as they are appended.
    """
    # What began and closed while a workflow task was started has both its events in the buffer: the
    # started event gets its id only now.
    if event.event_type == events.EVENT_TYPE_ACTIVITY_TASK_STARTED:
        started[event.activity_task_started_event_attributes.scheduled_event_id] = event.event_id
        return
    if event.event_type == events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
        begun = event.child_workflow_execution_started_event_attributes
        started[begun.initiated_event_id] = event.event_id
        return
    child = child_close_attributes(event)
    if child is not None and not child.started_event_id:
        child.started_event_id = started.get(child.initiated_event_id, 0)
        return
    attributes = activity_close_attributes(event)
    if attributes is not None and not attributes.started_event_id:
        attributes.started_event_id = started.get(attributes.scheduled_event_id, 0)
