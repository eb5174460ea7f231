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

            cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
            opened = await PostgresStore.open(cluster.create_database(), ids=ids)
    yield opened
    await opened.close()


@pytest.fixture
async def shard(store: Store) -> Shard:
    return await whole_shard(store)
