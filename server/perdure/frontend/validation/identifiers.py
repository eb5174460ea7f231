"""Names and ids: lengths count in bytes of UTF-8.

A NUL is refused here, on every store alike, because PostgreSQL cannot hold it in a text.
"""

from temporalio.api.common.v1.message_pb2 import WorkflowExecution

from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.uuids import is_uuid


def is_too_long(text: str, max_bytes: int) -> bool:
    """Tells whether a text has more bytes than it may."""
    # Most texts are short: encoding them all would cost more than this comparison.
    return len(text) * 4 > max_bytes and len(text.encode()) > max_bytes


def refuse_nul(field: str, text: str) -> None:
    """Refuses a text that no store could hold; its field is named in the error."""
    if "\0" in text:
        raise InvalidArgumentError(f"{field} contains a NUL character.")


def check_workflow_id(workflow_id: str, max_bytes: int) -> None:
    """Checks the id of a workflow that shall be started."""
    if not workflow_id:
        raise InvalidArgumentError("WorkflowId is not set on request.")
    if is_too_long(workflow_id, max_bytes):
        size = len(workflow_id.encode())
        raise InvalidArgumentError(
            f"WorkflowId exceeds maximum allowed length ({size}/{max_bytes})"
        )
    refuse_nul("WorkflowId", workflow_id)


def check_execution(execution: WorkflowExecution, *, is_set: bool) -> None:
    """Checks which run a request is about; an empty run id is the current one."""
    if not is_set:
        raise InvalidArgumentError("Execution is not set on request.")
    if not execution.workflow_id:
        raise InvalidArgumentError("WorkflowId is not set on request.")
    if execution.run_id and not is_uuid(execution.run_id):
        raise InvalidArgumentError("Invalid RunId.")
    if "\0" in execution.workflow_id:
        raise NotFoundError(f"workflow not found for ID: {execution.workflow_id}")


def check_length(field: str, text: str, max_bytes: int) -> None:
    """Checks the length of a field, which is named in the error."""
    if is_too_long(text, max_bytes):
        raise InvalidArgumentError(f"{field} length exceeds limit.")
    refuse_nul(field, text)


def check_build_id(build_id: str, max_bytes: int) -> None:
    """Checks a worker's build id."""
    if is_too_long(build_id, max_bytes):
        raise InvalidArgumentError(
            "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID."
        )
