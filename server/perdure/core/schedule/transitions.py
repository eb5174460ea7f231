"""What can happen to a schedule.

    (client) ── create ─► OPEN ── wake | patch | update ─► OPEN
                           ├──── wake, with nothing left to do for a week ─► closed
                           └──── delete ─► closed

Everything that happens first takes the times in that have come due meanwhile, by the definition as
it was; then it changes something, and then it does what there is to do.
"""

from collections.abc import Callable, Sequence

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import RunKey
from perdure.core.errors import WorkflowExecutionAlreadyStartedError
from perdure.core.protobuf import set_duration, timestamp_ns
from perdure.core.schedule.processing import (
    BufferedStart,
    add_start,
    bump,
    idle_until,
    process,
    rows_of,
    take_due,
)
from perdure.core.schedule.rows import token
from perdure.core.schedule.sending import forget_starts
from perdure.core.schedule.spec import canonical
from perdure.core.schedule.state import (
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    WORKFLOW_TYPE,
    ScheduleRows,
)
from perdure.core.transition import transition
from perdure.core.workflow.close import Termination, complete, terminate
from perdure.core.workflow.start import NewRun, begin
from perdure.core.workflow.status import RunStatus, status_of
from perdure.core.workflow.step import RunStep, Step
from perdure.proto import stored_pb2 as stored

OPEN, CLOSED = RunStatus.RUNNING, RunStatus.CLOSED
MOST_REQUEST_IDS = 100
"""Request ids of patches and updates that a schedule remembers, to tell repeated ones apart."""


def create(step: Step, key: RunKey, request: wf.CreateScheduleRequest) -> bytes:
    """Creates a schedule, and returns its conflict token.

    Args:
        step: The step of the schedule's workflow id.
        key: The new run's; its run id is used only if one is made.
        request: A request that the frontend has checked.

    Raises:
        WorkflowExecutionAlreadyStartedError: There is one of that id, by another request.
    """
    existing = step.current
    if existing is not None and existing.is_running:
        if existing.start.request_id == request.request_id and existing.schedule is not None:
            return token(existing.schedule.state.conflict_token)
        schedule_id = key.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        raise WorkflowExecutionAlreadyStartedError(
            f'schedule "{schedule_id}" is already registered',
            start_request_id="",
            run_id="",
            first_run_id="",
        )
    change = begin(step, key, _new_run(step, key, request))
    definition = _definition(request.schedule)
    state = stored.ScheduleState(
        conflict_token=1, create_time=change.now, processed_time=change.now
    )
    change.run.schedule = ScheduleRows(definition, state, is_changed=True)
    if request.HasField("initial_patch"):
        _apply(change, request.initial_patch)
    process(change)
    return token(1)


def _new_run(step: Step, key: RunKey, request: wf.CreateScheduleRequest) -> NewRun:
    attributes = history.WorkflowExecutionStartedEventAttributes(
        workflow_id=key.workflow_id,
        original_execution_run_id=key.run_id,
        first_execution_run_id=key.run_id,
        identity=request.identity,
        attempt=1,
        memo=request.memo,
        search_attributes=request.search_attributes,
    )
    attributes.workflow_type.name = WORKFLOW_TYPE
    attributes.task_queue.name = TASK_QUEUE
    attributes.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    set_duration(attributes.workflow_task_timeout, step.context.settings.max_workflow_task_timeout)
    set_duration(attributes.first_workflow_task_backoff, 0)
    return NewRun(key.run_id, attributes, request.request_id)


def _definition(given: schedule.Schedule) -> schedule.Schedule:
    definition = schedule.Schedule()
    definition.CopyFrom(given)
    definition.spec.CopyFrom(canonical(given.spec))
    if definition.action.HasField("start_workflow"):
        queue = definition.action.start_workflow.task_queue
        queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    return definition


@transition(status_of, sources={OPEN}, target={OPEN, CLOSED})
def wake(change: RunStep) -> None:
    """Does what time asks for; a schedule that has been idle for long enough ends."""
    rows = rows_of(change)
    wakes_to_end = rows.state.wake_time == idle_until(rows)
    rows.state.wake_time = 0
    process(change)
    if wakes_to_end and rows.state.wake_time == idle_until(rows) <= change.now:
        complete(change, commands.CompleteWorkflowExecutionCommandAttributes(), 0)


@transition(status_of, sources={OPEN}, target={OPEN})
def patch(change: RunStep, request: wf.PatchScheduleRequest) -> None:
    """Triggers, backfills, pauses or goes on; a repeated request does nothing."""
    _once(change, request.request_id, lambda: _apply(change, request.patch))


@transition(status_of, sources={OPEN}, target={OPEN})
def update(change: RunStep, request: wf.UpdateScheduleRequest) -> None:
    """Replaces the definition, unless it has changed since the caller saw it.

    As on the real server, a caller whose conflict token is old is not told.
    """
    _once(change, request.request_id, lambda: _replace(change, request))


@transition(status_of, sources={OPEN}, target={CLOSED})
def delete(change: RunStep, identity: str) -> None:
    """Ends the schedule; what it has started goes on."""
    forget_starts(change, rows_of(change))
    terminate(change, Termination(reason="terminated by user via frontend", identity=identity))


def _once(change: RunStep, request_id: str, act: Callable[[], None]) -> None:
    state = rows_of(change).state
    if request_id and request_id in state.request_ids:
        return
    if request_id:
        state.request_ids.append(request_id)
        del state.request_ids[:-MOST_REQUEST_IDS]
    take_due(change)
    act()
    process(change)


def _apply(change: RunStep, asked: schedule.SchedulePatch) -> None:
    rows = rows_of(change)
    if asked.HasField("trigger_immediately"):
        trigger = asked.trigger_immediately
        wanted = timestamp_ns(trigger.scheduled_time) or change.now
        start = BufferedStart(
            nominal_time=wanted,
            actual_time=wanted,
            overlap_policy=trigger.overlap_policy,
            manual=True,
        )
        add_start(change, start)
    _add_backfills(rows, asked.backfill_request)
    for note, paused in ((asked.pause, True), (asked.unpause, False)):
        if note:
            rows.definition.state.paused = paused
            rows.definition.state.notes = note
            bump(rows)


def _add_backfills(rows: ScheduleRows, asked: Sequence[schedule.BackfillRequest]) -> None:
    for each in asked:
        rows.state.backfills.add(
            # A time at the very start counts.
            after=timestamp_ns(each.start_time) - 1_000_000,
            end_time=timestamp_ns(each.end_time),
            overlap_policy=each.overlap_policy,
        )


def _replace(change: RunStep, request: wf.UpdateScheduleRequest) -> None:
    rows = rows_of(change)
    expected = request.conflict_token
    if expected and expected != token(rows.state.conflict_token):
        return
    rows.definition.CopyFrom(_definition(request.schedule))
    if request.HasField("search_attributes"):
        _replace_attributes(change, request.search_attributes)
    rows.state.update_time = change.now
    rows.state.processed_time = max(rows.state.processed_time, change.now)
    bump(rows)


def _replace_attributes(change: RunStep, wanted: common.SearchAttributes) -> None:
    change.run.attributes.search_attributes.CopyFrom(wanted)
