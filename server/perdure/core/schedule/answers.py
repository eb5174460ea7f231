"""What a schedule hears of the workflows that it starts."""

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.commit import MessageRow, ScheduleEvent, ScheduleOutcome
from perdure.core.protobuf import set_timestamp
from perdure.core.schedule.processing import bump, process, rows_of
from perdure.core.schedule.rows import SHOWN_ACTIONS
from perdure.core.schedule.state import ScheduleRows
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

PendingStart = stored.ScheduleState.PendingStart
Closed = stored.Message.ScheduledClosed

_FAILED = frozenset(
    {enums.WORKFLOW_EXECUTION_STATUS_FAILED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT}
)


def settle(change: RunStep, row: MessageRow, receipt: stored.Receipt) -> None:
    """Records what came of a message, deletes its row, and goes on."""
    schedule = rows_of(change)
    change.delete_message(row.key)
    pending = _take_pending(schedule, row.key.id)
    if pending is None:
        # It was to end a workflow, or its workflow has said already that it is over.
        return
    if receipt.HasField("scheduled_started"):
        started = receipt.scheduled_started
        _record_start(change, pending, started.run_id, started.start_time)
    else:
        change.schedule_outcomes.append(ScheduleOutcome(ScheduleEvent.REFUSED))
    process(change)


def closed(change: RunStep, message: Closed) -> None:
    """Records that a workflow is over which the schedule has started, and goes on."""
    schedule = rows_of(change)
    pending = _take_pending(schedule, message.start_id)
    if pending is not None:
        # It was over before its start was answered.
        _record_start(change, pending, message.first_run_id, message.start_time)
    state = schedule.state
    for index, running in enumerate(state.running):
        if running.start_id == message.start_id:
            del state.running[index]
            _record_end(schedule, message)
            break
    process(change)


def _take_pending(schedule: ScheduleRows, message_id: str) -> PendingStart | None:
    for index, pending in enumerate(schedule.state.starting):
        if pending.message_id == message_id:
            found = PendingStart.FromString(pending.SerializeToString())
            del schedule.state.starting[index]
            return found
    return None


def _record_start(change: RunStep, pending: PendingStart, run_id: str, start_time: int) -> None:
    state = rows_of(change).state
    state.action_count += 1
    delay = max(start_time - pending.actual_time, 0)
    change.schedule_outcomes.append(ScheduleOutcome(ScheduleEvent.STARTED, delay))
    action = state.recent_actions.add(
        start_workflow_result=common.WorkflowExecution(
            workflow_id=pending.workflow_id, run_id=run_id
        ),
        start_workflow_status=enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
    )
    set_timestamp(action.schedule_time, pending.actual_time)
    set_timestamp(action.actual_time, start_time)
    del state.recent_actions[:-SHOWN_ACTIONS]
    if not pending.overlapping:
        state.running.add(
            start_id=pending.message_id, workflow_id=pending.workflow_id, run_id=run_id
        )


def _record_end(schedule: ScheduleRows, message: Closed) -> None:
    state = schedule.state
    for action in state.recent_actions:
        if action.start_workflow_result.workflow_id == message.workflow_id:
            action.start_workflow_status = message.status
    if message.HasField("result"):
        state.last_completion_result.CopyFrom(message.result)
        state.ClearField("continued_failure")
    elif message.HasField("failure"):
        state.continued_failure.CopyFrom(message.failure)
    definition = schedule.definition
    if (
        definition.policies.pause_on_failure
        and message.status in _FAILED
        and not definition.state.paused
    ):
        definition.state.paused = True
        definition.state.notes = _pause_note(message)
        bump(schedule)


def _pause_note(message: Closed) -> str:
    if message.status == enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
        return f"paused due to workflow timeout: {message.workflow_id}"
    return f"paused due to workflow failure: {message.workflow_id}: {message.failure.message}"
