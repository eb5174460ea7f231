"""Takeovers beside commits: they wait for each other, and never for each other in a circle."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import psycopg
import pytest

from contract.cluster import PostgresCluster
from contract.locks import somebody_waits
from contract.rows import results, transition
from perdure.core.commit import Commit
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import Result, Shard
from perdure.persistence.postgres import PostgresStore
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres

SHARDS = 16
ROUNDS = 25
SEED = 20_261_124

HOLD = "SELECT 1 FROM shards WHERE epoch = %s FOR SHARE"


@pytest.fixture
async def dsn(postgres_cluster: PostgresCluster) -> str:
    return postgres_cluster.create_database()


@pytest.fixture
async def stores(dsn: str, ids: Ids) -> AsyncIterator[list[PostgresStore]]:
    """Three nodes' stores on one database."""
    opened = [
        await PostgresStore.open(dsn, ids=ids, create=True, readers=1, timeout_seconds=60)
        for _ in range(3)
    ]
    assert await opened[0].create_shards(SHARDS)
    yield opened
    for store in opened:
        await store.close()


def batch(shards: list[Shard], number: int) -> list[Commit]:
    return [transition(shard, slot=shard.first_slot, workflow_id=str(number)) for shard in shards]


@pytest.mark.parametrize("kind", ["take", "acquire", "release", "remove"])
async def test_what_changes_a_shard_waits_behind_a_commit_in_flight(
    stores: list[PostgresStore], dsn: str, kind: str
) -> None:
    free = (await stores[0].read_cluster()).shards
    held = await stores[0].take_shards(free, "id")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
        async with other.transaction(force_rollback=True):
            await other.execute(HOLD, (held[7].epoch,))
            work = {
                "take": lambda: stores[1].take_shards(held[5:10], "other"),
                "acquire": lambda: stores[1].acquire_shard(0, SLOT_COUNT - 1, "other"),
                "release": lambda: stores[1].release_shard(held[7]),
                "remove": lambda: stores[1].remove_node("id"),
            }[kind]
            task = asyncio.create_task(work())
            await somebody_waits(other)
            heartbeats = [await store.read_cluster() for store in stores]
            assert [cluster.shards for cluster in heartbeats] == [held] * 3
            assert not task.done()
        await task


async def test_takeovers_and_commits_of_many_shards_never_lock_each_other_out(
    stores: list[PostgresStore],
) -> None:
    random = Random(SEED)
    shards = (await stores[0].read_cluster()).shards
    seen: set[Result] = set()
    for number in range(ROUNDS):
        wanted = random.sample(shards, SHARDS)
        first, second, *outcomes = await asyncio.gather(
            stores[1].take_shards(wanted[:10], "one"),
            stores[2].take_shards(wanted[4:], "two"),
            *(store.commit(batch(random.sample(shards, SHARDS), number)) for store in stores),
        )
        assert {each.result for some in outcomes for each in some} <= {
            Result.COMMITTED,
            Result.FENCED,
        }
        seen |= {each.result for some in outcomes for each in some}
        assert len(first) + len(second) == SHARDS
        shards = sorted((*first, *second))
        assert (await stores[0].read_cluster()).shards == shards
    # Which commits come first is the database's affair; that they all ended is what counts.
    assert seen
    again = await stores[0].commit(batch(shards, ROUNDS))
    assert {each.result for each in again} == {Result.COMMITTED}


async def test_taken_shards_come_back_in_the_order_asked_for(stores: list[PostgresStore]) -> None:
    shards = Random(SEED).sample((await stores[0].read_cluster()).shards, SHARDS)
    taken = await stores[0].take_shards(shards, "id")
    assert [shard.first_slot for shard in taken] == [shard.first_slot for shard in shards]
    assert await stores[1].take_shards(shards, "late") == []
    assert await stores[1].take_shards([], "nothing") == []
    outcomes = await stores[0].commit(batch(taken, 1))
    assert results(outcomes) == [Result.COMMITTED] * SHARDS
