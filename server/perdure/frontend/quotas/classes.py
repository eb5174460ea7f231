"""How important each RPC is when not all can be served, and which limit it counts against."""

from enum import IntEnum
from typing import Final


class Priority(IntEnum):
    """Classes of requests, the most important first."""

    SYSTEM = 0
    """What every client asks before anything else."""
    EVENT = 1
    """What begins work, or tells workflows of the outside world."""
    PROGRESS = 2
    """What workers report: refusing it wastes work that is done."""
    STATUS = 3
    """What people and programs look at."""
    POLL = 4
    """What asks for more work."""
    WATCH = 5
    """What waits for news."""


_BY_PRIORITY: Final[dict[Priority, str]] = {
    Priority.SYSTEM: """
        GetSystemInfo GetClusterInfo GetSearchAttributes ListSearchAttributes
        AddSearchAttributes RemoveSearchAttributes
        RegisterNamespace DescribeNamespace ListNamespaces UpdateNamespace DeprecateNamespace
        DeleteNamespace
        AddOrUpdateRemoteCluster RemoveRemoteCluster ListClusters
        CreateNexusEndpoint UpdateNexusEndpoint DeleteNexusEndpoint GetNexusEndpoint
        ListNexusEndpoints""",
    Priority.EVENT: """
        StartWorkflowExecution SignalWithStartWorkflowExecution ExecuteMultiOperation
        SignalWorkflowExecution UpdateWorkflowExecution RequestCancelWorkflowExecution
        TerminateWorkflowExecution ResetWorkflowExecution DeleteWorkflowExecution
        PauseWorkflowExecution UnpauseWorkflowExecution UpdateWorkflowExecutionOptions
        CreateSchedule UpdateSchedule PatchSchedule DeleteSchedule
        StartBatchOperation StopBatchOperation
        StartActivityExecution RequestCancelActivityExecution TerminateActivityExecution
        DeleteActivityExecution
        StartNexusOperationExecution RequestCancelNexusOperationExecution
        TerminateNexusOperationExecution DeleteNexusOperationExecution
        PauseActivity UnpauseActivity ResetActivity UpdateActivityOptions
        PauseActivityExecution UnpauseActivityExecution ResetActivityExecution
        UpdateActivityExecutionOptions
        UpdateTaskQueueConfig UpdateWorkerConfig
        CreateWorkflowRule DeleteWorkflowRule TriggerWorkflowRule
        UpdateWorkerBuildIdCompatibility UpdateWorkerVersioningRules SetCurrentDeployment
        CreateWorkerDeployment CreateWorkerDeploymentVersion
        SetWorkerDeploymentCurrentVersion SetWorkerDeploymentRampingVersion
        SetWorkerDeploymentManager DeleteWorkerDeployment DeleteWorkerDeploymentVersion
        UpdateWorkerDeploymentVersionMetadata UpdateWorkerDeploymentVersionComputeConfig
        ValidateWorkerDeploymentVersionComputeConfig""",
    Priority.PROGRESS: """
        RespondWorkflowTaskCompleted RespondWorkflowTaskFailed RespondQueryTaskCompleted
        RespondActivityTaskCompleted RespondActivityTaskCompletedById
        RespondActivityTaskFailed RespondActivityTaskFailedById
        RespondActivityTaskCanceled RespondActivityTaskCanceledById
        RecordActivityTaskHeartbeat RecordActivityTaskHeartbeatById
        RespondNexusTaskCompleted RespondNexusTaskFailed
        ResetStickyTaskQueue ShutdownWorker RecordWorkerHeartbeat""",
    Priority.STATUS: """
        DescribeWorkflowExecution GetWorkflowExecutionHistory GetWorkflowExecutionHistoryReverse
        QueryWorkflow DescribeTaskQueue ListTaskQueuePartitions
        ListWorkflowExecutions ScanWorkflowExecutions CountWorkflowExecutions
        ListOpenWorkflowExecutions ListClosedWorkflowExecutions ListArchivedWorkflowExecutions
        DescribeSchedule ListSchedules CountSchedules ListScheduleMatchingTimes
        DescribeBatchOperation ListBatchOperations
        DescribeActivityExecution ListActivityExecutions CountActivityExecutions
        DescribeNexusOperationExecution ListNexusOperationExecutions
        CountNexusOperationExecutions
        DescribeWorker ListWorkers CountWorkers FetchWorkerConfig
        DescribeWorkflowRule ListWorkflowRules
        GetWorkerBuildIdCompatibility GetWorkerVersioningRules GetWorkerTaskReachability
        DescribeDeployment ListDeployments GetDeploymentReachability GetCurrentDeployment
        DescribeWorkerDeployment DescribeWorkerDeploymentVersion ListWorkerDeployments""",
    Priority.POLL: """
        PollWorkflowTaskQueue PollActivityTaskQueue PollNexusTaskQueue
        PollWorkflowExecutionUpdate PollWorkflowExecutionTimeSkipping PollActivityExecution
        PollNexusOperationExecution""",
}

PRIORITIES: Final[dict[str, Priority]] = {
    name: priority for priority, names in _BY_PRIORITY.items() for name in names.split()
}
"""Every RPC by its name. A read of history that waits is WATCH."""

VISIBILITY: Final = frozenset(
    {
        "ListWorkflowExecutions",
        "ScanWorkflowExecutions",
        "CountWorkflowExecutions",
        "ListOpenWorkflowExecutions",
        "ListClosedWorkflowExecutions",
        "ListArchivedWorkflowExecutions",
        "ListSchedules",
        "CountSchedules",
        "ListBatchOperations",
        "ListActivityExecutions",
        "CountActivityExecutions",
        "ListNexusOperationExecutions",
        "CountNexusOperationExecutions",
    }
)
"""RPCs that look at many runs: they have a limit of their own in each namespace."""

POLLS: Final = frozenset(
    {
        "PollWorkflowTaskQueue",
        "PollActivityTaskQueue",
        "PollNexusTaskQueue",
        "PollWorkflowExecutionUpdate",
    }
)
"""RPCs that wait, besides reads of history that ask for it: so many at a time in each namespace."""
