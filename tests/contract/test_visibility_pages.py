"""Pages are cut from the listing: for random runs and queries, while runs come, close and change.

The expected pages come from `contract.paged`, which knows no index, no SQL and no query tree.
"""

from dataclasses import replace
from itertools import count

import pytest

from contract.paged import TYPES, Maker, Query, Run
from contract.rows import NAMESPACE, commit_all, transition
from perdure.core.commit import VisibilityRow
from perdure.core.visibility.parser import parse_query
from perdure.persistence import visibility_counting, visibility_listing
from perdure.persistence.ports import Shard, Store, VisibilityCursor
from perdure.persistence.postgres.visibility import PostgresPaths
from perdure.persistence.sqlite.visibility import SqlitePaths

SEEDS = range(12)
RUNS = 60
QUERIES = 8
CHANGES = 40
"""Pages between which something happens; what comes after them ends a listing of single runs."""


class Listed:
    """A store with random runs, and what is known of them."""

    def __init__(self, store: Store, shard: Shard, maker: Maker) -> None:
        self._store = store
        self._shard = shard
        self._maker = maker
        self.runs: dict[str, Run] = {}

    async def put(self, *runs: Run) -> None:
        """Writes runs that are new, or have changed."""
        await commit_all(
            self._store, *(transition(self._shard, visibility=[run.row()]) for run in runs)
        )
        self.runs |= {run.run_id: run for run in runs}

    async def change(self) -> set[str]:
        """Lets something happen, and returns the ids of the runs that it happened to."""
        new = [self._maker.run() for _ in range(self._maker.random.randrange(3))]
        known = self._maker.random.sample(sorted(self.runs), self._maker.random.randrange(4))
        for run_id in known:
            self._maker.change(self.runs[run_id])
        await self.put(*new, *(self.runs[run_id] for run_id in known))
        return {run.run_id for run in new} | set(known)

    async def page(self, query: Query, after: VisibilityCursor | None, size: int) -> list[str]:
        """Returns the ids of a page of a store's listing."""
        where = parse_query(query.text, TYPES).visible
        rows = await self._store.list_workflows(NAMESPACE, where, after, size)
        assert rows == [self.runs[row.run_id].row() for row in rows]
        return [row.run_id for row in rows]

    async def count(self, query: Query) -> int:
        """Returns how many a store counts."""
        return await self._store.count_workflows(NAMESPACE, parse_query(query.text, TYPES).visible)

    def expected(self, query: Query, after: VisibilityCursor | None = None) -> list[str]:
        """Returns the ids of what a query finds now, after a position."""
        listed = query.listed(list(self.runs.values()))
        return [
            run.run_id
            for run in listed
            if after is None or run.key() < (after.close_time or 1 << 63, *after[1:])
        ]


def _position(row: VisibilityRow) -> VisibilityCursor:
    return VisibilityCursor(row.close_time, row.start_time, row.run_id)


@pytest.fixture(params=SEEDS)
def maker(request: pytest.FixtureRequest) -> Maker:
    return Maker(request.param)


@pytest.fixture
def _bounds(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds and costs by which few runs are as many as a million: any way may be taken."""
    choose = maker.random.choice
    monkeypatch.setattr(visibility_listing, "WALKED", choose((1, 3, 7, 10_000)))
    monkeypatch.setattr(visibility_listing, "FEW", choose((1, 3)))
    monkeypatch.setattr(visibility_listing, "MOST_LISTED", choose((1, 10, 100_000)))
    monkeypatch.setattr(visibility_listing, "AT_ONCE_MICROSECONDS", choose((0.0, 5.0, 1e6)))
    monkeypatch.setattr(visibility_counting, "MOST_COUNTED", choose((1, 10, 100_000)))
    costs = {name: choose((0.001, 1.0, 1000.0)) for name in ("run", "step", "scanned", "held")}
    for paths in (SqlitePaths, PostgresPaths):
        monkeypatch.setattr(paths, "costs", replace(paths.costs, **costs))


@pytest.fixture
async def listed(store: Store, shard: Shard, maker: Maker, _bounds: None) -> Listed:
    made = Listed(store, shard, maker)
    await made.put(*(maker.run() for _ in range(RUNS)))
    return made


async def test_pages_are_the_listing_cut(listed: Listed, maker: Maker) -> None:
    for _ in range(QUERIES):
        query, size = maker.query(), maker.random.randint(1, 9)
        expected = listed.expected(query)
        found: list[str] = []
        while len(found) < len(expected):
            after = _position(listed.runs[found[-1]].row()) if found else None
            page = await listed.page(query, after, size)
            assert page == expected[len(found) : len(found) + size], query.text
            found += page
        assert await listed.count(query) == len(expected), query.text


async def test_pages_while_runs_come_and_close(listed: Listed, maker: Maker) -> None:
    for _ in range(QUERIES):
        query, size = maker.query(depth=1), maker.random.randint(1, 9)
        before = set(listed.expected(query))
        changed: set[str] = set()
        found: list[str] = []
        after: VisibilityCursor | None = None
        for number in count():
            page = await listed.page(query, after, size)
            assert page == listed.expected(query, after)[:size], query.text
            found += page
            if len(page) < size:
                break
            after = _position(listed.runs[page[-1]].row())
            if number < CHANGES:
                changed |= await listed.change()
        untouched = before - changed
        assert sorted(each for each in found if each in untouched) == sorted(untouched)
        assert await listed.count(query) == len(listed.expected(query)), query.text
