"""What a history alone says of a run: told from the events, knowing nothing of the engine."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent

STATUS_OF_EVENT = {
    EventType.Value(f"EVENT_TYPE_WORKFLOW_EXECUTION_{name}"): (
        WorkflowExecutionStatus.Value(f"WORKFLOW_EXECUTION_STATUS_{name}")
    )
    for name in ("COMPLETED", "FAILED", "CANCELED", "TERMINATED", "TIMED_OUT", "CONTINUED_AS_NEW")
}
ENDS_OF_ACTIVITIES = ("COMPLETED", "FAILED", "TIMED_OUT", "CANCELED")


@dataclass(slots=True)
class Story:
    """What is pending after some events, and what has happened."""

    status: int = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    close_event_id: int = 0
    new_run_id: str = ""
    cancel_requested: bool = False
    activities: dict[int, str] = field(default_factory=dict)
    cancelled_activities: set[int] = field(default_factory=set)
    started_activities: dict[int, int] = field(default_factory=dict)
    timers: dict[int, str] = field(default_factory=dict)
    external_signals: set[int] = field(default_factory=set)
    external_cancels: set[int] = field(default_factory=set)
    updates: dict[str, int] = field(default_factory=dict)
    children: dict[int, int] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    signals: int = 0
    signal_requests: Counter[str] = field(default_factory=Counter)
    workflow_task: tuple[int, int] | None = None
    completed_tasks: set[int] = field(default_factory=set)


def fold(events: Iterable[HistoryEvent]) -> Story:
    """Returns what a history says; an event that cannot be where it is fails an assertion."""
    story = Story()
    for event in events:
        assert not story.close_event_id, f"{event} after the close"
        _tell(story, event)
    return story


def attributes_of(event: HistoryEvent) -> Message:
    """Returns the attributes of an event, whatever its type."""
    name = event.WhichOneof("attributes")
    assert name is not None, event
    expected = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    assert name == f"{expected}_event_attributes"
    attributes: Message = getattr(event, name)
    return attributes


def _said(event: HistoryEvent, field_name: str) -> Any:
    return getattr(attributes_of(event), field_name)


def _tell(story: Story, event: HistoryEvent) -> None:
    name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    completed_id = getattr(attributes_of(event), "workflow_task_completed_event_id", 0)
    assert not completed_id or completed_id in story.completed_tasks
    if event.event_type in STATUS_OF_EVENT:
        _close(story, event)
    elif name.startswith("WORKFLOW_TASK_"):
        _tell_of_workflow_task(story, event, name.removeprefix("WORKFLOW_TASK_"))
    elif name.startswith("ACTIVITY_TASK_"):
        _tell_of_activity(story, event, name.removeprefix("ACTIVITY_TASK_"))
    elif name.startswith("TIMER_"):
        _tell_of_timer(story, event, name.removeprefix("TIMER_"))
    elif name.startswith("WORKFLOW_EXECUTION_UPDATE_"):
        _tell_of_update(story, event, name.removeprefix("WORKFLOW_EXECUTION_UPDATE_"))
    elif name == "WORKFLOW_EXECUTION_SIGNALED":
        story.signals += 1
        signaled = event.workflow_execution_signaled_event_attributes
        other = signaled.HasField("external_workflow_execution")
        (story.messages if other else story.signal_requests)[signaled.request_id] += 1
    elif "CHILD_WORKFLOW" in name:
        _tell_of_child(story, event, name)
    elif "EXTERNAL_WORKFLOW_EXECUTION" in name:
        _tell_of_external(story, event, name)
    elif name == "WORKFLOW_EXECUTION_CANCEL_REQUESTED":
        assert not story.cancel_requested
        story.cancel_requested = True


def _close(story: Story, event: HistoryEvent) -> None:
    if story.workflow_task is not None:
        # Only what happens from outside may find a task that no worker has taken.
        assert not getattr(attributes_of(event), "workflow_task_completed_event_id", 0)
        assert not story.workflow_task[1], "closed with a started workflow task"
    story.status = STATUS_OF_EVENT[event.event_type]
    story.close_event_id = event.event_id
    story.new_run_id = getattr(attributes_of(event), "new_execution_run_id", "")


def _tell_of_workflow_task(story: Story, event: HistoryEvent, what: str) -> None:
    if what == "SCHEDULED":
        assert story.workflow_task is None
        story.workflow_task = (event.event_id, 0)
        return
    assert story.workflow_task is not None
    scheduled, started = story.workflow_task
    assert _said(event, "scheduled_event_id") == scheduled
    if what == "STARTED":
        assert not started
        story.workflow_task = (scheduled, event.event_id)
        return
    assert _said(event, "started_event_id") == started
    story.workflow_task = None
    if what == "COMPLETED":
        story.completed_tasks.add(event.event_id)


def _tell_of_activity(story: Story, event: HistoryEvent, what: str) -> None:
    if what == "SCHEDULED":
        # The id may be that of an activity whose end is buffered: that end is written later.
        activity_id = event.activity_task_scheduled_event_attributes.activity_id
        story.activities[event.event_id] = activity_id
        return
    scheduled: int = _said(event, "scheduled_event_id")
    assert scheduled in story.activities
    if what == "CANCEL_REQUESTED":
        story.cancelled_activities.add(scheduled)
        return
    if what == "STARTED":
        assert scheduled not in story.started_activities
        story.started_activities[scheduled] = event.event_id
        return
    assert what in ENDS_OF_ACTIVITIES
    assert _said(event, "started_event_id") == story.started_activities.get(scheduled, 0)
    del story.activities[scheduled]


def _tell_of_external(story: Story, event: HistoryEvent, name: str) -> None:
    pending = story.external_cancels if "CANCEL" in name else story.external_signals
    if name.endswith("_INITIATED"):
        pending.add(event.event_id)
    else:
        pending.remove(_said(event, "initiated_event_id"))


def _tell_of_child(story: Story, event: HistoryEvent, name: str) -> None:
    if name.endswith("_INITIATED"):
        story.children[event.event_id] = 0
        return
    initiated = _said(event, "initiated_event_id")
    if name == "CHILD_WORKFLOW_EXECUTION_STARTED":
        assert not story.children[initiated]
        story.children[initiated] = event.event_id or -1
        return
    started = story.children.pop(initiated)
    if name == "START_CHILD_WORKFLOW_EXECUTION_FAILED":
        assert not started
    else:
        # While both wait in the buffer neither has an id.
        assert started
        assert _said(event, "started_event_id") == max(started, 0)


def _tell_of_timer(story: Story, event: HistoryEvent, what: str) -> None:
    timer_id: str = _said(event, "timer_id")
    if what == "STARTED":
        story.timers[event.event_id] = timer_id
        return
    assert story.timers.pop(_said(event, "started_event_id")) == timer_id


def _tell_of_update(story: Story, event: HistoryEvent, what: str) -> None:
    if what == "ACCEPTED":
        update_id = _said(event, "protocol_instance_id")
        assert update_id not in story.updates
        story.updates[update_id] = event.event_id
    elif what == "COMPLETED":
        assert story.updates.pop(_said(event, "meta").update_id) == _said(
            event, "accepted_event_id"
        )
