"""A run in memory: what its rows say, and what can be derived from them.

Theory of operation. A run's stored half is protobuf: `start` (immutable), `state` (rewritten by
every step), `attributes`, and one row per pending activity, timer, child, signal or cancel request
to another workflow, buffered event and remembered signal request. This module loads them into a
`Run` and keeps what is derived beside them: the heap of deadlines and the newest history batches.
Only transitions change a run, through a `RunStep`, which remembers what to write.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.activity import state as activity_state
from perdure.core.commit import HistoryBatch, ItemKey, ItemKind, RunKey
from perdure.core.schedule.state import ScheduleRows, load_rows
from perdure.core.slots import slot_of
from perdure.core.timer import state as timer_state
from perdure.core.update import state as update_state
from perdure.core.workflow_task import state as workflow_task_state
from perdure.proto import stored_pb2 as stored

RUNNING = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
_DEADLINES_KEPT = 32


class DeadlineKind:
    """What is due. Plain integers: deadlines are compared in a heap on the hot path."""

    EXECUTION = 1
    RUN = 2
    FIRST_WORKFLOW_TASK = 3
    WORKFLOW_TASK = 4
    ACTIVITY = 5
    TIMER = 6
    SCHEDULE = 12
    DELETION = 180


class Deadline(NamedTuple):
    """When something is due, and what.

    `event_id` is the scheduled or started event that it is about: of things that are due at one
    time, the older one comes first, as on the real server. `timer_id` names a timer.
    """

    due: int
    kind: int
    event_id: int = 0
    timer_id: str = ""


def timer_deadline(timer: stored.TimerInfo) -> Deadline:
    """Returns when a user timer fires."""
    return Deadline(
        timer_state.deadline(timer), DeadlineKind.TIMER, timer.started_event_id, timer.timer_id
    )


@dataclass(slots=True, eq=False)
class Run:
    """One run, as the newest step left it (its commit may still be in flight).

    Updates that are not accepted, and a workflow task that is `speculative`, are only here: no row
    says anything of them. `completed_updates` names the events that say how updates ended.
    `close_attempted` says that the worker wanted to close the run and had not seen all events.
    """

    key: RunKey
    slot: int
    version: int
    start: stored.RunStart
    state: stored.RunState
    attributes: stored.Attributes
    activities: dict[int, stored.ActivityInfo] = field(default_factory=dict)
    activity_ids: dict[str, int] = field(default_factory=dict)
    timers: dict[str, stored.TimerInfo] = field(default_factory=dict)
    external_signals: dict[int, stored.ExternalInfo] = field(default_factory=dict)
    external_cancels: dict[int, stored.ExternalInfo] = field(default_factory=dict)
    children: dict[int, stored.ChildInfo] = field(default_factory=dict)
    signal_requests: set[str] = field(default_factory=set)
    attached: dict[str, stored.AttachedRequest] = field(default_factory=dict)
    buffered: dict[int, history.HistoryEvent] = field(default_factory=dict)
    schedule: ScheduleRows | None = None
    deadlines: list[Deadline] = field(default_factory=list)
    item_sizes: dict[ItemKey, int] = field(default_factory=dict)
    item_bytes: int = 0
    tail: list[HistoryBatch] = field(default_factory=list)
    tail_bytes: int = 0
    start_event: history.HistoryEvent | None = None
    parsed_batch: history.History | None = None
    updates: dict[str, update_state.Update] = field(default_factory=dict)
    completed_updates: dict[str, int] = field(default_factory=dict)
    speculative: bool = False
    close_attempted: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the run is open."""
        return self.state.status == RUNNING

    @property
    def priority(self) -> common.Priority | None:
        """The run's priority, as it is now; None when it has none."""
        if self.state.HasField("priority"):
            return self.state.priority
        return self.start.priority if self.start.HasField("priority") else None

    def execution(self) -> common.WorkflowExecution:
        """Returns the public name of this run."""
        return common.WorkflowExecution(workflow_id=self.key.workflow_id, run_id=self.key.run_id)

    def remember(self, batch: HistoryBatch, budget: int) -> None:
        """Keeps a new batch in memory, and drops the oldest ones over `budget` bytes."""
        self.tail.append(batch)
        self.tail_bytes += len(batch.blob)
        while self.tail_bytes > budget and len(self.tail) > 1:
            self.tail_bytes -= len(self.tail.pop(0).blob)

    def measure_items(self, put: Mapping[ItemKey, bytes], deleted: Iterable[ItemKey]) -> None:
        """Keeps count of what the run's rows of pending items take, as they are written."""
        for item in deleted:
            self.item_bytes -= self.item_sizes.pop(item, 0)
        for item, blob in put.items():
            self.item_bytes += len(blob) - self.item_sizes.get(item, 0)
            self.item_sizes[item] = len(blob)

    def add_deadline(self, deadline: Deadline) -> None:
        """Notes that something is due.

        What the state has overtaken is thrown out in time: else every heartbeat of a long activity
        would leave an entry behind.
        """
        heapq.heappush(self.deadlines, deadline)
        if len(self.deadlines) > _DEADLINES_KEPT + 2 * (len(self.activities) + len(self.timers)):
            # A sorted list is a heap.
            self.deadlines = sorted({each for each in self.deadlines if is_justified(self, each)})

    def next_deadline(self) -> int:
        """Returns when the run next has something to do, 0 for never.

        Deadlines that the state has overtaken are dropped on the way.
        """
        while self.deadlines:
            if is_justified(self, self.deadlines[0]):
                return self.deadlines[0].due
            heapq.heappop(self.deadlines)
        return 0

    def pop_due(self, now: int) -> Deadline | None:
        """Takes the next justified deadline that has come."""
        if self.next_deadline() and self.deadlines[0].due <= now:
            return heapq.heappop(self.deadlines)
        return None


def is_justified(run: Run, deadline: Deadline) -> bool:
    """Tells whether a deadline is still what the state says."""
    kind, due = deadline.kind, deadline.due
    if kind == DeadlineKind.DELETION:
        return run.state.deletion_due == due
    if not run.is_running:
        return False
    if kind in _OF_ITEMS:
        return _is_item_due(run, deadline)
    if kind == DeadlineKind.WORKFLOW_TASK:
        return workflow_task_state.deadline(run.state) == due
    if kind == DeadlineKind.FIRST_WORKFLOW_TASK:
        return run.state.first_workflow_task_due == due
    if kind == DeadlineKind.RUN:
        return run.start.run_expiration_time == due
    return run.start.execution_expiration_time == due


_OF_ITEMS = frozenset({DeadlineKind.ACTIVITY, DeadlineKind.TIMER, DeadlineKind.SCHEDULE})


def _is_item_due(run: Run, deadline: Deadline) -> bool:
    if deadline.kind == DeadlineKind.ACTIVITY:
        activity = run.activities.get(deadline.event_id)
        return activity is not None and activity_state.deadline(activity) == deadline.due
    if deadline.kind == DeadlineKind.TIMER:
        timer = run.timers.get(deadline.timer_id)
        return timer is not None and timer_deadline(timer) == deadline
    return run.schedule is not None and run.schedule.state.wake_time == deadline.due


def new_run(key: RunKey, start: stored.RunStart, attributes: stored.Attributes) -> Run:
    """Returns a run that has not been written yet, without events."""
    state = stored.RunState(status=RUNNING, next_event_id=1, workflow_task_attempt=1)
    run = Run(
        key=key,
        slot=slot_of(key.namespace_id, key.workflow_id),
        version=0,
        start=start,
        state=state,
        attributes=attributes,
    )
    _add_run_deadlines(run)
    return run


def load_run(
    key: RunKey, version: int, start: bytes, state: bytes, items: Mapping[ItemKey, bytes]
) -> Run:
    """Returns a run from its rows."""
    run = Run(
        key=key,
        slot=slot_of(key.namespace_id, key.workflow_id),
        version=version,
        start=stored.RunStart.FromString(start),
        state=stored.RunState.FromString(state),
        attributes=stored.Attributes(),
    )
    for item, blob in items.items():
        _load_item(run, item, blob)
    run.schedule = load_rows(items)
    run.measure_items(items, ())
    _restore_order(run)
    _restore_deadlines(run)
    return run


def _restore_order(run: Run) -> None:
    """Puts pending items in the order in which they were added: a store has one of its own."""
    run.buffered = dict(sorted(run.buffered.items()))
    run.activities = dict(sorted(run.activities.items()))
    run.activity_ids = {info.activity_id: event_id for event_id, info in run.activities.items()}
    run.external_signals = dict(sorted(run.external_signals.items()))
    run.external_cancels = dict(sorted(run.external_cancels.items()))
    run.children = dict(sorted(run.children.items()))
    run.timers = dict(sorted(run.timers.items(), key=lambda item: item[1].started_event_id))
    run.updates = dict(
        sorted(
            run.updates.items(),
            key=lambda item: item[1].admitted_event_id or item[1].accepted_event_id,
        )
    )


def _load_item(run: Run, item: ItemKey, blob: bytes) -> None:
    match item.kind:
        case ItemKind.ATTRIBUTES:
            run.attributes = stored.Attributes.FromString(blob)
        case ItemKind.ACTIVITY:
            activity = stored.ActivityInfo.FromString(blob)
            run.activities[activity.scheduled_event_id] = activity
        case ItemKind.TIMER:
            run.timers[item.key] = stored.TimerInfo.FromString(blob)
        case ItemKind.EXTERNAL_SIGNAL:
            run.external_signals[int(item.key)] = stored.ExternalInfo.FromString(blob)
        case ItemKind.EXTERNAL_CANCEL:
            run.external_cancels[int(item.key)] = stored.ExternalInfo.FromString(blob)
        case ItemKind.CHILD:
            run.children[int(item.key)] = stored.ChildInfo.FromString(blob)
        case ItemKind.BUFFERED_EVENT:
            run.buffered[int(item.key)] = history.HistoryEvent.FromString(blob)
        case _:
            _load_request(run, item, blob)


def _load_request(run: Run, item: ItemKey, blob: bytes) -> None:
    match item.kind:
        case ItemKind.SIGNAL_REQUEST:
            run.signal_requests.add(item.key)
        case ItemKind.UPDATE:
            _load_update(run, stored.UpdateInfo.FromString(blob))
        case ItemKind.CALLBACK:
            run.attached[item.key] = stored.AttachedRequest.FromString(blob)


def _load_update(run: Run, info: stored.UpdateInfo) -> None:
    if info.completed_event_id:
        run.completed_updates[info.update_id] = info.completed_event_id
    else:
        run.updates[info.update_id] = update_state.from_row(info)


def _add_run_deadlines(run: Run) -> None:
    if run.start.execution_expiration_time:
        run.add_deadline(Deadline(run.start.execution_expiration_time, DeadlineKind.EXECUTION))
    if run.start.run_expiration_time:
        run.add_deadline(Deadline(run.start.run_expiration_time, DeadlineKind.RUN))


def _restore_deadlines(run: Run) -> None:
    _add_run_deadlines(run)
    if due := run.state.deletion_due:
        run.add_deadline(Deadline(due, DeadlineKind.DELETION))
    if due := run.state.first_workflow_task_due:
        run.add_deadline(Deadline(due, DeadlineKind.FIRST_WORKFLOW_TASK))
    if due := workflow_task_state.deadline(run.state):
        run.add_deadline(Deadline(due, DeadlineKind.WORKFLOW_TASK))
    for event_id, activity in run.activities.items():
        if due := activity_state.deadline(activity):
            run.add_deadline(Deadline(due, DeadlineKind.ACTIVITY, event_id))
    for timer in run.timers.values():
        run.add_deadline(timer_deadline(timer))
    if run.schedule is not None and (due := run.schedule.state.wake_time):
        run.add_deadline(Deadline(due, DeadlineKind.SCHEDULE))
