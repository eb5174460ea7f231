"""A cluster of members on virtual time: machines that crash and stop, and a store that is far away.

A `Machine` can be killed, as by kill -9, and suspended, as by SIGSTOP: none of its code runs, but
time goes on. Its way to the store has delays before and after a call takes effect, and errors.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TypeVar

from perdure.membership.balance import plan
from perdure.membership.member import Member
from perdure.membership.settings import MembershipSettings
from perdure.membership.view import ClusterView
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import (
    ClusterRows,
    NodeRow,
    NodeState,
    Shard,
    StoreError,
    StoreUnavailable,
)
from perdure.runtime.deterministic import SeededIds
from perdure.runtime.tasks import TaskSet
from simulation.clock import SimulatedClock
from simulation.loop import PROCESS, Process, SimulatedLoop

ROLES = "frontend,history,matching"

T = TypeVar("T")


def node_row(name: str, *, node_id: str = "", **changes: object) -> NodeRow:
    fields: dict[str, object] = {
        "id": node_id or f"id-of-{name}",
        "name": name,
        "roles": ROLES,
        "address": f"{name}:7234",
        "version": "1.0.0",
        "format": 1,
        "state": NodeState.UP,
        "lease": 6_000_000_000,
    }
    return NodeRow(**{**fields, **changes})  # type: ignore[arg-type]


class WatchedLoop(SimulatedLoop):
    """Tells `after_step` whenever something ran."""

    after_step: Callable[[], None] = staticmethod(lambda: None)

    def _run_one(self) -> None:
        super()._run_one()
        self.after_step()


class Wire:
    """A machine's way to the store.

    Attributes:
        delay: Draws how long a message takes, in seconds.
        cut: Whether calls fail before they reach the store.
        hangs: Whether calls that reach the store wait there until it is False again.
        error: Draws the error of a call that has taken effect, or None.
    """

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.delay: Callable[[], float] = lambda: 0.001
        self.error: Callable[[], StoreError | None] = lambda: None
        self.cut = False
        self.hangs = False
        self.calls: list[str] = []

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        return await self._pass("register_node", lambda: self.store.register_node(node))

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        return await self._pass("renew_node", lambda: self.store.renew_node(node_id, state))

    async def remove_node(self, node_id: str) -> None:
        await self._pass("remove_node", lambda: self.store.remove_node(node_id))

    async def remove_expired_nodes(self, expired_for: int) -> int:
        return await self._pass(
            "remove_expired_nodes", lambda: self.store.remove_expired_nodes(expired_for)
        )

    async def read_cluster(self) -> ClusterRows:
        return await self._pass("read_cluster", self.store.read_cluster)

    async def create_shards(self, count: int) -> bool:
        return await self._pass("create_shards", lambda: self.store.create_shards(count))

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        return await self._pass(
            "acquire_shard", lambda: self.store.acquire_shard(first_slot, last_slot, owner)
        )

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        return await self._pass("take_shards", lambda: self.store.take_shards(shards, owner))

    async def release_shard(self, shard: Shard) -> bool:
        return await self._pass("release_shard", lambda: self.store.release_shard(shard))

    async def _pass(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(name)
        if self.cut:
            raise StoreUnavailable("the store is away")
        # What is on its way arrives, though its sender is stopped, killed, or waits no more.
        loop = asyncio.get_running_loop()
        arrival = loop.create_task(self._arrive(call), context=Process("network").context())
        arrival.add_done_callback(_retrieve)
        result = await asyncio.shield(arrival)
        if (error := self.error()) is not None:
            raise error
        return result

    async def _arrive(self, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self.delay())
        while self.hangs:  # noqa: ASYNC110 - on virtual time
            await asyncio.sleep(0.1)
        result = await call()
        await asyncio.sleep(self.delay())
        return result


def _retrieve(task: "asyncio.Task[T]") -> None:
    """Takes the exception of a call whose caller may have gone."""
    if not task.cancelled():
        task.exception()


class Machine:
    """A process with a member, and with the part of history that moves shards."""

    def __init__(
        self, world: "World", name: str, *, settings: MembershipSettings, roles: str
    ) -> None:
        self.world = world
        self.process = Process(name)
        self.wire = Wire(world.store)
        self.errors: list[BaseException] = []
        self.views: list[ClusterView] = []
        self.losses = 0
        self.moves_shards = True
        self.handover: Callable[[], float] = lambda: 0.01
        generator = random.Random(f"{name} {world.seed} {len(world.machines)}")
        # Background tasks belong to the process in which their group was made.
        own = self.process.context()
        self.member = own.run(
            lambda: Member(
                node=node_row(name, roles=roles),
                store=self.wire,
                clock=world.clock,
                ids=SeededIds(generator=generator, clock=world.clock),
                settings=settings,
                on_error=self._failed,
            )
        )
        self.tasks = own.run(lambda: TaskSet(on_error=self._failed))
        self.member.subscribe(self.views.append)
        self.member.on_lost(self._lost)

    def _failed(self, name: str, error: BaseException) -> None:
        self.errors.append(error)

    def _lost(self) -> None:
        assert not self.member.lease_valid()
        self.losses += 1

    async def start(self) -> "Machine":
        """Starts in its own process; returns when that has started."""
        loop = asyncio.get_running_loop()
        await loop.create_task(self._begin(), context=self.process.context())
        return self

    async def _begin(self) -> None:
        assert PROCESS.get() is self.process
        await self.member.start()
        self.tasks.spawn("move-shards", self._move_shards())

    async def leave(self) -> None:
        await self.tasks.close()
        await self.member.leave()

    def kill(self) -> None:
        self.process.alive = False

    def stop(self, seconds: float) -> None:
        """Suspends the process."""
        self.process.stopped_until = self.world.loop.time() + seconds

    def is_valid_for(self, slot: int) -> bool:
        """Tells whether it would serve a slot from memory now."""
        member = self.member
        owner = member.view.history_owner(slot)
        return owner is not None and owner.id == member.id and member.lease_valid()

    @property
    def valid_slots(self) -> list[int]:
        return [
            shard.first_slot
            for shard in self.member.view.shards
            if self.is_valid_for(shard.first_slot)
        ]

    async def _move_shards(self) -> None:
        member = self.member
        while True:
            if self.moves_shards:
                steps = plan(member.view, member.id, most_moving=2)
                for shard in steps.release:
                    await asyncio.sleep(self.handover())
                    await member.release(shard)
                with suppress(StoreError):
                    await member.take(steps.take)
            await asyncio.sleep(0.2)


class World:
    """The store, the clock, and the machines that ever were."""

    def __init__(self, loop: WatchedLoop, seed: int) -> None:
        self.loop = loop
        self.seed = seed
        self.clock = SimulatedClock(loop=loop)
        ids = SeededIds(generator=random.Random(seed), clock=self.clock)
        self.store = MemoryStore(ids=ids, clock=self.clock)
        self.machines: list[Machine] = []

    def machine(
        self, name: str, *, settings: MembershipSettings | None = None, roles: str = ROLES
    ) -> Machine:
        made = Machine(self, name, settings=settings or MembershipSettings(), roles=roles)
        self.machines.append(made)
        return made

    async def start(self, *names: str, shards: int = 8) -> list[Machine]:
        """Makes shards, and starts machines one after the other."""
        await self.store.create_shards(shards)
        return [await self.machine(name).start() for name in names]

    async def until(self, condition: Callable[[], bool], *, seconds: float = 60.0) -> float:
        """Waits for a condition; returns how long it took, to 10 ms."""
        began = self.loop.time()
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - on virtual time
                await asyncio.sleep(0.01)
        return self.loop.time() - began


def settled(*machines: Machine) -> bool:
    """Tells whether machines see each other only, and own what they should."""
    names = sorted(machine.member.node.name for machine in machines)
    for machine in machines:
        view = machine.member.view
        if [node.name for node in view.nodes] != names:
            return False
        if any(shard.owner != view.desired_history_owner(shard) for shard in view.shards):
            return False
    slots = [slot for machine in machines for slot in machine.valid_slots]
    return sorted(slots) == [shard.first_slot for shard in machines[0].member.view.shards]


def run(
    scenario: Callable[[World], Coroutine[object, object, T]],
    *,
    seed: int = 1,
    reorder_probability: float = 0.0,
) -> T:
    """Runs a scenario on virtual time."""
    generator = random.Random(seed)
    loop = WatchedLoop(generator=generator, reorder_probability=reorder_probability)
    try:
        return loop.run_until_complete(scenario(World(loop, seed)))
    finally:
        loop.close()
