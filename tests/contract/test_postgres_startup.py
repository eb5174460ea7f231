"""Databases that cannot be used: one sentence says why and what to do, and holds no password."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from contract.cluster import PostgresCluster
from perdure.persistence.ports import StartupError
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.postgres.connecting import parse
from perdure.persistence.postgres.startup import check_server
from perdure.runtime.ports import Ids

pytestmark = pytest.mark.postgres

PASSWORD = "open-sesame"  # noqa: S105 - nobody uses it but these tests
ROLES = f"""
    CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}';
    CREATE ROLE crowd LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0;
"""


@pytest.fixture(scope="module")
def asking(postgres_cluster: PostgresCluster) -> Iterator[PostgresCluster]:
    """A cluster that asks for passwords; the other one is only asked whether there can be one."""
    assert postgres_cluster
    cluster = PostgresCluster.start(passwords=True)
    with psycopg.connect(cluster.create_database(), autocommit=True) as connection:
        connection.execute(ROLES.encode())
    yield cluster
    cluster.stop()


@pytest.fixture
def database(asking: PostgresCluster) -> str:
    return str(conninfo_to_dict(asking.create_database())["dbname"])


async def refusal(dsn: str, ids: Ids, *, create: bool = False, timeout_seconds: float = 10) -> str:
    """Returns the sentence of a store that cannot be opened."""
    with pytest.raises(StartupError) as refused:
        await PostgresStore.open(dsn, ids=ids, create=create, timeout_seconds=timeout_seconds)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert PASSWORD not in sentence
    return sentence


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgresql://user:{PASSWORD}@127.0.0.1:1/database", "nobody listens there: start it"),
        (f"host=/nowhere password={PASSWORD}", "nobody listens there: start it"),
        (f"postgresql://user:{PASSWORD}@perdure.invalid/database", "its host is unknown"),
        (f"postgresql://user:{PASSWORD}@127.0.0.1:99999/database", "no such value: correct"),
        (f"postgresql://user:{PASSWORD}@host:port:{PASSWORD}/", "its port is no number"),
        (f"postgresql://user:a@{PASSWORD}@127.0.0.1/database", "written as %40 or %2F"),
        (f"postgresql://user:a/{PASSWORD}@127.0.0.1/database", "written as %40 or %2F"),
        (f"host=there password='{PASSWORD}", "cannot be read: write it as"),
        (f"{PASSWORD}", "cannot be read: write it as"),
    ],
)
async def test_a_connection_string_that_leads_nowhere(dsn: str, said: str, ids: Ids) -> None:
    assert said in await refusal(dsn, ids)


async def test_a_host_that_does_not_answer(ids: Ids) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://user:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/database"
        said = await refusal(dsn, ids, timeout_seconds=1)
    assert "does not answer in time" in said
    assert "store.timeout_seconds" in said


@pytest.mark.parametrize(
    ("user", "place", "said"),
    [
        ("stranger:wrong", "", "user or password is wrong: correct them"),
        ("stranger", "", "user or password is wrong: correct them"),
        (f"nobody:{PASSWORD}", "", "user or password is wrong: correct them"),
        (f"stranger:{PASSWORD}", "missing", "no such database: create it"),
        (f"crowd:{PASSWORD}", "", "no connection left: raise its max_connections"),
        (f"stranger:{PASSWORD}", "?sslmode=require", "TLS failed: correct sslmode"),
    ],
)
async def test_a_server_that_lets_nobody_in(
    asking: PostgresCluster, ids: Ids, user: str, place: str, said: str
) -> None:
    assert said in await refusal(asking.by_tcp(place or "postgres", user=user), ids)


async def test_permissions_that_are_missing(
    asking: PostgresCluster, database: str, ids: Ids
) -> None:
    dsn = asking.by_tcp(database, user=f"stranger:{PASSWORD}")
    assert "GRANT CREATE ON SCHEMA" in await refusal(dsn, ids, create=True)
    await (await PostgresStore.open(asking.conninfo(database), ids=ids, create=True)).close()
    assert "let the user own the schema's tables" in await refusal(dsn, ids)
    async with await psycopg.AsyncConnection.connect(asking.conninfo(database)) as owner:
        await owner.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC".encode())
    assert "GRANT CONNECT ON DATABASE" in await refusal(dsn, ids)


async def test_a_database_without_a_schema(
    asking: PostgresCluster, database: str, ids: Ids
) -> None:
    assert "run `perdure db setup`" in await refusal(asking.conninfo(database), ids)


async def test_a_database_that_cannot_be_written(
    asking: PostgresCluster, database: str, ids: Ids
) -> None:
    dsn = asking.conninfo(database)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as owner:
        await owner.execute(
            f"ALTER DATABASE {database} SET default_transaction_read_only = on".encode()
        )
    assert "standby or read-only: name the primary" in await refusal(dsn, ids, create=True)


@contextmanager
def in_recovery() -> Iterator[PostgresCluster]:
    cluster = PostgresCluster.start()
    try:
        cluster.halt()
        (cluster.folder / "data" / "standby.signal").touch()
        cluster.resume()
        yield cluster
    finally:
        cluster.stop()


async def test_of_several_hosts_the_one_that_can_be_written_is_taken(
    asking: PostgresCluster, database: str, ids: Ids
) -> None:
    with in_recovery() as standby:
        alone = standby.conninfo("postgres")
        assert "standby or read-only: name the primary" in await refusal(alone, ids)
        hosts = f"/nowhere,{standby.folder},{asking.folder}"
        ports = f"{asking.port},{standby.port},{asking.port}"
        dsn = f"postgresql://perdure@/{database}?host={hosts}&port={ports}"
        store = await PostgresStore.open(dsn, ids=ids, create=True)
        assert await store.create_shards(1)
        await store.close()


@pytest.mark.parametrize(
    ("encoding", "version", "standby", "said"),
    [
        ("LATIN1", 150_000, False, "ENCODING 'UTF8'"),
        ("UTF8", 130_014, False, "is version 13: upgrade it to 14 or newer"),
        ("UTF8", 140_000, True, "name the primary"),
    ],
)
def test_servers_that_are_not_fit(encoding: str, version: int, standby: bool, said: str) -> None:
    with pytest.raises(StartupError, match=said):
        check_server(encoding, version, standby)
    check_server("UTF8", 140_000, False)


def test_an_address_shows_no_password() -> None:
    address = parse(f"postgresql://user:{PASSWORD}@host/name", timeout_seconds=5)
    assert PASSWORD not in repr(address)
    assert address.place() == "host:5432/name"
    assert PASSWORD not in address.without_password(f"wrong: {PASSWORD}")
    assert address.without_password("nothing to hide") == "nothing to hide"


def test_what_a_connection_string_says_itself_counts() -> None:
    given = "connect_timeout=77 target_session_attrs=any keepalives_idle=99"
    said = conninfo_to_dict(parse(given, timeout_seconds=5).conninfo)
    assert (said["connect_timeout"], said["target_session_attrs"]) == ("77", "any")
    assert (said["keepalives_idle"], said["tcp_user_timeout"]) == ("99", "5000")
