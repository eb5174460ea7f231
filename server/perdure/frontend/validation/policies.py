"""What shall happen when a workflow id is in use: the pairs of policies that make sense."""

from typing import Final

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError

Start = wf.StartWorkflowExecutionRequest | wf.SignalWithStartWorkflowExecutionRequest

_UNSET: Final = enums.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED
_REUSE: Final = frozenset(enums.WorkflowIdReusePolicy.values())
_CONFLICT: Final = frozenset(enums.WorkflowIdConflictPolicy.values())


def settle_policies(
    request: Start, *, default_conflict: enums.WorkflowIdConflictPolicy.ValueType
) -> None:
    """Checks both policies and writes their effective values into the request.

    Unknown numbers count as unset. The old reuse policy TERMINATE_IF_RUNNING becomes the conflict
    policy that has replaced it.
    """
    reuse, conflict = request.workflow_id_reuse_policy, request.workflow_id_conflict_policy
    if reuse == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
        if conflict != _UNSET:
            raise InvalidArgumentError(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING"
                " cannot be used together with a WorkflowIDConflictPolicy"
            )
        reuse = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        conflict = enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    if (
        reuse == enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        and conflict == enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    ):
        raise InvalidArgumentError(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be"
            " used together with WorkflowIdConflictPolicy"
            " WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
        )
    if reuse not in _REUSE or reuse == enums.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED:
        reuse = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    if conflict not in _CONFLICT or conflict == _UNSET:
        conflict = default_conflict
    request.workflow_id_reuse_policy = reuse
    request.workflow_id_conflict_policy = conflict
