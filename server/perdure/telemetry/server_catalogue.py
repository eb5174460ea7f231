"""Metrics of RPCs, matching, shards, stores and metrics themselves. A part of the catalogue."""

from perdure.telemetry.labels import ERROR, OPERATION, QUEUE, RPC, SERVICE
from perdure.telemetry.metric import Metric, Unit, counter, gauge, histogram

_VISIBILITY = (*OPERATION, "visibility_index_name", "visibility_plugin_name")
_POOL = ("db_kind", *SERVICE)

SERVICE_LATENCY_NOUSERLATENCY = histogram(
    "service_latency_nouserlatency",
    RPC,
    "The same as service_latency: nobody here waits for the lock of a workflow.",
)
SERVICE_ERRORS = counter(
    "service_errors", RPC, "RPCs answered with an error that is not their caller's."
)
SERVICE_ERRORS_ENTITY_NOT_FOUND = counter(
    "service_errors_entity_not_found", RPC, "RPCs about what does not exist."
)
SERVICE_ERRORS_EXECUTION_ALREADY_STARTED = counter(
    "service_errors_execution_already_started", RPC, "Starts of workflows that run already."
)
SERVICE_ERRORS_INVALID_ARGUMENT = counter(
    "service_errors_invalid_argument", RPC, "RPCs refused for what they say."
)
SERVICE_ERRORS_CONTEXT_TIMEOUT = counter(
    "service_errors_context_timeout", RPC, "RPCs that were not answered within their deadline."
)
SERVICE_ERRORS_SHARD_OWNERSHIP_LOST = counter(
    "service_errors_shard_ownership_lost",
    RPC,
    "RPCs of other nodes about shards or task queues that this node does not own.",
)
SERVICE_ERRORS_UNAUTHORIZED = counter(
    "service_errors_unauthorized",
    RPC,
    "RPCs refused because their caller may not make them, or shows no good token.",
)
SERVICE_ERRORS_AUTHORIZE_FAILED = counter(
    "service_errors_authorize_failed",
    RPC,
    "RPCs refused because no source of keys has answered yet, so that no token can be verified.",
)
SERVICE_AUTHORIZATION_LATENCY = histogram(
    "service_authorization_latency", RPC, "Time to decide whether an RPC is allowed."
)
AUTHORIZATION_KEYS = gauge("authorization_keys", SERVICE, "Keys that tokens are verified with.")
AUTHORIZATION_KEY_READS = counter(
    "authorization_key_reads",
    ("outcome", *SERVICE),
    "Reads of sources of keys for tokens: read, or failed, after which the keys before stay.",
)
SERVICE_PANICS = counter(
    "service_panics", SERVICE, "RPCs that ended with an error that nobody has thought of."
)
SERVICE_GRPC_CONN_ACTIVE = gauge(
    "service_grpc_conn_active", SERVICE, "Connections of the gRPC ports, seen when scraped."
)
CLIENT_CALLS_PER_MESSAGE = histogram(
    "client_calls_per_message",
    SERVICE,
    "Calls to another node that went in one message of a stream; 0 when it only takes calls back.",
    Unit.COUNT,
)

ACQUIRE_SHARDS_COUNT = counter(
    "acquire_shards_count", OPERATION, "Times that this process took shards, some at a time."
)
ACQUIRE_SHARDS_LATENCY = histogram(
    "acquire_shards_latency", OPERATION, "Time to take them, those of one time together."
)
SHARDINFO_SCHEDULED_QUEUE_LAG = histogram(
    "shardinfo_scheduled_queue_lag",
    ("task_category", *OPERATION),
    "How late timers of runs are handled, each when that begins.",
)
HOST_HEALTH = gauge(
    "host_health", SERVICE, "1 while this node can serve, 2 while it cannot; of cluster nodes."
)

TASK_DISPATCH_LATENCY = histogram(
    "task_dispatch_latency",
    (
        *("forwarded", *RPC, "partition", "source", "task_priority", "task_type", "taskqueue"),
        "worker_version",
    ),
    "Time from a task's being scheduled to its start, by whether a poller had waited (History)"
    " or the task (DbBacklog).",
)
LOCAL_TO_LOCAL_MATCHES = counter(
    "local_to_local_matches", QUEUE, "Tasks started by pollers of their own partition."
)
REMOTE_TO_LOCAL_MATCHES = counter(
    "remote_to_local_matches", QUEUE, "Tasks started by pollers of the root partition."
)
FORWARDED = counter(
    "forwarded", (*RPC, "service_role"), "Tasks sent to the root partition: nobody polls theirs."
)
SYNC_THROTTLE_COUNT = counter(
    "sync_throttle_count", QUEUE, "Tasks held back by their queue's rate limit."
)

PERSISTENCE_ERROR_WITH_TYPE = counter(
    "persistence_error_with_type", ERROR, "Store operations that failed, by the error."
)
VISIBILITY_PERSISTENCE_REQUESTS = counter(
    "visibility_persistence_requests", _VISIBILITY, "Lists and counts of workflows asked for."
)
VISIBILITY_PERSISTENCE_ERRORS = counter(
    "visibility_persistence_errors", _VISIBILITY, "Lists and counts that failed."
)
VISIBILITY_PERSISTENCE_LATENCY = histogram(
    "visibility_persistence_latency", _VISIBILITY, "Duration of lists and counts."
)
PERSISTENCE_SQL_MAX_OPEN_CONN = gauge(
    "persistence_sql_max_open_conn", _POOL, "Connections to PostgreSQL that may be open."
)
PERSISTENCE_SQL_OPEN_CONN = gauge(
    "persistence_sql_open_conn", _POOL, "Connections to PostgreSQL that are open."
)
PERSISTENCE_SQL_IDLE_CONN = gauge(
    "persistence_sql_idle_conn", _POOL, "Open connections that do nothing."
)
PERSISTENCE_SQL_IN_USE = gauge("persistence_sql_in_use", _POOL, "Connections that do something.")
PERSISTENCE_SESSION_REFRESH_ATTEMPTS = counter(
    "persistence_session_refresh_attempts", _POOL, "Times that a connection was made anew."
)
PERSISTENCE_SESSION_REFRESH_FAILURES = counter(
    "persistence_session_refresh_failures", _POOL, "Times that none could be made."
)

METRICS_SERIES = gauge("metrics_series", SERVICE, "Series that this process tells.", Unit.COUNT)
METRICS_SERIES_OVERFLOWED = counter(
    "metrics_series_overflowed",
    ("metric", *SERVICE),
    "Series that were counted as _overflow_, since their metric had too many.",
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Metric)
)
"""Every metric above, in order."""
