"""How large what a command carries may be.

A worker that replays the run would send the same again, so a command that is too large ends the
run: its workflow task fails, and the run is terminated. Rules that hold here: sizes are counted as
the real server counts them, and texts and causes are its own; what it does not limit (headers,
details of a cancellation, failures of markers) is not limited here.
"""

from collections.abc import Iterable, Mapping

from google.protobuf.message import Message
from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import command_type_pb2 as types

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.attributes import SearchAttributeLimits, check_sizes
from perdure.core.workflow.problems import Cause, CommandProblem
from perdure.core.workflow.settings import WorkflowSettings

_SCHEDULE_ACTIVITY = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES
_START_CHILD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES
_SIGNAL = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES
_FAIL = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES
_CONTINUE = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES
_MARKER = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES
_SEARCH = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
_PROPERTIES = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES


def activity_problem(
    attributes: commands.ScheduleActivityTaskCommandAttributes, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when an activity's input is too large."""
    return _check(
        _size(attributes.input),
        settings.blob_size_limit,
        _SCHEDULE_ACTIVITY,
        "ScheduleActivityTaskCommandAttributes.Input",
    )


def signal_problem(
    attributes: commands.SignalExternalWorkflowExecutionCommandAttributes,
    settings: WorkflowSettings,
) -> CommandProblem | None:
    """Returns a problem when the input of a signal to another workflow is too large."""
    return _check(
        _size(attributes.input),
        settings.blob_size_limit,
        _SIGNAL,
        "SignalExternalWorkflowExecutionCommandAttributes.Input",
    )


def child_problem(
    attributes: commands.StartChildWorkflowExecutionCommandAttributes, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when a child's input, memo or search attributes are too large."""
    name = "StartChildWorkflowExecutionCommandAttributes."
    return (
        _check(_size(attributes.input), settings.blob_size_limit, _START_CHILD, f"{name} Input")
        or _check(_size(attributes.memo), settings.memo_size_limit, _START_CHILD, f"{name}Memo")
        or _check_attributes(attributes.search_attributes, settings.search_attributes, _START_CHILD)
    )


def completion_problem(
    attributes: commands.CompleteWorkflowExecutionCommandAttributes, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when a run's result is too large."""
    # The cause is that of another command, as on the real server.
    return _check(
        _size(attributes.result),
        settings.blob_size_limit,
        _SCHEDULE_ACTIVITY,
        "CompleteWorkflowExecutionCommandAttributes.Result",
    )


def failure_problem(
    attributes: commands.FailWorkflowExecutionCommandAttributes, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when a run's failure is too large."""
    return _check(
        _size(attributes.failure),
        settings.blob_size_limit,
        _FAIL,
        "FailWorkflowExecutionCommandAttributes.Failure",
    )


def continuation_problem(
    attributes: commands.ContinueAsNewWorkflowExecutionCommandAttributes,
    settings: WorkflowSettings,
) -> CommandProblem | None:
    """Returns a problem when a new run's input, memo or search attributes are too large."""
    name = "ContinueAsNewWorkflowExecutionCommandAttributes."
    return (
        _check(_size(attributes.input), settings.blob_size_limit, _CONTINUE, f"{name} Input")
        or _check(_size(attributes.memo), settings.memo_size_limit, _CONTINUE, f"{name} Memo")
        or _check_attributes(attributes.search_attributes, settings.search_attributes, _CONTINUE)
    )


def marker_problem(
    attributes: commands.RecordMarkerCommandAttributes, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when a marker's details are too large."""
    return _check(
        _marker_size(attributes),
        settings.blob_size_limit,
        _MARKER,
        "RecordMarkerCommandAttributes.Details",
    )


def search_problem(
    upserted: Mapping[str, common.Payload],
    merged: common.SearchAttributes,
    settings: WorkflowSettings,
) -> CommandProblem | None:
    """Returns a problem when upserted search attributes, or all of them then, are too large."""
    return _check(
        _fields_size(upserted.items()),
        settings.blob_size_limit,
        _SEARCH,
        "UpsertWorkflowSearchAttributesCommandAttributes",
    ) or _check_attributes(merged, settings.search_attributes, _SEARCH)


def properties_problem(
    upserted: Mapping[str, common.Payload], merged: common.Memo, settings: WorkflowSettings
) -> CommandProblem | None:
    """Returns a problem when upserted memo fields, or the whole memo then, are too large."""
    name = "ModifyWorkflowPropertiesCommandAttributes"
    return _check(
        _fields_size(upserted.items()), settings.blob_size_limit, _PROPERTIES, name
    ) or _check(_size(merged), settings.memo_size_limit, _PROPERTIES, f"{name}. Memo")


def payload_bytes(command: commands.Command) -> int | None:
    """Returns how many bytes of a command are its user's, None where it carries none."""
    match command.command_type:
        case types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
            return _size(command.schedule_activity_task_command_attributes.input)
        case types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
            return _size(command.complete_workflow_execution_command_attributes.result)
        case types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
            return _size(command.fail_workflow_execution_command_attributes.failure)
        case types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
            return _size(command.start_child_workflow_execution_command_attributes.input)
        case types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
            return _size(command.signal_external_workflow_execution_command_attributes.input)
        case types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
            return _size(command.continue_as_new_workflow_execution_command_attributes.input)
        case types.COMMAND_TYPE_RECORD_MARKER:
            return _marker_size(command.record_marker_command_attributes)
        case _:
            return None


def _marker_size(attributes: commands.RecordMarkerCommandAttributes) -> int:
    return sum(len(name.encode()) + _size(each) for name, each in attributes.details.items())


def _size(message: Message) -> int:
    return message.ByteSize()


def _fields_size(fields: Iterable[tuple[str, common.Payload]]) -> int:
    return sum(len(name.encode()) + len(payload.data) for name, payload in fields)


def _check(size: int, limit: int, cause: Cause.ValueType, what: str) -> CommandProblem | None:
    if size <= limit:
        return None
    return CommandProblem(cause, f"{what} exceeds size limit.", terminates=True)


def _check_attributes(
    attributes: common.SearchAttributes, limits: SearchAttributeLimits, cause: Cause.ValueType
) -> CommandProblem | None:
    try:
        check_sizes(attributes, limits)
    except InvalidArgumentError as error:
        return CommandProblem(cause, error.message, terminates=True)
    return None
