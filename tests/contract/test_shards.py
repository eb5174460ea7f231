"""Ownership of slots: epochs rise, and a takeover fences whoever was there before."""

import asyncio

from contract.rows import commit_all, results, start, transition
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import Result, Shard, Store


async def test_a_shard_is_what_was_asked_for(store: Store) -> None:
    shard = await store.acquire_shard(10, 20, "node-1")
    assert shard == Shard(10, 20, "node-1", shard.epoch)
    assert shard.epoch > 0


async def test_epochs_rise_across_all_shards(store: Store) -> None:
    epochs = [
        (await store.acquire_shard(first, first + 9, "node")).epoch for first in (0, 10, 0, 5)
    ]
    assert epochs == sorted(set(epochs))


async def test_a_takeover_that_overlaps_fences_every_earlier_owner(store: Store) -> None:
    low = await store.acquire_shard(0, 99, "node-1")
    high = await store.acquire_shard(100, 199, "node-2")
    far = await store.acquire_shard(200, 299, "node-3")
    middle = await store.acquire_shard(50, 149, "node-4")
    outcomes = await store.commit(
        [
            transition(low, slot=60),
            transition(high, slot=120),
            transition(middle, slot=60),
            transition(middle, slot=120),
            transition(far, slot=250),
        ]
    )
    assert results(outcomes) == [
        Result.FENCED,
        Result.FENCED,
        Result.COMMITTED,
        Result.COMMITTED,
        Result.COMMITTED,
    ]


async def test_takeovers_at_once_leave_one_owner(store: Store) -> None:
    shards = await asyncio.gather(
        *(store.acquire_shard(0, SLOT_COUNT - 1, f"node-{n}") for n in range(8))
    )
    assert len({shard.epoch for shard in shards}) == 8
    outcomes = [
        (await store.commit([start(shard, f"run-{shard.epoch}", str(shard.epoch))]))[0].result
        for shard in shards
    ]
    assert outcomes.count(Result.COMMITTED) == 1
    newest = max(range(8), key=lambda index: shards[index].epoch)
    assert outcomes[newest] is Result.COMMITTED


async def test_the_store_has_two_names_that_stay(store: Store) -> None:
    names = (await store.cluster_id(), await store.incarnation())
    assert all(names)
    assert names[0] != names[1]
    await commit_all(store, start(await store.acquire_shard(0, 9, "node"), "run-1"))
    assert names == (await store.cluster_id(), await store.incarnation())
