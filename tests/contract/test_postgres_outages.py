"""A database that stops, freezes or turns read-only, and comes back: nothing hangs for ever."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from contract.cluster import PostgresCluster
from contract.rows import NAMESPACE, commit_all, node, start, step, transition, whole_shard
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import NodeState, StoreError, StoreUnavailable, UnknownOutcome
from perdure.persistence.postgres import PostgresStore
from perdure.runtime.ports import Ids
from waiting import until

pytestmark = pytest.mark.postgres

SHORT_SECONDS = 1.0
"""How long stores of these tests wait for a database that does not answer."""

BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'perdure'"
    " AND datname = current_database()"
)

WAITING = b"""
    SELECT 1 FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""
ENDED = b"""
    SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
    WHERE application_name = 'perdure' AND datname = current_database()
"""


@pytest.fixture(scope="module")
def fragile(postgres_cluster: PostgresCluster) -> Iterator[PostgresCluster]:
    """A cluster that these tests may kill; the other one is only asked whether there can be one."""
    assert postgres_cluster
    cluster = PostgresCluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def dsn(fragile: PostgresCluster) -> str:
    return fragile.create_database()


@pytest.fixture
async def store(dsn: str, ids: Ids) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(
        dsn, ids=ids, create=True, readers=3, timeout_seconds=SHORT_SECONDS
    )
    yield opened
    await opened.close()


async def use_every_connection(store: PostgresStore) -> None:
    """Makes the store connect as often as it ever does."""
    await asyncio.gather(*(store.get_document("any") for _ in range(3)))
    await store.read_cluster()


async def test_after_a_kill_everything_goes_on_at_once(
    store: PostgresStore, fragile: PostgresCluster
) -> None:
    shard = await whole_shard(store, "id")
    assert await store.register_node(node("id")) is None
    await commit_all(store, start(shard, "run-1"))
    await use_every_connection(store)
    fragile.kill()
    for work in (
        store.load_current(NAMESPACE, "workflow"),
        store.renew_node("id", NodeState.UP),
        store.put_document("name", 1, b""),
        store.take_shards([shard], "other"),
    ):
        with pytest.raises(StoreUnavailable):
            await work
    with pytest.raises(StoreError):
        await store.commit([transition(shard, step("run-1", 1))])
    fragile.resume()
    assert await store.load_current(NAMESPACE, "workflow") is not None
    assert await store.renew_node("id", NodeState.UP) is not None
    assert await store.put_document("name", 1, b"")
    (taken,) = await store.take_shards([shard], "other")
    await commit_all(store, transition(taken, step("run-1", 1)))


async def test_a_restart_that_nobody_saw_fails_no_read(
    store: PostgresStore, fragile: PostgresCluster
) -> None:
    assert await store.register_node(node("id")) is None
    await use_every_connection(store)
    fragile.halt()
    fragile.resume()
    found = await asyncio.gather(*(store.get_document("any") for _ in range(6)))
    assert found == [None] * 6
    assert await store.renew_node("id", NodeState.UP) is not None
    assert await store.put_document("name", 1, b"")


@contextmanager
def frozen(dsn: str) -> Iterator[None]:
    """Stops the store's server processes, so that they seem to be behind a dead network."""
    with psycopg.connect(dsn, application_name="other") as connection:
        rows = connection.execute(BACKENDS.encode()).fetchall()
        processes = [psutil.Process(pid) for (pid,) in rows]
        assert processes
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)


async def test_servers_that_freeze_are_given_up(store: PostgresStore, dsn: str) -> None:
    shard = await whole_shard(store, "id")
    assert await store.register_node(node("id")) is None
    await commit_all(store, start(shard, "run-1"))
    await use_every_connection(store)
    with frozen(dsn):
        answers = await asyncio.gather(
            store.commit([transition(shard, step("run-1", 1))]),
            store.load_current(NAMESPACE, "workflow"),
            store.list_workflows(NAMESPACE, Everything(), None, 10),
            store.renew_node("id", NodeState.UP),
            store.acquire_shard(0, 9, "id"),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [UnknownOutcome] + [StoreUnavailable] * 4
        assert await store.load_current(NAMESPACE, "workflow") is not None
        assert await store.renew_node("id", NodeState.UP) is not None
    again = await whole_shard(store, "id")
    run = await store.load_current(NAMESPACE, "workflow")
    assert run is not None
    await commit_all(store, transition(again, step("run-1", run.version)))


async def test_a_heartbeat_that_is_given_up_holds_no_other_up(dsn: str, ids: Ids) -> None:
    store = await PostgresStore.open(dsn, ids=ids, create=True, timeout_seconds=60)
    assert await store.register_node(node("id")) is None
    with frozen(dsn):
        heartbeat = asyncio.create_task(store.renew_node("id", NodeState.UP))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(store.read_cluster())
        while not store._membership._heartbeats._busy:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        heartbeat.cancel()
        with pytest.raises(asyncio.CancelledError):
            await heartbeat
        assert (await waiting).nodes[0].id == "id"
    await store.close()


async def test_a_read_that_waits_for_a_connection_gives_up(store: PostgresStore, dsn: str) -> None:
    await use_every_connection(store)
    with frozen(dsn):
        answers = await asyncio.gather(
            *(store.get_document("any") for _ in range(6)), return_exceptions=True
        )
    assert {type(answer) for answer in answers[:3]} == {StoreUnavailable}
    assert all(isinstance(answer, StoreUnavailable) or answer is None for answer in answers[3:])


async def test_a_slow_statement_is_ended_by_the_server(store: PostgresStore, dsn: str) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE namespaces")
        with pytest.raises(StoreUnavailable):
            await store.list_namespaces()
    assert await store.list_namespaces() == []


async def test_reads_whose_caller_has_gone_leave_their_connections(
    store: PostgresStore, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as watcher, psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE namespaces")
        for _ in range(5):
            read = asyncio.create_task(store.list_namespaces())
            await until(lambda: bool(watcher.execute(WAITING).fetchone()))
            read.cancel()
            with pytest.raises(asyncio.CancelledError):
                await read
    assert await asyncio.gather(*(store.list_namespaces() for _ in range(5))) == [[]] * 5


async def test_a_server_that_turns_read_only_is_unavailable_until_it_may_be_written(
    store: PostgresStore, dsn: str
) -> None:
    shard = await whole_shard(store)
    name = conninfo_to_dict(dsn)["dbname"]
    read_only = f"ALTER DATABASE {name} SET default_transaction_read_only"
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(f"{read_only} = on".encode())
        other.execute(ENDED)
        with pytest.raises(StoreUnavailable):
            await store.get_document("any")
        with pytest.raises(StoreError):
            await store.commit([start(shard, "run-1")])
        with pytest.raises(StoreUnavailable):
            await store.commit([start(shard, "run-1")])
        other.execute("SET default_transaction_read_only = off")
        other.execute(f"{read_only} = off".encode())
    assert await store.get_document("any") is None
    await commit_all(store, start(shard, "run-1"))
