"""Batches: every transition has an outcome of its own, in the order given."""

import asyncio

import pytest

from contract.rows import (
    FOREVER,
    NAMESPACE,
    batch,
    commit_all,
    deletion,
    item,
    message,
    queue,
    receipt,
    receipt_key,
    results,
    run_key,
    start,
    step,
    task,
    timer,
    transition,
    visible,
    whole_shard,
)
from perdure.core.commit import Commit, RunWrite
from perdure.core.visibility.catalogue import STATUS
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import Result, Shard, Store, StoreUnavailable

OK = Result.COMMITTED


async def test_a_later_transition_sees_an_earlier_one(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        start(shard, "run-1"),
        transition(shard, step("run-1", 1, history=[batch(3, 3)], items_put={item("1"): b"a"})),
        transition(shard, step("run-1", 2, items_deleted={item("1")}, items_put={item("2"): b"b"})),
        start(shard, "run-2", replacing="run-1"),
        transition(shard, step("run-1", 3, b"last")),
    )
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert (run.version, run.state) == (4, b"last")
    assert {key.key for key in run.items} == {"", "2"}
    assert [b.first_event_id for b in await store.read_history(run.key, 1, 9, 9)] == [1, 3]
    current = await store.load_current(NAMESPACE, "workflow")
    assert current is not None
    assert current.key.run_id == "run-2"


async def test_only_the_transition_that_does_not_fit_is_refused(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    outcomes = await store.commit(
        [
            start(shard, "run-a", "a"),
            transition(shard, step("run-1", 7)),
            start(shard, "run-2"),
            transition(shard, step("run-1", 1)),
            transition(shard, step("run-1", 1)),
            start(shard, "run-b", "b"),
            start(shard, "run-b2", "b"),
            transition(shard, step("never", 1)),
        ]
    )
    assert results(outcomes) == [
        OK,
        Result.VERSION_MISMATCH,
        Result.CURRENT_MISMATCH,
        OK,
        Result.VERSION_MISMATCH,
        OK,
        Result.CURRENT_MISMATCH,
        Result.VERSION_MISMATCH,
    ]
    assert all(outcome.detail for outcome in outcomes if outcome.result is not OK)
    assert await store.load_run(run_key("run-b2", "b")) is None
    run = await store.load_run(run_key("run-1"))
    assert run is not None
    assert run.version == 2


async def test_a_transition_on_a_refused_one_is_refused(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    outcomes = await store.commit(
        [
            transition(shard, step("run-1", 5)),
            transition(shard, step("run-1", 6)),
            transition(shard, step("run-1", 1)),
            transition(shard, step("run-1", 2)),
        ]
    )
    assert results(outcomes) == [Result.VERSION_MISMATCH, Result.VERSION_MISMATCH, OK, OK]


async def test_outbox_rows_added_and_deleted_in_one_batch_are_gone(
    store: Store, shard: Shard
) -> None:
    await commit_all(
        store,
        transition(shard, tasks=[task(1), task(2)], timers=[timer(10)]),
        transition(shard, tasks_deleted=[task(1).key], timers_deleted=[timer(10)]),
    )
    assert await store.read_queue(queue(), None, 10) == [task(2)]
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == []


async def test_an_outbox_row_deleted_and_added_again_stays(store: Store, shard: Shard) -> None:
    await commit_all(store, transition(shard, tasks=[task(1)], timers=[timer(10)]))
    gone = transition(shard, tasks_deleted=[task(1).key], timers_deleted=[timer(10)])
    await commit_all(store, gone, transition(shard, tasks=[task(1)], timers=[timer(10)]))
    assert await store.read_queue(queue(), None, 10) == [task(1)]
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == [timer(10)]
    await commit_all(store, gone, transition(shard, tasks=[task(1)], timers=[timer(10)]), gone)
    assert await store.read_queue(queue(), None, 10) == []
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == []


async def test_one_transition_moves_a_timer(store: Store, shard: Shard) -> None:
    await commit_all(store, transition(shard, timers=[timer(10)]))
    same = transition(shard, timers_deleted=[timer(10)], timers=[timer(10)])
    await commit_all(store, same)
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == [timer(10)]
    moved = transition(shard, timers_deleted=[timer(10)], timers=[timer(20)])
    await commit_all(store, moved)
    assert await store.read_timers(0, 16_383, 1 << 62, None, 10) == [timer(20)]


async def test_the_last_visibility_row_of_a_batch_wins(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        start(shard, "run-1"),
        transition(shard, visibility=[visible("run-1", close_time=5, status=2)]),
    )
    (row,) = await store.list_workflows(NAMESPACE, Everything(), None, 10)
    assert row == visible("run-1", close_time=5, status=2)


async def test_a_run_may_start_end_and_be_deleted_in_one_batch(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        start(shard, "run-1"),
        transition(shard, step("run-1", 1, history=[batch(3, 3)])),
        transition(shard, deletion("run-1", 2)),
        start(shard, "run-2"),
        transition(shard, deletion("run-2", 1)),
        start(shard, "run-3"),
    )
    assert await store.load_run(run_key("run-1")) is None
    rows = await store.list_workflows(NAMESPACE, Everything(), None, 10)
    assert [row.run_id for row in rows] == ["run-3"]
    current = await store.load_current(NAMESPACE, "workflow")
    assert current is not None
    assert current.key.run_id == "run-3"


async def test_deleting_a_run_of_another_version_is_refused(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    outcomes = await store.commit([transition(shard, deletion("run-1", 2))])
    assert results(outcomes) == [Result.VERSION_MISMATCH]
    assert await store.load_run(run_key("run-1")) is not None


async def test_history_is_never_written_over(store: Store, shard: Shard) -> None:
    await commit_all(store, start(shard, "run-1"))
    again = transition(shard, step("run-1", 1, history=[batch(1, 2, "other")]))
    other = start(shard, "run-a", "a")
    assert results(await store.commit([again, other])) == [Result.REJECTED, OK]
    assert await store.read_history(run_key("run-1"), 1, 9, 9) == [batch(1, 2)]


def _with_nul(shard: Shard) -> list[Commit]:
    write = RunWrite("run\0", 0, b"", start=b"")
    put = RunWrite("run-x", 0, b"", start=b"", items_put={item("a\0"): b""})
    removed = RunWrite("run-x", 0, b"", start=b"", items_deleted={item("a\0")})
    return [
        start(shard, "run-x", "work\0flow"),
        start(shard, "run-x", "\ud800"),
        transition(shard, write, current=("", "run\0")),
        transition(shard, put),
        transition(shard, removed),
        transition(shard, tasks=[task(1, of=queue("que\0ue"))]),
        transition(shard, tasks=[task(1, fairness="\0")]),
        transition(shard, tasks=[task(1, pinned="\0")]),
        transition(shard, tasks_deleted=[task(1, fairness="\0").key]),
        transition(shard, timers=[timer(1, run=run_key("run\0"))]),
        transition(shard, messages=[message("\0")]),
        transition(shard, messages=[message("\ud800", data=b"data")]),
        transition(shard, messages=[message("1", run=run_key("run\0"))]),
        transition(shard, messages_deleted=[message("\0").key]),
        transition(shard, receipts=[receipt("\0")]),
        transition(shard, receipts=[receipt("1", workflow_id="\ud800")]),
        transition(shard, visibility=[visible("run-x", values={"A": "\0"})]),
        transition(shard, visibility=[visible("run-x", values={"A": ["a", "\ud800"]})]),
    ]


def _out_of_range(shard: Shard) -> list[Commit]:
    beyond = 1 << 63
    return [
        transition(shard, tasks=[task(beyond)]),
        transition(shard, tasks=[task(1, priority=-beyond - 1)]),
        transition(shard, timers=[timer(beyond)]),
        transition(shard, messages=[message("1", due=beyond)]),
        transition(shard, messages_deleted=[message("1", due=-beyond - 1).key]),
        transition(shard, receipts=[receipt("1", expiry=beyond)]),
        transition(shard, visibility=[visible("run-x", start_time=beyond)]),
        transition(shard, visibility=[visible("run-x", values={"A": beyond})]),
        transition(shard, visibility=[visible("run-x", values={"A": float("nan")})]),
        transition(shard, RunWrite("run-x", 0, b"", start=b"", history=[batch(1, 1 << 24)])),
        transition(shard, RunWrite("run-x", 0, b"", start=b"", history=[batch(0, 1)])),
    ]


@pytest.mark.parametrize("make", [_with_nul, _out_of_range])
async def test_rows_that_no_database_holds_are_rejected_alone(
    store: Store, shard: Shard, make: object
) -> None:
    assert callable(make)
    bad = make(shard)
    good = [start(shard, f"run-{number}", f"workflow-{number}") for number in range(len(bad))]
    mixed = [commit for pair in zip(bad, good, strict=True) for commit in pair]
    outcomes = await store.commit(mixed)
    assert results(outcomes) == [Result.REJECTED, OK] * len(bad)
    assert all(outcome.detail for outcome in outcomes[::2])
    rows = await store.list_workflows(NAMESPACE, Everything(), None, 100)
    assert len(rows) == len(good)
    assert await store.read_queue(queue(), None, 10) == []
    assert await store.read_messages(0, 16_383, FOREVER, None, 10) == []


async def test_reads_of_text_that_no_database_holds_find_nothing(store: Store) -> None:
    for text in ("a\0b", "\ud800"):
        assert await store.load_current(NAMESPACE, text) is None
        assert await store.load_run(run_key(text)) is None
        assert await store.load_receipt(receipt_key(text)) is None
        assert await store.load_receipt(receipt_key("1", text)) is None
        assert await store.read_history(run_key(text), 1, 9, 9) == []
        assert await store.read_history_reverse(run_key(text), 9, 9) == []
        assert await store.read_queue(queue(text), None, 9) == []
        assert await store.list_workflows(text, Everything(), None, 9) == []
        assert await store.count_workflows(text, Everything()) == 0
        assert await store.count_workflows_by(text, Everything(), STATUS) == {}
        assert await store.get_document(text) is None


async def test_commits_at_once_are_all_applied(store: Store, shard: Shard) -> None:
    await asyncio.gather(
        *(commit_all(store, start(shard, f"run-{n}", f"workflow-{n}")) for n in range(50))
    )
    assert await store.count_workflows(NAMESPACE, Everything()) == 50


async def test_one_large_batch_is_applied(store: Store, shard: Shard) -> None:
    starts = [start(shard, f"run-{n}", f"workflow-{n}") for n in range(300)]
    steps = [
        transition(shard, step(f"run-{n}", 1), workflow_id=f"workflow-{n}") for n in range(300)
    ]
    await commit_all(store, *starts, *steps)
    assert await store.count_workflows(NAMESPACE, Everything()) == 300
    run = await store.load_current(NAMESPACE, "workflow-299")
    assert run is not None
    assert run.version == 2


async def test_the_old_owner_is_fenced(store: Store) -> None:
    old = await whole_shard(store, "old")
    await commit_all(store, start(old, "run-1"))
    new = await whole_shard(store, "new")
    outcomes = await store.commit([start(old, "run-a", "a"), start(new, "run-b", "b")])
    assert results(outcomes) == [Result.FENCED, OK]
    assert outcomes[0].detail
    assert await store.load_current(NAMESPACE, "a") is None


async def test_of_several_reasons_the_first_is_told(store: Store) -> None:
    old = await whole_shard(store, "old")
    new = await whole_shard(store, "new")
    wrong_version = step("never", 3)
    wrong_current = ("never", "run-1")
    outcomes = await store.commit(
        [
            transition(old, wrong_version, workflow_id="\0", current=wrong_current),
            transition(old, wrong_version, current=wrong_current),
            transition(new, wrong_version, current=wrong_current),
            transition(new, wrong_version),
        ]
    )
    assert results(outcomes) == [
        Result.REJECTED,
        Result.FENCED,
        Result.CURRENT_MISMATCH,
        Result.VERSION_MISMATCH,
    ]


async def test_an_epoch_counts_for_its_own_slots_only(store: Store) -> None:
    low = await store.acquire_shard(0, 99, "node-1")
    high = await store.acquire_shard(100, 199, "node-2")
    outcomes = await store.commit(
        [
            transition(low, slot=99, workflow_id="a"),
            transition(low, slot=100, workflow_id="b"),
            transition(high, slot=100, workflow_id="c"),
            transition(high, slot=200, workflow_id="d"),
        ]
    )
    assert results(outcomes) == [OK, Result.FENCED, OK, Result.FENCED]


async def test_a_closed_store_refuses_commits(store: Store, shard: Shard) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit([start(shard, "run-1")])
