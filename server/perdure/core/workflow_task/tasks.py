"""The dispatch row of a workflow task."""

from temporalio.api.common.v1 import message_pb2 as common

from perdure.core.commit import DispatchKey, DispatchTask, TaskQueueKey, TaskType
from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored

DEFAULT_PRIORITY = 3
_NO_PRIORITY = common.Priority()


def dispatch_key(run: Run, task: stored.WorkflowTask) -> DispatchKey:
    """Names the task's row."""
    priority = run.priority or _NO_PRIORITY
    return DispatchKey(
        queue=TaskQueueKey(
            run.key.namespace_id, task.task_queue, TaskType.WORKFLOW, task.partition
        ),
        pinned_version="",
        priority=priority.priority_key or DEFAULT_PRIORITY,
        fairness_key=priority.fairness_key,
        task_id=task.task_id,
    )


def dispatch_task(run: Run, task: stored.WorkflowTask) -> DispatchTask:
    """Returns the task's row."""
    timeout = task.schedule_to_start_timeout
    return DispatchTask(
        key=dispatch_key(run, task),
        slot=run.slot,
        run=run.key,
        scheduled_event_id=task.scheduled_event_id,
        attempt=task.attempt,
        scheduled_time=task.scheduled_time,
        expiry=task.scheduled_time + timeout if timeout else 0,
        sticky=task.sticky,
        cause=task.cause,
    )
