"""Matching, as it answers other nodes and this one: only for queues that are its own.

A node may believe that a queue is this one's when it is not, or not any more. Two nodes that serve
one queue would lose nothing, but pollers at one would not see the tasks at the other: so the one
that does not own it by its own view refuses.
"""

from collections.abc import Sequence

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey, TaskType
from perdure.rpc.clients import (
    Encoded,
    ForwardOutcome,
    MatchingNode,
    Namespace,
    NotOwnerError,
    QueryOutcome,
    QueryTask,
    Reservation,
)
from perdure.rpc.internode.routing import Directory


def owns_queue(directory: Directory, queue: TaskQueueKey) -> bool:
    """Tells whether this node serves a queue, by its own view."""
    owner = directory.matching_owner(queue)
    return owner is not None and owner.id == directory.own_id


def registry_of(namespace: Namespace) -> TaskQueueKey:
    """Names the queue, which nobody polls, whose node knows the workers of a namespace."""
    return TaskQueueKey(namespace.id, "/_sys/workers", TaskType.WORKFLOW)


class OwnedMatching:
    """A `MatchingNode` that refuses polls, hints and queries of queues that are another node's.

    They raise NotOwnerError, which names the owner where one is known.
    """

    def __init__(self, matching: MatchingNode, directory: Directory) -> None:
        """Makes a guard.

        Args:
            matching: This node's matching role.
            directory: Who owns what.
        """
        self._matching = matching
        self._directory = directory

    def reserve(self, queue: TaskQueueKey) -> Reservation | None:
        """Takes a poller that waits in this process, whoever owns the queue now."""
        return self._matching.reserve(queue)

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Takes the hints of its own queues.

        Raises:
            NotOwnerError: There were others, which were not taken.
        """
        own = [task for task in tasks if owns_queue(self._directory, task.key.queue)]
        self._matching.add_tasks(own)
        if len(own) != len(tasks):
            raise NotOwnerError

    async def poll_workflow_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollWorkflowTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for a workflow or query task; an empty response after `timeout` seconds."""
        name = request.task_queue.name
        self._check(TaskQueueKey(namespace.id, name, TaskType.WORKFLOW, partition))
        return await self._matching.poll_workflow_task_queue(namespace, request, timeout, partition)

    async def poll_activity_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollActivityTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for an activity task; an empty response after `timeout` seconds."""
        name = request.task_queue.name
        self._check(TaskQueueKey(namespace.id, name, TaskType.ACTIVITY, partition))
        return await self._matching.poll_activity_task_queue(namespace, request, timeout, partition)

    async def forward_task(
        self, task: DispatchTask, limited: bool, timeout: float
    ) -> ForwardOutcome:
        """Has a poller of the root start a task of another partition."""
        self._check(task.key.queue._replace(partition=0))
        return await self._matching.forward_task(task, limited, timeout)

    async def query(self, queue: TaskQueueKey, task: QueryTask, timeout: float) -> QueryOutcome:
        """Has a worker of the queue answer a query."""
        self._check(queue)
        return await self._matching.query(queue, task, timeout)

    async def respond_query_task_completed(
        self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a worker's answer on; NotFoundError when nobody waits for it here."""
        await self._matching.respond_query_task_completed(query_task_id, request)

    def has_recent_poller(self, queue: TaskQueueKey) -> bool:
        """Tells whether a poller was seen on the queue lately, or waits now."""
        return self._matching.has_recent_poller(queue)

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest, partition: int = 0
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics of a partition."""
        return await self._matching.describe_task_queue(namespace, request, partition)

    async def abandon_queue(self, namespace_id: str, task_queue: str) -> None:
        """Notes that the worker of a sticky queue is going away."""
        await self._matching.abandon_queue(namespace_id, task_queue)

    async def cancel_polls(
        self, namespace_id: str, task_queue: str, worker_instance_key: str
    ) -> int:
        """Ends a worker's outstanding polls here; returns how many."""
        return await self._matching.cancel_polls(namespace_id, task_queue, worker_instance_key)

    async def record_worker_heartbeat(
        self, namespace: Namespace, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats of workers of a namespace."""
        self._check(registry_of(namespace))
        return await self._matching.record_worker_heartbeat(namespace, request)

    async def list_workers(
        self, namespace: Namespace, request: wf.ListWorkersRequest
    ) -> wf.ListWorkersResponse:
        """Returns a page of the workers of a namespace."""
        self._check(registry_of(namespace))
        return await self._matching.list_workers(namespace, request)

    async def describe_worker(
        self, namespace: Namespace, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last; NotFoundError when it is not known."""
        self._check(registry_of(namespace))
        return await self._matching.describe_worker(namespace, request)

    async def count_workers(
        self, namespace: Namespace, request: wf.CountWorkersRequest
    ) -> wf.CountWorkersResponse:
        """Returns how many workers of a namespace there are."""
        self._check(registry_of(namespace))
        return await self._matching.count_workers(namespace, request)

    def _check(self, queue: TaskQueueKey) -> None:
        owner = self._directory.matching_owner(queue)
        if owner is None or owner.id != self._directory.own_id:
            raise NotOwnerError("" if owner is None else owner.id)
