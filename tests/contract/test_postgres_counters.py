"""Counters in PostgreSQL: shares of several database processes, folded when a store is opened."""

import psycopg
import pytest

from contract.cluster import PostgresCluster
from contract.rows import NAMESPACE, commit_all, deletion, start, transition, visible, whole_shard
from perdure.core.visibility.catalogue import STATUS
from perdure.core.visibility.query import Everything
from perdure.persistence.postgres import PostgresStore
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres


async def _shares(dsn: str) -> list[tuple[int, int]]:
    """Status and count of every row, those of share 0 first."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT share, status, count FROM visibility_counts ORDER BY share, status"
        )
        rows = await cursor.fetchall()
    assert all(share == 0 for share, _, _ in rows)
    return [(status, count) for _, status, count in rows]


async def test_what_processes_counted_is_added_up(
    postgres_cluster: PostgresCluster, ids: Ids
) -> None:
    dsn = postgres_cluster.create_database()
    store = await PostgresStore.open(dsn, ids=ids, create=True)
    shard = await whole_shard(store)
    await commit_all(store, *(start(shard, f"run-{n}", f"wf-{n}") for n in range(5)))
    await store.close()

    # Another process closes runs that the first one has counted.
    store = await PostgresStore.open(dsn, ids=ids)
    assert await _shares(dsn) == [(1, 5)]
    closed = [visible(f"run-{n}", workflow_id=f"wf-{n}", close_time=9, status=2) for n in range(2)]
    await commit_all(store, transition(shard, visibility=closed))
    by_status = await store.count_workflows_by(NAMESPACE, Everything(), STATUS)
    assert by_status == {1: 3, 2: 2}
    await store.close()

    store = await PostgresStore.open(dsn, ids=ids)
    assert await _shares(dsn) == [(1, 3), (2, 2)]
    gone = [transition(shard, deletion(f"run-{n}", 1), workflow_id=f"wf-{n}") for n in range(2)]
    await commit_all(store, *gone)
    assert await store.count_workflows(NAMESPACE, Everything()) == 3
    await store.close()

    # What has come to nothing is forgotten by the next one.
    await (await PostgresStore.open(dsn, ids=ids)).close()
    assert await _shares(dsn) == [(1, 3), (2, 0)]
    await (await PostgresStore.open(dsn, ids=ids)).close()
    assert await _shares(dsn) == [(1, 3)]
