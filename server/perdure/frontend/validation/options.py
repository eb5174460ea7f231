"""Changes of an open workflow's options."""

from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1.message_pb2 import Priority
from temporalio.api.workflow.v1.message_pb2 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, UnimplementedError

_MESSAGE: Final = WorkflowExecutionOptions.DESCRIPTOR.full_name
_PARTS: Final = {
    "priority": frozenset(Priority.DESCRIPTOR.fields_by_name),
    "versioning_override": frozenset(VersioningOverride.DESCRIPTOR.fields_by_name),
}
"""The options that can be changed, and what they have."""


def check_options(request: wf.UpdateWorkflowExecutionOptionsRequest) -> None:
    """Checks that a request says what is changed, and that it can be."""
    if not request.HasField("workflow_execution_options"):
        raise InvalidArgumentError("WorkflowExecutionOptions is required")
    if not request.HasField("update_mask"):
        raise InvalidArgumentError("UpdateMask is required")


def check_mask(mask: FieldMask, options: WorkflowExecutionOptions) -> None:
    """Checks what a mask names; it must be here."""
    for path in mask.paths:
        head, _, part = path.partition(".")
        known = _PARTS.get(head)
        if head in WorkflowExecutionOptions.DESCRIPTOR.fields_by_name and known is None:
            raise UnimplementedError(f"the option {head} is not implemented by this server yet")
        if known is None or (part and part.partition(".")[0] not in known):
            raise InvalidArgumentError(
                f'error parsing UpdateMask: proto: invalid path "{path}" for message "{_MESSAGE}"'
            )
        if head == "versioning_override" and options.HasField("versioning_override"):
            raise UnimplementedError("versioning overrides are not implemented by this server yet")
