"""The simulated database: what may happen to a commit, and what a takeover waits for."""

import asyncio
import random

import pytest

from perdure.core.commit import Commit, CurrentWrite, RunKey, RunWrite
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import Result, StoreUnavailable, UnknownOutcome
from perdure.runtime.deterministic import SeededIds
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.loop import Process, SimulatedLoop
from simulation.store import SimulatedDatabase
from simulation.trace import Trace

KEY = RunKey("n", "w", "r")


def _commit(epoch: int) -> Commit:
    return Commit(
        namespace_id=KEY.namespace_id,
        workflow_id=KEY.workflow_id,
        slot=slot_of(KEY.namespace_id, KEY.workflow_id),
        epoch=epoch,
        current=CurrentWrite("", KEY.run_id),
        runs=[RunWrite(KEY.run_id, 0, state=b"s", start=b"b")],
    )


def _database(loop: SimulatedLoop, faults: FaultPlan, seed: int = 1) -> SimulatedDatabase:
    clock = SimulatedClock(loop=loop)
    generator = random.Random(seed)
    ids = SeededIds(generator=generator, clock=clock)
    return SimulatedDatabase(
        inner=MemoryStore(ids=ids), faults=faults, generator=generator, trace=Trace(clock=clock)
    )


async def _exists(database: SimulatedDatabase) -> bool:
    return await database.inner.load_run(KEY) is not None


def test_without_faults_a_commit_is_applied(loop: SimulatedLoop) -> None:
    async def main() -> None:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        outcomes = await session.commit([_commit(shard.epoch)])
        assert [outcome.result for outcome in outcomes] == [Result.COMMITTED]
        assert await session.load_run(KEY) is not None

    loop.run_until_complete(main())
    assert loop.time() > 0


def test_an_unavailable_store_writes_nothing(loop: SimulatedLoop) -> None:
    async def main() -> None:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        database.outage = True
        with pytest.raises(StoreUnavailable):
            await session.commit([_commit(shard.epoch)])
        with pytest.raises(StoreUnavailable):
            await session.load_run(KEY)
        database.outage = False
        await database.settle()
        assert not await _exists(database)

    loop.run_until_complete(main())


def test_an_unknown_commit_is_settled_when_the_shard_is_taken_over() -> None:
    fates = set()
    for seed in range(30):
        loop = SimulatedLoop(generator=random.Random(seed))

        async def main(loop: SimulatedLoop = loop, seed: int = seed) -> tuple[bool, bool]:
            database = _database(loop, FaultPlan(unknown_outcome=1.0), seed)
            session = database.session(Process("one"))
            shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
            with pytest.raises(UnknownOutcome):
                await session.commit([_commit(shard.epoch)])
            at_once = await _exists(database)
            await session.acquire_shard(0, SLOT_COUNT - 1, "one")
            after = await _exists(database)
            await asyncio.sleep(60)
            assert await _exists(database) == after, "a transaction outlived the takeover"
            assert not database.trace.violations
            return at_once, after

        fates.add(loop.run_until_complete(main()))
        loop.close()
    assert fates == {(True, True), (False, True), (False, False)}


def test_a_killed_process_leaves_a_dying_transaction() -> None:
    fates = set()
    for seed in range(20):
        loop = SimulatedLoop(generator=random.Random(seed))

        async def main(loop: SimulatedLoop = loop, seed: int = seed) -> bool:
            database = _database(loop, FaultPlan(), seed)
            process = Process("one")
            session = database.session(process)
            shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
            loop.create_task(session.commit([_commit(shard.epoch)]), context=process.context())
            await asyncio.sleep(0)
            process.alive = False
            session.die()
            await database.session(Process("two")).acquire_shard(0, SLOT_COUNT - 1, "two")
            return await _exists(database)

        fates.add(loop.run_until_complete(main()))
        loop.close()
    assert fates == {True, False}


def test_committing_on_after_an_unknown_outcome_is_found(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        database = _database(loop, FaultPlan(unknown_outcome=1.0))
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        for _ in range(2):
            with pytest.raises(UnknownOutcome):
                await session.commit([_commit(shard.epoch)])
        return database.trace.violations

    assert loop.run_until_complete(main()) == [
        "commit after an unknown outcome without a new epoch"
    ]
