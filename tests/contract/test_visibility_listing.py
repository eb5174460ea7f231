"""Listings: order, paging, counting, and rows that come back as they were written."""

from datetime import UTC, datetime

import pytest

from contract.rows import NAMESPACE, commit_all, transition, visible
from perdure.core.commit import VisibilityRow
from perdure.core.visibility.query import Attribute, Comparison, Everything, Operator, ValueType
from perdure.persistence.ports import Shard, Store, VisibilityCursor

STATUS = Attribute("ExecutionStatus", ValueType.INT, "status")


def _cursor(row: VisibilityRow) -> VisibilityCursor:
    return VisibilityCursor(row.close_time, row.start_time, row.run_id)


@pytest.fixture
async def rows(store: Store, shard: Shard) -> list[VisibilityRow]:
    """Rows in listing order: open ones first, newest first."""
    ordered = [
        visible("run-d", start_time=900),
        visible("run-c", start_time=300),
        visible("run-b", start_time=300),
        visible("run-a", start_time=100),
        visible("run-e", start_time=100, close_time=800, status=2),
        visible("run-h", start_time=200, close_time=700, status=2),
        visible("run-g", start_time=150, close_time=700, status=3),
        visible("run-f", start_time=150, close_time=700, status=2),
        visible("run-z", start_time=10, close_time=20, status=3),
    ]
    other = visible("run-o", namespace="other")
    for row in (*ordered[::2], other, *ordered[1::2]):
        await commit_all(store, transition(shard, visibility=[row]))
    return ordered


async def test_open_runs_come_first_and_the_newest_of_each(
    store: Store, rows: list[VisibilityRow]
) -> None:
    assert await store.list_workflows(NAMESPACE, Everything(), None, 100) == rows


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_join_to_the_whole(store: Store, rows: list[VisibilityRow], size: int) -> None:
    found: list[VisibilityRow] = []
    while page := await store.list_workflows(
        NAMESPACE, Everything(), _cursor(found[-1]) if found else None, size
    ):
        assert len(page) <= size
        found += page
    assert found == rows


async def test_pages_of_a_filter_join_to_the_whole(store: Store, rows: list[VisibilityRow]) -> None:
    where = Comparison(STATUS, Operator.EQUAL, (2,))
    expected = [row for row in rows if row.status == 2]
    first = await store.list_workflows(NAMESPACE, where, None, 2)
    rest = await store.list_workflows(NAMESPACE, where, _cursor(first[-1]), 2)
    assert first + rest == expected


async def test_a_position_stays_when_its_row_has_gone(
    store: Store, shard: Shard, rows: list[VisibilityRow]
) -> None:
    closed = visible("run-c", start_time=300, close_time=900, status=2)
    await commit_all(store, transition(shard, visibility=[closed]))
    page = await store.list_workflows(NAMESPACE, Everything(), _cursor(rows[1]), 100)
    assert page == [rows[2], rows[3], closed, *rows[4:]]


async def test_counts(store: Store, rows: list[VisibilityRow]) -> None:
    assert await store.count_workflows(NAMESPACE, Everything()) == len(rows)
    assert await store.count_workflows_by(NAMESPACE, Everything(), STATUS) == {1: 4, 2: 3, 3: 2}
    closed = Comparison(STATUS, Operator.NOT_EQUAL, (1,))
    assert await store.count_workflows(NAMESPACE, closed) == 5
    assert await store.count_workflows_by(NAMESPACE, closed, STATUS) == {2: 3, 3: 2}
    assert await store.count_workflows_by("nowhere", Everything(), STATUS) == {}


async def test_a_row_comes_back_as_it_was_written(store: Store, shard: Shard) -> None:
    row = VisibilityRow(
        namespace_id=NAMESPACE,
        run_id="run",
        workflow_id="wörk ✓ 𝄞 'quoted' %s ?",
        workflow_type='Type "quoted"',
        task_queue="queue",
        status=2,
        start_time=1_700_000_000_123_456_789,
        execution_time=1_700_000_001_000_000_001,
        close_time=1_700_000_002_000_000_000,
        history_length=17,
        history_size_bytes=12_345,
        state_transition_count=9,
        parent_workflow_id="parent",
        parent_run_id="parent run",
        root_workflow_id="root",
        root_run_id="root run",
        memo=b"\0memo\xff",
        search_attributes=b"\0attributes\xff",
        search_values={
            "CustomText": frozenset({"some", "text"}),
            "NoWords": frozenset(),
            "Empty": "",
            "Int": -(1 << 63),
            "Whole": 2.0,
            "Huge": 1e300,
            "Small": 0.1,
            "Yes": True,
            "No": False,
            "When": datetime(2024, 2, 29, 12, 30, 45, 123_456, tzinfo=UTC),
            "Before": datetime(1931, 1, 1, tzinfo=UTC),
            "List": ["b", "a", "é"],
            'na"me \\ %é': "odd",
        },
    )
    await commit_all(store, transition(shard, visibility=[row]))
    (found,) = await store.list_workflows(NAMESPACE, Everything(), None, 10)
    assert found == row
    for name, value in row.search_values.items():
        assert type(found.search_values[name]) is type(value)


async def test_an_update_replaces_every_column(store: Store, shard: Shard) -> None:
    first = visible("run", values={"A": 1, "B": "x"})
    second = visible("run", close_time=500, status=2, start_time=101, values={"B": "y"})
    second.memo = b"memo"
    second.task_queue = "another"
    await commit_all(store, transition(shard, visibility=[first]))
    await commit_all(store, transition(shard, visibility=[second]))
    assert await store.list_workflows(NAMESPACE, Everything(), None, 10) == [second]
    await commit_all(store, transition(shard, visibility=[first]))
    assert await store.list_workflows(NAMESPACE, Everything(), None, 10) == [first]
