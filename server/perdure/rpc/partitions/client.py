"""Matching as the frontend asks it, where queues have several partitions.

Theory of operation: a poll goes to the partition where the fewest polls of this process wait. When
it has found nothing there for a moment it goes on to the queue's root, partition 0, and waits
there. So busy partitions have pollers of their own, and idle pollers gather where tasks of all
partitions, and queries, find them. It is the near end that goes on: so a poll never waits behind
two others, and a client that goes away takes its poll away wherever it is.

Sticky queues have one partition always.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey, TaskType
from perdure.rpc.clients import (
    Encoded,
    MatchingNode,
    Namespace,
    QueryOutcome,
    QueryTask,
    Reservation,
)
from perdure.rpc.partitions.descriptions import merged
from perdure.rpc.partitions.outstanding import OutstandingPolls

ROOT = 0


class PartitionedMatching:
    """A `MatchingClient` over the partitions of each queue."""

    def __init__(
        self,
        node: MatchingNode,
        *,
        read_partitions: int,
        partitions: int,
        move_seconds: float,
        random: Callable[[], float],
    ) -> None:
        """Makes a client.

        Args:
            node: Serves partitions, or finds who does.
            read_partitions: Over how many polls spread.
            partitions: How many may have tasks.
            move_seconds: How long a poll waits at a partition before it goes on to the root.
            random: Returns a number in [0, 1).
        """
        self._node = node
        self._partitions = partitions
        self._move_seconds = move_seconds
        self._polls = OutstandingPolls(partitions=read_partitions, random=random)

    def reserve(self, queue: TaskQueueKey) -> Reservation | None:
        """Takes a poller of the queue that waits in this process; None when there is none."""
        return self._node.reserve(queue)

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Hands over committed tasks as hints to their partitions."""
        self._node.add_tasks(tasks)

    def has_recent_poller(self, queue: TaskQueueKey) -> bool:
        """Tells whether a poller was seen lately on a queue, at its root where it has several."""
        return self._node.has_recent_poller(queue)

    async def poll_workflow_task_queue(
        self, namespace: Namespace, request: wf.PollWorkflowTaskQueueRequest, timeout: float
    ) -> Encoded:
        """Waits for a workflow or query task; an empty response after `timeout` seconds."""
        if _is_sticky(request):
            return await self._node.poll_workflow_task_queue(namespace, request, timeout)
        return await self._poll(
            TaskQueueKey(namespace.id, request.task_queue.name, TaskType.WORKFLOW),
            lambda left, partition: self._node.poll_workflow_task_queue(
                namespace, request, left, partition
            ),
            timeout,
        )

    async def poll_activity_task_queue(
        self, namespace: Namespace, request: wf.PollActivityTaskQueueRequest, timeout: float
    ) -> Encoded:
        """Waits for an activity task; an empty response after `timeout` seconds."""
        return await self._poll(
            TaskQueueKey(namespace.id, request.task_queue.name, TaskType.ACTIVITY),
            lambda left, partition: self._node.poll_activity_task_queue(
                namespace, request, left, partition
            ),
            timeout,
        )

    async def query(self, queue: TaskQueueKey, task: QueryTask, timeout: float) -> QueryOutcome:
        """Has a worker of the queue answer a query: one that polls the root."""
        return await self._node.query(queue, task, timeout)

    async def respond_query_task_completed(
        self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a worker's answer on; NotFoundError when nobody waits for it any more."""
        await self._node.respond_query_task_completed(query_task_id, request)

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest
    ) -> wf.DescribeTaskQueueResponse:
        """Returns the pollers of all partitions, and their statistics summed up."""
        if _is_sticky(request):
            return await self._node.describe_task_queue(namespace, request)
        return merged(
            [
                await self._node.describe_task_queue(namespace, request, partition)
                for partition in range(self._partitions)
            ]
        )

    async def abandon_queue(self, namespace_id: str, task_queue: str) -> None:
        """Notes that the worker of a sticky queue is going away: nobody will poll it again."""
        await self._node.abandon_queue(namespace_id, task_queue)

    async def cancel_polls(
        self, namespace_id: str, task_queue: str, worker_instance_key: str
    ) -> int:
        """Ends a worker's outstanding polls with an empty response; returns how many."""
        return await self._node.cancel_polls(namespace_id, task_queue, worker_instance_key)

    async def record_worker_heartbeat(
        self, namespace: Namespace, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats of workers of a namespace."""
        return await self._node.record_worker_heartbeat(namespace, request)

    async def list_workers(
        self, namespace: Namespace, request: wf.ListWorkersRequest
    ) -> wf.ListWorkersResponse:
        """Returns a page of the workers of a namespace."""
        return await self._node.list_workers(namespace, request)

    async def describe_worker(
        self, namespace: Namespace, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last; NotFoundError when it is not known."""
        return await self._node.describe_worker(namespace, request)

    async def count_workers(
        self, namespace: Namespace, request: wf.CountWorkersRequest
    ) -> wf.CountWorkersResponse:
        """Returns how many workers of a namespace there are."""
        return await self._node.count_workers(namespace, request)

    async def _poll(
        self,
        queue: TaskQueueKey,
        poll: Callable[[float, int], Awaitable[Encoded]],
        timeout: float,
    ) -> Encoded:
        loop = asyncio.get_running_loop()
        partition = self._polls.pick(queue)
        if partition != ROOT:
            began = loop.time()
            with self._polls.at(queue, partition):
                response = await poll(min(timeout, self._move_seconds), partition)
            if response:
                return response
            timeout = max(0.0, timeout - (loop.time() - began))
        with self._polls.at(queue, ROOT):
            return await poll(timeout, ROOT)


def _is_sticky(request: wf.PollWorkflowTaskQueueRequest | wf.DescribeTaskQueueRequest) -> bool:
    return request.task_queue.kind == enums.TASK_QUEUE_KIND_STICKY
