"""A run as DescribeWorkflowExecution shows it."""

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflow.v1 import message_pb2 as workflow
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity.state import ActivityStatus, status
from perdure.core.protobuf import set_duration, set_limit, set_timestamp
from perdure.core.workflow.callbacks import describe_callbacks
from perdure.core.workflow.state import Run
from perdure.core.workflow_task.state import is_started
from perdure.proto import stored_pb2 as stored

# How the real server writes "never": the zero value of Go's time type.
NEVER_SECONDS = -62_135_596_800


def describe(run: Run) -> wf.DescribeWorkflowExecutionResponse:
    """Returns the description of a run as it is now."""
    response = wf.DescribeWorkflowExecutionResponse()
    _fill_config(response, run)
    _fill_info(response.workflow_execution_info, run)
    _fill_extended(response.workflow_extended_info, run)
    describe_callbacks(response, run)
    if run.is_running:
        for activity in run.activities.values():
            _fill_activity(response.pending_activities.add(), activity)
        for child in run.children.values():
            _fill_child(response.pending_children.add(), child)
        if run.state.HasField("workflow_task"):
            _fill_task(response.pending_workflow_task, run)
    return response


def _fill_config(response: wf.DescribeWorkflowExecutionResponse, run: Run) -> None:
    config, start = response.execution_config, run.start
    config.task_queue.name = start.task_queue
    config.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    set_limit(
        config.workflow_execution_timeout,
        start.execution_timeout,
        given=start.HasField("execution_timeout"),
    )
    set_limit(config.workflow_run_timeout, start.run_timeout, given=start.HasField("run_timeout"))
    set_duration(config.default_workflow_task_timeout, start.task_timeout)
    if start.HasField("user_metadata"):
        config.user_metadata.CopyFrom(start.user_metadata)


def _fill_info(info: workflow.WorkflowExecutionInfo, run: Run) -> None:
    start, state = run.start, run.state
    info.execution.CopyFrom(run.execution())
    info.type.name = start.workflow_type
    set_timestamp(info.start_time, start.start_time)
    set_timestamp(info.execution_time, start.execution_time)
    info.status = state.status
    info.history_length = state.next_event_id - 1
    info.history_size_bytes = state.history_size_bytes
    info.state_transition_count = state.state_transition_count
    info.memo.CopyFrom(run.attributes.memo)
    info.search_attributes.CopyFrom(run.attributes.search_attributes)
    info.auto_reset_points.SetInParent()
    info.auto_reset_points.points.extend(state.auto_reset_points)
    info.task_queue = start.task_queue
    info.root_execution.CopyFrom(start.root if start.HasField("root") else run.execution())
    info.first_run_id = start.first_run_id
    if start.HasField("parent"):
        info.parent_execution.CopyFrom(start.parent)
        info.parent_namespace_id = start.parent_namespace_id
    if state.build_id:
        info.most_recent_worker_version_stamp.build_id = state.build_id
    if (priority := run.priority) is not None:
        info.priority.CopyFrom(priority)
    if not run.is_running:
        set_timestamp(info.close_time, state.close_time)
        set_duration(info.execution_duration, max(state.close_time - start.execution_time, 0))


def _fill_extended(extended: workflow.WorkflowExecutionExtendedInfo, run: Run) -> None:
    start, state = run.start, run.state
    set_timestamp(extended.execution_expiration_time, start.execution_expiration_time)
    if start.run_expiration_time:
        set_timestamp(extended.run_expiration_time, start.run_expiration_time)
    else:
        extended.run_expiration_time.seconds = NEVER_SECONDS
    extended.cancel_requested = state.cancel_requested
    set_timestamp(extended.original_start_time, start.original_start_time or start.start_time)
    if start.original_start_time:
        set_timestamp(extended.last_reset_time, start.start_time)
    extended.reset_run_id = state.reset_run_id
    started = extended.request_id_infos[start.request_id]
    started.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    started.event_id = 1
    for request_id, attached in run.attached.items():
        info = extended.request_id_infos[request_id]
        info.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED
        info.event_id = attached.event_id
        info.buffered = not attached.event_id


def _fill_task(pending: workflow.PendingWorkflowTaskInfo, run: Run) -> None:
    task = run.state.workflow_task
    pending.state = (
        enums.PENDING_WORKFLOW_TASK_STATE_STARTED
        if is_started(run.state)
        else enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    )
    set_timestamp(pending.scheduled_time, task.scheduled_time)
    set_timestamp(pending.original_scheduled_time, task.original_scheduled_time)
    set_timestamp(pending.started_time, task.started_time)
    pending.attempt = task.attempt


def _fill_child(pending: workflow.PendingChildExecutionInfo, child: stored.ChildInfo) -> None:
    pending.workflow_id = child.workflow_id
    pending.run_id = child.started_run_id
    pending.workflow_type_name = child.workflow_type
    pending.initiated_id = child.initiated_event_id
    pending.parent_close_policy = child.parent_close_policy


def _fill_activity(pending: workflow.PendingActivityInfo, activity: stored.ActivityInfo) -> None:
    pending.activity_id = activity.activity_id
    pending.activity_type.name = activity.activity_type
    pending.state = _activity_state(activity)
    pending.attempt = activity.attempt
    pending.maximum_attempts = activity.retry_policy.maximum_attempts
    pending.last_worker_identity = activity.last_worker_identity
    set_timestamp(pending.last_heartbeat_time, activity.last_heartbeat_time)
    set_timestamp(pending.last_started_time, activity.started_time)
    set_timestamp(pending.last_attempt_complete_time, activity.last_attempt_complete_time)
    set_timestamp(pending.scheduled_time, activity.scheduled_time)
    set_timestamp(
        pending.expiration_time,
        activity.scheduled_time + activity.schedule_to_close_timeout
        if activity.schedule_to_close_timeout
        else 0,
    )
    if activity.retry_due:
        set_timestamp(pending.next_attempt_schedule_time, activity.retry_due)
        set_duration(
            pending.current_retry_interval,
            activity.retry_interval,
        )
    if activity.HasField("heartbeat_details"):
        pending.heartbeat_details.CopyFrom(activity.heartbeat_details)
    if activity.HasField("last_failure"):
        pending.last_failure.CopyFrom(activity.last_failure)
    if activity.priority.ByteSize():
        pending.priority.CopyFrom(activity.priority)
    _fill_pause(pending, activity)
    _fill_options(pending, activity)


def _activity_state(activity: stored.ActivityInfo) -> enums.PendingActivityState.ValueType:
    if activity.cancel_requested:
        return enums.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    paused = activity.HasField("pause")
    if status(activity) is ActivityStatus.STARTED:
        if paused:
            return enums.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED
        return enums.PENDING_ACTIVITY_STATE_STARTED
    if paused:
        return enums.PENDING_ACTIVITY_STATE_PAUSED
    return enums.PENDING_ACTIVITY_STATE_SCHEDULED


def _fill_pause(pending: workflow.PendingActivityInfo, activity: stored.ActivityInfo) -> None:
    if activity.HasField("pause"):
        pending.paused = True
        set_timestamp(pending.pause_info.pause_time, activity.pause.time)
        pending.pause_info.manual.identity = activity.pause.identity
        pending.pause_info.manual.reason = activity.pause.reason


def _fill_options(pending: workflow.PendingActivityInfo, activity: stored.ActivityInfo) -> None:
    options = pending.activity_options
    options.task_queue.name = activity.task_queue
    options.task_queue.normal_name = activity.task_queue
    set_duration(options.schedule_to_close_timeout, activity.schedule_to_close_timeout)
    set_duration(options.schedule_to_start_timeout, activity.schedule_to_start_timeout)
    set_duration(options.start_to_close_timeout, activity.start_to_close_timeout)
    set_duration(options.heartbeat_timeout, activity.heartbeat_timeout)
    options.retry_policy.CopyFrom(activity.retry_policy)
    if activity.priority.ByteSize():
        options.priority.CopyFrom(activity.priority)
