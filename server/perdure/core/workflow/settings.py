"""Limits and defaults of the workflow engine, handed to the core as arguments."""

from dataclasses import dataclass, field

from perdure.core.protobuf import seconds
from perdure.core.visibility.attributes import SearchAttributeLimits

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """What the core is told from outside. Durations are nanoseconds.

    Attributes:
        max_id_length: Longest identifier, in bytes.
        blob_size_limit: Largest payload collection of a command, in bytes.
        memo_size_limit: Largest memo, in bytes.
        max_pending_activities: Pending activities of one run.
        max_pending_children: Children of one run whose end it does not know.
        max_pending_signals: Signals of one run to other workflows whose outcome is open.
        max_pending_cancels: Cancel requests of one run to others whose outcome is open.
        cross_namespace_commands: Whether a run may start, signal and cancel in other namespaces.
        max_signals: Signals that one run may receive.
        max_callbacks: Callbacks on completion that one run may have.
        max_buffered_events: Events that wait for a started workflow task.
        max_buffered_bytes: Their total size.
        max_buffered_queries: Queries that wait for a workflow task.
        max_auto_reset_points: Binary checksums remembered with their first workflow task.
        workflow_task_heartbeat_timeout: How long workflow tasks may do nothing but heartbeat.
        critical_workflow_task_attempt: From this attempt on, the task's timeout grows.
        default_workflow_task_timeout: Of a child whose command asks for none.
        max_workflow_task_timeout: The longest start-to-close timeout of a workflow task.
        max_workflow_task_backoff: The most that it grows by.
        max_history_events: History length over which a run is ended.
        max_history_bytes: History size over which a run is ended.
        max_state_bytes: Size of what is pending in a run, over which it is ended.
        suggest_continue_as_new_events: History length from which a new run is suggested.
        suggest_continue_as_new_bytes: History size from which a new run is suggested.
        min_run_interval: Least time between the starts of two runs of one chain.
        search_attributes: How many a run may have, and how large.
        write_partitions: Over how many partitions of a queue that is not sticky tasks spread.
        max_in_flight_updates: Updates of one run that have not ended; 0 for no limit.
        max_in_flight_update_bytes: How large they may be together; 0 for no limit.
        max_total_updates: Updates that one run may have; 0 for no limit.
        suggest_continue_as_new_updates: The part of these from which a new run is suggested.
        discardable_events: Events that a worker may be shown again because a speculative workflow
            task that brought them is discarded.
        activity_failure_limit: Size to which a pending activity's last failure is cut, in bytes.
    """

    max_id_length: int = 1000
    blob_size_limit: int = 2 * MEBIBYTE
    memo_size_limit: int = 2 * MEBIBYTE
    max_pending_activities: int = 2000
    max_pending_children: int = 2000
    max_pending_signals: int = 2000
    max_pending_cancels: int = 2000
    cross_namespace_commands: bool = False
    max_signals: int = 10_000
    max_callbacks: int = 2000
    max_buffered_events: int = 100
    max_buffered_bytes: int = 2 * MEBIBYTE
    max_buffered_queries: int = 1
    max_auto_reset_points: int = 20
    workflow_task_heartbeat_timeout: int = seconds(30 * 60)
    critical_workflow_task_attempt: int = 10
    default_workflow_task_timeout: int = seconds(10)
    max_workflow_task_timeout: int = seconds(120)
    max_workflow_task_backoff: int = seconds(10 * 60)
    max_history_events: int = 51_200
    max_history_bytes: int = 50 * MEBIBYTE
    max_state_bytes: int = 8 * MEBIBYTE
    suggest_continue_as_new_events: int = 4096
    suggest_continue_as_new_bytes: int = 4 * MEBIBYTE
    min_run_interval: int = seconds(1)
    search_attributes: SearchAttributeLimits = field(default_factory=SearchAttributeLimits)
    write_partitions: int = 1
    max_in_flight_updates: int = 10
    max_in_flight_update_bytes: int = 20 * MEBIBYTE
    max_total_updates: int = 2000
    suggest_continue_as_new_updates: float = 0.9
    discardable_events: int = 10
    activity_failure_limit: int = 4 * KIBIBYTE
