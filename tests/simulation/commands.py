"""The commands of simulated workflows, and the events that they turn into."""

import json
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue

from simulation.programs import Activity, encode_activity

Command = commands.Command
Key = tuple[int, str]
"""What a command and its event have in common: the event's type, and the id that it names."""

TASK_QUEUE = "simulation"
WORKFLOW_TYPE = "Program"
ACTIVITY_TYPE = "Activity"
OTHER_SIGNAL_NAME = "from another workflow"

EVENT_OF_COMMAND = {
    types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: (
        events.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED
    ),
    types.COMMAND_TYPE_START_TIMER: events.EVENT_TYPE_TIMER_STARTED,
    types.COMMAND_TYPE_CANCEL_TIMER: events.EVENT_TYPE_TIMER_CANCELED,
    types.COMMAND_TYPE_RECORD_MARKER: events.EVENT_TYPE_MARKER_RECORDED,
    types.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: (events.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED),
    types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: (
        events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
    ),
    types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: (
        events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
    ),
    types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: (
        events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    ),
    types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: (
        events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
    ),
}

ANSWERS: dict[int, str] = {
    events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: (
        "external_workflow_execution_signaled_event_attributes"
    ),
    events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: (
        "signal_external_workflow_execution_failed_event_attributes"
    ),
    events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED: (
        "external_workflow_execution_cancel_requested_event_attributes"
    ),
    events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: (
        "request_cancel_external_workflow_execution_failed_event_attributes"
    ),
}
"""Events that tell what came of something sent to another workflow, with their attributes."""

COMMAND_EVENTS = frozenset(EVENT_OF_COMMAND.values())


def json_payloads(value: object) -> common.Payloads:
    """Returns one payload that holds a value as JSON."""
    return raw_payloads(json.dumps(value).encode())


def raw_payloads(data: bytes) -> common.Payloads:
    """Returns one payload that holds JSON text."""
    return common.Payloads(
        payloads=[common.Payload(metadata={"encoding": b"json/plain"}, data=data)]
    )


def json_value(payloads: common.Payloads) -> Any:
    """Reads what `json_payloads` made."""
    return json.loads(payloads.payloads[0].data)


def duration(seconds: float) -> Duration:
    """Returns a Duration."""
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def command_key(command: Command) -> Key:
    """Returns what identifies the command's event."""
    event_type = EVENT_OF_COMMAND[command.command_type]
    match command.command_type:
        case types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
            return event_type, command.schedule_activity_task_command_attributes.activity_id
        case types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK:
            cancel = command.request_cancel_activity_task_command_attributes
            return event_type, str(cancel.scheduled_event_id)
        case types.COMMAND_TYPE_START_TIMER:
            return event_type, command.start_timer_command_attributes.timer_id
        case types.COMMAND_TYPE_CANCEL_TIMER:
            return event_type, command.cancel_timer_command_attributes.timer_id
        case types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
            signal = command.signal_external_workflow_execution_command_attributes
            return event_type, signal.control
        case types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION:
            request = command.request_cancel_external_workflow_execution_command_attributes
            return event_type, request.control
        case types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
            return event_type, command.start_child_workflow_execution_command_attributes.workflow_id
        case _:
            return event_type, ""


def initiated_event_id(event: history.HistoryEvent) -> int:
    """Returns what one of the `ANSWERS` is the answer to."""
    initiated: int = getattr(event, ANSWERS[event.event_type]).initiated_event_id
    return initiated


def event_key(event: history.HistoryEvent) -> Key:
    """Returns what identifies a command event."""
    match event.event_type:
        case events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            name = event.activity_task_scheduled_event_attributes.activity_id
        case events.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
            cancel = event.activity_task_cancel_requested_event_attributes
            name = str(cancel.scheduled_event_id)
        case events.EVENT_TYPE_TIMER_STARTED:
            name = event.timer_started_event_attributes.timer_id
        case events.EVENT_TYPE_TIMER_CANCELED:
            name = event.timer_canceled_event_attributes.timer_id
        case events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
            name = event.signal_external_workflow_execution_initiated_event_attributes.control
        case events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
            request = event.request_cancel_external_workflow_execution_initiated_event_attributes
            name = request.control
        case events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            name = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
        case _:
            name = ""
    return event.event_type, name


def schedule_activity(activity: Activity) -> Command:
    """Schedules an activity."""
    attributes = commands.ScheduleActivityTaskCommandAttributes(
        activity_id=activity.name,
        activity_type=common.ActivityType(name=ACTIVITY_TYPE),
        task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
        input=raw_payloads(encode_activity(activity)),
        start_to_close_timeout=duration(activity.start_to_close),
        retry_policy=common.RetryPolicy(
            initial_interval=duration(activity.backoff),
            backoff_coefficient=2.0,
            maximum_interval=duration(activity.backoff * 8),
            maximum_attempts=activity.attempts,
        ),
    )
    if activity.heartbeat:
        attributes.heartbeat_timeout.CopyFrom(duration(activity.heartbeat))
    return Command(
        command_type=types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        schedule_activity_task_command_attributes=attributes,
    )


def cancel_activity(scheduled_event_id: int) -> Command:
    """Asks an activity to cancel itself."""
    return Command(
        command_type=types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK,
        request_cancel_activity_task_command_attributes=(
            commands.RequestCancelActivityTaskCommandAttributes(
                scheduled_event_id=scheduled_event_id
            )
        ),
    )


def start_timer(timer_id: str, seconds: float) -> Command:
    """Starts a timer."""
    return Command(
        command_type=types.COMMAND_TYPE_START_TIMER,
        start_timer_command_attributes=commands.StartTimerCommandAttributes(
            timer_id=timer_id, start_to_fire_timeout=duration(seconds)
        ),
    )


def cancel_timer(timer_id: str) -> Command:
    """Cancels a timer."""
    return Command(
        command_type=types.COMMAND_TYPE_CANCEL_TIMER,
        cancel_timer_command_attributes=commands.CancelTimerCommandAttributes(timer_id=timer_id),
    )


def signal_other(workflow_id: str, token: str) -> Command:
    """Signals another workflow; the token names the signal within this run."""
    return Command(
        command_type=types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
        signal_external_workflow_execution_command_attributes=(
            commands.SignalExternalWorkflowExecutionCommandAttributes(
                execution=common.WorkflowExecution(workflow_id=workflow_id),
                signal_name=OTHER_SIGNAL_NAME,
                input=json_payloads(token),
                control=token,
            )
        ),
    )


def cancel_other(workflow_id: str, token: str) -> Command:
    """Asks another workflow to cancel itself; the token names the request within this run."""
    return Command(
        command_type=types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION,
        request_cancel_external_workflow_execution_command_attributes=(
            commands.RequestCancelExternalWorkflowExecutionCommandAttributes(
                workflow_id=workflow_id, control=token, reason=token
            )
        ),
    )


def record_marker(name: str) -> Command:
    """Records a marker."""
    return Command(
        command_type=types.COMMAND_TYPE_RECORD_MARKER,
        record_marker_command_attributes=commands.RecordMarkerCommandAttributes(marker_name=name),
    )


def modify_memo(name: str, value: object) -> Command:
    """Changes an entry of the workflow's memo."""
    payload = json_payloads(value).payloads[0]
    return Command(
        command_type=types.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES,
        modify_workflow_properties_command_attributes=(
            commands.ModifyWorkflowPropertiesCommandAttributes(
                upserted_memo=common.Memo(fields={name: payload})
            )
        ),
    )


def complete(result: object) -> Command:
    """Ends the run as completed."""
    return Command(
        command_type=types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        complete_workflow_execution_command_attributes=(
            commands.CompleteWorkflowExecutionCommandAttributes(result=json_payloads(result))
        ),
    )


def fail(message: str) -> Command:
    """Ends the run as failed; its retry policy may start another."""
    return Command(
        command_type=types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        fail_workflow_execution_command_attributes=(
            commands.FailWorkflowExecutionCommandAttributes(failure=application_failure(message))
        ),
    )


def cancel_workflow() -> Command:
    """Ends the run as cancelled."""
    return Command(
        command_type=types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
        cancel_workflow_execution_command_attributes=(
            commands.CancelWorkflowExecutionCommandAttributes()
        ),
    )


def continue_as_new(data: bytes, retry_policy: common.RetryPolicy | None) -> Command:
    """Ends the run and starts the next, with the same retry policy as an SDK does."""
    return Command(
        command_type=types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
        continue_as_new_workflow_execution_command_attributes=(
            commands.ContinueAsNewWorkflowExecutionCommandAttributes(
                workflow_type=common.WorkflowType(name=WORKFLOW_TYPE),
                task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
                input=raw_payloads(data),
                retry_policy=retry_policy,
            )
        ),
    )


def application_failure(message: str, *, non_retryable: bool = False) -> failures.Failure:
    """Returns the failure of an application's own code."""
    return failures.Failure(
        message=message,
        source="simulation",
        application_failure_info=failures.ApplicationFailureInfo(
            type="Simulated", non_retryable=non_retryable
        ),
    )
