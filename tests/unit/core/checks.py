"""What must hold between any two steps: rows, memory and history tell one story.

Rules that hold here: a check knows nothing of how the engine came to its state; what the histories
say is told by `folding`, from the events alone.
"""

from collections import Counter
from collections.abc import Callable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.activity import tasks as activity_tasks
from perdure.core.activity.state import ActivityStatus, status
from perdure.core.child.state import start_key
from perdure.core.commit import DispatchKey, DispatchTask, ItemKind
from perdure.core.external.tasks import message_key
from perdure.core.protobuf import timestamp_ns
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.workflow.describe import describe
from perdure.core.workflow.state import Deadline, Run, is_justified
from perdure.core.workflow.transient import unwritten_events
from perdure.core.workflow_task import tasks as workflow_tasks
from perdure.core.workflow_task.state import WorkflowTaskStatus, is_started
from perdure.core.workflow_task.state import status as task_status
from perdure.core.workflow_task.transitions import is_held_back
from perdure.proto import stored_pb2 as stored
from unit.core.driver import Driver, contents
from unit.core.folding import fold

KEPT_AFTER_CLOSE = {
    ItemKind.ATTRIBUTES,
    ItemKind.SIGNAL_REQUEST,
    ItemKind.UPDATE,
    ItemKind.CALLBACK,
}
FROM_OUTSIDE = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    EventType.EVENT_TYPE_TIMER_FIRED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
}
"""Events that may have waited in the buffer: they come after events that are younger than they."""


class Checker:
    """Checks a driver after each of its steps, each run when it has changed."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._versions: dict[str, int] = {}

    def check(self) -> None:
        """Checks everything."""
        driver = self._driver
        for run_id, rows in driver.rows.runs.items():
            if self._versions.get(run_id) != rows.version:
                self._versions[run_id] = rows.version
                for look in CHECKS:
                    look(driver, driver.run(run_id))
        tasks_are_what_the_state_wants(driver)
        messages_are_what_the_state_wants(driver)
        messages_are_taken_in_once(driver)
        at_most_one_run_is_open(driver)


def event_ids_are_contiguous(driver: Driver, run: Run) -> None:
    events = driver.rows.history(run.key.run_id)
    assert [event.event_id for event in events] == list(range(1, run.state.next_event_id))
    batches = driver.rows.runs[run.key.run_id].batches
    ids = [
        event_id
        for batch in batches
        for event_id in range(batch.first_event_id, batch.last_event_id + 1)
    ]
    assert ids == list(range(1, run.state.next_event_id))
    assert run.state.history_size_bytes == sum(len(batch.blob) for batch in batches)


def rows_say_what_memory_says(driver: Driver, run: Run) -> None:
    loaded = driver.rows.load(run.key.run_id)
    assert contents(loaded) == contents(run)
    assert list(loaded.activities) == list(run.activities)
    assert list(loaded.timers) == list(run.timers)
    assert list(loaded.external_signals) == list(run.external_signals)
    assert list(loaded.external_cancels) == list(run.external_cancels)
    assert list(loaded.children) == list(run.children)
    assert _still_due(loaded) == _still_due(run)
    assert loaded.next_deadline() == run.next_deadline()
    kinds = Counter(item.kind for item in driver.rows.runs[run.key.run_id].items)
    assert run.item_bytes == sum(
        len(blob) for blob in driver.rows.runs[run.key.run_id].items.values()
    )
    assert kinds[ItemKind.ACTIVITY] == len(run.activities)
    assert kinds[ItemKind.TIMER] == len(run.timers)
    assert kinds[ItemKind.EXTERNAL_SIGNAL] == len(run.external_signals)
    assert kinds[ItemKind.EXTERNAL_CANCEL] == len(run.external_cancels)
    assert kinds[ItemKind.CHILD] == len(run.children)
    assert kinds[ItemKind.SIGNAL_REQUEST] == len(run.signal_requests)
    assert kinds[ItemKind.BUFFERED_EVENT] == len(run.buffered)


def _still_due(run: Run) -> set[Deadline]:
    return {deadline for deadline in run.deadlines if is_justified(run, deadline)}


def one_timer_row_wakes_an_open_run(driver: Driver, run: Run) -> None:
    rows = [row for row in driver.rows.timers if row.run == run.key]
    if not run.is_running:
        assert rows == []
        return
    assert [row.due for row in rows] == [run.state.timer_due] * bool(run.state.timer_due)
    deadline = run.next_deadline()
    assert not deadline or 0 < run.state.timer_due <= deadline


def closed_runs_leave_nothing_behind(driver: Driver, run: Run) -> None:
    if run.is_running:
        return
    assert {item.kind for item in driver.rows.runs[run.key.run_id].items} <= KEPT_AFTER_CLOSE
    assert task_status(run.state) is WorkflowTaskStatus.NONE
    assert run.state.close_event_id == run.state.next_event_id - 1
    assert run.state.close_time == timestamp_ns(driver.rows.history(run.key.run_id)[-1].event_time)


def buffer_is_counted_and_needed(driver: Driver, run: Run) -> None:
    assert run.state.buffered_event_count == len(run.buffered)
    assert run.state.buffered_event_bytes == sum(e.ByteSize() for e in run.buffered.values())
    assert run.state.buffered_event_count <= driver.settings.max_buffered_events
    assert not run.buffered or is_started(run.state), "nothing will flush the buffer"


def worker_is_told(driver: Driver, run: Run) -> None:
    """Events that no worker has seen have a workflow task, unless the first one is delayed."""
    if not run.is_running or run.state.first_workflow_task_due:
        return
    if not run.state.last_completed_event_id:
        assert task_status(run.state) is not WorkflowTaskStatus.NONE
        return
    unseen = driver.rows.history(run.key.run_id)[run.state.last_completed_event_id :]
    if any(not _is_of_a_command(event) for event in unseen):
        assert task_status(run.state) is not WorkflowTaskStatus.NONE


def _is_of_a_command(event: HistoryEvent) -> bool:
    attributes = event.WhichOneof("attributes")
    assert attributes is not None
    if event.event_type in FROM_OUTSIDE:
        return False
    if "_update_" in attributes and "admitted" not in attributes:
        return True
    fields = getattr(event, attributes).DESCRIPTOR.fields_by_name
    return "workflow_task_completed_event_id" in fields


def times_never_go_back(driver: Driver, run: Run) -> None:
    latest = 0
    for event in driver.rows.history(run.key.run_id):
        time = timestamp_ns(event.event_time)
        assert time
        if event.event_type not in FROM_OUTSIDE:
            assert time >= latest, event
        latest = max(latest, time)


def history_alone_says_the_same(driver: Driver, run: Run) -> None:
    state = run.state
    history = driver.rows.history(run.key.run_id)
    written = fold(history)
    told = fold([*history, *run.buffered.values()])
    assert (told.status, told.close_event_id) == (state.status, state.close_event_id)
    assert told.new_run_id == state.new_run_id
    assert told.cancel_requested == state.cancel_requested
    assert told.signals == state.signal_count
    assert max(told.completed_tasks, default=0) == state.last_completed_event_id
    named = {request for request in told.signal_requests if request}
    assert all(told.signal_requests[request] == 1 for request in named)
    assert named == run.signal_requests
    if not run.is_running:
        return
    assert told.activities == {
        event_id: info.activity_id for event_id, info in run.activities.items()
    }
    assert len(told.activities) == len(set(told.activities.values()))
    assert {activity_id: event_id for event_id, activity_id in told.activities.items()} == (
        run.activity_ids
    )
    assert told.cancelled_activities & told.activities.keys() == {
        event_id for event_id, info in run.activities.items() if info.cancel_requested
    }
    assert told.updates == {
        update_id: update.accepted_event_id
        for update_id, update in run.updates.items()
        if update.accepted_event_id
    }
    assert told.external_signals == set(run.external_signals)
    assert told.external_cancels == set(run.external_cancels)
    assert told.children == {
        event_id: info.started_event_id or (-1 if info.started_run_id else 0)
        for event_id, info in run.children.items()
    }
    assert told.timers == {timer.started_event_id: key for key, timer in run.timers.items()}
    task = state.workflow_task
    if not state.HasField("workflow_task") or is_held_back(run):
        assert written.workflow_task is None
    else:
        assert written.workflow_task == (task.scheduled_event_id, task.started_event_id)


def events_rebuild_the_state(driver: Driver, run: Run) -> None:
    """What a reset would make of the whole history is what the engine came to."""
    state = run.state
    rebuilt = Rebuilt(run.key.run_id, driver.settings.max_auto_reset_points)
    for event in driver.rows.history(run.key.run_id):
        rebuilt.apply(event)
    assert rebuilt.attributes.memo == run.attributes.memo
    assert rebuilt.attributes.search_attributes == run.attributes.search_attributes
    for name in ("next_event_id", "last_started_event_id", "last_completed_event_id", "build_id"):
        assert getattr(rebuilt.state, name) == getattr(state, name), name
    if not run.is_running or run.buffered:
        return
    # (Those of a closed run say when its history expires.)
    assert list(rebuilt.state.auto_reset_points) == list(state.auto_reset_points)
    assert rebuilt.signal_requests == run.signal_requests
    assert rebuilt.timers == {timer.started_event_id: timer for timer in run.timers.values()}
    assert set(rebuilt.initiated) == {*run.external_signals, *run.external_cancels}
    assert rebuilt.activities.keys() == run.activities.keys()
    assert rebuilt.attached == run.attached
    assert rebuilt.state.priority == state.priority
    assert rebuilt.children.keys() == run.children.keys()
    assert rebuilt.child_starts.keys() == {
        event_id for event_id, child in run.children.items() if not child.started_run_id
    }
    for event_id, child in run.children.items():
        for name in _TOLD_OF_CHILDREN:
            assert getattr(rebuilt.children[event_id], name) == getattr(child, name), name
    for event_id, told in rebuilt.activities.items():
        info = run.activities[event_id]
        for name in _TOLD_OF_ACTIVITIES:
            assert getattr(told, name) == getattr(info, name), name


_TOLD_OF_ACTIVITIES = (
    "activity_id",
    "activity_type",
    "task_queue",
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
    "retry_policy",
    "cancel_requested",
    "cancel_requested_event_id",
    "user_metadata",
)


_TOLD_OF_CHILDREN = (
    "namespace_id",
    "namespace",
    "workflow_id",
    "workflow_type",
    "parent_close_policy",
    "started_run_id",
    "started_event_id",
    "header",
    "control",
)


def workflow_task_is_where_it_says(driver: Driver, run: Run) -> None:
    state, task = run.state, run.state.workflow_task
    if not state.HasField("workflow_task"):
        return
    assert task.attempt == state.workflow_task_attempt
    assert run.speculative or not state.first_workflow_task_due
    if is_started(state) and is_held_back(run):
        assert task.scheduled_event_id == state.next_event_id
        assert task.started_event_id == state.next_event_id + 1


def readers_can_look(driver: Driver, run: Run) -> None:
    shown = describe(run)
    assert len(shown.pending_activities) == len(run.activities)
    assert shown.HasField("pending_workflow_task") == run.state.HasField("workflow_task")
    assert len(unwritten_events(run)) <= 1
    row = driver.rows.visibility[run.key.run_id]
    assert (row.status, row.close_time) == (run.state.status, run.state.close_time)
    if not run.is_running:
        assert row.history_length == run.state.next_event_id - 1
        assert row.history_size_bytes == run.state.history_size_bytes


def tasks_are_what_the_state_wants(driver: Driver) -> None:
    wanted: dict[DispatchKey, DispatchTask] = {}
    for run_id in driver.rows.runs:
        run = driver.run(run_id)
        if not run.is_running:
            continue
        if task_status(run.state) is WorkflowTaskStatus.SCHEDULED and not run.speculative:
            row = workflow_tasks.dispatch_task(run, run.state.workflow_task)
            wanted[row.key] = row
        for info in run.activities.values():
            if status(info) is ActivityStatus.SCHEDULED:
                row = activity_tasks.dispatch_task(run, info)
                wanted[row.key] = row
    assert driver.rows.tasks == wanted


def messages_are_what_the_state_wants(driver: Driver) -> None:
    wanted = {
        message_key(run, info): run.key
        for run in map(driver.run, driver.rows.runs)
        for info in [*run.external_signals.values(), *run.external_cancels.values()]
    }
    wanted |= {
        start_key(run, info): run.key
        for run in map(driver.run, driver.rows.runs)
        for info in run.children.values()
        if not info.started_run_id
    }
    # What a closed run has to say to its parent and children is remembered by its row alone.
    left = {key: row.run for key, row in driver.rows.messages.items() if key not in wanted}
    assert all(not driver.run(key.run_id).is_running for key in left.values())
    assert {key: row.run for key, row in driver.rows.messages.items() if key in wanted} == wanted
    for row in driver.rows.messages.values():
        message = stored.Message.FromString(row.data)
        assert message.id == row.key.id
        assert message.sender == driver.run(row.run.run_id).execution()


def messages_are_taken_in_once(driver: Driver) -> None:
    """What the histories and buffers have from other workflows, there are receipts of."""
    stories = [
        fold([*driver.rows.history(run_id), *driver.run(run_id).buffered.values()])
        for run_id in driver.rows.runs
    ]
    # (A run that a reset has begun has what another one has taken in.)
    assert all(count == 1 for story in stories for count in story.messages.values())
    taken = {message_id for story in stories for message_id in story.messages}
    receipts = {key.request_id: row for key, row in driver.rows.receipts.items()}
    for message_id in taken:
        receipt = stored.Receipt.FromString(receipts[message_id].data)
        assert receipt.outcome == stored.Receipt.OUTCOME_TAKEN


def at_most_one_run_is_open(driver: Driver) -> None:
    assert all(
        run_id == driver.rows.current_run_id
        for run_id in driver.rows.runs
        if driver.run(run_id).is_running
    )


CHECKS: tuple[Callable[[Driver, Run], None], ...] = (
    event_ids_are_contiguous,
    rows_say_what_memory_says,
    one_timer_row_wakes_an_open_run,
    closed_runs_leave_nothing_behind,
    buffer_is_counted_and_needed,
    worker_is_told,
    times_never_go_back,
    history_alone_says_the_same,
    events_rebuild_the_state,
    workflow_task_is_where_it_says,
    readers_can_look,
)
