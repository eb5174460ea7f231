"""The simulated database: what may happen to a commit, and what a takeover waits for."""

import asyncio
import random

import pytest
from temporalio.api.enums.v1.workflow_pb2 import WORKFLOW_EXECUTION_STATUS_RUNNING

from perdure.core.commit import Commit, CurrentWrite, RunKey, RunWrite
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.persistence.memory.cluster import Cluster
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import (
    NodeRow,
    NodeState,
    Result,
    StoreUnavailable,
    UnknownOutcome,
)
from perdure.proto.stored_pb2 import RunState
from perdure.runtime.deterministic import SeededIds
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.loop import Process, SimulatedLoop
from simulation.store import SimulatedDatabase
from simulation.trace import Trace

KEY = RunKey("n", "w", "r")


RUNNING = RunState(status=WORKFLOW_EXECUTION_STATUS_RUNNING)


def _commit(
    epoch: int,
    slot: int = slot_of(KEY.namespace_id, KEY.workflow_id),
    *,
    run_id: str = KEY.run_id,
    after: str = "",
) -> Commit:
    return Commit(
        namespace_id=KEY.namespace_id,
        workflow_id=KEY.workflow_id,
        slot=slot,
        epoch=epoch,
        current=CurrentWrite(after, run_id),
        runs=[RunWrite(run_id, 0, state=RUNNING.SerializeToString(), start=b"b")],
    )


def _node(node_id: str, lease: int) -> NodeRow:
    return NodeRow(node_id, "name", "history", "host:1", "1.0.0", 1, NodeState.UP, lease)


def _database(loop: SimulatedLoop, faults: FaultPlan, seed: int = 1) -> SimulatedDatabase:
    clock = SimulatedClock(loop=loop)
    generator = random.Random(seed)
    ids = SeededIds(generator=generator, clock=clock)
    return SimulatedDatabase(
        inner=MemoryStore(ids=ids, clock=clock),
        faults=faults,
        generator=generator,
        trace=Trace(clock=clock),
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
            if seed % 2:
                await session.acquire_shard(0, SLOT_COUNT - 1, "one")
            else:
                assert await session.take_shards([shard], "one")
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


def test_after_an_unknown_outcome_other_shards_go_on(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        faults = FaultPlan(unknown_outcome=1.0)
        database = _database(loop, faults)
        session = database.session(Process("one"))
        await session.create_shards(2)
        shards = (await session.read_cluster()).shards
        low, high = await session.take_shards(shards, "one")
        with pytest.raises(UnknownOutcome):
            await session.commit([_commit(low.epoch, low.first_slot)])
        faults.unknown_outcome = 0.0
        await session.commit([_commit(high.epoch, high.first_slot)])
        (retaken,) = await session.take_shards([low], "one")
        await session.commit([_commit(retaken.epoch, low.first_slot)])
        outcomes = await session.commit([_commit(low.epoch, low.first_slot)])
        assert [outcome.result for outcome in outcomes] == [Result.FENCED]
        return database.trace.violations

    assert loop.run_until_complete(main()) == []


def test_releasing_a_shard_with_a_commit_in_flight_is_found(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        committing = loop.create_task(session.commit([_commit(shard.epoch)]))
        await asyncio.sleep(0)
        assert await session.release_shard(shard)
        await committing
        assert await session.release_shard(shard)
        return database.trace.violations

    assert loop.run_until_complete(main()) == ["a shard is released with a commit in flight"]


def test_leases_run_on_the_simulated_clock(loop: SimulatedLoop) -> None:
    async def main() -> None:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        lease = 10 * 1_000_000_000
        assert await session.register_node(_node("first", lease)) is None
        taken = await session.register_node(_node("second", lease))
        assert taken is not None
        assert taken.id == "first"
        await asyncio.sleep(11)
        assert await session.register_node(_node("second", lease)) is None
        assert [node.id for node in (await session.read_cluster()).nodes] == ["second"]

    loop.run_until_complete(main())


def test_a_store_that_takes_what_is_fenced_is_found(
    loop: SimulatedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "holds", lambda *_: True)

    async def main() -> list[str]:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        await session.take_shards([shard], "two")
        await session.commit([_commit(shard.epoch)])
        return database.trace.violations

    (violation,) = loop.run_until_complete(main())
    assert "was committed under epoch 1" in violation


def test_a_second_open_run_is_found(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        await session.commit([_commit(shard.epoch)])
        await session.commit([_commit(shard.epoch, run_id="s", after=KEY.run_id)])
        return database.trace.violations

    assert loop.run_until_complete(main()) == ["w has open runs ['r', 's']"]


def test_a_change_of_shards_may_have_an_effect_and_no_answer(loop: SimulatedLoop) -> None:
    async def main() -> None:
        faults = FaultPlan()
        database = _database(loop, faults)
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        faults.unknown_change = 1.0
        with pytest.raises(UnknownOutcome):
            await session.take_shards([shard], "two")
        ((_, _, owner, _),) = (await session.read_cluster()).shards
        assert owner == "two"

    loop.run_until_complete(main())


def test_what_was_sent_arrives_though_its_process_is_stopped(loop: SimulatedLoop) -> None:
    async def main() -> None:
        database = _database(loop, FaultPlan())
        process = Process("one")
        session = database.session(process)
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        commit = loop.create_task(session.commit([_commit(shard.epoch)]), context=process.context())
        await asyncio.sleep(0)
        process.stopped_until = 30.0
        await asyncio.sleep(10)
        assert await _exists(database)
        assert not commit.done()
        await commit
        assert loop.time() >= 30.0

    loop.run_until_complete(main())


def test_a_session_that_is_cut_reaches_nothing(loop: SimulatedLoop) -> None:
    async def main() -> None:
        database = _database(loop, FaultPlan())
        session = database.session(Process("one"))
        shard = await session.acquire_shard(0, SLOT_COUNT - 1, "one")
        session.cut = True
        with pytest.raises(StoreUnavailable):
            await session.load_run(KEY)
        with pytest.raises(UnknownOutcome):
            await session.commit([_commit(shard.epoch)])
        session.cut = False
        assert await session.take_shards([shard], "two")

    loop.run_until_complete(main())
