"""Ownership of slots: epochs rise, and a takeover fences whoever was there before."""

import asyncio

import pytest

from contract.rows import NAMESPACE, commit_all, results, start, transition, whole_shard
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
    await commit_all(store, start(await whole_shard(store), "run-1"))
    assert names == (await store.cluster_id(), await store.incarnation())


async def shards_of(store: Store) -> list[Shard]:
    return (await store.read_cluster()).shards


@pytest.mark.parametrize("count", [1, 3, 64])
async def test_all_slots_are_divided_once(store: Store, count: int) -> None:
    assert await store.create_shards(count)
    shards = await shards_of(store)
    assert len(shards) == count
    slots = [slot for shard in shards for slot in range(shard.first_slot, shard.last_slot + 1)]
    assert slots == list(range(SLOT_COUNT))
    sizes = {shard.last_slot - shard.first_slot for shard in shards}
    assert max(sizes) - min(sizes) <= 1
    assert {shard.owner for shard in shards} == {""}
    assert len({shard.epoch for shard in shards}) == count
    assert not await store.create_shards(count + 1)
    assert await shards_of(store) == shards


async def test_shards_are_created_by_one_of_several_at_once(store: Store) -> None:
    created = await asyncio.gather(*(store.create_shards(count) for count in (2, 3, 4)))
    assert sorted(created) == [False, False, True]
    assert len(await shards_of(store)) == 2 + created.index(True)


async def test_no_shards_are_created_where_there_is_one(store: Store) -> None:
    shard = await store.acquire_shard(10, 20, "node")
    assert not await store.create_shards(4)
    assert await shards_of(store) == [shard]


async def test_taking_shards_raises_their_epochs_and_fences_the_owner(store: Store) -> None:
    await store.create_shards(3)
    created = await shards_of(store)
    first = await store.take_shards(created, "node-1")
    assert sorted(shard[:3] for shard in first) == [
        (shard.first_slot, shard.last_slot, "node-1") for shard in created
    ]
    assert sorted(first) == await shards_of(store)
    low, middle, high = sorted(first)
    assert min(low.epoch, middle.epoch, high.epoch) > max(shard.epoch for shard in created)
    second = await store.take_shards([high, low], "node-2")
    assert sorted(shard[:3] for shard in second) == [
        (shard.first_slot, shard.last_slot, "node-2") for shard in (low, high)
    ]
    new_low, new_high = sorted(second)
    assert await shards_of(store) == [new_low, middle, new_high]
    assert min(new_low.epoch, new_high.epoch) > high.epoch
    outcomes = await store.commit(
        [
            transition(shard, slot=shard.first_slot)
            for shard in (*created, low, middle, high, new_low, new_high)
        ]
    )
    fenced, committed = Result.FENCED, Result.COMMITTED
    assert results(outcomes[:3]) == [fenced] * 3
    assert results(outcomes[3:]) == [fenced, committed, fenced, committed, committed]


async def test_of_a_stale_epoch_nothing_is_taken_but_of_the_others(store: Store) -> None:
    await store.create_shards(3)
    low, middle, high = await shards_of(store)
    (taken,) = await store.take_shards([middle], "node-1")
    found = sorted(await store.take_shards([low, middle, high], "node-2"))
    assert [shard[:3] for shard in found] == [
        (shard.first_slot, shard.last_slot, "node-2") for shard in (low, high)
    ]
    assert await shards_of(store) == [found[0], taken, found[1]]
    assert await store.take_shards([low, middle, high], "node-3") == []
    assert await store.take_shards([], "node-3") == []
    assert await shards_of(store) == [found[0], taken, found[1]]


async def test_two_nodes_that_take_at_once_leave_one_owner_each(store: Store) -> None:
    await store.create_shards(8)
    shards = await shards_of(store)
    taken = await asyncio.gather(
        store.take_shards(shards, "node-1"), store.take_shards(shards[::-1], "node-2")
    )
    assert sorted([*taken[0], *taken[1]]) == await shards_of(store)
    owned = [(shard.first_slot, shard.last_slot) for part in taken for shard in part]
    assert sorted(owned) == [(shard.first_slot, shard.last_slot) for shard in shards]
    assert len({shard.epoch for part in taken for shard in part}) == 8


async def test_taking_shards_among_commits_lets_nothing_through_after_it(store: Store) -> None:
    await store.create_shards(1)
    (old,) = await store.take_shards(await shards_of(store), "node-1")
    committing = [
        asyncio.ensure_future(store.commit([start(old, f"run-{n}", f"workflow-{n}")]))
        for n in range(20)
    ]
    (new,) = await store.take_shards([old], "node-2")
    seen = [await store.load_current(NAMESPACE, f"workflow-{n}") for n in range(20)]
    for number, outcomes in enumerate(await asyncio.gather(*committing)):
        assert results(outcomes) == [
            Result.COMMITTED if seen[number] is not None else Result.FENCED
        ]
    await commit_all(store, start(new, "run-new", "workflow-new"))


async def test_a_released_shard_is_nobodys_and_can_be_taken(store: Store) -> None:
    await store.create_shards(2)
    low, high = sorted(await store.take_shards(await shards_of(store), "node-1"))
    assert await store.release_shard(low)
    released = low._replace(owner="")
    assert await shards_of(store) == [released, high]
    (taken,) = await store.take_shards([released], "node-2")
    assert taken.epoch > low.epoch
    assert not await store.release_shard(low)
    assert not await store.release_shard(released)
    assert await shards_of(store) == [taken, high]
    outcomes = await store.commit([transition(low, slot=0), transition(taken, slot=0)])
    assert results(outcomes) == [Result.FENCED, Result.COMMITTED]


async def test_a_range_that_is_acquired_replaces_what_was_created(store: Store) -> None:
    await store.create_shards(4)
    created = await shards_of(store)
    whole = await whole_shard(store)
    assert await shards_of(store) == [whole]
    assert whole.epoch > max(shard.epoch for shard in created)
    assert await store.take_shards(created, "node-2") == []
