"""The keys by which operators reach the settings of each part.

Keys are those of Temporal's dynamic configuration, whose texts say the same of them. What is a
constant there has a key of our own here; `system.maxWorkflowTaskTimeout` was one there once.
"""

from perdure.config.convert import at_least, boolean, nanoseconds, seconds, whole_seconds
from perdure.config.groups import Key, Shared, declare_group
from perdure.core.visibility.attributes import SearchAttributeLimits
from perdure.core.workflow.settings import WorkflowSettings
from perdure.frontend.settings import FrontendSettings
from perdure.history.ports import HistorySettings
from perdure.matching.settings import MatchingSettings
from perdure.rpc.transport import TransportSettings

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
            "Whether workflows may signal and cancel those of other namespaces.",
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
MATCHING = declare_group(
    MatchingSettings(),
    {
        "long_poll_expiration": Key(
            "matching.longPollExpirationInterval",
            seconds,
            "s",
            "After which a poll without a task ends.",
        ),
        "idle_unload": Key(
            "matching.maxTaskQueueIdleTime",
            seconds,
            "s",
            "After which an unused queue leaves memory.",
        ),
        "page_size": Key(
            "matching.getTasksBatchSize", _COUNT, "rows", "Tasks read from a queue at once."
        ),
        "scaling_idle_wait": Key(
            "matching.pollerScalingWaitTime",
            seconds,
            "s",
            "Wait of a poll after which its answer suggests fewer polls.",
        ),
        "scaling_backlog_age": Key(
            "matching.pollerScalingMinimumBacklog",
            seconds,
            "s",
            "Age of a backlog above which answers to polls suggest more polls.",
        ),
        "scaling_decisions_per_second": Key(
            "matching.pollerScalingDecisionsPerSecond",
            _COUNT,
            "decisions/s",
            "Most suggestions of more polls, for each poll.",
        ),
        "read_partitions": Key(
            "matching.numTaskqueueReadPartitions",
            _COUNT,
            "partitions",
            "Over how many partitions of a task queue polls spread; not fewer than tasks do.",
        ),
        "write_partitions": Shared(WORKFLOW["write_partitions"]),
    },
)
FRONTEND = declare_group(
    FrontendSettings(),
    {
        "max_id_bytes": Shared(WORKFLOW["max_id_length"]),
        "max_blob_bytes": Shared(WORKFLOW["blob_size_limit"]),
        "max_memo_bytes": Shared(WORKFLOW["memo_size_limit"]),
        "max_fairness_key_bytes": Key(
            "limit.fairnessKeySize", _COUNT, "bytes", "Longest fairness key of a priority."
        ),
        "max_build_id_bytes": Key(
            "limit.workerBuildIdSize", _COUNT, "bytes", "Longest build id of a worker."
        ),
        "truncated_failure_bytes": Key(
            "limit.blobSize.warn", _COUNT, "bytes", "What a failure larger than a blob is cut to."
        ),
        "max_links": Key("frontend.maxlinksPerRequest", _COUNT, "links", "Most on one request."),
        "max_link_bytes": Key("frontend.linkMaxSize", _COUNT, "bytes", "Largest link."),
        "search_attributes": SEARCH_ATTRIBUTES,
        "max_custom_attributes": Key(
            "limit.customSearchAttributes",
            _COUNT,
            "attributes",
            "Most search attributes of one type that a namespace may add, Keyword apart.",
        ),
        "max_custom_keyword_attributes": Key(
            "limit.customKeywordSearchAttributes",
            _COUNT,
            "attributes",
            "Most search attributes of type Keyword that a namespace may add.",
        ),
        "default_workflow_task_seconds": Key(
            "history.defaultWorkflowTaskTimeout", seconds, "s", "Where a start asks for none."
        ),
        "max_workflow_task_seconds": Shared(
            WORKFLOW["max_workflow_task_timeout"], lambda duration: duration / 1e9
        ),
        "min_retention_seconds": Key(
            "system.namespaceMinRetentionLocal",
            whole_seconds,
            "s",
            "Least time that a namespace keeps closed workflows.",
        ),
        "history_page_events": Key(
            "frontend.historyMaxPageSize", _COUNT, "events", "Most in one page of a history."
        ),
        "list_page_size": Key(
            "frontend.visibilityMaxPageSize", _COUNT, "runs", "Most in one page of a listing."
        ),
        "history_poll_seconds": Key(
            "history.longPollExpirationInterval",
            seconds,
            "s",
            "How long a read of history waits for a new event.",
        ),
        "task_poll_seconds": Shared(MATCHING["long_poll_expiration"]),
        "min_poll_seconds": Key(
            "frontend.minLongPollTimeout", seconds, "s", "Least time that a poll must have."
        ),
        "poll_margin_seconds": Key(
            "frontend.longPollMargin",
            seconds,
            "s",
            "How long before its caller gives up a poll ends.",
        ),
        "task_queue_partitions": Shared(WORKFLOW["write_partitions"]),
        "query_seconds": Key(
            "frontend.queryTimeout", seconds, "s", "How long a query without a deadline waits."
        ),
    },
)
HISTORY = declare_group(
    HistorySettings(),
    {
        "cache_bytes": Key(
            "history.hostLevelCacheMaxSizeBytes", _COUNT, "bytes", "Memory for cached runs."
        ),
    },
)
TRANSPORT = declare_group(
    TransportSettings(),
    {
        "min_ping_seconds": Key(
            "frontend.keepAliveMinTime", seconds, "s", "Least time between two pings of a client."
        ),
        "keepalive_seconds": Key(
            "frontend.keepAliveTime", seconds, "s", "Silence after which a connection is pinged."
        ),
        "keepalive_timeout_seconds": Key(
            "frontend.keepAliveTimeout", seconds, "s", "How long a ping waits for its answer."
        ),
        "max_idle_seconds": Key(
            "frontend.keepAliveMaxConnectionIdle",
            seconds,
            "s",
            "After which an unused connection is closed.",
        ),
        "max_age_seconds": Key(
            "frontend.keepAliveMaxConnectionAge",
            seconds,
            "s",
            "After which a connection is renewed.",
        ),
        "max_age_grace_seconds": Key(
            "frontend.keepAliveMaxConnectionAgeGrace",
            seconds,
            "s",
            "How long calls of an old connection may go on.",
        ),
    },
)
