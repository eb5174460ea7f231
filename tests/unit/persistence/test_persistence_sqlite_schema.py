"""The SQLite schema: older files are migrated, and reads of ranges go by an index."""

import sqlite3
from pathlib import Path

import pytest

from contract.rows import FOREVER, commit_all, message, node, receipt, transition
from perdure.persistence.sqlite import SqliteStore
from perdure.persistence.sqlite.database import (
    APPLICATION_ID,
    MIGRATIONS,
    SCHEMA_VERSION,
    STATEMENTS,
)
from perdure.runtime.clock import SystemClock
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.ids import SystemIds


def ids() -> SystemIds:
    return SystemIds(clock=SystemClock())


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file of the first schema version, with a shard and two tasks in it."""
    path = tmp_path / "perdure.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(MIGRATIONS[1])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO store VALUES (1, 'cluster', 'incarnation', 7)")
    connection.execute("INSERT INTO shards VALUES (0, 16383, 'node', 7)")
    for task_id in (2, 1):
        key = ("namespace", "queue", 1, 0, "", 3, "", task_id)
        rest = (5, "namespace", "workflow", "run", 2, 1, 0, 0, 0)
        connection.execute(STATEMENTS["put_task"], (*key, *rest))
    connection.close()
    return path


async def test_an_older_file_is_migrated_with_what_is_in_it(old_file: Path) -> None:
    store = await SqliteStore.open(old_file, ids=ids())
    assert (await store.cluster_id(), await store.incarnation()) == ("cluster", "incarnation")
    (old,) = (await store.read_cluster()).shards
    assert (old.owner, old.epoch) == ("node", 7)
    tasks = await store.read_tasks(0, 16_383, None, 10)
    assert [task.key.task_id for task in tasks] == [1, 2]
    assert await store.register_node(node("node")) is None
    (new,) = await store.take_shards([old], "other")
    assert new.epoch > old.epoch
    await commit_all(store, transition(new, messages=[message("1")], receipts=[receipt("1")]))
    await store.close()
    connection = sqlite3.connect(old_file)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()


async def test_a_migrated_file_has_the_schema_of_a_new_one(old_file: Path, tmp_path: Path) -> None:
    schemas = []
    for path in (old_file, tmp_path / "new.db"):
        await (await SqliteStore.open(path, ids=ids())).close()
        connection = sqlite3.connect(path)
        schemas.append(connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall())
        connection.close()
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize(
    ("statement", "parameters", "index"),
    [
        ("next_partition", 4, "tasks USING PRIMARY KEY"),
        ("read_tasks", 4, "tasks USING INDEX tasks_by_slot"),
        ("read_messages", 7, "messages USING INDEX sqlite_autoindex_messages_1"),
        ("load_receipt", 3, "receipts USING PRIMARY KEY"),
        ("delete_expired_receipts", 4, "receipts USING COVERING INDEX receipts_by_expiry"),
    ],
)
async def test_a_read_costs_what_it_returns(
    tmp_path: Path, statement: str, parameters: int, index: str
) -> None:
    await (await SqliteStore.open(tmp_path / "perdure.db", ids=ids())).close()
    connection = sqlite3.connect(tmp_path / "perdure.db")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {STATEMENTS[statement]}", (1,) * parameters)
    plan = "; ".join(row[3] for row in rows)
    connection.close()
    assert f"SEARCH {index}" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


async def test_leases_run_on_the_clock_given(tmp_path: Path) -> None:
    clock = ManualClock()
    store = await SqliteStore.open(tmp_path / "perdure.db", ids=ids(), clock=clock)
    assert await store.register_node(node("first", "name", lease=10)) is None
    clock.wall_nanoseconds += 10
    assert await store.register_node(node("second", "name", lease=10)) is not None
    clock.wall_nanoseconds += 1
    assert await store.remove_expired_nodes(1) == 0
    assert await store.register_node(node("second", "name", lease=FOREVER)) is None
    now, (found,), _ = await store.read_cluster()
    assert (found.id, found.renewed, now) == ("second", clock.now(), clock.now())
    await store.close()
