"""What a schedule tells the workflows that it starts: to begin, and to end."""

import json
from datetime import UTC, datetime

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import MessageKey, MessageRow
from perdure.core.protobuf import (
    NANOSECONDS_PER_SECOND,
    capped_ns,
    duration_ns,
    seconds,
    set_duration,
)
from perdure.core.schedule.state import WORKFLOW_ID_PREFIX, ScheduleRows
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

CANCEL_REASON = "cancelled by schedule overlap policy"
DEFAULT_TASK_TIMEOUT = seconds(10)
TERMINATE_REASON = "terminated by schedule overlap policy"

_COPIED = (
    "input",
    "workflow_execution_timeout",
    "workflow_run_timeout",
    "workflow_task_timeout",
    "retry_policy",
    "memo",
    "header",
    "user_metadata",
    "versioning_override",
    "priority",
)


def identity_of(change: RunStep) -> str:
    """Returns as whom a schedule starts and ends workflows."""
    schedule_id = change.run.key.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    return f"temporal-scheduler-{change.context.namespace}-{schedule_id}"


def start_workflow(
    change: RunStep,
    schedule: ScheduleRows,
    start: stored.ScheduleState.BufferedStart,
    *,
    overlapping: bool,
) -> None:
    """Sends a start; its answer says whether there is a run.

    Args:
        change: The schedule's step.
        schedule: Its rows.
        start: What is to be started, and for which time.
        overlapping: Whether nobody waits for its end, since it may run beside others.
    """
    request = _start_request(change, schedule, start)
    message = stored.Message(
        start_scheduled=stored.Message.StartScheduled(request=request, reports=not overlapping)
    )
    row = _send(change, request.workflow_id, "", message)
    schedule.state.starting.add(
        message_id=row.key.id,
        due=row.key.due,
        workflow_id=request.workflow_id,
        actual_time=start.actual_time,
        overlapping=overlapping,
    )


def end_workflow(
    change: RunStep, running: stored.ScheduleState.Running, *, terminate: bool
) -> None:
    """Has a workflow end that the schedule has started, unless it has been told already."""
    if running.terminate_sent or (running.cancel_sent and not terminate):
        return
    message = stored.Message(
        end_scheduled=stored.Message.EndScheduled(
            first_run_id=running.run_id,
            terminate=terminate,
            reason=TERMINATE_REASON if terminate else CANCEL_REASON,
            identity=identity_of(change),
        )
    )
    _send(change, running.workflow_id, "", message)
    running.cancel_sent = True
    running.terminate_sent = terminate


def forget_starts(change: RunStep, schedule: ScheduleRows) -> None:
    """Takes back the starts that have not been answered: the schedule is over."""
    for pending in schedule.state.starting:
        change.delete_message(MessageKey(pending.due, change.run.slot, pending.message_id))
    del schedule.state.starting[:]


def _send(change: RunStep, workflow_id: str, run_id: str, message: stored.Message) -> MessageRow:
    run = change.run
    message.id = change.context.ids.request_id()
    message.namespace_id = message.sender_namespace_id = run.key.namespace_id
    message.target.workflow_id = workflow_id
    message.target.run_id = run_id
    message.sender.CopyFrom(run.execution())
    if message.HasField("start_scheduled"):
        message.start_scheduled.request.request_id = message.id
    key = MessageKey(change.context.now + len(change.messages_added), run.slot, message.id)
    row = MessageRow(key, run.key, message.SerializeToString())
    change.add_message(row)
    return row


def _start_request(
    change: RunStep, schedule: ScheduleRows, start: stored.ScheduleState.BufferedStart
) -> wf.StartWorkflowExecutionRequest:
    action = schedule.definition.action.start_workflow
    nominal = datetime.fromtimestamp(start.nominal_time // NANOSECONDS_PER_SECOND, UTC)
    stamp = nominal.strftime("%Y-%m-%dT%H:%M:%SZ")
    request = wf.StartWorkflowExecutionRequest(
        namespace=change.context.namespace,
        workflow_id=action.workflow_id,
        workflow_type=action.workflow_type,
        task_queue=action.task_queue,
        identity=identity_of(change),
        workflow_id_reuse_policy=enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
        workflow_id_conflict_policy=enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
        search_attributes=action.search_attributes,
    )
    if not schedule.definition.policies.keep_original_workflow_id:
        request.workflow_id += f"-{stamp}"
    for name in _COPIED:
        if action.HasField(name):  # type: ignore[arg-type]
            getattr(request, name).CopyFrom(getattr(action, name))
    _settle_timeouts(change, request)
    fields = request.search_attributes.indexed_fields
    fields["TemporalScheduledStartTime"].CopyFrom(_json(stamp, "Datetime"))
    schedule_id = change.run.key.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    fields["TemporalScheduledById"].CopyFrom(_json(schedule_id, "Keyword"))
    state = schedule.state
    if state.HasField("last_completion_result"):
        request.last_completion_result.CopyFrom(state.last_completion_result)
    if state.HasField("continued_failure"):
        request.continued_failure.CopyFrom(state.continued_failure)
    return request


def _settle_timeouts(change: RunStep, request: wf.StartWorkflowExecutionRequest) -> None:
    # As the frontend does for a client's request.
    execution = capped_ns(request.workflow_execution_timeout)
    run = capped_ns(request.workflow_run_timeout)
    task = duration_ns(request.workflow_task_timeout) or DEFAULT_TASK_TIMEOUT
    task = min(task, change.context.settings.max_workflow_task_timeout)
    if execution:
        run = min(run or execution, execution)
        set_duration(request.workflow_execution_timeout, execution)
    if run:
        task = min(task, run)
        set_duration(request.workflow_run_timeout, run)
    set_duration(request.workflow_task_timeout, task)


def _json(text: str, kind: str) -> common.Payload:
    payload = common.Payload(data=json.dumps(text).encode())
    payload.metadata["encoding"] = b"json/plain"
    payload.metadata["type"] = kind.encode()
    return payload
