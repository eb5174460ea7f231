"""One step of one workflow id: collects what changes, and ends as one `Commit`.

Rules that hold here: a step validates before it mutates. Once it has mutated it either finishes or
its workflow is dropped from memory, so that nothing half-done is ever seen. A step may take several
inputs one after the other (a fused start: scheduled and started in one commit).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.activity import state as activity_state
from perdure.core.commit import (
    ActivityOutcome,
    Commit,
    CurrentWrite,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
    ItemKind,
    MessageKey,
    MessageRow,
    ReceiptRow,
    RunWrite,
    ScheduleOutcome,
    TimerRow,
)
from perdure.core.outcomes import RunSizes, WorkflowTaskOutcome
from perdure.core.protobuf import set_timestamp
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.buffer import link_started, reordered
from perdure.core.workflow.causes import with_cause
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow.state import Deadline, DeadlineKind, Run
from perdure.core.workflow.visibility import visibility_row
from perdure.core.workflow_task.events import make_durable
from perdure.core.workflow_task.state import is_started
from perdure.proto import stored_pb2 as stored


class StepIds(Protocol):
    """The identifiers and randomness that a step may use."""

    def run_id(self) -> str:
        """Returns a new run id."""
        ...

    def request_id(self) -> str:
        """Returns a random id for what the server itself asks for."""
        ...

    def nonce(self) -> str:
        """Returns 16 random hexadecimal digits."""
        ...

    def task_id(self) -> int:
        """Returns a number higher than every one before, in this store."""
        ...

    def random(self) -> float:
        """Returns a number in [0, 1)."""
        ...


@dataclass(slots=True, frozen=True)
class StepContext:
    """What a step is told from outside.

    Attributes:
        now: The time, in nanoseconds since the Unix epoch.
        ids: Where identifiers come from.
        epoch: The epoch under which the slot is owned.
        settings: Limits and defaults.
        namespace: The namespace's name.
        retention: How long closed runs are kept, in nanoseconds.
        search_attributes: The custom search attributes that exist, with their types.
        find_namespace: Returns the id of a namespace by its name; raises NamespaceNotFoundError.
        has_poller: Tells whether a worker polls a sticky queue of this namespace.
        tail_budget: How many bytes of a run's newest history stay in memory.
        start_pause: Reserves a start by a schedule of this namespace; returns how long it must
            wait, in nanoseconds.
        cause: The sampled span that the step is made in, as it is stored; empty without tracing.
    """

    now: int
    ids: StepIds
    epoch: int
    settings: WorkflowSettings
    namespace: str
    retention: int
    search_attributes: Mapping[str, ValueType]
    find_namespace: Callable[[str], str]
    has_poller: Callable[[str], bool]
    tail_budget: int
    start_pause: Callable[[], int] = lambda: 0
    cause: bytes = b""


class NeedsStartEvent(Exception):
    """The step must see a run's first event: load it into `Run.start_event` and step again.

    Raised before anything is changed.

    Attributes:
        run: The run whose event is needed.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run.key.run_id)
        self.run = run


@dataclass(slots=True, eq=False)
class RunStep:
    """What a step changes in one run.

    Of a speculative workflow task nothing is written: `offers` holds what of it goes to matching,
    `watched` says that it has another deadline, and `wakes` that updates have changed in memory.
    """

    run: Run
    context: StepContext
    now: int
    expected_version: int
    batch: history.History = field(default_factory=history.History)
    items_put: dict[ItemKey, bytes] = field(default_factory=dict)
    items_deleted: set[ItemKey] = field(default_factory=set)
    dirty_activities: set[int] = field(default_factory=set)
    tasks_added: dict[DispatchKey, DispatchTask] = field(default_factory=dict)
    tasks_deleted: list[DispatchKey] = field(default_factory=list)
    messages_added: dict[MessageKey, MessageRow] = field(default_factory=dict)
    messages_deleted: list[MessageKey] = field(default_factory=list)
    outcomes: list[ActivityOutcome] = field(default_factory=list)
    schedule_outcomes: list[ScheduleOutcome] = field(default_factory=list)
    task_outcomes: list[WorkflowTaskOutcome] = field(default_factory=list)
    copied: list[HistoryBatch] = field(default_factory=list)
    """Batches of another run's history that this new run begins with."""
    visibility_changed: bool = False
    touched: bool = False
    holds_external: bool = False
    is_reset: bool = False
    """Whether the run closes because another one takes its place, which reports in its stead."""
    deleted: bool = False
    transitions: int = 1
    offers: dict[DispatchKey, DispatchTask] = field(default_factory=dict)
    watched: bool = False
    wakes: bool = False

    @property
    def state(self) -> stored.RunState:
        """The run's mutable half."""
        return self.run.state

    # Events

    def event(self, event_type: events.EventType.ValueType) -> history.HistoryEvent:
        """Appends an event that belongs to a workflow task, and returns it to be filled in."""
        if self.run.speculative:
            make_durable(self)
        state = self.run.state
        event = self.batch.events.add()
        event.event_id = state.next_event_id
        event.event_type = event_type
        set_timestamp(event.event_time, self.now)
        event.task_id = self.context.ids.task_id()
        state.next_event_id += 1
        self.touched = True
        return event

    def external_event(
        self,
        event_type: events.EventType.ValueType,
        fill: Callable[[history.HistoryEvent], None],
    ) -> bool:
        """Records an event from outside: appended, or buffered while a workflow task is started.

        While commands are applied it waits too (`holds_external`): it comes after their events.

        Returns:
            Whether it was appended (so that a workflow task may be needed for it).
        """
        if self.run.speculative:
            make_durable(self)
        if not is_started(self.run.state) and not self.holds_external:
            fill(self.event(event_type))
            return True
        event = history.HistoryEvent(event_type=event_type)
        set_timestamp(event.event_time, self.now)
        event.task_id = self.context.ids.task_id()
        fill(event)
        self._buffer(event)
        return False

    def _buffer(self, event: history.HistoryEvent) -> None:
        state = self.run.state
        key = state.next_buffer_key
        state.next_buffer_key += 1
        state.buffered_event_count += 1
        blob = event.SerializeToString()
        state.buffered_event_bytes += len(blob)
        self.run.buffered[key] = event
        self.put_item(ItemKey(ItemKind.BUFFERED_EVENT, str(key)), blob)

    def unbuffer(self, key: int) -> None:
        """Drops a buffered event."""
        event = self.run.buffered.pop(key)
        self.state.buffered_event_count -= 1
        self.state.buffered_event_bytes -= event.ByteSize()
        item = ItemKey(ItemKind.BUFFERED_EVENT, str(key))
        if self.items_put.pop(item, None) is None:
            self.delete_item(item)

    def flush_buffer(self) -> bool:
        """Appends the buffered events; returns whether there were any."""
        run = self.run
        if not run.buffered:
            return False
        started: dict[int, int] = {}
        for key, event in reordered(run.buffered):
            self.unbuffer(key)
            event_id = run.state.next_event_id
            event.event_id = event_id
            link_started(event, started)
            self._link_child(event)
            self._note_attached(event)
            self.batch.events.append(event)
            run.state.next_event_id += 1
        self.touched = True
        return True

    def _link_child(self, event: history.HistoryEvent) -> None:
        # Whether a child has started is known before the event that says so has an id.
        if event.event_type != events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            return
        attributes = event.child_workflow_execution_started_event_attributes
        info = self.run.children.get(attributes.initiated_event_id)
        if info is not None:
            info.started_event_id = event.event_id
            item = ItemKey(ItemKind.CHILD, str(info.initiated_event_id))
            self.put_item(item, info.SerializeToString())

    def _note_attached(self, event: history.HistoryEvent) -> None:
        """Notes which event attached a request, once a buffered one has its id."""
        attributes = event.workflow_execution_options_updated_event_attributes
        attached = self.run.attached.get(attributes.attached_request_id)
        if attached is not None and not attached.event_id:
            attached.event_id = event.event_id
            item = ItemKey(ItemKind.CALLBACK, attached.request_id)
            self.put_item(item, attached.SerializeToString())

    # Rows

    def put_item(self, item: ItemKey, blob: bytes) -> None:
        """Writes a row of the run's pending items."""
        self.items_deleted.discard(item)
        self.items_put[item] = blob
        self.touched = True

    def delete_item(self, item: ItemKey) -> None:
        """Deletes a row of the run's pending items."""
        self.items_put.pop(item, None)
        self.items_deleted.add(item)
        self.touched = True

    def put_activity(self, activity: stored.ActivityInfo) -> None:
        """Notes that an activity has changed, and when it next has something to do."""
        self.dirty_activities.add(activity.scheduled_event_id)
        self.touched = True
        if due := activity_state.deadline(activity):
            self.run.add_deadline(Deadline(due, DeadlineKind.ACTIVITY, activity.scheduled_event_id))

    def delete_activity(self, activity: stored.ActivityInfo) -> None:
        """Removes a closed activity."""
        event_id = activity.scheduled_event_id
        del self.run.activities[event_id]
        del self.run.activity_ids[activity.activity_id]
        self.dirty_activities.discard(event_id)
        self.delete_item(ItemKey(ItemKind.ACTIVITY, str(event_id)))

    def put_attributes(self) -> None:
        """Notes that memo or search attributes have changed."""
        self.put_item(ItemKey(ItemKind.ATTRIBUTES, ""), self.run.attributes.SerializeToString())
        self.visibility_changed = True

    def add_task(self, task: DispatchTask) -> None:
        """Writes a task to be dispatched."""
        self.tasks_added[task.key] = task
        self.touched = True

    def delete_task(self, key: DispatchKey) -> None:
        """Deletes a task: it has started, or nobody needs it any more.

        An activity that is handed out eagerly has no row yet, and a task id of 0.
        """
        if self.tasks_added.pop(key, None) is None and key.task_id:
            self.tasks_deleted.append(key)
        self.touched = True

    def offer(self, task: DispatchTask) -> None:
        """Hands a task to matching that has no row."""
        self.offers[task.key] = task

    def add_message(self, row: MessageRow) -> None:
        """Writes a message to another workflow, with the span that it is written in."""
        self.messages_added[row.key] = with_cause(row, self.context.cause)
        self.touched = True

    def delete_message(self, key: MessageKey) -> None:
        """Deletes a message: its outcome is known, or nobody wants to know it any more."""
        if self.messages_added.pop(key, None) is None:
            self.messages_deleted.append(key)
        self.touched = True

    def finish(self, commit: Commit) -> None:
        """Adds what changed to a commit, and makes the run's in-memory version the new one."""
        run = self.run
        state = run.state
        if self.deleted:
            self._delete(commit)
            return
        if run.speculative:
            make_durable(self)
        state.state_transition_count += self.transitions
        # Also when no event was written: what is buffered or held back has this time.
        state.last_event_time = self.now
        write = RunWrite(
            run_id=run.key.run_id,
            expected_version=self.expected_version,
            state=b"",
            version=self.context.ids.task_id(),
        )
        write.history.extend(self.copied)
        if self.batch.events:
            blob = self.batch.SerializeToString()
            state.history_size_bytes += len(blob)
            batch = HistoryBatch(
                self.batch.events[0].event_id, self.batch.events[-1].event_id, blob
            )
            write.history.append(batch)
            run.remember(batch, self.context.tail_budget)
            if self.dirty_activities:
                # Starting the activities needs their scheduled events again, soon.
                run.parsed_batch = self.batch
        for event_id in self.dirty_activities:
            item = ItemKey(ItemKind.ACTIVITY, str(event_id))
            self.items_put[item] = run.activities[event_id].SerializeToString()
        self._arm_timer(commit)
        write.items_put, write.items_deleted = self.items_put, self.items_deleted
        run.measure_items(self.items_put, self.items_deleted)
        write.state = state.SerializeToString()
        if not self.expected_version:
            write.start = run.start.SerializeToString()
        run.version = write.version
        commit.runs.append(write)
        commit.tasks_added.extend(self.tasks_added.values())
        commit.tasks_deleted.extend(self.tasks_deleted)
        commit.messages_added.extend(self.messages_added.values())
        commit.messages_deleted.extend(self.messages_deleted)
        self._report(commit, len(write.state))
        if self.visibility_changed:
            commit.visibility.append(visibility_row(run, self.context.search_attributes))

    def _report(self, commit: Commit, state_bytes: int) -> None:
        """Says what observers are to be told once it is durable."""
        run, state = self.run, self.run.state
        commit.outcomes.extend(self.outcomes)
        commit.schedule_outcomes.extend(self.schedule_outcomes)
        commit.task_outcomes.extend(self.task_outcomes)
        commit.sizes.append(
            RunSizes(
                state.state_transition_count,
                state.next_event_id - 1,
                state.history_size_bytes,
                state_bytes + run.item_bytes,
                closed=self.visibility_changed and not run.is_running,
            )
        )

    def _delete(self, commit: Commit) -> None:
        """Removes a closed run: it has no tasks, and its messages outlive it."""
        run = self.run
        if run.state.timer_due:
            commit.timers_deleted.append(TimerRow(run.state.timer_due, run.slot, run.key))
        commit.runs.append(
            RunWrite(
                run_id=run.key.run_id,
                expected_version=self.expected_version,
                state=b"",
                version=self.context.ids.task_id(),
                deleted=True,
            )
        )

    def _arm_timer(self, commit: Commit) -> None:
        # A row that is too early costs one idle wake-up; replacing it by each later deadline would
        # cost a write per workflow task.
        run, state = self.run, self.run.state
        due = run.next_deadline()
        armed = state.timer_due
        if armed and ((not due and not run.is_running) or (due and due < armed)):
            commit.timers_deleted.append(TimerRow(armed, run.slot, run.key))
            armed = 0
        if due and not armed:
            commit.timers_added.append(TimerRow(due, run.slot, run.key))
            armed = due
        state.timer_due = armed


@dataclass(slots=True, eq=False)
class Step:
    """A step over the runs of one workflow id."""

    context: StepContext
    current: Run | None
    runs: dict[str, RunStep] = field(default_factory=dict)
    new_current: Run | None = None
    fired_timers: list[TimerRow] = field(default_factory=list)
    receipts: list[ReceiptRow] = field(default_factory=list)
    stale_messages: list[MessageRow] = field(default_factory=list)

    @property
    def now(self) -> int:
        """The time: not before anything that has happened to the workflow id, whatever clock.

        A run that follows another begins no earlier than that one's last event.
        """
        if self.current is None:
            return self.context.now
        return max(self.context.now, self.current.state.last_event_time)

    def edit(self, run: Run) -> RunStep:
        """Returns the collector for a run's changes."""
        collector = self.runs.get(run.key.run_id)
        if collector is None:
            now = max(self.now, run.state.last_event_time)
            collector = RunStep(run, self.context, now, run.version)
            self.runs[run.key.run_id] = collector
        return collector

    def make_current(self, run: Run) -> RunStep:
        """Makes a new run the workflow id's current one."""
        self.new_current = run
        return self.edit(run)

    def consume_timer(self, row: TimerRow, run: Run) -> None:
        """Deletes a timer row that has fired."""
        self.fired_timers.append(row)
        if run.state.timer_due == row.due:
            run.state.timer_due = 0
        change = self.edit(run)
        if not change.touched:
            # It came too early, and nobody sees that anything happened.
            change.transitions = 0
        change.touched = True

    def add_receipt(self, receipt: ReceiptRow) -> None:
        """Notes that a message was taken in, whether or not it changes a run."""
        self.receipts.append(receipt)

    def drop_message(self, row: MessageRow) -> None:
        """Deletes a message that no run of the workflow id waits for any more."""
        self.stale_messages.append(row)

    def finish(self) -> Commit | None:
        """Ends the step; None when it changed nothing."""
        touched = [collector for collector in self.runs.values() if collector.touched]
        if touched:
            namespace_id, workflow_id, _ = touched[0].run.key
            slot = touched[0].run.slot
        elif self.receipts:
            namespace_id, workflow_id, _ = self.receipts[0].key
            slot = self.receipts[0].slot
        elif self.stale_messages:
            namespace_id, workflow_id, _ = self.stale_messages[0].run
            slot = self.stale_messages[0].key.slot
        else:
            return None
        commit = Commit(
            namespace_id=namespace_id,
            workflow_id=workflow_id,
            slot=slot,
            epoch=self.context.epoch,
            timers_deleted=list(self.fired_timers),
            messages_deleted=[row.key for row in self.stale_messages],
            receipts_added=list(self.receipts),
        )
        for collector in touched:
            collector.finish(commit)
        if self.new_current is not None:
            before = self.current.key.run_id if self.current else ""
            commit.current = CurrentWrite(before, self.new_current.key.run_id)
        return commit
