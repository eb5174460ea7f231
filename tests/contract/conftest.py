"""Opens every kind of store for every test of the suite."""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
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
    ORDER BY relname <> 'visibility', relname
"""
"""What triggers count, once the rows that they count have gone."""


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


@pytest.fixture(scope="session")
def expanded_database(postgres_cluster: PostgresCluster) -> str:
    """One database whose schema the next release has expanded already."""
    return postgres_cluster.create_database()


async def _expand_postgres(dsn: str) -> None:
    import psycopg  # noqa: PLC0415

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(FILLED_TABLES)
        for (name,) in await cursor.fetchall():
            column = psycopg.sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS future text")
            await connection.execute(column.format(psycopg.sql.Identifier(name)))


def _expand_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        for (name,) in tables:
            connection.execute(f'ALTER TABLE "{name}" ADD COLUMN future text')


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        "sqlite of the next release",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param(
            "postgres of the next release", marks=[pytest.mark.postgres, pytest.mark.slow]
        ),
    ]
)
async def store(request: pytest.FixtureRequest, tmp_path: Path, ids: Ids) -> AsyncIterator[Store]:
    """A store of each kind, and those whose tables have columns that this release does not know:
    the next one adds them while nodes of this one still run."""
    opened: Store
    path = tmp_path / "perdure.db"
    match request.param:
        case "memory":
            opened = MemoryStore(ids=ids)
        case "sqlite":
            opened = await SqliteStore.open(path, ids=ids)
        case "sqlite of the next release":
            await (await SqliteStore.open(path, ids=ids)).close()
            _expand_sqlite(path)
            opened = await SqliteStore.open(path, ids=ids)
        case kind:
            from perdure.persistence.postgres import PostgresStore  # noqa: PLC0415

            expanded = kind != "postgres"
            dsn = request.getfixturevalue("expanded_database" if expanded else "shared_database")
            await _empty(dsn)
            opened = await PostgresStore.open(dsn, ids=ids, create=True)
            if expanded:
                await _expand_postgres(dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def shard(store: Store) -> Shard:
    return await whole_shard(store)
