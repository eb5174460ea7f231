"""A caller that is cancelled while the log is synced: what is durable counts all the same."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import pytest

from contract.rows import NAMESPACE, commit_all, results, start, step, transition, whole_shard
from perdure.persistence.ports import Result
from perdure.persistence.sqlite import SqliteStore
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "perdure.db", ids=SystemIds(clock=SystemClock()))
    yield opened
    await opened.close()


async def cancelled(work: Coroutine[object, object, object]) -> None:
    """Starts work that writes its rows in one go, and cancels it while it waits for the sync."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_takeover_fences_the_old_owner(store: SqliteStore) -> None:
    old = await whole_shard(store, "old")
    await cancelled(whole_shard(store, "new"))
    outcomes = await store.commit([start(old, "run-1")])
    assert results(outcomes) == [Result.FENCED]
    assert await store.load_current(NAMESPACE, "workflow") is None
    assert (await whole_shard(store)).epoch == old.epoch + 2


async def test_a_cancelled_commit_is_durable_and_can_be_built_upon(store: SqliteStore) -> None:
    shard = await whole_shard(store)
    await cancelled(store.commit([start(shard, "run-1")]))
    assert await store.load_current(NAMESPACE, "workflow") is not None
    await commit_all(store, transition(shard, step("run-1", 1)), start(shard, "run-2", "other"))
    assert store.statistics().failed_commits == 1


async def test_a_cancelled_document_is_stored(store: SqliteStore) -> None:
    await cancelled(store.put_document("name", 1, b"data"))
    assert await store.get_document("name") == (1, b"data")
    assert not await store.put_document("name", 1, b"other")
