"""The cluster's matching role: each queue is served by one node.

Queues of this node are asked in process. Of another node's queue it is known whether somebody
polls it only by what that node says when it acknowledges hints.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from itertools import product
from typing import Final, TypeVar, cast

from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey, TaskType
from perdure.core.errors import ServiceError
from perdure.proto import stored_pb2 as stored
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
from perdure.rpc.internode.hints import Hints
from perdure.rpc.internode.owned import registry_of
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import Node, Router
from perdure.rpc.internode.settings import InternodeSettings
from perdure.runtime.ports import Ids
from perdure.runtime.tasks import TaskSet

T = TypeVar("T")

StickyUnpolled = Callable[[DispatchTask], Awaitable[None]]
"""`HistoryTasks.sticky_queue_unpolled`."""

_QUEUE_TYPES: Final = (enums.TASK_QUEUE_TYPE_WORKFLOW, enums.TASK_QUEUE_TYPE_ACTIVITY)


class RoutedMatching:
    """A `MatchingNode`: asks the node that owns a queue, in this process or another.

    Every request may be sent again when a node may have carried it out: a second poll is what the
    worker would send next, a query changes nothing, its answer names one query, which has one
    answer, and the others come to the same when they are done twice.

    Attributes:
        hints: What is sent to other nodes.
    """

    def __init__(
        self,
        *,
        router: Router,
        peers: Peers,
        local: MatchingNode | None,
        sticky_unpolled: StickyUnpolled,
        tasks: TaskSet,
        ids: Ids,
        settings: InternodeSettings | None = None,
        partitions: int = 1,
    ) -> None:
        """Makes a client of the cluster's matching.

        Args:
            router: Finds owners.
            peers: Reaches other nodes.
            local: This node's own matching role, if it has one.
            sticky_unpolled: Told of sticky tasks for whose queue nobody polls.
            tasks: Runs what sends hints.
            ids: Where jitter comes from.
            settings: Bounds.
            partitions: Over how many partitions of a queue polls may spread.
        """
        self._partitions = partitions
        settings = settings or InternodeSettings()
        self._router = router
        self._directory = router.directory
        self._peers = peers
        self._local = local
        self._sticky_unpolled = sticky_unpolled
        self._unpolled = _UnpolledQueues(settings.unpolled, settings.unpolled_queues)
        self.hints = Hints(
            directory=router.directory,
            peers=peers,
            deliver=None if local is None else local.add_tasks,
            acknowledged=self._acknowledged,
            tasks=tasks,
            ids=ids,
            settings=settings,
        )

    def close(self) -> None:
        """Sends no more hints."""
        self.hints.close()

    def reserve(self, queue: TaskQueueKey) -> Reservation | None:
        """Takes a poller that waits in this process; None when there is none."""
        return None if self._local is None else self._local.reserve(queue)

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Hands over committed tasks as hints; what does not fit is dropped and read later."""
        self.hints.add(tasks)

    def has_recent_poller(self, queue: TaskQueueKey) -> bool:
        """Tells whether a poller was seen on the queue lately; True where it is not known."""
        owner = self._directory.matching_owner(queue)
        if self._local is not None and owner is not None and owner.id == self._directory.own_id:
            return self._local.has_recent_poller(queue)
        return queue not in self._unpolled

    async def poll_workflow_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollWorkflowTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for a workflow or query task; an empty response after `timeout` seconds."""
        return await self._ask(
            TaskQueueKey(namespace.id, request.task_queue.name, TaskType.WORKFLOW, partition),
            lambda role, left: role.poll_workflow_task_queue(namespace, request, left, partition),
            timeout,
        )

    async def poll_activity_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollActivityTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for an activity task; an empty response after `timeout` seconds."""
        return await self._ask(
            TaskQueueKey(namespace.id, request.task_queue.name, TaskType.ACTIVITY, partition),
            lambda role, left: role.poll_activity_task_queue(namespace, request, left, partition),
            timeout,
        )

    async def forward_task(
        self, task: DispatchTask, limited: bool, timeout: float
    ) -> ForwardOutcome:
        """Has a poller of the root start a task of another partition."""
        return await self._ask(
            task.key.queue._replace(partition=0),
            lambda role, left: role.forward_task(task, limited, left),
            timeout,
        )

    async def query(self, queue: TaskQueueKey, task: QueryTask, timeout: float) -> QueryOutcome:
        """Has a worker of the queue answer a query.

        Raises:
            FailedPreconditionError: Nobody answered, and nobody polled the queue lately.
            DeadlineExceededError: Nobody answered within `timeout` seconds.
        """
        return await self._ask(queue, lambda role, left: role.query(queue, task, left), timeout)

    async def respond_query_task_completed(
        self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a worker's answer on; NotFoundError when nobody waits for it any more."""
        token = stored.TaskToken.FromString(request.task_token)
        queue = TaskQueueKey(token.namespace_id, token.task_queue, TaskType.WORKFLOW)
        await self._ask(
            queue, lambda role, _: role.respond_query_task_completed(query_task_id, request)
        )

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest, partition: int = 0
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics of a partition; its types may be different nodes'."""
        name = request.task_queue.name
        if request.api_mode != enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED:
            task_type = _type_of(request.task_queue_type)
            queue = TaskQueueKey(namespace.id, name, task_type, partition)
            return await self._describe(namespace, request, queue)
        wanted = request.task_queue_types or _QUEUE_TYPES
        response = wf.DescribeTaskQueueResponse()
        types = response.versions_info[""].types_info
        for number in wanted:
            part = wf.DescribeTaskQueueRequest()
            part.CopyFrom(request)
            del part.task_queue_types[:]
            part.task_queue_types.append(number)
            queue = TaskQueueKey(namespace.id, name, _type_of(number), partition)
            described = await self._describe(namespace, part, queue)
            for told, info in described.versions_info[""].types_info.items():
                types[told].CopyFrom(info)
        return response

    async def abandon_queue(self, namespace_id: str, task_queue: str) -> None:
        """Notes that the worker of a sticky queue is going away: nobody will poll it again."""
        for queue in self._queues_by_owner(namespace_id, task_queue):
            await self._ask(queue, lambda role, _: role.abandon_queue(namespace_id, task_queue))

    async def cancel_polls(
        self, namespace_id: str, task_queue: str, worker_instance_key: str
    ) -> int:
        """Ends a worker's outstanding polls with an empty response; returns how many."""
        ended = 0
        for queue in self._queues_by_owner(namespace_id, task_queue):
            ended += await self._ask(
                queue,
                lambda role, _: role.cancel_polls(namespace_id, task_queue, worker_instance_key),
            )
        return ended

    async def record_worker_heartbeat(
        self, namespace: Namespace, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats of workers of a namespace."""
        return await self._ask(
            registry_of(namespace), lambda role, _: role.record_worker_heartbeat(namespace, request)
        )

    async def list_workers(
        self, namespace: Namespace, request: wf.ListWorkersRequest
    ) -> wf.ListWorkersResponse:
        """Returns a page of the workers of a namespace."""
        return await self._ask(
            registry_of(namespace), lambda role, _: role.list_workers(namespace, request)
        )

    async def describe_worker(
        self, namespace: Namespace, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last; NotFoundError when it is not known."""
        return await self._ask(
            registry_of(namespace), lambda role, _: role.describe_worker(namespace, request)
        )

    async def count_workers(
        self, namespace: Namespace, request: wf.CountWorkersRequest
    ) -> wf.CountWorkersResponse:
        """Returns how many workers of a namespace there are."""
        return await self._ask(
            registry_of(namespace), lambda role, _: role.count_workers(namespace, request)
        )

    async def _describe(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest, queue: TaskQueueKey
    ) -> wf.DescribeTaskQueueResponse:
        return await self._ask(
            queue,
            lambda role, _: role.describe_task_queue(namespace, request, queue.partition),
        )

    def _queues_by_owner(self, namespace_id: str, name: str) -> list[TaskQueueKey]:
        """Returns partitions of the queues of a name, of those that one node owns one."""
        queues: dict[str, TaskQueueKey] = {}
        for task_type, number in product(TaskType, range(self._partitions)):
            queue = TaskQueueKey(namespace_id, name, task_type, number)
            owner = self._directory.matching_owner(queue)
            queues.setdefault("" if owner is None else owner.id, queue)
        return list(queues.values())

    async def _ask(
        self,
        queue: TaskQueueKey,
        ask: Callable[[MatchingNode, float], Awaitable[T]],
        timeout: float = 0.0,
    ) -> T:
        def ask_node(node: Node, elapsed: float) -> Awaitable[T]:
            return ask(self._role(node), max(0.0, timeout - elapsed))

        return await self._router.ask(
            lambda: self._directory.matching_owner(queue),
            ask_node,
            seconds=timeout,
            repeatable=True,
        )

    def _role(self, node: Node) -> MatchingNode:
        if node.id != self._directory.own_id:
            # It lacks the methods that never cross, which are not asked of other nodes.
            return cast(MatchingNode, self._peers.matching(node.address))
        if self._local is None:
            raise NotOwnerError
        return self._local

    async def _acknowledged(self, tasks: Sequence[DispatchTask], unpolled: Sequence[int]) -> None:
        """Learns from an acknowledgement, and has history move the tasks that wait for nobody."""
        lonely = [tasks[place] for place in unpolled if place < len(tasks)]
        for task in tasks:
            if task.sticky:
                self._unpolled.discard(task.key.queue)
        for task in lonely:
            self._unpolled.add(task.key.queue)
        for task in lonely:
            try:
                await self._sticky_unpolled(task)
            except ServiceError:
                # The sticky task's own timeout moves it.
                continue


def _type_of(number: int) -> TaskType:
    return TaskType.ACTIVITY if number == TaskType.ACTIVITY else TaskType.WORKFLOW


class _UnpolledQueues:
    """Queues of which it was said lately that nobody polls them."""

    def __init__(self, seconds: float, capacity: int) -> None:
        self._seconds = seconds
        self._capacity = capacity
        self._said: OrderedDict[TaskQueueKey, float] = OrderedDict()

    def __contains__(self, queue: TaskQueueKey) -> bool:
        said = self._said.get(queue)
        return said is not None and asyncio.get_running_loop().time() - said < self._seconds

    def add(self, queue: TaskQueueKey) -> None:
        """Notes that it was said of a queue now."""
        self._said[queue] = asyncio.get_running_loop().time()
        self._said.move_to_end(queue)
        if len(self._said) > self._capacity:
            self._said.popitem(last=False)

    def discard(self, queue: TaskQueueKey) -> None:
        """Forgets a queue: it is polled after all."""
        self._said.pop(queue, None)
