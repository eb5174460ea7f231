"""Never do two nodes serve one shard from memory at the same true time, whatever happens.

Machines are suspended and killed, calls to the store are slow, fail, or take effect though their
caller has given up, and shards move all the while. Ownership is looked at after every step of
any program. When the faults end, every shard has its desired owner.
"""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.membership.settings import MembershipSettings
from perdure.persistence.ports import StoreError, StoreUnavailable, UnknownOutcome
from unit.membership.world import Machine, World, run, settled

SHARDS = 4
FAULTS_END = 200.0
NAMES = ("first", "second")


class Storm:
    def __init__(self, world: World, generator: random.Random) -> None:
        self.world = world
        self.generator = generator
        self.current: dict[str, Machine] = {}
        self.served: set[tuple[str, int]] = set()
        self.first_slots: list[int] = []

    async def run(self) -> None:
        await self.world.store.create_shards(SHARDS)
        rows = await self.world.store.read_cluster()
        self.first_slots = [shard.first_slot for shard in rows.shards]
        self.world.loop.after_step = self.check
        for name in NAMES:
            self.current[name] = await self.begin(name)
        while self.world.loop.time() < FAULTS_END:
            await asyncio.sleep(self.generator.uniform(0.1, 12.0))
            await self.disturb()
        await self.world.until(self.calm, seconds=120.0)

    async def begin(self, name: str) -> Machine:
        machine = self.world.machine(name)
        machine.wire.delay = self.delay
        machine.wire.error = self.error
        machine.handover = lambda: self.generator.choice([0.0, 0.01, 1.5])
        while True:
            try:
                return await machine.start()
            except StoreError:
                await asyncio.sleep(1.0)

    def delay(self) -> float:
        if self.world.loop.time() > FAULTS_END:
            return 0.001
        # Rare enough that the store seldom counts as away, which would put takeovers off.
        if self.generator.random() < 0.8:
            return 0.001
        return self.generator.choice([0.0, 0.2, 0.5, 0.5, 1.0, 9.0])

    def error(self) -> StoreError | None:
        if self.world.loop.time() > FAULTS_END or self.generator.random() > 0.1:
            return None
        return self.generator.choice([StoreUnavailable("away"), UnknownOutcome("lost")])

    async def disturb(self) -> None:
        name = self.generator.choice(NAMES)
        machine = self.current[name]
        fault = self.generator.choice([*["stop"] * 6, "kill", "cut", "hangs", "drain"])
        if fault == "stop":
            # Around the time at which the lease is over, or for long.
            machine.stop(self.generator.choice([0.5, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 20.0]))
        elif fault == "kill":
            machine.kill()
            self.current[name] = await self.begin(name)
        elif fault == "drain" and len(self.current) == len(NAMES):
            machine.member.drain()
            await asyncio.sleep(5.0)
            machine.kill()
            self.current[name] = await self.begin(name)
        elif fault in {"cut", "hangs"}:
            setattr(machine.wire, fault, True)
            await asyncio.sleep(self.generator.choice([1.0, 5.0, 7.0, 20.0]))
            setattr(machine.wire, fault, False)

    def calm(self) -> bool:
        return settled(*self.current.values())

    def check(self) -> None:
        for slot in self.first_slots:
            valid = [
                machine
                for machine in self.world.machines
                if machine.process.alive and machine.is_valid_for(slot)
            ]
            assert len(valid) <= 1, (slot, valid, self.world.loop.time())
            self.served.update((machine.member.node.name, slot) for machine in valid)


def storm(seed: int) -> set[tuple[str, int]]:
    async def scenario(world: World) -> set[tuple[str, int]]:
        storm = Storm(world, random.Random(seed))
        await storm.run()
        return storm.served

    return run(scenario, seed=seed)


@settings(max_examples=25)
@given(st.integers(min_value=0, max_value=2**32))
def test_two_nodes_are_never_valid_for_one_shard(seed: int) -> None:
    storm(seed)


def test_the_storm_moves_shards_between_nodes() -> None:
    served = set[tuple[str, int]]()
    for seed in range(3):
        served |= storm(seed)
    assert {name for name, _ in served} == set(NAMES)
    assert len(served) > SHARDS


@pytest.mark.parametrize("milliseconds_after_waking", [-50.0, 0.0, 0.5, 1.5, 2.5, 3.5, 50.0])
def test_a_takeover_decided_before_the_owner_woke_is_never_beside_it(
    milliseconds_after_waking: float,
) -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second", shards=SHARDS)
        await world.until(lambda: settled(first, second))
        first.moves_shards = False
        rows = await world.store.read_cluster()
        decided = [shard for shard in rows.shards if shard.owner == second.member.id]
        assert decided
        second.stop(20.0)
        await asyncio.sleep(20.0 + milliseconds_after_waking / 1_000)
        taken = await world.store.take_shards(decided, first.member.id)
        for _ in range(50):
            assert not any(second.is_valid_for(shard.first_slot) for shard in taken)
            await asyncio.sleep(0.1)
        assert bool(taken) is (milliseconds_after_waking < 3.0)

    run(scenario)


def test_the_lease_ends_a_margin_before_others_may_act() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        first.wire.cut = True
        [row] = (await world.store.read_cluster()).nodes
        await world.until(lambda: not first.member.lease_valid())
        left = row.renewed + row.lease - world.clock.true_time()
        assert not row.expired(world.clock.true_time())
        margin = MembershipSettings().margin * 1e9
        assert margin - 20e6 < left < margin + 20e6

    run(scenario)
