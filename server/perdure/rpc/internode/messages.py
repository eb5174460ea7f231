"""The roles' plain values as messages, and back."""

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchKey, DispatchTask, RunKey, TaskQueueKey, TaskType
from perdure.proto import internode_pb2 as internode
from perdure.rpc.clients import Poller, QueryTask


def queue_to(queue: TaskQueueKey) -> internode.TaskQueueKey:
    """Returns a queue's message."""
    return internode.TaskQueueKey(
        namespace_id=queue.namespace_id,
        name=queue.name,
        task_type=queue.task_type,
        partition=queue.partition,
    )


def queue_from(message: internode.TaskQueueKey) -> TaskQueueKey:
    """Returns the queue of a message."""
    return TaskQueueKey(
        message.namespace_id, message.name, TaskType(message.task_type), message.partition
    )


def run_to(run: RunKey) -> internode.Run:
    """Returns a run's message."""
    return internode.Run(
        namespace_id=run.namespace_id, workflow_id=run.workflow_id, run_id=run.run_id
    )


def run_from(message: internode.Run) -> RunKey:
    """Returns the run of a message."""
    return RunKey(message.namespace_id, message.workflow_id, message.run_id)


def task_to(task: DispatchTask) -> internode.DispatchTask:
    """Returns a task's message."""
    key = task.key
    return internode.DispatchTask(
        queue=queue_to(key.queue),
        pinned_version=key.pinned_version,
        priority=key.priority,
        fairness_key=key.fairness_key,
        task_id=key.task_id,
        slot=task.slot,
        run=run_to(task.run),
        scheduled_event_id=task.scheduled_event_id,
        attempt=task.attempt,
        scheduled_time=task.scheduled_time,
        expiry=task.expiry,
        sticky=task.sticky,
        cause=task.cause,
    )


def task_from(message: internode.DispatchTask) -> DispatchTask:
    """Returns the task of a message."""
    key = DispatchKey(
        queue_from(message.queue),
        message.pinned_version,
        message.priority,
        message.fairness_key,
        message.task_id,
    )
    return DispatchTask(
        key,
        message.slot,
        run_from(message.run),
        message.scheduled_event_id,
        message.attempt,
        message.scheduled_time,
        message.expiry,
        message.sticky,
        message.cause,
    )


def poller_to(poller: Poller) -> internode.Poller:
    """Returns a poller's message."""
    return internode.Poller(
        request_id=poller.request_id,
        identity=poller.identity,
        request=poller.request.SerializeToString(),
    )


def poller_from(message: internode.Poller, task_type: TaskType) -> Poller:
    """Returns the poller of a message, who polls a queue of some type."""
    request: wf.PollWorkflowTaskQueueRequest | wf.PollActivityTaskQueueRequest
    if task_type is TaskType.WORKFLOW:
        request = wf.PollWorkflowTaskQueueRequest.FromString(message.request)
    else:
        request = wf.PollActivityTaskQueueRequest.FromString(message.request)
    return Poller(message.request_id, message.identity, request)


def query_to(task: QueryTask) -> internode.QueryTask:
    """Returns a query's message."""
    return internode.QueryTask(
        query_task_id=task.query_task_id,
        namespace_id=task.namespace_id,
        run=run_to(task.run),
        response_head=task.response_head,
    )


def query_from(message: internode.QueryTask) -> QueryTask:
    """Returns the query of a message."""
    return QueryTask(
        message.query_task_id, message.namespace_id, run_from(message.run), message.response_head
    )
