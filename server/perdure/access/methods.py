"""What each RPC asks of its caller: one table of all of them.

A test holds it against the descriptors, so that no RPC is without a line here. Scope and access are
those of Temporal's server; the workers' set is our own, since there a role that only polls cannot.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from perdure.rpc.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE


class Scope(Enum):
    """What an RPC is about."""

    NAMESPACE = "namespace"
    """The one that the request names."""
    CLUSTER = "cluster"
    """All of them, or none."""
    SEEN = "seen"
    """Those that the caller has any role in: others are left out of the answer."""


class Access(Enum):
    """What an RPC does to it."""

    OPEN = "open"
    """Nothing that needs a role: whoever reaches the port may ask."""
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one RPC asks for.

    Attributes:
        scope: Where the caller needs a role.
        access: Which.
        by_workers: Whether the role of a worker is enough, too.
    """

    scope: Scope
    access: Access
    by_workers: bool = False


_WORKERS: Final = """
    PollWorkflowTaskQueue RespondWorkflowTaskCompleted RespondWorkflowTaskFailed
    RespondQueryTaskCompleted ResetStickyTaskQueue
    PollActivityTaskQueue RecordActivityTaskHeartbeat RecordActivityTaskHeartbeatById
    RespondActivityTaskCompleted RespondActivityTaskCompletedById
    RespondActivityTaskFailed RespondActivityTaskFailedById
    RespondActivityTaskCanceled RespondActivityTaskCanceledById
    PollNexusTaskQueue RespondNexusTaskCompleted RespondNexusTaskFailed
    RecordWorkerHeartbeat ShutdownWorker"""
_OF_WORKERS_TOO: Final = "DescribeNamespace GetWorkflowExecutionHistory"
"""What SDKs' workers read: the namespace when they start, history that no task carries."""

_WORKFLOW_SERVICE: Final[Mapping[tuple[Scope, Access], str]] = {
    (Scope.CLUSTER, Access.OPEN): "GetSystemInfo",
    (Scope.SEEN, Access.READ): "ListNamespaces",
    (Scope.CLUSTER, Access.READ): "GetSearchAttributes GetClusterInfo",
    (Scope.NAMESPACE, Access.READ): """
        DescribeNamespace
        DescribeWorkflowExecution GetWorkflowExecutionHistory GetWorkflowExecutionHistoryReverse
        QueryWorkflow PollWorkflowExecutionUpdate PollWorkflowExecutionTimeSkipping
        ListWorkflowExecutions ScanWorkflowExecutions CountWorkflowExecutions
        ListOpenWorkflowExecutions ListClosedWorkflowExecutions ListArchivedWorkflowExecutions
        DescribeTaskQueue ListTaskQueuePartitions
        DescribeSchedule ListSchedules CountSchedules ListScheduleMatchingTimes
        DescribeBatchOperation ListBatchOperations
        DescribeActivityExecution PollActivityExecution ListActivityExecutions
        CountActivityExecutions
        DescribeNexusOperationExecution PollNexusOperationExecution ListNexusOperationExecutions
        CountNexusOperationExecutions
        ListWorkers CountWorkers DescribeWorker FetchWorkerConfig
        DescribeWorkflowRule ListWorkflowRules
        GetWorkerBuildIdCompatibility GetWorkerVersioningRules GetWorkerTaskReachability
        DescribeDeployment ListDeployments GetDeploymentReachability GetCurrentDeployment
        DescribeWorkerDeployment DescribeWorkerDeploymentVersion ListWorkerDeployments
        ValidateWorkerDeploymentVersionComputeConfig""",
    (Scope.NAMESPACE, Access.WRITE): _WORKERS
    + """
        StartWorkflowExecution SignalWithStartWorkflowExecution ExecuteMultiOperation
        SignalWorkflowExecution UpdateWorkflowExecution RequestCancelWorkflowExecution
        TerminateWorkflowExecution ResetWorkflowExecution DeleteWorkflowExecution
        PauseWorkflowExecution UnpauseWorkflowExecution UpdateWorkflowExecutionOptions
        CreateSchedule UpdateSchedule PatchSchedule DeleteSchedule
        StartBatchOperation StopBatchOperation
        PauseActivity UnpauseActivity ResetActivity UpdateActivityOptions
        StartActivityExecution RequestCancelActivityExecution TerminateActivityExecution
        DeleteActivityExecution
        PauseActivityExecution UnpauseActivityExecution ResetActivityExecution
        UpdateActivityExecutionOptions
        StartNexusOperationExecution RequestCancelNexusOperationExecution
        TerminateNexusOperationExecution DeleteNexusOperationExecution
        UpdateTaskQueueConfig UpdateWorkerConfig
        CreateWorkflowRule DeleteWorkflowRule TriggerWorkflowRule
        UpdateWorkerBuildIdCompatibility UpdateWorkerVersioningRules SetCurrentDeployment
        CreateWorkerDeployment CreateWorkerDeploymentVersion
        SetWorkerDeploymentCurrentVersion SetWorkerDeploymentRampingVersion
        SetWorkerDeploymentManager DeleteWorkerDeployment DeleteWorkerDeploymentVersion
        UpdateWorkerDeploymentVersionMetadata UpdateWorkerDeploymentVersionComputeConfig""",
    (Scope.NAMESPACE, Access.ADMIN): "RegisterNamespace UpdateNamespace DeprecateNamespace",
}
_OPERATOR_SERVICE: Final[Mapping[tuple[Scope, Access], str]] = {
    (Scope.NAMESPACE, Access.READ): "ListSearchAttributes",
    (Scope.NAMESPACE, Access.ADMIN): """
        AddSearchAttributes RemoveSearchAttributes DeleteNamespace""",
    (Scope.CLUSTER, Access.ADMIN): """
        AddOrUpdateRemoteCluster RemoveRemoteCluster ListClusters
        CreateNexusEndpoint UpdateNexusEndpoint DeleteNexusEndpoint GetNexusEndpoint
        ListNexusEndpoints""",
}
_OPEN_SERVICES: Final[Mapping[str, str]] = {
    "grpc.health.v1.Health": "Check List Watch",
    "grpc.reflection.v1.ServerReflection": "ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection": "ServerReflectionInfo",
}
"""Whether a process serves, and the public definitions of what it serves."""


def _rules() -> Iterator[tuple[str, Rule]]:
    by_workers = frozenset(f"{_WORKERS} {_OF_WORKERS_TOO}".split())
    for service, table in (
        (WORKFLOW_SERVICE.full_name, _WORKFLOW_SERVICE),
        (OPERATOR_SERVICE.full_name, _OPERATOR_SERVICE),
    ):
        for (scope, access), names in table.items():
            for name in names.split():
                yield f"/{service}/{name}", Rule(scope, access, name in by_workers)
    for service, names in _OPEN_SERVICES.items():
        for name in names.split():
            yield f"/{service}/{name}", Rule(Scope.CLUSTER, Access.OPEN)


RULES: Final[Mapping[str, Rule]] = dict(_rules())
"""What is asked for, by what a client calls: `/package.Service/Name`."""
