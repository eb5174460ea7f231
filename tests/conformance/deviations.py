"""What differs from the real server on purpose: the one table, used by the tests and the docs.

A path names places in a recording: step names and field names joined by "/", list positions as
numbers; `*` stands for one part and `**` for any number of them. An entry of a named scenario that
matches no difference any more is stale and fails the tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SURFACE = "rpc_surface"
"""The scenario that calls every RPC."""


@dataclass(slots=True, frozen=True)
class Deviation:
    """One named deviation; `scenario` may be "*" for all."""

    scenario: str
    path: str
    reason: str


_UNAVAILABLE_RPCS = {
    "schedules": """
        CountSchedules CreateSchedule DeleteSchedule DescribeSchedule ListScheduleMatchingTimes
        ListSchedules PatchSchedule UpdateSchedule
    """,
    "workflow updates": """
        ExecuteMultiOperation PollWorkflowExecutionUpdate UpdateWorkflowExecution
    """,
    "resets, deletions, pauses and options of workflows": """
        DeleteWorkflowExecution PauseWorkflowExecution PollWorkflowExecutionTimeSkipping
        ResetWorkflowExecution UnpauseWorkflowExecution UpdateWorkflowExecutionOptions
    """,
    "batch operations": """
        DescribeBatchOperation ListBatchOperations StartBatchOperation StopBatchOperation
    """,
    "operator commands on activities": """
        PauseActivity PauseActivityExecution ResetActivity ResetActivityExecution UnpauseActivity
        UnpauseActivityExecution UpdateActivityExecutionOptions UpdateActivityOptions
    """,
    "activities without a workflow": """
        CountActivityExecutions DeleteActivityExecution DescribeActivityExecution
        ListActivityExecutions PollActivityExecution RequestCancelActivityExecution
        StartActivityExecution TerminateActivityExecution
    """,
    "worker deployments": """
        CreateWorkerDeployment CreateWorkerDeploymentVersion DeleteWorkerDeployment
        DeleteWorkerDeploymentVersion DescribeWorkerDeployment DescribeWorkerDeploymentVersion
        ListWorkerDeployments SetWorkerDeploymentCurrentVersion SetWorkerDeploymentManager
        SetWorkerDeploymentRampingVersion UpdateWorkerDeploymentVersionComputeConfig
        UpdateWorkerDeploymentVersionMetadata ValidateWorkerDeploymentVersionComputeConfig
    """,
    "worker heartbeats and task queue configuration": """
        CountWorkers DescribeWorker ListWorkers RecordWorkerHeartbeat UpdateTaskQueueConfig
    """,
    "Nexus": """
        CountNexusOperationExecutions DeleteNexusOperationExecution DescribeNexusOperationExecution
        ListNexusOperationExecutions PollNexusOperationExecution PollNexusTaskQueue
        RequestCancelNexusOperationExecution RespondNexusTaskCompleted RespondNexusTaskFailed
        StartNexusOperationExecution TerminateNexusOperationExecution
        OperatorService.CreateNexusEndpoint OperatorService.DeleteNexusEndpoint
        OperatorService.GetNexusEndpoint OperatorService.ListNexusEndpoints
        OperatorService.UpdateNexusEndpoint
    """,
    "remote clusters and deleting namespaces": """
        OperatorService.AddOrUpdateRemoteCluster OperatorService.DeleteNamespace
        OperatorService.ListClusters OperatorService.RemoveRemoteCluster
    """,
}
"""RPCs that answer UNIMPLEMENTED by name, by what they belong to."""


def _unavailable() -> Iterator[Deviation]:
    for feature, names in _UNAVAILABLE_RPCS.items():
        for name in names.split():
            path = name if "." in name else f"WorkflowService.{name}"
            yield Deviation(SURFACE, path, f"refused by name, not here yet: {feature}")


DEVIATIONS: tuple[Deviation, ...] = (*_unavailable(),)
