"""Workflow commands, built as a worker would."""

from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import CommandType
from temporalio.api.failure.v1 import Failure

from conformance.driver import payload, payloads
from conformance.rpc import build


def command(kind: str, attributes: dict[str, Any], **fields: Any) -> Command:
    """Returns a command by the middle of its type's name, such as "START_TIMER"."""
    name = f"{kind.lower()}_command_attributes"
    return build(
        Command,
        command_type=CommandType.Value(f"COMMAND_TYPE_{kind}"),
        **{name: attributes},
        **fields,
    )


def complete_workflow(result: str = "done") -> Command:
    """CompleteWorkflowExecution."""
    return command("COMPLETE_WORKFLOW_EXECUTION", {"result": payloads(result)})


def fail_workflow(failure: Failure) -> Command:
    """FailWorkflowExecution."""
    return command("FAIL_WORKFLOW_EXECUTION", {"failure": failure})


def cancel_workflow(*details: str) -> Command:
    """CancelWorkflowExecution."""
    attributes = {"details": payloads(*details)} if details else {}
    return command("CANCEL_WORKFLOW_EXECUTION", attributes)


def continue_as_new(queue: str, **fields: Any) -> Command:
    """ContinueAsNewWorkflowExecution."""
    defaults: dict[str, Any] = {
        "workflow_type": {"name": "Conformance"},
        "task_queue": {"name": queue},
    }
    return command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", defaults | fields)


def start_timer(timer_id: str, seconds: float, **fields: Any) -> Command:
    """StartTimer."""
    timeout = {"seconds": int(seconds), "nanos": round(seconds % 1 * 1e9)}
    return command(
        "START_TIMER", {"timer_id": timer_id, "start_to_fire_timeout": timeout}, **fields
    )


def cancel_timer(timer_id: str) -> Command:
    """CancelTimer."""
    return command("CANCEL_TIMER", {"timer_id": timer_id})


def schedule_activity(activity_id: str, queue: str, **fields: Any) -> Command:
    """ScheduleActivityTask; start-to-close is 10 s unless a field says otherwise."""
    defaults: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_type": {"name": "Work"},
        "task_queue": {"name": queue},
        "start_to_close_timeout": {"seconds": 10},
    }
    return command("SCHEDULE_ACTIVITY_TASK", defaults | fields)


def cancel_activity(scheduled_event_id: int) -> Command:
    """RequestCancelActivityTask."""
    return command("REQUEST_CANCEL_ACTIVITY_TASK", {"scheduled_event_id": scheduled_event_id})


def record_marker(name: str, **fields: Any) -> Command:
    """RecordMarker."""
    return command("RECORD_MARKER", {"marker_name": name, **fields})


def upsert_memo(**fields: str) -> Command:
    """ModifyWorkflowProperties with JSON string values; "" removes a field."""
    memo = {name: payload(value) if value else null_payload() for name, value in fields.items()}
    return command("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": {"fields": memo}})


def upsert_search_attributes(**fields: Payload) -> Command:
    """UpsertWorkflowSearchAttributes."""
    attributes = {"search_attributes": {"indexed_fields": fields}}
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", attributes)


def null_payload() -> Payload:
    """Returns the payload that removes a memo field or a search attribute."""
    return Payload(metadata={"encoding": b"binary/null"})


def search_value(kind: str, json_text: str) -> Payload:
    """Returns a search attribute's payload with its type, as SDKs send it."""
    return Payload(
        metadata={"encoding": b"json/plain", "type": kind.encode()}, data=json_text.encode()
    )


def signal_external(
    execution: WorkflowExecution | None, *, name: str = "signal", **fields: Any
) -> Command:
    """SignalExternalWorkflowExecution."""
    attributes = {"execution": execution, "signal_name": name, **fields}
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", attributes)


def cancel_external(execution: WorkflowExecution | None, **fields: Any) -> Command:
    """RequestCancelExternalWorkflowExecution."""
    names = {} if execution is None else {"workflow_id": execution.workflow_id}
    if execution is not None and execution.run_id:
        names["run_id"] = execution.run_id
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", {**names, **fields})


def start_child(workflow_id: str, queue: str = "", **fields: Any) -> Command:
    """StartChildWorkflowExecution; without a queue the child takes its parent's."""
    defaults: dict[str, Any] = {
        "workflow_id": workflow_id,
        "workflow_type": {"name": "Child"},
        **({"task_queue": {"name": queue}} if queue else {}),
    }
    return command("START_CHILD_WORKFLOW_EXECUTION", defaults | fields)
