"""The keys by which operators reach what holds for every workflow: limits, timeouts, pauses."""

from perdure.config.convert import at_least, boolean, nanoseconds, number_at_least
from perdure.config.groups import Key, declare_group
from perdure.core.visibility.attributes import SearchAttributeLimits
from perdure.core.workflow.settings import WorkflowSettings

_COUNT = at_least(1)

SEARCH_ATTRIBUTES = declare_group(
    SearchAttributeLimits(),
    {
        "max_keys": Key(
            "frontend.searchAttributesNumberOfKeysLimit",
            _COUNT,
            "keys",
            "Most search attributes of a run.",
        ),
        "max_value_bytes": Key(
            "frontend.searchAttributesSizeOfValueLimit",
            _COUNT,
            "bytes",
            "Largest value of a search attribute.",
        ),
        "max_total_bytes": Key(
            "frontend.searchAttributesTotalSizeLimit",
            _COUNT,
            "bytes",
            "Largest search attributes of a run, all together.",
        ),
    },
)
WORKFLOW = declare_group(
    WorkflowSettings(),
    {
        "max_id_length": Key("limit.maxIDLength", _COUNT, "bytes", "Longest identifier."),
        "blob_size_limit": Key(
            "limit.blobSize.error", _COUNT, "bytes", "Largest payloads of one event."
        ),
        "memo_size_limit": Key("limit.memoSize.error", _COUNT, "bytes", "Largest memo of a run."),
        "max_pending_activities": Key(
            "limit.numPendingActivities.error",
            _COUNT,
            "activities",
            "Most pending activities of a run.",
        ),
        "max_pending_children": Key(
            "limit.numPendingChildExecutions.error",
            _COUNT,
            "children",
            "Most pending children of a run.",
        ),
        "max_pending_signals": Key(
            "limit.numPendingSignals.error",
            _COUNT,
            "signals",
            "Most signals of a run to other workflows that are under way.",
        ),
        "max_pending_cancels": Key(
            "limit.numPendingCancelRequests.error",
            _COUNT,
            "requests",
            "Most requests of a run to cancel other workflows that are under way.",
        ),
        "cross_namespace_commands": Key(
            "system.enableCrossNamespaceCommands",
            boolean,
            "",
            "Whether workflows may start, signal and cancel those of other namespaces.",
        ),
        "max_signals": Key(
            "history.maximumSignalsPerExecution",
            _COUNT,
            "signals",
            "Most signals that a run accepts.",
        ),
        "max_buffered_events": Key(
            "history.maximumBufferedEventsBatch",
            _COUNT,
            "events",
            "Most events that wait for a workflow task.",
        ),
        "max_buffered_bytes": Key(
            "history.maximumBufferedEventsSizeInBytes",
            _COUNT,
            "bytes",
            "Most bytes of events that wait.",
        ),
        "max_buffered_queries": Key(
            "history.MaxBufferedQueryCount", _COUNT, "queries", "Most queries that wait for one."
        ),
        "max_auto_reset_points": Key(
            "history.historyMaxAutoResetPoints",
            _COUNT,
            "points",
            "Most reset points that a run keeps.",
        ),
        "workflow_task_heartbeat_timeout": Key(
            "history.workflowTaskHeartbeatTimeout",
            nanoseconds,
            "ns",
            "How long workflow tasks may only heartbeat for local activities.",
        ),
        "critical_workflow_task_attempt": Key(
            "history.workflowTaskCriticalAttempt",
            _COUNT,
            "attempts",
            "Failures after which a workflow task is tried ever more rarely.",
        ),
        "default_workflow_task_timeout": Key(
            "history.defaultWorkflowTaskTimeout", nanoseconds, "ns", "Where a start asks for none."
        ),
        "max_workflow_task_timeout": Key(
            "system.maxWorkflowTaskTimeout",
            nanoseconds,
            "ns",
            "Longest timeout of a workflow task.",
        ),
        "max_workflow_task_backoff": Key(
            "history.workflowTaskRetryMaxInterval",
            nanoseconds,
            "ns",
            "Longest pause before such a try.",
        ),
        "max_history_events": Key(
            "limit.historyCount.error",
            _COUNT,
            "events",
            "History length over which a run is terminated.",
        ),
        "max_history_bytes": Key(
            "limit.historySize.error",
            _COUNT,
            "bytes",
            "History size over which a run is terminated.",
        ),
        "max_state_bytes": Key(
            "limit.mutableStateSize.error",
            _COUNT,
            "bytes",
            "Size of what is pending in a run over which it is terminated.",
        ),
        "suggest_continue_as_new_events": Key(
            "limit.historyCount.suggestContinueAsNew",
            _COUNT,
            "events",
            "History length from which a new run is suggested.",
        ),
        "suggest_continue_as_new_bytes": Key(
            "limit.historySize.suggestContinueAsNew",
            _COUNT,
            "bytes",
            "History size from which a new run is suggested.",
        ),
        "max_in_flight_updates": Key(
            "history.maxInFlightUpdates",
            at_least(0),
            "updates",
            "Most updates of a run that have not ended; 0 for no limit.",
        ),
        "max_in_flight_update_bytes": Key(
            "history.maxInFlightUpdatePayloads",
            at_least(0),
            "bytes",
            "Most bytes of them together; 0 for no limit.",
        ),
        "max_total_updates": Key(
            "history.maxTotalUpdates",
            at_least(0),
            "updates",
            "Most updates that a run accepts; 0 for no limit.",
        ),
        "suggest_continue_as_new_updates": Key(
            "history.maxTotalUpdates.suggestContinueAsNewThreshold",
            number_at_least(0.0),
            "",
            "Part of them from which a new run is suggested.",
        ),
        "discardable_events": Key(
            "history.discardSpeculativeWorkflowTaskMaximumEventsCount",
            at_least(0),
            "events",
            "Most events that a worker may be shown again when updates are refused.",
        ),
        "min_run_interval": Key(
            "history.workflowIdReuseMinimalInterval",
            nanoseconds,
            "ns",
            "Least time between the starts of two runs of one workflow id.",
        ),
        "search_attributes": SEARCH_ATTRIBUTES,
        "write_partitions": Key(
            "matching.numTaskqueueWritePartitions",
            _COUNT,
            "partitions",
            "Over how many partitions of a task queue new tasks spread.",
        ),
        "activity_failure_limit": Key(
            "limit.mutableStateActivityFailureSize.error",
            _COUNT,
            "bytes",
            "What the last failure of a pending activity is cut to.",
        ),
    },
)
