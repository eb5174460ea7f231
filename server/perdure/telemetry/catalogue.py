"""Every metric of Perdure, declared once.

Names, labels and kinds are those of Temporal's server 1.32 where it has the metric, so that
dashboards and alerts made for it work here; what only Perdure has stands at the end. Server code,
dashboards, alerts and docs use these objects, never names.
"""

from perdure.telemetry import labels, server_catalogue, tls_catalogue, workflow_catalogue
from perdure.telemetry.metric import Kind, Metric, Unit, counter, gauge, histogram

__all__ = ["CATALOGUE", "Kind", "Metric", "Unit"]

_ACTIVITY = labels.ACTIVITY
_ACTIVITY_TIMEOUT = labels.ACTIVITY_TIMEOUT
_BACKLOG = labels.BACKLOG
_CACHE = labels.CACHE
_CACHE_USE = labels.CACHE_USE
_CLIENT = labels.CLIENT
_ERROR = labels.ERROR
_OPERATION = labels.OPERATION
_PARTITION = labels.PARTITION
_QUEUE = labels.QUEUE
_RPC = labels.RPC
_RUN = labels.RUN
_SCHEDULE = labels.SCHEDULE
_SERVICE = labels.SERVICE
_WORKFLOW = labels.WORKFLOW

SERVICE_REQUESTS = counter("service_requests", _RPC, "RPCs received.")
SERVICE_LATENCY = histogram(
    "service_latency", _RPC, "Time from receiving an RPC to answering it, long polls included."
)
SERVICE_PENDING_REQUESTS = gauge("service_pending_requests", _RPC, "RPCs being answered now.")
SERVICE_ERROR_WITH_TYPE = counter(
    "service_error_with_type", _ERROR, "RPCs answered with an error, by its type."
)
SERVICE_ERRORS_RESOURCE_EXHAUSTED = counter(
    "service_errors_resource_exhausted",
    ("resource_exhausted_cause", "resource_exhausted_scope", *_RPC),
    "RPCs refused because a limit was reached, by the limit and whose it is.",
)
HOST_RPS_LIMIT = gauge(
    "host_rps_limit", _SERVICE, "Requests per second that this process lets through; 0 for any."
)
NAMESPACE_HOST_RPS_LIMIT = gauge(
    "namespace_host_rps_limit",
    ("namespace", *_SERVICE),
    "Requests per second of a namespace that this process lets through; 0 for any.",
)
CLIENT_REQUESTS = counter("client_requests", _CLIENT, "Calls to roles of other nodes.")
CLIENT_ERRORS = counter(
    "client_errors", ("error_type", *_CLIENT), "Calls to other nodes that failed, by the error."
)
CLIENT_LATENCY = histogram("client_latency", _CLIENT, "Duration of calls to other nodes.")

STATE_TRANSITION_COUNT = histogram(
    "state_transition_count", _RUN, "Transitions of a run, seen when it changes.", Unit.COUNT
)
WORKFLOW_SUCCESS = counter("workflow_success", _WORKFLOW, "Runs completed.")
WORKFLOW_FAILED = counter("workflow_failed", _WORKFLOW, "Runs failed.")
WORKFLOW_TIMEOUT = counter("workflow_timeout", _WORKFLOW, "Runs timed out.")
WORKFLOW_TERMINATE = counter("workflow_terminate", _WORKFLOW, "Runs terminated.")
WORKFLOW_CANCEL = counter("workflow_cancel", _WORKFLOW, "Runs cancelled.")
WORKFLOW_CONTINUED_AS_NEW = counter(
    "workflow_continued_as_new", _WORKFLOW, "Runs that continued as a new run."
)
WORKFLOW_SCHEDULE_TO_CLOSE_LATENCY = histogram(
    "workflow_schedule_to_close_latency", _WORKFLOW, "Time from a run's start to its end."
)
SCHEDULE_ACTION_SUCCESS = counter(
    "schedule_action_success", _SCHEDULE, "Workflows started by schedules."
)
SCHEDULE_ACTION_ERRORS = counter(
    "schedule_action_errors",
    _SCHEDULE,
    "Actions of schedules that started nothing: the id is taken.",
)
SCHEDULE_ACTION_DELAY = histogram(
    "schedule_action_delay", _SCHEDULE, "Time from when an action is due to its workflow's start."
)
SCHEDULE_MISSED_CATCHUP_WINDOW = counter(
    "schedule_missed_catchup_window", _SCHEDULE, "Times that were too old to be made up for."
)
SCHEDULE_OVERLAP_SKIPPED = counter(
    "schedule_overlap_skipped", _SCHEDULE, "Times dropped since the last action still ran."
)
SCHEDULE_BUFFER_OVERRUNS = counter(
    "schedule_buffer_overruns", _SCHEDULE, "Times dropped since too many waited."
)
SCHEDULE_RATE_LIMITED = counter(
    "schedule_rate_limited", _SCHEDULE, "Actions that wait since too many are started at the time."
)
ACTIVITY_SUCCESS = counter("activity_success", _ACTIVITY, "Activities completed.")
ACTIVITY_FAIL = counter(
    "activity_fail", _ACTIVITY, "Activities failed for good, their retries included."
)
ACTIVITY_TASK_FAIL = counter("activity_task_fail", _ACTIVITY, "Attempts of activities failed.")
ACTIVITY_TIMEOUT = counter(
    "activity_timeout", _ACTIVITY_TIMEOUT, "Activities timed out for good, by what ran out."
)
ACTIVITY_TASK_TIMEOUT = counter(
    "activity_task_timeout", _ACTIVITY_TIMEOUT, "Attempts of activities timed out."
)
ACTIVITY_CANCEL = counter(
    "activity_cancel", _ACTIVITY, "Activities that their workers reported as cancelled."
)
ACTIVITY_START_TO_CLOSE_LATENCY = histogram(
    "activity_start_to_close_latency",
    _ACTIVITY,
    "Time from an attempt's start to a worker's answer.",
)
ACTIVITY_SCHEDULE_TO_CLOSE_LATENCY = histogram(
    "activity_schedule_to_close_latency",
    _ACTIVITY,
    "Time from an activity's being scheduled to its end, all attempts included.",
)
ACTIVITY_END_TO_END_LATENCY = histogram(
    "activity_end_to_end_latency",
    _ACTIVITY,
    "The same as activity_start_to_close_latency: Temporal's older name of it.",
)
WORKFLOW_CLEANUP_DELETE = counter(
    "workflow_cleanup_delete", _OPERATION, "Runs deleted with their history."
)
DELETE_EXECUTIONS_SUCCESS = counter(
    "delete_executions_success",
    ("namespace", *_SERVICE),
    "Runs that the system worker had deleted: by retention, or with their namespace.",
)
DELETE_EXECUTIONS_FAILURE = counter(
    "delete_executions_failure",
    ("namespace", *_SERVICE),
    "Runs that it could not have deleted, and tries again.",
)
CACHE_REQUESTS = counter("cache_requests", _CACHE_USE, "Look-ups of workflows in memory.")
CACHE_MISS = counter("cache_miss", _CACHE_USE, "Look-ups that found nothing in memory.")
CACHE_SIZE = gauge("cache_size", _CACHE, "Memory that the cache may take, about.", Unit.BYTES)
CACHE_USAGE = gauge("cache_usage", _CACHE, "Memory that the cache takes, about.", Unit.BYTES)

WORKFLOW_UPDATE_WAIT_STAGE_ACCEPTED = counter(
    "workflow_update_wait_stage_accepted", _RPC, "Requests that wait for an update's acceptance."
)
WORKFLOW_UPDATE_WAIT_STAGE_COMPLETED = counter(
    "workflow_update_wait_stage_completed", _RPC, "Requests that wait for an update's outcome."
)
REQUEST_WORKFLOW_UPDATE_MESSAGE = counter(
    "request_workflow_update_message", _OPERATION, "Updates taken in; repeated requests are not."
)
WORKFLOW_UPDATE_REGISTRY_SIZE = histogram(
    "workflow_update_registry_size",
    _OPERATION,
    "Size of a run's updates in flight, when another one comes.",
    Unit.BYTES,
)
WORKFLOW_UPDATE_SENT_TO_WORKER = counter(
    "workflow_update_sent_to_worker", _OPERATION, "Updates sent with a workflow task."
)
ACCEPT_WORKFLOW_UPDATE_MESSAGE = counter(
    "accept_workflow_update_message", _OPERATION, "Updates that workers accepted."
)
REJECT_WORKFLOW_UPDATE_MESSAGE = counter(
    "reject_workflow_update_message", _OPERATION, "Updates that workers rejected."
)
RESPOND_WORKFLOW_UPDATE_MESSAGE = counter(
    "respond_workflow_update_message", _OPERATION, "Updates that workers completed."
)

MEMBERSHIP_CHANGED_COUNT = counter(
    "membership_changed_count", _OPERATION, "Times that nodes came, went or changed."
)
NUMSHARDS_GAUGE = gauge("numshards_gauge", _OPERATION, "Shards that this process holds.")
SHARDITEM_CREATED_COUNT = counter(
    "sharditem_created_count", _OPERATION, "Shards that this process came to hold."
)
SHARDITEM_REMOVED_COUNT = counter(
    "sharditem_removed_count", _OPERATION, "Shards that this process ceased to hold."
)
SHARD_CLOSED_COUNT = counter(
    "shard_closed_count", _OPERATION, "Shards whose workflows were dropped from memory."
)
SHARDITEM_ACQUISITION_LATENCY = histogram(
    "sharditem_acquisition_latency", _OPERATION, "Time to raise a shard's epoch in the store."
)

TASK_SCHEDULE_TO_START_LATENCY = histogram(
    "task_schedule_to_start_latency",
    _PARTITION,
    "Time from a task's being scheduled to a worker's having it.",
)
POLL_SUCCESS = counter("poll_success", _QUEUE, "Polls answered with a task.")
POLL_SUCCESS_SYNC = counter(
    "poll_success_sync", _QUEUE, "Polls that were waiting when their task was made."
)
POLL_TIMEOUTS = counter("poll_timeouts", _QUEUE, "Polls answered without a task.")
POLL_LATENCY = histogram(
    "poll_latency",
    (*_QUEUE, "forwarded", "poll_result", "task_priority"),
    "Time from a poll's coming to its answer.",
)
TASKS_ADDED = counter(
    "tasks_added",
    (*_QUEUE, "forwarded", "task_add_result", "versioning_behavior"),
    "Tasks that came, by whether a poller waited for them.",
)
NO_POLLER_TASKS = counter(
    "no_poller_tasks", _QUEUE, "Tasks that came when nobody had polled for two minutes."
)
SYNCMATCH_LATENCY = histogram(
    "syncmatch_latency",
    _PARTITION,
    "Time from a task's being scheduled to its start, where a poller had waited.",
)
ASYNCMATCH_LATENCY = histogram(
    "asyncmatch_latency",
    _PARTITION,
    "Time from a task's being scheduled to its start, where the task had waited.",
)
WORKER_REGISTRY_WORKERS_ADDED = counter(
    "worker_registry_workers_added", _SERVICE, "Workers whose first heartbeat has come."
)
WORKER_REGISTRY_WORKERS_REMOVED = counter(
    "worker_registry_workers_removed",
    _SERVICE,
    "Workers that said that they have shut down, or were silent too long.",
)
WORKER_REGISTRY_CAPACITY_UTILIZATION = gauge(
    "worker_registry_capacity_utilization",
    _SERVICE,
    "Workers that are remembered, as a share of how many may be.",
)
LOADED_TASK_QUEUE_COUNT = gauge(
    "loaded_task_queue_count", (*_RPC, "task_type"), "Task queues in memory, sticky ones too."
)
PENDING_POLLS = gauge("pending_polls", _QUEUE, "Polls waiting now.")
APPROXIMATE_BACKLOG_COUNT = gauge(
    "approximate_backlog_count", _BACKLOG, "Tasks waiting for a poller, roughly."
)
APPROXIMATE_BACKLOG_AGE_SECONDS = gauge(
    "approximate_backlog_age_seconds",
    _QUEUE,
    "For how long the oldest of them has waited, roughly.",
    Unit.SECONDS,
)

PERSISTENCE_REQUESTS = counter("persistence_requests", _RPC, "Operations asked of the store.")
PERSISTENCE_ERRORS = counter("persistence_errors", _RPC, "Store operations that failed.")
PERSISTENCE_LATENCY = histogram("persistence_latency", _RPC, "Duration of store operations.")

RESTARTS = counter("restarts", _SERVICE, "1 since this process started.")
BUILD_INFORMATION = gauge(
    "build_information",
    ("build_platform", "build_version", "python_version", *_SERVICE),
    "1; the labels say what runs.",
)
MEMORY_ALLOCATED = gauge("memory_allocated", _SERVICE, "Resident memory.", Unit.BYTES)
MEMORY_HEAP = gauge("memory_heap", _SERVICE, "Size of the data segment.", Unit.BYTES)
MEMORY_STACK = gauge("memory_stack", _SERVICE, "Size of the main thread's stack.", Unit.BYTES)
MEMORY_GC_PAUSE_MS = histogram(
    "memory_gc_pause_ms", _SERVICE, "Pauses of the garbage collector.", Unit.MILLISECONDS
)

MEMBERSHIP_LIVE_NODES = gauge(
    "membership_live_nodes",
    ("role", "state", *_SERVICE),
    "Nodes that this process takes for alive, by role and state (up, draining).",
)
MEMBERSHIP_SHARDS = gauge("membership_shards", _SERVICE, "Shards of the cluster.")
MEMBERSHIP_UNOWNED_SHARDS = gauge(
    "membership_unowned_shards", _SERVICE, "Shards that no live node owns, as this process sees it."
)
MEMBERSHIP_LEASE_RENEWAL_LATENCY = histogram(
    "membership_lease_renewal_latency", _SERVICE, "Duration of renewals of this node's lease."
)
MEMBERSHIP_LEASE_FAILURES = counter(
    "membership_lease_failures", _SERVICE, "Renewals that failed and were tried again."
)
MEMBERSHIP_LEASE_LAPSES = counter(
    "membership_lease_lapses", _SERVICE, "Times that the lease had run out before it was renewed."
)
MEMBERSHIP_NODE_LOST = counter(
    "membership_node_lost", _SERVICE, "Times that others removed this node while it ran."
)

CACHE_ENTRIES = gauge("cache_entries", _CACHE, "Workflows in memory.")
TIMERS_IN_MEMORY = gauge("timers_in_memory", _SERVICE, "Timers due soon, or being handled.")
STARTS_UNDONE = counter(
    "starts_undone", _SERVICE, "Starts of tasks undone because their poller had gone."
)
MESSAGES_IN_MEMORY = gauge(
    "messages_in_memory", _SERVICE, "Signals and the like to other workflows, not yet answered."
)
MESSAGES_DELIVERED = counter(
    "messages_delivered", _SERVICE, "Signals and the like to other workflows that these took in."
)
MESSAGES_REFUSED = counter(
    "messages_refused", _SERVICE, "Signals and the like that another workflow refused for good."
)
MESSAGES_RETRIED = counter(
    "messages_retried", _SERVICE, "Times that one could not be sent, and is sent again later."
)
HINTS_SENT = counter("hints_sent", _SERVICE, "Tasks that other nodes' matching was told of.")
HINTS_RETRIED = counter("hints_retried", _SERVICE, "Tasks that other nodes did not take at once.")
HINTS_DROPPED = counter(
    "hints_dropped", _SERVICE, "Tasks that other nodes were not told of: they read them later."
)

GROUP_COMMIT_BATCH_SIZE = histogram(
    "group_commit_batch_size", _SERVICE, "Transitions in one store transaction.", Unit.COUNT
)
GROUP_COMMIT_LATENCY = histogram(
    "group_commit_latency", _SERVICE, "Time from handing over a batch to its being durable."
)
GROUP_COMMIT_LOST = counter(
    "group_commit_lost", _SERVICE, "Transitions that the store did not confirm."
)
SETTINGS_READ = counter(
    "settings_read",
    ("outcome", *_SERVICE),
    "Times that the file of settings had changed, by whether it was used or refused.",
)
LOG_ERRORS = counter(
    "log_errors",
    ("component", "outcome", *_SERVICE),
    "Errors logged, by whether the line was written or left out as one of many.",
)
LOG_WARNINGS = counter(
    "log_warnings",
    ("component", "outcome", *_SERVICE),
    "Warnings logged, by whether the line was written or left out as one of many.",
)
SPANS_EXPORTED = counter("spans_exported", _SERVICE, "Spans that a collector has taken.")
SPANS_LOST = counter(
    "spans_lost",
    ("reason", *_SERVICE),
    "Spans that were lost: the collector did not take them, or there was no room for them.",
)
EVENT_LOOP_LAG = histogram("event_loop_lag", _SERVICE, "How late the event loop runs what is due.")

CATALOGUE: tuple[Metric, ...] = (
    *(value for value in tuple(globals().values()) if isinstance(value, Metric)),
    *workflow_catalogue.METRICS,
    *server_catalogue.METRICS,
    *tls_catalogue.METRICS,
)
"""Every metric, in order: those above and those of the three other modules."""

PROCESS = (
    counter("process_cpu_seconds_total", (), "Processor time used."),
    gauge("process_resident_memory_bytes", (), "Resident memory.", Unit.BYTES),
    gauge("process_virtual_memory_bytes", (), "Virtual memory.", Unit.BYTES),
    gauge("process_open_fds", (), "Open file descriptors."),
    gauge("process_max_fds", (), "Most file descriptors that may be open."),
    gauge("process_start_time_seconds", (), "When the process started.", Unit.TIMESTAMP),
)
"""What the Prometheus client library says of the process."""
