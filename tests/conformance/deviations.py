"""What differs from the real server on purpose: the one table, used by the tests and the docs.

A path names places in a recording: step names and field names joined by "/", list positions as
numbers; `*` stands for one part and `**` for any number of them. An entry of a named scenario that
matches no difference any more is stale and fails the tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from conformance import terminal_deviations

SURFACE = "rpc_surface"
"""The scenario that calls every RPC."""


@dataclass(slots=True, frozen=True)
class Deviation:
    """One named deviation; `scenario` may be "*" for all."""

    scenario: str
    path: str
    reason: str


_UNAVAILABLE_RPCS = {
    "pauses of workflows": """
        PauseWorkflowExecution PollWorkflowExecutionTimeSkipping UnpauseWorkflowExecution
    """,
    "batch operations": """
        DescribeBatchOperation ListBatchOperations StartBatchOperation StopBatchOperation
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
    "Nexus": """
        CountNexusOperationExecutions DeleteNexusOperationExecution DescribeNexusOperationExecution
        ListNexusOperationExecutions PollNexusOperationExecution PollNexusTaskQueue
        RequestCancelNexusOperationExecution RespondNexusTaskCompleted RespondNexusTaskFailed
        StartNexusOperationExecution TerminateNexusOperationExecution
        OperatorService.CreateNexusEndpoint OperatorService.DeleteNexusEndpoint
        OperatorService.GetNexusEndpoint OperatorService.ListNexusEndpoints
        OperatorService.UpdateNexusEndpoint
    """,
    "remote clusters": """
        OperatorService.AddOrUpdateRemoteCluster
        OperatorService.ListClusters OperatorService.RemoveRemoteCluster
    """,
}
"""RPCs that answer UNIMPLEMENTED by name, by what they belong to."""


def _unavailable() -> Iterator[Deviation]:
    for feature, names in _UNAVAILABLE_RPCS.items():
        for name in names.split():
            path = name if "." in name else f"WorkflowService.{name}"
            yield Deviation(SURFACE, path, f"refused by name, not here yet: {feature}")


_BUILD_IDS = (
    "the BuildIds search attribute is not kept: it costs a write per workflow and serves only"
    " worker versioning"
)
_EXACT_INTERVAL = "the retry interval itself; the real server measures it by two clock readings"
_MANY_ATTRIBUTES = "a namespace may have as many search attributes of each type as it likes"
_TOLD_TIMEOUTS = "a worker is told the timeouts that hold now, by which it paces its heartbeats"
_EXPIRATION = "an activity's expiration follows a changed schedule-to-close timeout"
_PRIORITIES = "of a priority that no waiting task has, no statistics are shown"
_FAIRNESS = "rate limits and weights of fairness keys are refused: not here yet"
_SYSTEM_RATE = "there is no system-wide rate limit of task queues to report"
_FIRST_TASK = (
    "a run's first task is written even if all it brings is refused: a worker that has the run in"
    " its cache could not be told to go back to before it"
)
_CAPABILITIES = "only capabilities that are here are announced"
_BAD_CRON = (
    "a run that continues as new with a schedule that is none fails its task; on the real server"
    " it does so, and never comes again"
)
_RESET_AGAIN = (
    "a reset request that is repeated answers with the run that it has made; the real server"
    " resets again"
)
_TRANSITIONS = "a start fused with its commit counts by what happened, not by transactions"
_RENUMBERED = "the BuildIds that are not there number other identifiers differently"
_CLOSED_TASK = "a closed run has no pending workflow task, where the real server shows its last"
_CLOSED_CHILDREN = "a closed run has no pending children: a reset has handed them over"
_RESET_EXPIRATION = "timeouts of activities count from the reset, in the description too"
_UNSET_TIMER = "a timer without a duration fires at once, where on the real server it never does"

_DESCRIBED = "workflow_execution_info/search_attributes/indexed_fields"
_NAMED: tuple[tuple[str, str, str], ...] = (
    ("activity_success", f"describe completed/{_DESCRIBED}", _BUILD_IDS),
    ("child_inherits", f"parent described/{_DESCRIBED}", _BUILD_IDS),
    ("child_success", f"*/{_DESCRIBED}", _BUILD_IDS),
    ("continue_as_new_carries", f"first described/{_DESCRIBED}/BuildIds", _BUILD_IDS),
    ("continue_as_new_carries", f"second described/{_DESCRIBED}", _BUILD_IDS),
    ("continue_as_new_overrides", f"described/{_DESCRIBED}/BuildIds", _BUILD_IDS),
    ("list_and_count", "*/executions/*/search_attributes/indexed_fields/BuildIds", _BUILD_IDS),
    ("retry_until_success", f"*/{_DESCRIBED}", _BUILD_IDS),
    ("search_attributes_upsert", "later/indexed_fields/BuildIds", _BUILD_IDS),
    ("sdk_medium", f"describe/{_DESCRIBED}/BuildIds", _BUILD_IDS),
    ("sdk_medium", "describe/workflow_extended_info/request_id_infos/*", _RENUMBERED),
    ("*", "**/state_transition_count", _TRANSITIONS),
    ("start_and_complete", f"describe closed/{_DESCRIBED}", _BUILD_IDS),
    ("activity_next_retry_delay", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("activity_options_take_effect", "*/heartbeat_timeout", _TOLD_TIMEOUTS),
    ("activity_options_updated", "*/1/expiration_time", _EXPIRATION),
    ("activity_pause_in_backoff", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("activity_reset_paused", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("activity_reset_restores_options", "*/0/expiration_time", _EXPIRATION),
    ("activity_reset_waiting", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("activity_retries", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("activity_retry_default_policy", "*/0/current_retry_interval", _EXACT_INTERVAL),
    ("cli_operator", "describe/namespaceInfo/capabilities/*", _CAPABILITIES),
    ("cli_operator", "describe/namespaceInfo/limits/*", _CAPABILITIES),
    ("namespaces", "**/namespace_info/capabilities/*", _CAPABILITIES),
    ("namespaces", "**/namespace_info/limits/*", _CAPABILITIES),
    ("namespace_of_the_system", "**/namespace_info/capabilities/*", _CAPABILITIES),
    ("namespace_of_the_system", "**/namespace_info/limits/*", _CAPABILITIES),
    ("search_attribute_limits", "a fourth", _MANY_ATTRIBUTES),
    ("search_attribute_limits", "listed/BoolD", _MANY_ATTRIBUTES),
    ("system_info", "capabilities/*", _CAPABILITIES),
    ("reset_repeated", "**", _RESET_AGAIN),
    ("cron_continued_badly", "**", _BAD_CRON),
    ("cron_goes_on", f"third described/{_DESCRIBED}", _BUILD_IDS),
    ("start_delay_passes", f"described closed/{_DESCRIBED}", _BUILD_IDS),
    ("reset_activities", f"described/{_DESCRIBED}", _BUILD_IDS),
    ("reset_activity_timeouts", "described/0/expiration_time", _RESET_EXPIRATION),
    ("reset_child", f"old run described/{_DESCRIBED}", _BUILD_IDS),
    ("reset_keeps_child", f"*/{_DESCRIBED}", _BUILD_IDS),
    ("reset_keeps_child", "old run described/pending_children", _CLOSED_CHILDREN),
    ("reset_follows_the_chain", f"first described/{_DESCRIBED}", _BUILD_IDS),
    ("reset_open_run", f"old run described/{_DESCRIBED}", _BUILD_IDS),
    ("reset_open_run", "old run described/pending_workflow_task", _CLOSED_TASK),
    ("reset_while_task_started", "described/indexed_fields/BuildIds", _BUILD_IDS),
    ("cli_workflow", "describe closed/pendingWorkflowTask", _CLOSED_TASK),
    ("run_timeout", "describe/pending_workflow_task", _CLOSED_TASK),
    ("task_queue_backlog", "by priority, taken/*", _PRIORITIES),
    ("task_queue_fairness", "**", _FAIRNESS),
    ("task_queue_rate_limit", "described workflows/1", _SYSTEM_RATE),
    ("timer_of_zero", "history/*", _UNSET_TIMER),
    ("describe_task_queue", "nobody/effective_rate_limit", _SYSTEM_RATE),
    (
        "update_during_start_delay",
        "rejected: history/**",
        _FIRST_TASK,
    ),
    (
        "broken_bytes",
        "text that is not UTF-8/message",
        "the protobuf library does not say which rule a message breaks",
    ),
    (
        "query_fails",
        "result of no type/*",
        "an answer without a type counts as an empty answer, rather than be waited for in vain",
    ),
)

DEVIATIONS: tuple[Deviation, ...] = (
    *_unavailable(),
    *(Deviation(scenario, path, reason) for scenario, path, reason in _NAMED),
    *(Deviation(scenario, path, reason) for scenario, path, reason in terminal_deviations.rows()),
)
