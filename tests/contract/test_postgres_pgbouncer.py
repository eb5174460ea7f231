"""Behind pgbouncer in session mode, everything works, and no session is left other than it was."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from contract.cluster import PostgresCluster, free_port
from contract.rows import NAMESPACE, commit_all, node, start, step, transition, whole_shard
from perdure.persistence.ports import NodeState, Shard, StartupError, StoreError
from perdure.persistence.postgres import PostgresStore
from perdure.runtime.ports import Ids
from waiting import until, until_sync

pytestmark = pytest.mark.postgres

CONNECTIONS = 7
"""What a store with four readers holds."""

STATE = """
    SELECT current_setting('statement_timeout'), current_setting('plan_cache_mode'),
        current_setting('enable_seqscan'), current_setting('enable_hashjoin'),
        current_setting('idle_in_transaction_session_timeout'),
        (SELECT COUNT(*) FROM pg_prepared_statements)
"""


@dataclass(frozen=True)
class Pooler:
    """A pgbouncer in front of a database."""

    folder: Path
    port: int

    def before(self, dsn: str) -> str:
        """Returns the connection string of a database by way of the pooler."""
        return make_conninfo(dsn, host=str(self.folder), port=self.port)


def _program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            raise AssertionError("continuous integration needs pgbouncer")
        pytest.skip("These tests start a pgbouncer of their own: apt-get install pgbouncer")
    return found


@pytest.fixture
def pooler(postgres_cluster: PostgresCluster) -> Iterator[Pooler]:
    program = [_program()]
    folder, port = Path(mkdtemp(prefix="perdure-pgbouncer-")), free_port()
    place = f"host={postgres_cluster.folder} port={postgres_cluster.port}"
    settings = {
        "listen_addr": "",
        "listen_port": port,
        "unix_socket_dir": folder,
        "auth_type": "any",
        "pool_mode": "session",
        "default_pool_size": CONNECTIONS,
        "max_client_conn": CONNECTIONS + 1,
        "pidfile": folder / "pid",
        "logfile": folder / "log",
    }
    lines = [f"[databases]\n* = {place} user=perdure\n[pgbouncer]"]
    lines += [f"{key} = {value}" for key, value in settings.items()]
    (folder / "pgbouncer.ini").write_text("\n".join(lines))
    if os.geteuid() == 0:
        shutil.chown(folder, postgres_cluster.user)
        program = ["runuser", "-u", postgres_cluster.user, "--", *program]
    process = subprocess.Popen([*program, "-q", str(folder / "pgbouncer.ini")])
    socket = folder / f".s.PGSQL.{port}"
    until_sync(socket.exists)
    yield Pooler(folder, port)
    os.kill(int((folder / "pid").read_text()), signal.SIGINT)
    process.wait(30)
    shutil.rmtree(folder)


@pytest.fixture
def dsn(postgres_cluster: PostgresCluster) -> str:
    return postgres_cluster.create_database()


async def open_store(pooler: Pooler, dsn: str, ids: Ids, *, readers: int = 4) -> PostgresStore:
    return await PostgresStore.open(
        pooler.before(dsn), ids=ids, create=True, readers=readers, timeout_seconds=2
    )


async def use(store: PostgresStore, run_id: str) -> None:
    """Makes a store connect for commits, takeovers, heartbeats and reads, and prepare plans."""
    shard = await whole_shard(store, run_id)
    assert await store.register_node(node(run_id)) is None
    assert await store.renew_node(run_id, NodeState.UP) is not None
    await commit_all(store, start(shard, run_id, run_id))
    for version in range(1, 8):
        await commit_all(store, transition(shard, step(run_id, version), workflow_id=run_id))
        run = await store.load_current(NAMESPACE, run_id)
        assert run is not None
        assert run.version == version + 1


async def test_stores_one_after_the_other_share_sessions(
    pooler: Pooler, dsn: str, ids: Ids
) -> None:
    for number in range(3):
        store = await open_store(pooler, dsn, ids)
        await use(store, f"run-{number}")
        await store.close()


async def test_a_session_is_left_as_it_was(pooler: Pooler, dsn: str, ids: Ids) -> None:
    store = await open_store(pooler, dsn, ids)
    await use(store, "run-1")
    await store.close()
    with psycopg.connect(dsn) as direct:
        expected = direct.execute(STATE.encode()).fetchone()
    served: set[int] = set()
    for _ in range(CONNECTIONS):
        with psycopg.connect(pooler.before(dsn)) as pooled:
            served.add(pooled.info.backend_pid)
            assert pooled.execute(STATE.encode()).fetchone() == expected
    assert served


async def test_a_pooler_without_room_is_said(pooler: Pooler, dsn: str, ids: Ids) -> None:
    with ExitStack() as crowd:
        for _ in range(CONNECTIONS):
            crowd.enter_context(psycopg.connect(pooler.before(dsn))).execute("SELECT 1")
        with pytest.raises(StartupError, match="does not answer in time"):
            await open_store(pooler, dsn, ids)
    store = await open_store(pooler, dsn, ids)
    await use(store, "run-1")
    await store.close()


async def test_reads_that_are_cancelled_ask_the_pooler_for_nothing(
    pooler: Pooler, dsn: str, ids: Ids
) -> None:
    store = await open_store(pooler, dsn, ids)
    await use(store, "run-1")
    with psycopg.connect(dsn) as other:
        other.execute(b"LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        reads = [
            asyncio.ensure_future(store.load_current(NAMESPACE, f"run-{number}"))
            for number in range(4)
        ]
        await until(lambda: waiting_for_locks(dsn) == len(reads))
        for _ in range(2):
            for read in reads:
                read.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*reads, return_exceptions=True)
        assert all(read.cancelled() for read in reads)
    await use(store, "run-2")
    await store.close()
    assert "cancel" not in (pooler.folder / "log").read_text()


def waiting_for_locks(dsn: str) -> int:
    """Returns how many sessions of a database wait for a lock."""
    query = (
        b"SELECT COUNT(*) FROM pg_stat_activity"
        b" WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(dsn) as looking:
        row = looking.execute(query).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_server_behind_the_pooler_that_comes_back(
    pooler: Pooler, dsn: str, ids: Ids
) -> None:
    store = await open_store(pooler, dsn, ids, readers=1)
    await use(store, "run-1")
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            b"SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            b" WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert await store.load_current(NAMESPACE, "run-1") is not None
    assert await store.renew_node("run-1", NodeState.UP) is not None
    for work in (whole_shard(store), store.commit([transition(Shard(0, 1, "", 1))])):
        with pytest.raises(StoreError):
            await work
    await use(store, "run-2")
    await store.close()
