"""What a schedule does when it has something to do: time passed, a request, an answer.

    (spec) ── take_due ─► buffered ── start_buffered ─► starting ── started ─► running ── closed ─►
    (backfill) ──────────────▲                             └── refused ─► (nothing)

Theory of operation. Every step first buffers the times that have come due, then a few of those of
backfills, then starts what overlap policies let go ahead. A start is a message to the workflow's
own slot; its answer is the next step, and so is the message with which a workflow that was waited
for says that it is over. Last, the step decides when the schedule next wakes.

A start that would be one too many at the time, of all schedules of the namespace, is told until
when to wait; it stays in the buffer, and goes then without asking again.

Rules that hold here: a time that has come due is buffered once, since `processed_time` moves with
it; a buffered start is sent once, since it leaves the buffer in the commit with its message. One
step looks at a bounded number of times and wakes at once for the rest.
"""

from itertools import islice

from temporalio.api.enums.v1 import schedule_pb2 as enums

from perdure.core.commit import ScheduleEvent, ScheduleOutcome
from perdure.core.protobuf import seconds, timestamp_ns
from perdure.core.schedule import rows
from perdure.core.schedule.overlaps import Decision, decide
from perdure.core.schedule.sending import end_workflow, start_workflow
from perdure.core.schedule.state import ScheduleRows
from perdure.core.schedule.times import CompiledSpec, compiled
from perdure.core.workflow.state import Deadline, DeadlineKind
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

MOST_BUFFERED = 1000
MOST_LOOKED_AT = 1000
"""Times that one step looks at."""
LEAST_PAUSE = seconds(0.001)
MOST_STARTED = 20
"""Starts that one step sends: each carries the whole input of its workflow."""
BACKFILLS_PER_STEP = 10
BACKFILL_PAUSE = seconds(1)
KEPT_IDLE = seconds(7 * 86_400)
"""For how long a schedule that will do nothing more is kept."""

BufferedStart = stored.ScheduleState.BufferedStart


def rows_of(change: RunStep) -> ScheduleRows:
    """Returns the rows of a schedule's run."""
    schedule = change.run.schedule
    assert schedule is not None, "only schedules come here"
    return schedule


def seed_of(change: RunStep) -> str:
    """Returns what a schedule's jitter follows from."""
    return f"{change.run.key.namespace_id}\0{change.run.key.workflow_id}"


def process(change: RunStep) -> None:
    """Does whatever there is to do now, and decides when there is more to do."""
    schedule = rows_of(change)
    if not change.run.is_running:
        return
    take_due(change)
    _take_backfills(change)
    start_buffered(change)
    _set_wake_time(change, schedule)
    rows.write(change, schedule)


def bump(schedule: ScheduleRows) -> None:
    """Notes that the definition has changed: also for whoever is about to replace it."""
    schedule.is_changed = True
    schedule.state.conflict_token += 1


def add_start(change: RunStep, start: BufferedStart) -> None:
    """Buffers a start, unless the buffer is full."""
    state = rows_of(change).state
    if len(state.buffered) >= MOST_BUFFERED:
        state.buffer_dropped += 1
        change.schedule_outcomes.append(ScheduleOutcome(ScheduleEvent.DROPPED))
    else:
        state.buffered.append(start)


def take_due(change: RunStep) -> None:
    """Buffers the times of the spec that have come due."""
    schedule = rows_of(change)
    state, now = schedule.state, change.now
    if not schedule.has_actions_left:
        state.processed_time = max(state.processed_time, now)
        return
    spec = compiled(schedule.definition.spec)
    found = spec.between(seed_of(change), state.processed_time, now)
    for due in islice(found, MOST_LOOKED_AT):
        state.processed_time = due.actual
        if due.actual >= state.update_time:
            if now - due.actual > schedule.catchup_window:
                state.missed_catchup_window += 1
                change.schedule_outcomes.append(ScheduleOutcome(ScheduleEvent.MISSED))
            else:
                start = BufferedStart(nominal_time=due.nominal, actual_time=due.actual)
                add_start(change, start)


def _take_backfills(change: RunStep) -> None:
    schedule = rows_of(change)
    state, spec = schedule.state, compiled(schedule.definition.spec)
    left = min(BACKFILLS_PER_STEP, MOST_BUFFERED // 2 - len(state.buffered))
    while state.backfills and left > 0:
        backfill = state.backfills[0]
        for due in spec.between(seed_of(change), backfill.after, backfill.end_time):
            if not left:
                return
            left -= 1
            backfill.after = due.actual
            add_start(
                change,
                BufferedStart(
                    nominal_time=due.nominal,
                    actual_time=due.actual,
                    overlap_policy=backfill.overlap_policy,
                    manual=True,
                ),
            )
        del state.backfills[0]


def start_buffered(change: RunStep) -> None:
    """Sends the starts that overlap policies let go ahead, and ends what has to make room."""
    schedule = rows_of(change)
    state = schedule.state
    if not schedule.definition.action.HasField("start_workflow"):
        del state.buffered[:]
        return
    awaited = any(not each.overlapping for each in state.starting)
    decision = decide(
        state.buffered,
        is_running=awaited or bool(state.running),
        resolve=schedule.overlap_policy,
    )
    later = [*_start_each(change, decision), *decision.waiting]
    waiting = [BufferedStart.FromString(each.SerializeToString()) for each in later]
    del state.buffered[:]
    state.buffered.extend(waiting)
    state.overlap_skipped += decision.skipped
    change.schedule_outcomes += [ScheduleOutcome(ScheduleEvent.SKIPPED)] * decision.skipped
    if decision.terminate or decision.cancel:
        for running in state.running:
            end_workflow(change, running, terminate=decision.terminate)


def _start_each(change: RunStep, decision: Decision) -> list[BufferedStart]:
    """Sends the starts that go ahead; returns those that have to wait for their turn."""
    left, tried = [], 0
    for start in decision.beside:
        is_tried = start.held_until <= change.now and tried < MOST_STARTED
        tried += is_tried
        if not is_tried or not _start_one(change, start, overlapping=True):
            left.append(start)
    alone = decision.alone
    if alone is not None and not _start_one(change, alone, overlapping=False):
        left.append(alone)
    return left


def _start_one(change: RunStep, start: BufferedStart, *, overlapping: bool) -> bool:
    """Sends a start unless it must wait: then it is told until when, once."""
    if not start.held_until and (pause := change.context.start_pause()):
        start.held_until = change.now + pause
        change.schedule_outcomes.append(ScheduleOutcome(ScheduleEvent.DELAYED))
    if start.held_until > change.now:
        return False
    schedule = rows_of(change)
    if _spend(schedule, start):
        start_workflow(change, schedule, start, overlapping=overlapping)
    return True


def _spend(schedule: ScheduleRows, start: BufferedStart) -> bool:
    """Tells whether a start may go ahead, and counts it where actions are limited."""
    if start.manual:
        return True
    if not schedule.has_actions_left:
        return False
    state = schedule.definition.state
    if state.limited_actions:
        state.remaining_actions -= 1
        # Somebody may be about to replace the definition by one with more actions.
        bump(schedule)
    return True


def _set_wake_time(change: RunStep, schedule: ScheduleRows) -> None:
    state = schedule.state
    state.wake_time = _next_wake(change, schedule, compiled(schedule.definition.spec))
    if state.wake_time:
        change.run.add_deadline(Deadline(state.wake_time, DeadlineKind.SCHEDULE))


def _next_wake(change: RunStep, schedule: ScheduleRows, spec: CompiledSpec) -> int:
    state = schedule.state
    found: list[int] = []
    if state.backfills and len(state.buffered) < MOST_BUFFERED // 2:
        found.append(change.now + BACKFILL_PAUSE)
    held = [each.held_until for each in state.buffered if each.held_until]
    if held:
        found.append(max(min(held), change.now + LEAST_PAUSE))
    free = [each.overlap_policy for each in state.buffered if not each.held_until]
    policies = set(map(schedule.overlap_policy, free))
    if enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL in policies:
        found.append(change.now + LEAST_PAUSE)
    if schedule.has_actions_left:
        due = spec.next_due(seed_of(change), state.processed_time)
        if due is not None:
            # What is left to look at is looked at by a step of its own.
            found.append(max(due.actual, change.now + LEAST_PAUSE))
    busy = state.backfills or state.buffered or state.starting
    if not found and not busy and not schedule.definition.state.paused:
        return idle_until(schedule)
    return min(found, default=0)


def idle_until(schedule: ScheduleRows) -> int:
    """Returns until when a schedule is kept that has nothing more to do."""
    state = schedule.state
    last = max(state.create_time, state.update_time)
    if state.recent_actions:
        last = max(last, timestamp_ns(state.recent_actions[-1].actual_time))
    return last + KEPT_IDLE
