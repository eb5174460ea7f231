"""The keys by which operators reach the settings of each part.

Keys are those of Temporal's dynamic configuration, whose texts say the same of them. What is a
constant there has a key of our own here; `system.maxWorkflowTaskTimeout` was one there once.
"""

from perdure.app.workflow_settings import SEARCH_ATTRIBUTES, WORKFLOW
from perdure.config.convert import (
    at_least,
    number_at_least,
    seconds,
    whole_seconds,
)
from perdure.config.groups import Key, Shared, declare_group
from perdure.core.visibility.limits import QueryLimits
from perdure.frontend.quotas.limits import QuotaSettings
from perdure.frontend.settings import FrontendSettings
from perdure.history.ports import HistorySettings
from perdure.matching.settings import MatchingSettings
from perdure.rpc.internode.settings import InternodeSettings
from perdure.rpc.transport import TransportSettings
from perdure.systemworker.settings import SystemWorkerSettings

__all__ = [
    "FRONTEND",
    "HISTORY",
    "INTERNODE",
    "MATCHING",
    "QUERIES",
    "QUOTAS",
    "SEARCH_ATTRIBUTES",
    "SYSTEM_WORKER",
    "TRANSPORT",
    "WORKFLOW",
]

_COUNT = at_least(1)

QUERIES = declare_group(
    QueryLimits(),
    {
        "max_bytes": Key(
            "frontend.visibilityQueryMaxSize", _COUNT, "bytes", "Longest visibility query."
        ),
        "max_tokens": Key(
            "frontend.visibilityQueryMaxTokens",
            _COUNT,
            "tokens",
            "Most words, values and operators of a visibility query.",
        ),
        "max_nesting": Key(
            "frontend.visibilityQueryMaxNesting",
            _COUNT,
            "levels",
            "So many parentheses and NOTs within each other are too many in a visibility query.",
        ),
        "max_alternations": Key(
            "frontend.visibilityQueryMaxAlternations",
            _COUNT,
            "levels",
            "Most ANDs and ORs within each other, in turn, of a visibility query.",
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
        "worker_memory": Key(
            "matching.workerRegistryEntryTTL",
            seconds,
            "s",
            "How long a worker is listed after its last heartbeat.",
        ),
        "remembered_workers": Key(
            "matching.workerRegistryMaxEntries",
            _COUNT,
            "workers",
            "Of how many workers the last heartbeat is kept; about 2 kB each.",
        ),
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
        "queries": QUERIES,
        "default_workflow_task_seconds": Shared(
            WORKFLOW["default_workflow_task_timeout"], lambda duration: duration / 1e9
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
        "namespace_delete_delay_seconds": Key(
            "frontend.deleteNamespaceNamespaceDeleteDelay",
            seconds,
            "s",
            "How long a deleted namespace without workflows stays.",
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
SYSTEM_WORKER = declare_group(
    SystemWorkerSettings(),
    {
        "retention_period": Key(
            "worker.retentionPeriod",
            seconds,
            "s",
            "How often workflows are looked for whose retention has run out.",
        ),
        "retention_rate": Key(
            "worker.retentionDeletesPerSecond",
            _COUNT,
            "runs/s",
            "Most runs that retention deletes per second, on one node.",
        ),
        "batch": Key("worker.deletionBatchSize", _COUNT, "runs", "Most runs deleted at a time."),
        "namespace_rate": Key(
            "frontend.deleteNamespaceDeleteActivityRPS",
            _COUNT,
            "runs/s",
            "Most runs of a deleted namespace that are deleted per second.",
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
INTERNODE = declare_group(
    InternodeSettings(),
    {
        "call": Key(
            "internode.callTimeout", seconds, "s", "How long another node may take to answer."
        ),
        "wait_margin": Key(
            "internode.waitMargin",
            seconds,
            "s",
            "How much longer than it says a call of another node may take that waits.",
        ),
        "connect": Key(
            "internode.connectTimeout", seconds, "s", "How long a connection may take to be made."
        ),
        "routing": Key(
            "internode.routingTimeout",
            seconds,
            "s",
            "How long the owner of a workflow or queue is looked for.",
        ),
        "keepalive": Key(
            "internode.keepAliveTime", seconds, "s", "Silence after which a connection is pinged."
        ),
        "keepalive_timeout": Key(
            "internode.keepAliveTimeout", seconds, "s", "How long a ping waits for its answer."
        ),
        "hints_per_node": Key(
            "internode.hintsPerNode", _COUNT, "hints", "Most hints of tasks that wait for one node."
        ),
        "hints_per_batch": Key(
            "internode.hintsPerBatch", _COUNT, "hints", "Most hints of tasks in one message."
        ),
        "shards_moving": Key(
            "history.acquireShardConcurrency",
            _COUNT,
            "shards",
            "Most shards that are without an owner because a node gives them away.",
        ),
    },
)
QUOTAS = declare_group(
    QuotaSettings(),
    {
        "rps": Key(
            "frontend.rps",
            number_at_least(0),
            "requests/s",
            "Most requests to one frontend process; 0 for no limit.",
            live=True,
        ),
        "namespace_rps": Key(
            "frontend.namespaceRPS",
            number_at_least(0),
            "requests/s",
            "Most requests for one namespace to one frontend process; 0 for no limit.",
            live=True,
        ),
        "visibility_rps": Key(
            "frontend.namespaceRPS.visibility",
            number_at_least(0),
            "requests/s",
            "Most listings and counts among them; 0 for no limit.",
            live=True,
        ),
        "burst_ratio": Key(
            "frontend.namespaceBurstRatio",
            number_at_least(1),
            "",
            "How many seconds' worth of requests may come at once.",
            live=True,
        ),
        "polls": Key(
            "frontend.namespaceCount",
            at_least(0),
            "requests",
            "Most requests for one namespace that wait in one frontend process; 0 for no limit.",
            live=True,
        ),
    },
)
