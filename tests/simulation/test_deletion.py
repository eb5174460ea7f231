"""Retention and deletions while workflows start, end and are signalled, and commits are lost.

Every seed is another order of events. What must hold: a run whose deletion was acknowledged is not
seen again; a run that nobody ended or deleted is still there; in the end nothing is left of those
that closed, and every id can be used again. Of a namespace that is deleted nothing is left at all.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import Commit
from perdure.core.errors import NotFoundError, ServiceError
from perdure.persistence.ports import Outcome, StoreUnavailable, UnknownOutcome
from perdure.rpc import namespace_deletion
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry, new_description
from perdure.systemworker.deleting import RunDeleter
from perdure.systemworker.namespace_deletion import NamespaceDeletion
from perdure.systemworker.retention import RetentionSweep
from simulation.loop import SimulatedLoop
from unit.history.world import NAMESPACE, Faults, Server, UnreliableStore, World, execution

SEEDS = range(60)
NAMESPACE_SEEDS = range(30)
WORKFLOW_IDS = ("a", "b", "c")
CLIENTS = 4
OPERATIONS = 40
RETENTION_SECONDS = 30
PERIOD_SECONDS = 5.0
LOSS_PROBABILITY = 0.1
SETTLED_SECONDS = 120.0
"""In which all that was asked for comes about: longer than clients go on."""
DELETED_AT_SECONDS = 20.0


class LossyStore(Faults):
    """Loses commits now and then: before they are applied, or the answer alone."""

    def __init__(self, generator: random.Random) -> None:
        super().__init__()
        self.lossy = True
        self._generator = generator

    async def before_commit(self, batch: Sequence[Commit]) -> None:
        """Takes its time, and may lose the batch."""
        await super().before_commit(batch)
        await asyncio.sleep(self._generator.uniform(0, 0.05))
        if self.lossy and self._generator.random() < LOSS_PROBABILITY:
            raise self._generator.choice((StoreUnavailable, UnknownOutcome))("lost")

    async def after_commit(self, batch: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
        """May lose the answer."""
        if self.lossy and self._generator.random() < LOSS_PROBABILITY:
            raise UnknownOutcome("the answer was lost")


class Uncounted:
    """A `DeletionObserver` that does nothing."""

    def deleted(self, namespace: str, runs: int) -> None:
        """Does nothing."""

    def failed(self, namespace: str, runs: int) -> None:
        """Does nothing."""


class Story:
    """What clients did, and what they were told.

    Attributes:
        started: The runs that were acknowledged, by workflow id.
        disturbed: Runs that somebody may have ended or deleted.
        deleted: Runs whose deletion was acknowledged.
        attempts: How often somebody began to end or delete something, by workflow id.
    """

    def __init__(self, server: Server, generator: random.Random) -> None:
        self.server = server
        self.generator = generator
        self.started: dict[str, set[str]] = {name: set() for name in WORKFLOW_IDS}
        self.disturbed: set[str] = set()
        self.deleted: set[tuple[str, str]] = set()
        self.attempts = dict.fromkeys(WORKFLOW_IDS, 0)
        self.under_way = dict.fromkeys(WORKFLOW_IDS, 0)

    async def client(self) -> None:
        """Does one thing after the other."""
        actions = (self.start, self.start, self.signal, self.terminate, self.delete, self.look)
        for _ in range(OPERATIONS):
            await asyncio.sleep(self.generator.uniform(0, 2))
            try:
                await self.generator.choice(actions)(self.generator.choice(WORKFLOW_IDS))
            except ServiceError:
                # What the client did may have happened or not.
                continue

    async def start(self, workflow_id: str) -> None:
        """Starts a workflow."""
        before = self.attempts[workflow_id]
        overlaps = bool(self.under_way[workflow_id])
        run_id = await self.server.start(workflow_id)
        self.started[workflow_id].add(run_id)
        if overlaps or self.attempts[workflow_id] != before:
            self.disturbed.add(run_id)

    async def signal(self, workflow_id: str) -> None:
        """Signals a workflow."""
        await self.server.signal(workflow_id)

    async def terminate(self, workflow_id: str) -> None:
        """Ends a workflow."""
        await self._disturb(workflow_id, "")

    async def delete(self, workflow_id: str) -> None:
        """Deletes a run that is known, or the current one."""
        known = sorted(self.started[workflow_id])
        run_id = self.generator.choice([*known, ""])
        request = wf.DeleteWorkflowExecutionRequest(
            workflow_execution=execution(workflow_id, run_id)
        )
        await self._disturb(workflow_id, run_id, request)
        if run_id:
            self.deleted.add((workflow_id, run_id))

    async def look(self, workflow_id: str) -> None:
        """Reads a run that is known."""
        if known := sorted(self.started[workflow_id]):
            await self.describe(workflow_id, self.generator.choice(known))

    async def describe(self, workflow_id: str, run_id: str) -> None:
        """Describes a run."""
        request = wf.DescribeWorkflowExecutionRequest(execution=execution(workflow_id, run_id))
        await self.server.history.describe_workflow_execution(NAMESPACE, request)

    async def _disturb(
        self,
        workflow_id: str,
        run_id: str,
        deletion: wf.DeleteWorkflowExecutionRequest | None = None,
    ) -> None:
        self.attempts[workflow_id] += 1
        self.under_way[workflow_id] += 1
        self.disturbed |= {run_id} if run_id else self.started[workflow_id]
        try:
            if deletion is None:
                await self.server.terminate(workflow_id)
            else:
                await self.server.history.delete_workflow_execution(NAMESPACE, deletion)
        finally:
            self.under_way[workflow_id] -= 1
            if not run_id:
                self.disturbed |= self.started[workflow_id]


class LossyWorld(World):
    """A world whose store loses commits."""

    def __init__(self, loop: SimulatedLoop, generator: random.Random) -> None:
        super().__init__(loop)
        self.losses = LossyStore(generator)
        self.faults = self.losses
        self.store = UnreliableStore(ids=self.ids, faults=self.faults)


def _deleter(world: World, server: Server) -> RunDeleter:
    return RunDeleter(
        visibility=world.store,
        history=server.history,
        observer=Uncounted(),
        batch=3,
        per_second=20,
    )


async def _register(world: World) -> NamespaceRegistry:
    registry = NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids)
    description = new_description(Duration(seconds=RETENTION_SECONDS))
    description.namespace_info.id = NAMESPACE.id
    await registry.create(NAMESPACE.name, description)
    assert registry.find(NAMESPACE.name) == Namespace(NAMESPACE.id, NAMESPACE.name)
    return registry


async def _retain(world: World, server: Server) -> None:
    RetentionSweep(
        namespaces=await _register(world),
        deleter=_deleter(world, server),
        clock=world.clock,
        ids=world.ids,
        period_seconds=PERIOD_SECONDS,
        looks_after=lambda _: True,
    ).start(world.tasks)


async def _check(world: LossyWorld, server: Server, story: Story) -> None:
    assert not world.errors, world.errors
    tables = world.store._tables
    closed = [run_id for run_id, row in tables.visibility.items() if row.close_time]
    assert not closed, "closed runs outlive their retention"
    for workflow_id, run_ids in story.started.items():
        for run_id in sorted(run_ids - story.disturbed):
            await story.describe(workflow_id, run_id)
    for workflow_id, run_id in sorted(story.deleted):
        with pytest.raises(NotFoundError):
            await story.describe(workflow_id, run_id)
    for workflow_id in WORKFLOW_IDS:
        try:
            await server.terminate(workflow_id)
        except NotFoundError:
            continue
    await asyncio.sleep(SETTLED_SECONDS)
    left = (tables.runs, tables.visibility, tables.current, tables.timers, tables.tasks)
    assert not any(left), left
    for workflow_id in WORKFLOW_IDS:
        reject = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        await server.start(workflow_id, workflow_id_reuse_policy=reject)


async def _simulate(loop: SimulatedLoop, seed: int) -> None:
    world = LossyWorld(loop, random.Random(seed))
    try:
        server = await world.serve()
        await _retain(world, server)
        story = Story(server, random.Random(seed))
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(story.client())
        world.losses.lossy = False
        await asyncio.sleep(SETTLED_SECONDS)
        await _check(world, server, story)
    finally:
        await world.close()


async def _delete_namespace(world: World, registry: NamespaceRegistry) -> None:
    """Does what DeleteNamespace does, a while after clients have begun."""
    await asyncio.sleep(DELETED_AT_SECONDS)
    name = namespace_deletion.new_names(NAMESPACE.name, NAMESPACE.id)[0]
    assert await registry.rename(
        NAMESPACE,
        name,
        lambda current: namespace_deletion.delete(current, now=world.clock.now(), delay=0),
    )


async def _simulate_namespace(loop: SimulatedLoop, seed: int) -> None:
    world = LossyWorld(loop, random.Random(seed))
    try:
        server = await world.serve()
        registry = await _register(world)
        NamespaceDeletion(
            namespaces=registry,
            deleter=_deleter(world, server),
            clock=world.clock,
            period_seconds=PERIOD_SECONDS,
            # Clients go on until every node knows that the namespace is deleted.
            settling_seconds=SETTLED_SECONDS,
            looks_after=lambda _: True,
        ).start(world.tasks)
        story = Story(server, random.Random(seed))
        async with asyncio.TaskGroup() as clients:
            clients.create_task(_delete_namespace(world, registry))
            for _ in range(CLIENTS):
                clients.create_task(story.client())
        world.losses.lossy = False
        assert registry.rows(), "the namespace goes before every node knows that it is deleted"
        await asyncio.sleep(2 * SETTLED_SECONDS)
        assert not world.errors, world.errors
        assert not registry.rows()
        tables = world.store._tables
        left = (tables.runs, tables.visibility, tables.current, tables.timers, tables.tasks)
        assert not any(left), left
    finally:
        await world.close()


def _run(simulate: Callable[[SimulatedLoop, int], Coroutine[Any, Any, None]], seed: int) -> None:
    loop = SimulatedLoop(generator=random.Random(seed))
    try:
        loop.run_until_complete(simulate(loop, seed))
    finally:
        loop.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_deletion_while_workflows_go_on(seed: int) -> None:
    _run(_simulate, seed)


@pytest.mark.parametrize("seed", NAMESPACE_SEEDS)
def test_deletion_of_a_namespace_while_its_workflows_go_on(seed: int) -> None:
    _run(_simulate_namespace, seed)
