"""A cluster with a process for each role, two of history, matching and frontend; who owns what.

A module's tests share one, because it takes seconds to start: they name what they make after
themselves, and whoever kills a process starts it again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from temporalio.api.workflowservice import v1 as wf
from temporalio.client import Client

from conformance.rpc import call
from conformance.scenario import ScenarioEnv, environment
from contract.cluster import PostgresCluster
from integration.node_processes import NodeProcess, NodeProcesses, node_processes
from perdure.core.commit import TaskQueueKey, TaskType
from perdure.core.slots import slot_of
from perdure.membership.view import ClusterView
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.postgres.administration import setup
from perdure.rpc.clients import Namespace
from perdure.rpc.internode.owned import registry_of
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from waiting import until_asked

PARTITIONS = 8
"""Of each task queue: so many that each matching node has some."""
HISTORY = ("history-0", "history-1")
MATCHING = ("matching-0", "matching-1")
FRONTENDS = ("frontend-0", "frontend-1")
WORKER = "worker-0"
NAMES = (*HISTORY, *MATCHING, *FRONTENDS, WORKER)

_SETTINGS = {
    "matching.numTaskqueueReadPartitions": PARTITIONS,
    "matching.numTaskqueueWritePartitions": PARTITIONS,
}


class WholeCluster:
    """The processes, and who owns what. Make one with `whole_cluster`.

    Attributes:
        dsn: The database.
    """

    def __init__(self, processes: NodeProcesses, settings: Mapping[str, Any]) -> None:
        self.dsn = processes.dsn
        self._processes = processes
        self._settings = {**_SETTINGS, **settings}
        self._nodes: dict[str, NodeProcess] = {}

    def start(self, *names: str) -> None:
        """Starts processes, for the first time or again, and waits until they serve."""
        for name in names:
            self._nodes[name] = self._processes.start(
                name,
                roles=[name.partition("-")[0]],
                sections={"settings": self._settings},
                metrics={},
            )
        for name in names:
            self._nodes[name].until_ready()

    def kill(self, *names: str) -> None:
        """Ends processes with SIGKILL."""
        for name in names:
            self._nodes[name].kill()

    def __getitem__(self, name: str) -> NodeProcess:
        """Returns a node's process."""
        return self._nodes[name]

    def address(self, frontend: str = FRONTENDS[0]) -> str:
        """Returns where clients reach a frontend."""
        return self._nodes[frontend].places["gRPC"]

    async def client(self, frontend: str = FRONTENDS[0], namespace: str = "default") -> Client:
        """Returns an official SDK client."""
        return await Client.connect(self.address(frontend), namespace=namespace)

    async def balanced(self) -> "Owners":
        """Waits until every shard is where it belongs; returns who owns what."""
        ids = SystemIds(clock=SystemClock())
        store = await PostgresStore.open(self.dsn, ids=ids, readers=1)
        found: list[ClusterView] = []

        async def is_balanced() -> bool:
            rows = await store.read_cluster()
            view = ClusterView(rows.nodes, rows.shards)
            found.append(view)
            return {node.name for node in view.nodes} == set(NAMES) and all(
                view.desired_history_owner(shard) == shard.owner for shard in view.shards
            )

        try:
            await until_asked(is_balanced, pause_seconds=0.1)
        finally:
            await store.close()
        async with environment(self.address()) as env:
            namespace_id = await namespace_id_of(env, "default")
        return Owners(found[-1], Namespace(namespace_id, "default"))


class Owners:
    """Who owned what of a namespace at one moment.

    Attributes:
        namespace: The namespace.
    """

    def __init__(self, view: ClusterView, namespace: Namespace) -> None:
        self._view = view
        self.namespace = namespace

    def of_workflow(self, workflow_id: str) -> str:
        """Returns the name of the history node that has a workflow id."""
        return self.of_slot(slot_of(self.namespace.id, workflow_id))

    def of_slot(self, slot: int) -> str:
        """Returns the name of the history node that has a slot."""
        node = self._view.history_owner(slot)
        assert node is not None
        return node.name

    def workflow_on(self, name: str, stem: str) -> str:
        """Returns a workflow id that a history node has."""
        ids = (f"{stem}-{number}" for number in count())
        return next(each for each in ids if self.of_workflow(each) == name)

    def of_queue(self, queue: TaskQueueKey) -> str:
        """Returns the name of the matching node that has a partition of a queue."""
        node = self._view.matching_owner(queue)
        assert node is not None
        return node.name

    def queue_on_both(self, stem: str, task_type: TaskType) -> str:
        """Returns the name of a queue of which each matching node has a good part."""
        for name in (f"{stem}-{number}" for number in count()):
            shares = Counter(
                self.of_queue(TaskQueueKey(self.namespace.id, name, task_type, partition))
                for partition in range(PARTITIONS)
            )
            if len(shares) == len(MATCHING) and min(shares.values()) >= PARTITIONS // 2 - 1:
                return name
        raise AssertionError

    def keeper_of_workers(self) -> str:
        """Returns the name of the matching node that knows the namespace's workers."""
        return self.of_queue(registry_of(self.namespace))


async def namespace_id_of(env: ScenarioEnv, name: str) -> str:
    """Returns a namespace's id."""
    request = wf.DescribeNamespaceRequest(namespace=name)
    return (await call(env, request, wf.DescribeNamespaceResponse)).namespace_info.id


@contextmanager
def whole_cluster(
    database: PostgresCluster, folder: Path, settings: Mapping[str, Any] | None = None
) -> Iterator[WholeCluster]:
    """Runs a whole cluster on a database of its own.

    Args:
        database: Where that is made.
        folder: For the files of its processes.
        settings: Those of its processes.
    """
    dsn = database.create_database()
    asyncio.run(setup(dsn, ids=SystemIds(clock=SystemClock()), say=lambda _: None))
    with node_processes(folder, dsn) as processes:
        cluster = WholeCluster(processes, settings or {})
        cluster.start(*NAMES)
        yield cluster


@asynccontextmanager
async def frontends(cluster: WholeCluster) -> AsyncIterator[tuple[ScenarioEnv, ScenarioEnv]]:
    """Yields a raw connection to each frontend; names made by both are alike."""
    async with (
        environment(cluster.address(FRONTENDS[0])) as first,
        environment(cluster.address(FRONTENDS[1])) as second,
    ):
        yield first, replace(second, nonce=first.nonce)
