"""Retention and the deletion of namespaces, on virtual time and over the real history role."""

import asyncio

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import UnavailableError
from perdure.core.visibility.query import Everything
from perdure.rpc import namespace_deletion
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry, new_description
from perdure.systemworker.deleting import RunDeleter
from perdure.systemworker.namespace_deletion import NamespaceDeletion
from perdure.systemworker.ports import RunRemover
from perdure.systemworker.retention import RetentionSweep
from unit.history.world import NAMESPACE, Server, World, run

HOUR = 3600
PERIOD = 60.0
SECOND = 1_000_000_000


class Counter:
    """Counts what it is told of."""

    def __init__(self) -> None:
        self.gone = 0
        self.left = 0

    def deleted(self, namespace: str, runs: int) -> None:
        """Counts runs that are gone."""
        self.gone += runs

    def failed(self, namespace: str, runs: int) -> None:
        """Counts runs that are left."""
        self.left += runs


class Bench:
    """A server, the registry with its namespace, and the system worker."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.counter = Counter()
        self.mine = True
        self.namespaces = NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids)

    async def prepare(self, *, retention: int = HOUR) -> None:
        """Makes the namespace, whose id history goes by."""
        description = new_description(Duration(seconds=retention))
        description.namespace_info.id = NAMESPACE.id
        await self.namespaces.create(NAMESPACE.name, description)

    def deleter(
        self, *, batch: int = 10, per_second: int = 100, history: RunRemover | None = None
    ) -> RunDeleter:
        """Returns what deletes runs."""
        return RunDeleter(
            visibility=self.world.store,
            history=history or self.server.history,
            observer=self.counter,
            batch=batch,
            per_second=per_second,
        )

    def sweep(self, deleter: RunDeleter | None = None) -> None:
        """Starts retention."""
        RetentionSweep(
            namespaces=self.namespaces,
            deleter=deleter or self.deleter(),
            clock=self.world.clock,
            ids=self.world.ids,
            period_seconds=PERIOD,
            looks_after=lambda _: self.mine,
        ).start(self.world.tasks)

    def end_namespaces(self) -> None:
        """Starts the deletion of namespaces."""
        NamespaceDeletion(
            namespaces=self.namespaces,
            deleter=self.deleter(),
            clock=self.world.clock,
            period_seconds=2.0,
            settling_seconds=10.0,
            looks_after=lambda _: self.mine,
        ).start(self.world.tasks)

    async def close_some(self, count: int) -> None:
        """Starts and ends workflows."""
        for number in range(count):
            await self.server.start(f"closed-{number}")
            await self.server.terminate(f"closed-{number}")

    async def listed(self) -> int:
        """Returns how many runs there are."""
        return await self.world.store.count_workflows(NAMESPACE.id, Everything())

    async def keep_for(self, seconds: int) -> None:
        """Changes the namespace's retention."""

        def change(current: wf.DescribeNamespaceResponse) -> None:
            current.config.workflow_execution_retention_ttl.seconds = seconds

        await self.namespaces.update(NAMESPACE, change)

    async def delete_namespace(self, delay_seconds: int = 0) -> Namespace:
        """Does what DeleteNamespace does; returns the namespace under its new name."""
        name = namespace_deletion.new_names(NAMESPACE.name, NAMESPACE.id)[0]
        assert await self.namespaces.rename(
            NAMESPACE,
            name,
            lambda current: namespace_deletion.delete(
                current, now=self.world.clock.now(), delay=delay_seconds * SECOND
            ),
        )
        return Namespace(NAMESPACE.id, name)


async def _bench(world: World, **options: int) -> Bench:
    bench = Bench(world, await world.serve())
    await bench.prepare(**options)
    return bench


def test_closed_runs_go_when_their_time_is_up() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(25)
        await bench.server.start("open")
        bench.sweep()
        await asyncio.sleep(HOUR - 2 * PERIOD)
        assert await bench.listed() == 26
        await asyncio.sleep(4 * PERIOD)
        assert await bench.listed() == 1
        assert bench.counter.gone == 25
        await bench.server.signal("open")
        assert set(world.store._tables.current) == {(NAMESPACE.id, "open")}

    run(scenario)


def test_the_retention_is_the_one_of_today() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(3)
        bench.sweep()
        await bench.keep_for(10 * HOUR)
        await asyncio.sleep(5 * HOUR)
        assert await bench.listed() == 3
        await bench.keep_for(4 * HOUR)
        await asyncio.sleep(2 * PERIOD)
        assert await bench.listed() == 0

    run(scenario)


def test_only_the_node_that_looks_after_a_namespace_deletes() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(1)
        bench.mine = False
        bench.sweep()
        await asyncio.sleep(2 * HOUR)
        assert await bench.listed() == 1
        bench.mine = True
        await asyncio.sleep(2 * PERIOD)
        assert await bench.listed() == 0

    run(scenario)


def test_deletion_keeps_to_its_pace() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(30)
        began = world.loop.time()
        await bench.deleter(batch=5, per_second=10).delete(NAMESPACE, None)
        assert bench.counter.gone == 30
        assert world.loop.time() - began >= 2.5
        assert max(map(len, world.faults.batches)) <= 5

    run(scenario)


class Refusing:
    """Deletes nothing until it is told to."""

    def __init__(self, server: Server) -> None:
        self.refuses = True
        self._server = server

    async def delete_workflow_execution(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run, or says that it cannot."""
        if self.refuses:
            raise UnavailableError("not now")
        return await self._server.history.delete_workflow_execution(namespace, request)


def test_what_could_not_be_deleted_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(12)
        history = Refusing(bench.server)
        bench.sweep(bench.deleter(history=history))
        await asyncio.sleep(2 * HOUR)
        assert await bench.listed() == 12
        assert bench.counter.left
        history.refuses = False
        await asyncio.sleep(2 * PERIOD)
        assert await bench.listed() == 0

    run(scenario)


def test_a_deleted_namespace_goes_with_its_workflows() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(15)
        for number in range(15):
            await bench.server.start(f"open-{number}")
        renamed = await bench.delete_namespace()
        assert bench.namespaces.find(NAMESPACE.name) is None
        bench.end_namespaces()
        await asyncio.sleep(60.0)
        assert await bench.listed() == 0
        assert not world.store._tables.runs
        assert await world.store.list_namespaces() == []
        assert bench.namespaces.find(renamed.name) is None

    run(scenario)


def test_an_empty_namespace_waits_out_its_delay() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.delete_namespace(delay_seconds=HOUR)
        bench.end_namespaces()
        await asyncio.sleep(HOUR)
        assert await world.store.list_namespaces()
        await asyncio.sleep(60.0)
        assert await world.store.list_namespaces() == []

    run(scenario)


def test_another_node_goes_on_where_one_stopped() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world)
        await bench.close_some(5)
        await bench.delete_namespace()
        other = Bench(world, bench.server)
        await other.namespaces.refresh()
        other.end_namespaces()
        await asyncio.sleep(60.0)
        assert await bench.listed() == 0
        assert await world.store.list_namespaces() == []

    run(scenario)
