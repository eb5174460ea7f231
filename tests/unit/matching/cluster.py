"""Matching engines of several nodes over the same rows, and a frontend, on virtual time.

Nodes are reached through the real routing; what crosses between them takes a moment. A view may
lag: each node and the frontend has its own.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar, cast

from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey, TaskType
from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import Encoded
from perdure.rpc.internode.errors import PeerUnreachableError
from perdure.rpc.internode.matching import RoutedMatching
from perdure.rpc.internode.owned import OwnedMatching, owns_queue
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import Router
from perdure.rpc.partitions.client import PartitionedMatching
from perdure.runtime.deterministic import SeededIds
from perdure.runtime.tasks import TaskSet
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop
from unit.matching.world import NAMESPACE, WORKFLOWS, History, Rows, without_advice

HOP = 0.001
"""How long a call takes to another node, in seconds."""

T = TypeVar("T")


class Address(NamedTuple):
    id: str
    address: str


class View:
    """A `Directory`: `owners` names the node of a partition by its number, and so on round."""

    def __init__(self, own_id: str, owners: list[str]) -> None:
        self.own_id = own_id
        self.owners = owners
        self._changed = asyncio.Event()

    def node(self, node_id: str) -> Address | None:
        return Address(node_id, node_id) if node_id in self.owners else None

    def history_owner(self, slot: int) -> None:
        raise AssertionError("history is not routed here")

    def matching_owner(self, queue: TaskQueueKey) -> Address | None:
        name = self.owners[queue.partition % len(self.owners)]
        return Address(name, name)

    async def changed(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return

    def refresh(self) -> None:
        """Newer views come by themselves."""

    def change(self, owners: list[str]) -> None:
        self.owners = owners
        self._changed.set()
        self._changed = asyncio.Event()


class Node:
    """An engine, as its own node and the others see it."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.name = name
        self.up = True
        self.view = View(name, cluster.owners)
        self.engine = cluster.new_engine()
        self.guard = OwnedMatching(self.engine, self.view)
        self.client = cluster.client_of(self.view, self.engine)
        self.engine.attach_cluster(self.client)

    def see(self, owners: list[str]) -> None:
        self.view.change(owners)
        self.engine.release_queues(lambda queue: not owns_queue(self.view, queue))


class Wire:
    """What stands for `Peers`: calls that take a moment, and fail while a node is not up."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.calls: Counter[str] = Counter()
        self._nodes = nodes

    def matching(self, address: str) -> Any:
        return _Remote(self._nodes[address], self.calls)


class _Remote:
    def __init__(self, node: Node, calls: Counter[str]) -> None:
        self._node = node
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: Any) -> Any:
            self._calls[name] += 1
            await asyncio.sleep(HOP)
            if not self._node.up:
                raise PeerUnreachableError(self._node.name, maybe_sent=False)
            method = getattr(self._node.guard, name)
            if name == "add_tasks":
                method(*arguments)
                return []
            return await method(*arguments)

        return call


class Cluster:
    """Nodes, rows, history, and a frontend whose polls and hints these are."""

    def __init__(
        self, loop: SimulatedLoop, settings: MatchingSettings, seed: int, nodes: int
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.clock = SimulatedClock(loop=loop)
        self.ids = SeededIds(generator=random.Random(seed), clock=self.clock)
        self.rows = Rows()
        self.history = History(self.rows)
        self.errors: list[tuple[str, BaseException]] = []
        self.tasks = TaskSet(on_error=self._failed)
        self.owners = [f"node-{number}" for number in range(nodes)]
        self.nodes: dict[str, Node] = {}
        self.wire = Wire(self.nodes)
        self.nodes.update({name: Node(self, name) for name in self.owners})
        self.view = View("frontend", self.owners)
        self.routed = self.client_of(self.view, None)
        self.client = PartitionedMatching(
            self.routed,
            read_partitions=settings.read_partitions,
            partitions=settings.partitions,
            move_seconds=settings.poll_move,
            random=self.ids.random,
        )
        self.history.hint = lambda task: self.client.add_tasks([task])

    def new_engine(self) -> MatchingEngine:
        engine = MatchingEngine(
            store=self.rows,
            clock=self.clock,
            ids=self.ids,
            settings=self.settings,
            incarnation="incarnation",
            on_error=self._failed,
        )
        engine.attach_history(self.history)
        return engine

    def client_of(self, view: View, local: MatchingEngine | None) -> RoutedMatching:
        return RoutedMatching(
            router=Router(directory=view, ids=self.ids),
            peers=cast(Peers, self.wire),
            local=local,
            sticky_unpolled=self.history.sticky_queue_unpolled,
            tasks=self.tasks,
            ids=self.ids,
            partitions=self.settings.partitions,
        )

    def engine_of(self, queue: TaskQueueKey) -> MatchingEngine:
        owner = self.view.matching_owner(queue)
        assert owner is not None
        return self.nodes[owner.id].engine

    def commit(self, *tasks: DispatchTask) -> None:
        """Writes rows and hands over their hints."""
        self.rows.write(*tasks)
        self.client.add_tasks(tasks)

    def poll(
        self,
        queue: TaskQueueKey = WORKFLOWS,
        *,
        identity: str = "worker",
        key: str = "",
        seconds: float = 60.0,
        tasks_per_second: float | None = None,
    ) -> asyncio.Task[Encoded]:
        """Starts a poll of the frontend."""
        named = TaskQueue(name=queue.name)

        async def answer() -> Encoded:
            if queue.task_type is TaskType.ACTIVITY:
                activity = wf.PollActivityTaskQueueRequest(
                    task_queue=named, identity=identity, worker_instance_key=key
                )
                if tasks_per_second is not None:
                    activity.task_queue_metadata.max_tasks_per_second.value = tasks_per_second
                response = await self.client.poll_activity_task_queue(NAMESPACE, activity, seconds)
            else:
                workflow = wf.PollWorkflowTaskQueueRequest(
                    task_queue=named, identity=identity, worker_instance_key=key
                )
                response = await self.client.poll_workflow_task_queue(NAMESPACE, workflow, seconds)
            return without_advice(queue, response)

        return self.loop.create_task(answer())

    def polls_at(self, queue: TaskQueueKey) -> int:
        """Returns how many polls are at a partition."""
        statistics = self.engine_of(queue).statistics()
        return sum(each.pending_polls for each in statistics if each.queue == queue)

    def loaded(self) -> set[TaskQueueKey]:
        """Returns the partitions that some engine has in memory."""
        statistics = [node.engine.statistics() for node in self.nodes.values()]
        return {each.queue for some in statistics for each in some}

    async def close(self) -> None:
        for client in (self.routed, *(node.client for node in self.nodes.values())):
            client.close()
        for node in self.nodes.values():
            await node.engine.close()
        await self.tasks.close()

    def _failed(self, name: str, error: BaseException) -> None:
        self.errors.append((name, error))


def run_cluster(
    scenario: Callable[[Cluster], Coroutine[Any, Any, T]],
    *,
    partitions: int = 4,
    nodes: int = 3,
    settings: MatchingSettings | None = None,
    seed: int = 1,
    reorder_probability: float = 0.0,
) -> T:
    """Runs a scenario on virtual time; fails when background work fails."""
    settings = settings or MatchingSettings(read_partitions=partitions, write_partitions=partitions)
    loop = SimulatedLoop(generator=random.Random(seed), reorder_probability=reorder_probability)
    errors: list[tuple[str, BaseException]] = []

    async def main() -> T:
        cluster = Cluster(loop, settings, seed, nodes)
        try:
            return await scenario(cluster)
        finally:
            await cluster.close()
            errors.extend(cluster.errors)

    try:
        result = loop.run_until_complete(main())
    finally:
        loop.close()
    assert errors == []
    return result
