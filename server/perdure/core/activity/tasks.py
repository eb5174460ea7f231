"""The dispatch row of an activity task."""

from perdure.core.commit import DispatchKey, DispatchTask, TaskQueueKey, TaskType
from perdure.core.workflow.state import Run
from perdure.core.workflow_task.tasks import DEFAULT_PRIORITY
from perdure.proto import stored_pb2 as stored


def dispatch_key(run: Run, activity: stored.ActivityInfo) -> DispatchKey:
    """Names the activity's row."""
    return DispatchKey(
        queue=TaskQueueKey(
            run.key.namespace_id, activity.task_queue, TaskType.ACTIVITY, activity.partition
        ),
        pinned_version="",
        priority=activity.priority.priority_key or DEFAULT_PRIORITY,
        fairness_key=activity.priority.fairness_key,
        task_id=activity.task_id,
    )


def dispatch_task(run: Run, activity: stored.ActivityInfo) -> DispatchTask:
    """Returns the activity's row for its present attempt."""
    timeout = activity.schedule_to_start_timeout
    return DispatchTask(
        key=dispatch_key(run, activity),
        slot=run.slot,
        run=run.key,
        scheduled_event_id=activity.scheduled_event_id,
        attempt=activity.attempt,
        scheduled_time=activity.attempt_scheduled_time,
        expiry=activity.attempt_scheduled_time + timeout if timeout else 0,
        cause=activity.cause,
    )
