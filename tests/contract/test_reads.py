"""Reads of histories, queues and timers: ranges, order, paging."""

from itertools import product

import pytest

from contract.rows import (
    NAMESPACE,
    SLOT,
    batch,
    commit_all,
    queue,
    run_key,
    start,
    step,
    task,
    timer,
    transition,
)
from perdure.core.commit import DispatchTask, HistoryBatch, TaskQueueKey, TaskType, TimerRow
from perdure.persistence.ports import Shard, Store

LAST_SLOT = 16_383
ALWAYS = 1 << 62


@pytest.fixture
async def history(store: Store, shard: Shard) -> list[HistoryBatch]:
    """Three runs, so that a range that is too wide meets a neighbour; the middle one is asked."""
    more = [batch(3, 3), batch(4, 8), batch(9, 9)]
    for run_id in ("run-1", "run-2", "run-3"):
        write = step(run_id, 1, history=more)
        await commit_all(
            store, start(shard, run_id, run_id), transition(shard, write, workflow_id=run_id)
        )
    return [batch(1, 2), *more]


@pytest.mark.parametrize(
    ("first", "end", "limit", "expected"),
    [
        (1, 10, 10, [0, 1, 2, 3]),
        (1, ALWAYS, 10, [0, 1, 2, 3]),
        (0, 10, 10, [0, 1, 2, 3]),
        (1, 10, 2, [0, 1]),
        (2, 4, 10, [0, 1]),
        (3, 3, 10, []),
        (5, 6, 10, [2]),
        (8, 10, 10, [2, 3]),
        (9, 10, 1, [3]),
        (10, 20, 10, []),
        (1, 1, 10, []),
    ],
)
async def test_history_by_range(  # noqa: PLR0917 - the table's columns
    store: Store, history: list[HistoryBatch], first: int, end: int, limit: int, expected: list[int]
) -> None:
    found = await store.read_history(run_key("run-2", "run-2"), first, end, limit)
    assert found == [history[index] for index in expected]


@pytest.mark.parametrize(
    ("end", "limit", "expected"),
    [
        (10, 10, [3, 2, 1, 0]),
        (ALWAYS, 2, [3, 2]),
        (9, 10, [2, 1, 0]),
        (5, 1, [2]),
        (4, 10, [1, 0]),
        (1, 10, []),
    ],
)
async def test_history_backwards(
    store: Store, history: list[HistoryBatch], end: int, limit: int, expected: list[int]
) -> None:
    found = await store.read_history_reverse(run_key("run-2", "run-2"), end, limit)
    assert found == [history[index] for index in expected]


async def test_a_run_is_found_under_its_whole_key_only(
    store: Store, history: list[HistoryBatch]
) -> None:
    for key in (
        run_key("run-2", "run-1"),
        run_key("run-2", "run-2", "other"),
        run_key("no", "run-2"),
    ):
        assert await store.load_run(key) is None
        assert await store.read_history(key, 1, 10, 10) == []
        assert await store.read_history_reverse(key, 10, 10) == []
    assert await store.load_current("other", "run-2") is None
    assert await store.load_current(NAMESPACE, "no") is None


async def test_a_queue_is_read_in_dispatch_order(store: Store, shard: Shard) -> None:
    ordered = [
        task(9, priority=1),
        task(3, priority=2),
        task(1, fairness="A"),
        task(7, fairness="A"),
        task(0, fairness="a"),
        task(0, fairness="é"),
        task(0, pinned="build-1", priority=1),
        task(-5, pinned="build-2", priority=-1),
    ]
    others = [
        task(1, of=queue("queue", TaskType.ACTIVITY)),
        task(1, of=queue("queue2")),
        task(1, of=TaskQueueKey(NAMESPACE, "queue", TaskType.WORKFLOW, 1)),
        task(1, of=TaskQueueKey("other", "queue", TaskType.WORKFLOW)),
    ]
    shuffled = [*ordered[::-2], *others, *ordered[-2::-2]]
    await commit_all(store, *(transition(shard, tasks=[row]) for row in shuffled))
    assert await store.read_queue(queue(), None, 100) == ordered
    assert await store.read_queue(queue(), None, 3) == ordered[:3]
    for position, row in enumerate(ordered):
        assert await store.read_queue(queue(), row.key, 100) == ordered[position + 1 :]
    for row in others:
        assert await store.read_queue(row.key.queue, None, 100) == [row]


async def test_partitions_that_have_tasks_are_found_one_after_the_other(
    store: Store, shard: Shard
) -> None:
    rows = [task(number, of=queue()._replace(partition=number)) for number in (0, 2, 7)]
    others = [task(9, of=queue(other)._replace(partition=1)) for other in ("queu", "queue2")]
    await commit_all(store, transition(shard, tasks=[*rows, *others]))
    found = [await store.next_partition(queue()._replace(partition=after)) for after in range(8)]
    assert found == [2, 2, 7, 7, 7, 7, 7, None]
    await commit_all(store, transition(shard, tasks_deleted=[rows[1].key]))
    assert await store.next_partition(queue()) == 7
    assert await store.next_partition(queue("other")) is None


async def test_a_key_that_is_gone_still_marks_a_position(store: Store, shard: Shard) -> None:
    rows = [task(number) for number in range(1, 6)]
    await commit_all(store, transition(shard, tasks=rows))
    await commit_all(store, transition(shard, tasks_deleted=[rows[2].key]))
    assert await store.read_queue(queue(), rows[2].key, 100) == rows[3:]


async def test_tasks_of_a_range_of_slots_by_slot_then_id(store: Store, shard: Shard) -> None:
    rows = [
        task(10 * number + place, of=queue(name, kind), slot=slot)
        for place, (name, kind) in enumerate(product(("b", "A", "a"), TaskType))
        for number, slot in ((9, 0), (3, 7), (4, 7), (2, 8), (-5, 8), (1, LAST_SLOT))
    ]
    await commit_all(store, *(transition(shard, tasks=[row]) for row in rows[::-1]))
    rows.sort(key=lambda row: (row.slot, row.key.task_id))
    assert await store.read_tasks(0, LAST_SLOT, None, 100) == rows
    inside = [row for row in rows if row.slot in {7, 8}]
    assert await store.read_tasks(7, 8, None, 100) == inside
    found: list[DispatchTask] = []
    while page := await store.read_tasks(7, 8, found[-1] if found else None, 5):
        found += page
    assert found == inside
    assert await store.read_tasks(7, 8, rows[0], 100) == inside
    assert await store.read_tasks(7, 8, rows[-1], 100) == []


async def test_a_task_that_is_gone_still_marks_a_position(store: Store, shard: Shard) -> None:
    rows = [task(number, slot=SLOT + number // 4) for number in range(1, 8)]
    await commit_all(store, transition(shard, tasks=rows))
    await commit_all(store, transition(shard, tasks_deleted=[row.key for row in rows[2:4]]))
    assert await store.read_tasks(0, LAST_SLOT, None, 100) == [*rows[:2], *rows[4:]]
    for row in rows[1:4]:
        assert await store.read_tasks(0, LAST_SLOT, row, 2) == rows[4:6]


async def test_timers_of_a_range_of_slots_in_row_order(store: Store, shard: Shard) -> None:
    rows = [
        timer(due, slot=slot, run=run_key(run_id))
        for due in (5, 10, 20)
        for slot in (0, 7, 8, LAST_SLOT)
        for run_id in ("run-1", "run-2")
    ]
    await commit_all(store, *(transition(shard, timers=[row]) for row in rows[::-1]))
    assert await store.read_timers(0, LAST_SLOT, ALWAYS, None, 100) == sorted(rows)
    assert await store.read_timers(0, LAST_SLOT, 10, None, 100) == sorted(rows)[:8]
    inside = [row for row in sorted(rows) if row.slot in {7, 8} and row.due < 20]
    assert await store.read_timers(7, 8, 20, None, 100) == inside
    found: list[TimerRow] = []
    while page := await store.read_timers(7, 8, 20, found[-1] if found else None, 3):
        found += page
    assert found == inside


async def test_deleting_outbox_rows_that_are_not_there_is_no_error(
    store: Store, shard: Shard
) -> None:
    gone = transition(shard, tasks_deleted=[task(1).key], timers_deleted=[timer(1)])
    await commit_all(store, gone)
