"""What SQLite cannot do: refused rows, a full disk, a failed sync, cancelled callers."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.rows import (
    NAMESPACE,
    batch,
    commit_all,
    results,
    start,
    step,
    transition,
    whole_shard,
)
from perdure.core.commit import Commit, HistoryBatch
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import Result, Shard, StoreUnavailable, UnknownOutcome
from perdure.persistence.sqlite import SqliteStore
from perdure.persistence.sqlite.checkpoints import PAGE_BYTES, PAGES_BETWEEN
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from waiting import until

MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perdure.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, ids=SystemIds(clock=SystemClock()))
    yield opened
    await opened.close()


@pytest.fixture
async def shard(store: SqliteStore) -> Shard:
    return await whole_shard(store)


def large(shard: Shard, run_id: str, size: int = MEGABYTE) -> Commit:
    commit = start(shard, run_id, run_id)
    commit.runs[0].history = [HistoryBatch(1, 2, bytes(size))]
    return commit


async def count(store: SqliteStore) -> int:
    return await store.count_workflows(NAMESPACE, Everything())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets the process write no file beyond a size: the kernel refuses, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_row_that_sqlite_refuses_fails_alone(store: SqliteStore, shard: Shard) -> None:
    store._writing.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MEGABYTE // 2)
    commits = [start(shard, f"run-{number}", f"workflow-{number}") for number in range(5)]
    commits.insert(2, large(shard, "run-x"))
    commits.append(transition(shard, step("run-x", 1), workflow_id="run-x"))
    outcomes = await store.commit(commits)
    expected = [Result.COMMITTED] * 6 + [Result.VERSION_MISMATCH]
    expected[2] = Result.REJECTED
    assert results(outcomes) == expected
    assert "too big" in outcomes[2].detail
    assert await count(store) == 5
    assert store.statistics().careful_commits == 1
    await commit_all(store, transition(shard, step("run-4", 1, history=[batch(3, 3)])))


async def test_a_full_database_writes_nothing_and_recovers(
    store: SqliteStore, shard: Shard
) -> None:
    await commit_all(store, start(shard, "run-1"))
    (pages,) = store._writing.execute("PRAGMA page_count").fetchone()
    store._writing.execute(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(StoreUnavailable, match="full"):
        await store.commit([start(shard, "run-2", "other"), large(shard, "run-3")])
    assert await count(store) == 1
    store._writing.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    await commit_all(store, start(shard, "run-2", "other"), large(shard, "run-3"))
    assert await count(store) == 3


async def test_a_commit_that_the_disk_refuses_is_unknown(
    store: SqliteStore, shard: Shard, path: Path
) -> None:
    await commit_all(store, start(shard, "run-1"))
    with largest_file(64 * 1024), pytest.raises(UnknownOutcome):
        await store.commit([large(shard, "run-2")])
    assert store.statistics().failed_commits == 1
    shard = await whole_shard(store)
    assert await count(store) == 1
    await commit_all(store, large(shard, "run-2"))
    await store.close()
    again = await SqliteStore.open(path, ids=SystemIds(clock=SystemClock()))
    assert await count(again) == 2
    await again.close()


async def test_a_file_that_another_program_writes_is_unavailable_for_a_while(
    store: SqliteStore, shard: Shard, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.commit([start(shard, "run-1")])
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.put_document("name", 1, b"")
    assert await store.load_current(NAMESPACE, "workflow") is None
    other.execute("ROLLBACK")
    other.close()
    await commit_all(store, start(shard, "run-1"))


async def test_a_cancelled_caller_stops_no_commit(store: SqliteStore, shard: Shard) -> None:
    cancelled = 0
    for number in range(40):
        commits = [start(shard, f"run-{number}-{n}", f"{number}-{n}") for n in range(150)]
        task = asyncio.create_task(store.commit(commits))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled += 1
        assert await count(store) % 150 == 0
    assert cancelled
    await commit_all(store, start(shard, "run-last", "last"))


async def test_the_log_begins_anew_under_a_steady_load(
    store: SqliteStore, shard: Shard, path: Path
) -> None:
    commits = 0
    while store._checkpointer.done < 3:
        await commit_all(store, large(shard, f"run-{commits}", 4 * MEGABYTE))
        commits += 1
        assert commits < 200
    await until(lambda: store._checkpointer._task is None)
    log = path.with_name("perdure.db-wal").stat().st_size
    assert log < 3 * PAGES_BETWEEN * PAGE_BYTES
    assert log < commits * 4 * MEGABYTE
    assert store._checkpointer.failures == 0
    assert await count(store) == commits
