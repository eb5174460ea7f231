"""Uses of an RPC that do not exist yet: refused by name, whatever else the request says."""

from collections.abc import Iterable

from temporalio.api.common.v1.message_pb2 import WorkerVersionCapabilities
from temporalio.api.deployment.v1.message_pb2 import WorkerDeploymentOptions
from temporalio.api.enums.v1.deployment_pb2 import WORKER_VERSIONING_MODE_VERSIONED
from temporalio.api.workflow.v1.message_pb2 import PostResetOperation
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, UnimplementedError

Start = wf.StartWorkflowExecutionRequest | wf.SignalWithStartWorkflowExecutionRequest


def refuse_unavailable_start(request: Start) -> None:
    """Refuses ways to start a workflow that do not exist yet."""
    if request.HasField("versioning_override"):
        raise _not_yet("versioning overrides")
    if request.time_skipping_config.ByteSize():
        raise UnimplementedError("The Time-Skipping feature is not enabled for namespace.")


def check_post_reset_operations(operations: Iterable[PostResetOperation]) -> None:
    """Refuses what cannot be done with a reset: signals, as on the real server, and options."""
    for operation in operations:
        variant = operation.WhichOneof("variant")
        if variant == "update_workflow_options":
            raise _not_yet("workflow options updated after a reset")
        kind = "*workflow.PostResetOperation_SignalWorkflow_" if variant else "<nil>"
        raise InvalidArgumentError(f"unsupported post reset operation: {kind}")


def check_deployment_options(options: WorkerDeploymentOptions) -> None:
    """Refuses workers that want to be versioned, after checking how they say it."""
    if options.worker_versioning_mode != WORKER_VERSIONING_MODE_VERSIONED:
        return
    if not (options.deployment_name and options.build_id):
        raise InvalidArgumentError("Deployment name and build id must be set together.")
    if "." in options.deployment_name:
        raise InvalidArgumentError("worker deployment name cannot contain '.'")
    raise _not_yet("worker deployments")


def refuse_build_id_versioning(capabilities: WorkerVersionCapabilities) -> None:
    """Refuses workers that want their tasks routed by build id."""
    if capabilities.use_versioning:
        raise _not_yet("build id based worker versions")


def refuse_paginated_completion(request: wf.RespondWorkflowTaskCompletedRequest) -> None:
    """Refuses a workflow task's completion that comes in several requests."""
    if request.page_number or request.intermediate_page:
        raise _not_yet("completions of workflow tasks in several pages")


def _not_yet(what: str) -> UnimplementedError:
    return UnimplementedError(f"{what} are not implemented by this server yet")
