"""Plans of listings and counts: how many statements a query can lead to."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contract.paged import Maker
from contract.rows import NAMESPACE, commit_all, transition, whole_shard
from perdure.core.visibility.catalogue import STATUS
from perdure.core.visibility.parser import parse_query
from perdure.core.visibility.query import ValueType
from perdure.persistence import visibility_listing
from perdure.persistence.sqlite import SqliteStore
from perdure.persistence.sqlite.visibility import READER
from perdure.persistence.visibility_plans import Steps
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

TYPES = {"Kw": ValueType.KEYWORD, "Num": ValueType.INT}
MOST_STATEMENTS = 80
"""A few for each of the conditions that are looked up, and some more."""

CONJUNCTIONS = {
    "statuses": " AND ".join(["ExecutionStatus = 'Completed'", "Kw != 'x'"] * 200),
    "types": " AND ".join(["WorkflowType = 'a'", "Kw = 'x'"] * 200),
    "times": " AND ".join(
        f"StartTime < {number} AND CloseTime > {number}" for number in range(200)
    ),
    "moments": " AND ".join(f"StartTime = {number}" for number in range(400)),
    "entries": " AND ".join(f"Num > {number}" for number in range(400)),
    "mixed": " AND ".join(
        ["ExecutionStatus = 'Failed'", "WorkflowType > 'a'", "Num = 1", "StartTime != 3"] * 100
    ),
}


@pytest.fixture
async def connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[sqlite3.Connection]:
    """A connection to a store with a few runs, which are many for the plans."""
    monkeypatch.setattr(visibility_listing, "WALKED", 1)
    monkeypatch.setattr(visibility_listing, "AT_ONCE_MICROSECONDS", 0.0)
    path = tmp_path / "perdure.db"
    store = await SqliteStore.open(path, ids=SystemIds(clock=SystemClock()))
    shard = await whole_shard(store)
    maker = Maker(7)
    rows = [maker.run().row() for _ in range(30)]
    await commit_all(store, *(transition(shard, visibility=[row]) for row in rows))
    await store.close()
    with closing(sqlite3.connect(path)) as opened:
        yield opened


def statements(connection: sqlite3.Connection, steps: Steps[Any]) -> int:
    """Carries out a plan and returns how many statements it had."""
    count = 0
    try:
        statement = next(steps)
        while True:
            count += 1
            rows = connection.execute(statement.text, statement.parameters).fetchall()
            statement = steps.send(rows)
    except StopIteration:
        return count


@pytest.mark.parametrize("query", CONJUNCTIONS.values(), ids=CONJUNCTIONS)
async def test_many_conditions_lead_to_few_statements(
    connection: sqlite3.Connection, query: str
) -> None:
    where = parse_query(query, TYPES).visible
    assert statements(connection, READER.list_runs(NAMESPACE, where, None, 10)) <= MOST_STATEMENTS
    assert statements(connection, READER.count_runs(NAMESPACE, where)) <= MOST_STATEMENTS
    assert statements(connection, READER.count_groups(NAMESPACE, where, STATUS)) <= MOST_STATEMENTS
