"""Names of Temporal's metrics that operators use, and what stands here for those that cannot be.

A name is exported from a cause that exists here, or it is not exported: a constant would hide that
an alert on it never fires. Names that end in `*` stand for all that begin so.
"""

from collections.abc import Mapping
from typing import NamedTuple

from perdure.telemetry import catalogue, server_catalogue
from perdure.telemetry.metric import Metric


class Equivalent(NamedTuple):
    """A metric of Temporal whose cause does not exist here.

    Attributes:
        names: What Temporal calls it, and others with the same cause.
        nearest: What to look at instead; none where there is nothing to look at.
        why: Why it cannot exist: a clause.
    """

    names: tuple[str, ...]
    nearest: tuple[Metric, ...]
    why: str


EQUIVALENTS = (
    Equivalent(
        ("service_errors_namespace_not_active",),
        (),
        "every namespace is active: none is replicated to other clusters",
    ),
    Equivalent(
        ("service_errors_unauthorized", "service_authorization_latency"),
        (catalogue.SERVICE_ERROR_WITH_TYPE,),
        "no authorizer is asked",
    ),
    Equivalent(
        ("service_grpc_conn_accepted", "service_grpc_conn_closed"),
        (server_catalogue.SERVICE_GRPC_CONN_ACTIVE,),
        "the gRPC library says which connections there are, not when they come and go",
    ),
    Equivalent(
        (
            *("task_requests", "task_errors", "task_attempt", "task_latency"),
            *("task_latency_queue", "task_latency_processing", "task_latency_load"),
            *("task_latency_schedule", "task_errors_discarded", "task_errors_workflow_busy"),
            *("task_errors_throttled", "task_errors_internal"),
        ),
        (
            catalogue.TASK_SCHEDULE_TO_START_LATENCY,
            catalogue.GROUP_COMMIT_LATENCY,
            server_catalogue.SHARDINFO_SCHEDULED_QUEUE_LAG,
        ),
        "history has no queues of transfer, timer and visibility tasks: what a task would do is in"
        " the transaction of its cause",
    ),
    Equivalent(
        ("task_terminal_failures", "dlq_message_count"),
        (catalogue.MESSAGES_RETRIED,),
        "nothing is given up: what fails is tried again until it is done, and there is no queue of"
        " dead letters",
    ),
    Equivalent(
        ("shardinfo_immediate_queue_lag", "shardinfo_immediate_queue_backlog_age"),
        (catalogue.MESSAGES_IN_MEMORY, catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS),
        "what is immediate is in the transaction of its cause",
    ),
    Equivalent(
        ("semaphore_latency",),
        (catalogue.GROUP_COMMIT_LATENCY,),
        "a shard has no lock: transitions wait for their transaction only",
    ),
    Equivalent(
        ("cache_latency", "cache_errors"),
        (catalogue.CACHE_MISS, catalogue.PERSISTENCE_LATENCY, catalogue.PERSISTENCE_ERRORS),
        "a workflow in memory has no lock, so that a look-up takes no time and cannot fail; what"
        " is not in memory is read from the store",
    ),
    Equivalent(
        (
            *("lease_requests", "lease_failures", "task_write_latency"),
            *("task_write_throttle_count", "task_lag_per_tl"),
        ),
        (catalogue.GROUP_COMMIT_LATENCY, catalogue.APPROXIMATE_BACKLOG_AGE_SECONDS),
        "matching writes no rows of its own",
    ),
    Equivalent(
        ("local_to_remote_matches", "remote_to_remote_matches"),
        (server_catalogue.REMOTE_TO_LOCAL_MATCHES,),
        "polls are not forwarded, tasks are",
    ),
    Equivalent(
        ("scavenger_*", "executor_*"),
        (catalogue.WORKFLOW_CLEANUP_DELETE, catalogue.DELETE_EXECUTIONS_SUCCESS),
        "nothing is left behind to be scavenged: rows go in the transaction of their cause",
    ),
    Equivalent(
        ("batcher_processor_requests", "batcher_processor_errors"),
        (catalogue.SERVICE_REQUESTS,),
        "the batcher is no worker with metrics of its own: what it asks of workflows is counted as"
        " theirs",
    ),
    Equivalent(
        ("certificates_expired", "certificates_expiring"),
        (),
        "the server does not read certificates",
    ),
    Equivalent(
        ("dd_shard_lock_latency", "dd_shard_io_semaphore_latency"),
        (server_catalogue.ACQUIRE_SHARDS_LATENCY, catalogue.GROUP_COMMIT_LATENCY),
        "a shard has no lock",
    ),
    Equivalent(
        ("memory_num_gc", "num_goroutines", "gomaxprocs"),
        (catalogue.MEMORY_GC_PAUSE_MS, catalogue.EVENT_LOOP_LAG),
        "they are of Go's runtime",
    ),
)
"""What Temporal tells and Perdure cannot."""

OPERATED: Mapping[str, tuple[str, ...]] = {
    "RPCs": (
        *("service_requests", "service_latency", "service_latency_nouserlatency"),
        *("service_pending_requests", "service_errors", "service_error_with_type"),
        *("service_errors_entity_not_found", "service_errors_execution_already_started"),
        *("service_errors_resource_exhausted", "service_errors_invalid_argument"),
        *("service_errors_namespace_not_active", "service_errors_context_timeout"),
        *("service_errors_unauthorized", "service_errors_shard_ownership_lost"),
        *("service_panics", "service_grpc_conn_active", "service_grpc_conn_accepted"),
        *("service_grpc_conn_closed", "host_rps_limit", "namespace_host_rps_limit", "action"),
        *("service_authorization_latency", "client_requests", "client_errors", "client_latency"),
    ),
    "History": (
        *("state_transition_count", "task_requests", "task_errors", "task_attempt"),
        *("task_latency", "task_latency_queue", "task_latency_processing", "task_latency_load"),
        *("task_latency_schedule", "task_errors_discarded", "task_errors_workflow_busy"),
        *("task_errors_throttled", "task_errors_internal", "task_terminal_failures"),
        *("dlq_message_count", "shardinfo_immediate_queue_lag", "shardinfo_scheduled_queue_lag"),
        *("shardinfo_immediate_queue_backlog_age", "semaphore_latency", "numshards_gauge"),
        *("membership_changed_count", "sharditem_created_count", "sharditem_removed_count"),
        *("shard_closed_count", "sharditem_acquisition_latency", "acquire_shards_count"),
        *("acquire_shards_latency", "host_health", "cache_requests", "cache_miss"),
        *("cache_errors", "cache_latency", "cache_size", "cache_usage", "workflow_success"),
        *("workflow_failed", "workflow_timeout", "workflow_terminate", "workflow_cancel"),
        *("workflow_continued_as_new", "workflow_schedule_to_close_latency"),
        *("activity_success", "activity_fail", "activity_task_fail", "activity_timeout"),
        *("activity_cancel", "activity_start_to_close_latency"),
        *("activity_schedule_to_close_latency", "task_schedule_to_start_latency"),
        *("schedule_to_start_timeout", "start_to_close_timeout", "schedule_to_close_timeout"),
        *("heartbeat_timeout", "failed_workflow_tasks", "workflow_task_attempt"),
        "complete_workflow_task_sticky_enabled_count",
        "complete_workflow_task_sticky_disabled_count",
        *("command", "history_size", "history_count", "mutable_state_size", "event_blob_size"),
    ),
    "Matching": (
        *("poll_success", "poll_success_sync", "poll_timeouts", "poll_latency"),
        *("syncmatch_latency", "asyncmatch_latency", "task_dispatch_latency", "tasks_added"),
        *("approximate_backlog_count", "approximate_backlog_age_seconds", "no_poller_tasks"),
        *("pending_polls", "loaded_task_queue_count", "lease_requests", "lease_failures"),
        *("sync_throttle_count", "task_write_latency", "task_write_throttle_count"),
        *("local_to_local_matches", "local_to_remote_matches", "remote_to_local_matches"),
        *("remote_to_remote_matches", "forwarded"),
    ),
    "Store": (
        *("persistence_requests", "persistence_errors", "persistence_latency"),
        *("persistence_error_with_type", "persistence_sql_max_open_conn"),
        *("persistence_sql_open_conn", "persistence_sql_idle_conn", "persistence_sql_in_use"),
        *("persistence_session_refresh_attempts", "persistence_session_refresh_failures"),
        *("visibility_persistence_requests", "visibility_persistence_errors"),
        "visibility_persistence_latency",
    ),
    "Worker and process": (
        *("scavenger_*", "executor_*", "batcher_processor_requests", "batcher_processor_errors"),
        *("schedule_action_success", "schedule_action_errors", "schedule_action_delay"),
        *("schedule_buffer_overruns", "schedule_missed_catchup_window", "schedule_rate_limited"),
        *("restarts", "build_information", "memory_allocated", "memory_heap", "memory_stack"),
        *("certificates_expired", "certificates_expiring", "process_cpu_seconds_total"),
        *("process_resident_memory_bytes", "process_open_fds", "process_max_fds"),
        "process_start_time_seconds",
    ),
}
"""Names that dashboards and alerts of Temporal's users ask for, by what they are about."""

EXPORTED: Mapping[str, Metric] = {
    metric.name: metric for metric in (*catalogue.CATALOGUE, *catalogue.PROCESS)
}
"""What Perdure tells, by name."""
