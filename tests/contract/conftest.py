"""Opens every kind of store for every test of the suite."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract.cluster import MissingPostgres, PostgresCluster
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import Shard, Store
from perdure.persistence.sqlite import SqliteStore
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.ports import Ids

from contract.rows import whole_shard  # isort: skip


FILLED_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
      AND relname NOT IN ('perdure_schema', 'perdure_store')
"""


@pytest.fixture
def ids() -> Ids:
    return SystemIds(clock=SystemClock())


@pytest.fixture(scope="session")
def postgres_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    try:
        cluster = PostgresCluster.start()
    except MissingPostgres as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def shared_database(postgres_cluster: PostgresCluster) -> str:
    """One database for the whole suite: making one for every test takes most of the time."""
    return postgres_cluster.create_database()


async def _empty(dsn: str) -> None:
    """Removes all rows: making the tables anew for every test would take most of the time."""
    import psycopg  # noqa: PLC0415 - the other stores are tested without it

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(FILLED_TABLES)
        tables = [psycopg.sql.Identifier(name) for (name,) in await cursor.fetchall()]
        delete = psycopg.sql.SQL("DELETE FROM {}")
        await connection.execute(psycopg.sql.SQL("; ").join(map(delete.format, tables)))


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path, ids: Ids) -> AsyncIterator[Store]:
    opened: Store
    match request.param:
        case "memory":
            opened = MemoryStore(ids=ids)
        case "sqlite":
            opened = await SqliteStore.open(tmp_path / "perdure.db", ids=ids)
        case _:
            from perdure.persistence.postgres import PostgresStore  # noqa: PLC0415

            dsn = request.getfixturevalue("shared_database")
            await _empty(dsn)
            opened = await PostgresStore.open(dsn, ids=ids, create=True)
    yield opened
    await opened.close()


@pytest.fixture
async def shard(store: Store) -> Shard:
    return await whole_shard(store)
