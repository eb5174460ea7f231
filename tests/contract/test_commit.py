"""One transition: what it writes can be read, and it is applied whole or not at all."""

from contract.rows import (
    batch,
    commit_all,
    deletion,
    item,
    results,
    run_key,
    start,
    step,
    task,
    timer,
    transition,
    visible,
)
from perdure.core.commit import ItemKey, ItemKind, RunWrite
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import Result, Shard, Store, StoredRun


async def test_a_started_run_is_current_and_complete(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    expected = StoredRun(
        key=run_key("run-1"),
        version=1,
        start=b"start of run-1",
        state=b"state 1",
        items={ItemKey(ItemKind.ATTRIBUTES, ""): b"attributes"},
    )
    assert await store.load_current(*run_key("run-1")[:2]) == expected
    assert await store.load_run(run_key("run-1")) == expected


async def test_an_update_replaces_the_state_and_keeps_the_start(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    await commit_all(store, transition(shard, step("run-1", 1, b"new", start=b"ignored")))
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert (run.version, run.state, run.start) == (2, b"new", b"start of run-1")


async def test_items_are_put_replaced_and_deleted(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    signal = item("", ItemKind.SIGNAL_REQUEST)
    puts = {item("1"): b"one", item("2"): b"two", signal: b""}
    await commit_all(store, transition(shard, step("run-1", 1, items_put=puts)))
    changed = step("run-1", 2, items_put={item("2"): b"TWO"}, items_deleted={item("1")})
    await commit_all(store, transition(shard, changed))
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    attributes = {ItemKey(ItemKind.ATTRIBUTES, ""): b"attributes"}
    assert run.items == {**attributes, item("2"): b"TWO", signal: b""}


async def test_items_of_every_kind_come_back_as_they_were_put(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    puts = {item("", kind): f"of {kind.name}".encode() for kind in ItemKind}
    await commit_all(store, transition(shard, step("run-1", 1, items_put=puts)))
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert run.items == puts


async def test_deleting_an_item_that_is_not_there_is_no_error(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    gone = step("run-1", 1, items_deleted={item("never")})
    await commit_all(store, transition(shard, gone))


async def test_one_transition_closes_a_run_and_starts_the_next(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    closed = step("run-1", 1, b"closed", history=[batch(3, 3)])
    opened = RunWrite("run-2", 0, b"open", start=b"second", history=[batch(1, 2)])
    rows = [visible("run-1", close_time=200, status=6), visible("run-2", start_time=200)]
    both = transition(shard, closed, opened, current=("run-1", "run-2"), visibility=rows)
    await commit_all(store, both)
    current = await store.load_current(*run_key("")[:2])
    assert current is not None
    assert current.key == run_key("run-2")
    first = await store.load_run(run_key("run-1"))
    assert first is not None
    assert first.state == b"closed"


async def test_deleting_a_run_removes_all_its_rows(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"), start(shard, "other", "other workflow"))
    await commit_all(store, transition(shard, deletion("run-1", 1)))
    assert await store.load_run(run_key("run-1")) is None
    assert await store.load_current(*run_key("")[:2]) is None
    assert await store.read_history(run_key("run-1"), 1, 100, 10) == []
    left = await store.list_workflows(run_key("")[0], Everything(), None, 10)
    assert [row.run_id for row in left] == ["other"]
    await commit_all(store, start(shard, "run-2"))
    again = await store.load_current(*run_key("")[:2])
    assert again is not None
    assert again.key.run_id == "run-2"


async def test_deleting_an_old_run_keeps_the_current_one(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"), start(shard, "run-2", replacing="run-1"))
    await commit_all(store, transition(shard, deletion("run-1", 1)))
    current = await store.load_current(*run_key("")[:2])
    assert current is not None
    assert current.key.run_id == "run-2"


async def test_a_refused_transition_leaves_nothing(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    refused = transition(
        shard,
        step("run-1", 1, history=[batch(3, 3)], items_put={item("1"): b""}),
        step("run-9", 4),
        tasks=[task(1)],
        timers=[timer(10)],
        visibility=[visible("run-1", close_time=300)],
    )
    assert results(await store.commit([refused])) == [Result.VERSION_MISMATCH]
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert (run.version, len(run.items)) == (1, 1)
    assert len(await store.read_history(run_key("run-1"), 1, 100, 10)) == 1
    assert await store.read_queue(task(1).key.queue, None, 10) == []
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == []
    (row,) = await store.list_workflows(run_key("")[0], Everything(), None, 10)
    assert row.close_time == 0


async def test_an_empty_batch_has_no_outcomes(store: Store) -> None:
    assert list(await store.commit([])) == []


async def test_large_values_come_back_unchanged(store: Store, shard: Shard) -> None:
    large = bytes(range(256)) * 8_192
    write = RunWrite("run-1", 0, large, start=b"", history=[batch(1, 2)], items_put={})
    write.items_put[item("é ✓ 𝄞")] = large
    await commit_all(store, transition(shard, write, current=("", "run-1")))
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert run.state == large
    assert run.items == {item("é ✓ 𝄞"): large}
