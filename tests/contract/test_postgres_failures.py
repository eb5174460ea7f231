"""What only PostgreSQL can do: refuse rows, lose connections, make others wait."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from contract.cluster import PostgresCluster
from contract.locks import somebody_waits
from contract.rows import (
    NAMESPACE,
    commit_all,
    results,
    start,
    step,
    transition,
    whole_shard,
)
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import Result, Shard, StartupError, StoreUnavailable, UnknownOutcome
from perdure.persistence.postgres import PostgresStore
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres

ENDED = (
    "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
def dsn(postgres_cluster: PostgresCluster) -> str:
    return postgres_cluster.create_database()


@pytest.fixture
async def store(dsn: str, ids: Ids) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(dsn, ids=ids, create=True)
    yield opened
    await opened.close()


@pytest.fixture
async def other(dsn: str, store: PostgresStore) -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody else's connection to the store's database."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        yield connection


async def number(connection: psycopg.AsyncConnection, sql: str) -> int:
    row = await (await connection.execute(sql.encode())).fetchone()
    assert row is not None
    return int(row[0])


async def count(store: PostgresStore) -> int:
    return await store.count_workflows(NAMESPACE, Everything())


async def test_a_row_that_postgres_refuses_fails_alone(store: PostgresStore, shard: Shard) -> None:
    too_long_for_an_index = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(9_000))
    commits = [start(shard, f"run-{n}", f"workflow-{n}") for n in range(9)]
    commits.insert(4, start(shard, "run-x", too_long_for_an_index))
    commits.append(transition(shard, step("run-x", 1), workflow_id=too_long_for_an_index))
    outcomes = await store.commit(commits)
    expected = [Result.COMMITTED] * 10 + [Result.VERSION_MISMATCH]
    expected[4] = Result.REJECTED
    assert results(outcomes) == expected
    assert "index" in outcomes[4].detail
    assert await count(store) == 9
    assert store.statistics().careful_commits == 1
    await commit_all(store, transition(shard, step("run-8", 1), workflow_id="workflow-8"))


async def test_a_takeover_waits_behind_a_transaction_in_flight(
    store: PostgresStore, shard: Shard, other: psycopg.AsyncConnection
) -> None:
    async with other.transaction(force_rollback=True):
        await other.execute("SELECT 1 FROM shards FOR SHARE")
        takeover = asyncio.create_task(whole_shard(store, "new"))
        await somebody_waits(other)
        assert not takeover.done()
    assert (await takeover).epoch > shard.epoch
    assert results(await store.commit([start(shard, "run-1")])) == [Result.FENCED]


async def test_a_connection_that_dies_around_a_commit_leaves_it_unknown(
    store: PostgresStore, shard: Shard, other: psycopg.AsyncConnection
) -> None:
    async with other.transaction(force_rollback=True):
        await other.execute("SELECT 1 FROM shards FOR UPDATE")
        commit = asyncio.create_task(store.commit([start(shard, "run-1")]))
        await somebody_waits(other)
        assert await number(other, ENDED) == 1
        with pytest.raises(UnknownOutcome):
            await commit
    assert store.statistics().failed_commits == 1
    assert await count(store) == 0
    await commit_all(store, start(await whole_shard(store), "run-1"))
    assert await count(store) == 1


async def test_a_statement_that_the_server_ends_writes_nothing(
    store: PostgresStore, shard: Shard, other: psycopg.AsyncConnection
) -> None:
    async with other.transaction(force_rollback=True):
        await other.execute("SELECT 1 FROM shards FOR UPDATE")
        commit = asyncio.create_task(store.commit([start(shard, "run-1")]))
        await somebody_waits(other)
        await other.execute(ENDED.replace("terminate", "cancel").encode())
        with pytest.raises(StoreUnavailable):
            await commit
    assert await count(store) == 0
    await commit_all(store, start(shard, "run-1"))


async def test_a_cancelled_caller_stops_no_commit(
    store: PostgresStore, shard: Shard, other: psycopg.AsyncConnection
) -> None:
    async with other.transaction(force_rollback=True):
        await other.execute("SELECT 1 FROM shards FOR UPDATE")
        commit = asyncio.create_task(store.commit([start(shard, "run-1")]))
        await somebody_waits(other)
        commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    assert await count(store) == 1
    await commit_all(store, transition(shard, step("run-1", 1)))


async def test_a_store_outlives_its_server(ids: Ids) -> None:
    cluster = PostgresCluster.start()
    try:
        store = await PostgresStore.open(cluster.create_database(), ids=ids, create=True)
        shard = await whole_shard(store)
        await commit_all(store, start(shard, "run-1"))
        cluster.halt()
        with pytest.raises(UnknownOutcome):
            await store.commit([start(shard, "run-2", "other")])
        with pytest.raises(StoreUnavailable):
            await store.commit([start(shard, "run-2", "other")])
        with pytest.raises(StoreUnavailable):
            await store.acquire_shard(0, 1, "node")
        with pytest.raises(StoreUnavailable):
            await store.load_current(NAMESPACE, "workflow")
        cluster.resume()
        await commit_all(store, start(await whole_shard(store), "run-2", "other"))
        await store.close()
    finally:
        cluster.stop()


async def test_commits_are_durable_whatever_the_server_s_default(
    dsn: str, ids: Ids, other: psycopg.AsyncConnection
) -> None:
    await other.execute(f"ALTER DATABASE {other.info.dbname} SET synchronous_commit = off".encode())
    store = await PostgresStore.open(dsn, ids=ids, create=True)
    await commit_all(store, start(await whole_shard(store), "run-1"))
    connection = store._committer._session._connection
    assert connection is not None
    row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
    assert row == ("on",)
    await store.close()


async def test_stores_that_are_created_at_once_are_one(dsn: str, ids: Ids) -> None:
    stores = await asyncio.gather(
        *(PostgresStore.open(dsn, ids=ids, create=True, readers=1) for _ in range(4))
    )
    assert len({await store.incarnation() for store in stores}) == 1
    shards = [await whole_shard(store) for store in stores]
    outcomes = [
        await store.commit([start(shard, "run", "workflow")])
        for store, shard in zip(stores, shards, strict=True)
    ]
    assert [results(outcome)[0] for outcome in outcomes] == [Result.FENCED] * 3 + [Result.COMMITTED]
    for store in stores:
        await store.close()


async def test_a_schema_that_is_missing_is_made_only_when_allowed(dsn: str, ids: Ids) -> None:
    with pytest.raises(StartupError, match="run `perdure db setup`"):
        await PostgresStore.open(dsn, ids=ids, create=False)
    await (await PostgresStore.open(dsn, ids=ids, create=True)).close()
    await (await PostgresStore.open(dsn, ids=ids, create=False)).close()


async def test_a_schema_for_newer_releases_is_refused(
    dsn: str, ids: Ids, other: psycopg.AsyncConnection
) -> None:
    await other.execute("UPDATE perdure_schema SET version = 9")
    await (await PostgresStore.open(dsn, ids=ids, create=True)).close()
    await other.execute("UPDATE perdure_schema SET oldest_compatible = 9")
    with pytest.raises(StartupError, match="start a newer release"):
        await PostgresStore.open(dsn, ids=ids, create=True)


async def test_a_database_in_another_encoding_is_refused(
    postgres_cluster: PostgresCluster, ids: Ids
) -> None:
    dsn = postgres_cluster.create_database("-E", "LATIN1", "-T", "template0", "--locale=C")
    with pytest.raises(StartupError, match="ENCODING 'UTF8'"):
        await PostgresStore.open(dsn, ids=ids, create=True)
