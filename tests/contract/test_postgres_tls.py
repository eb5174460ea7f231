"""Connections to PostgreSQL with certificates on both ends, which change."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import authority
from authority import Authority, Issued
from contract.cluster import PostgresCluster
from perdure.persistence.ports import StartupError
from perdure.persistence.postgres import PostgresStore
from perdure.persistence.postgres.connecting import parse
from perdure.persistence.postgres.readers import fetch_surely
from perdure.persistence.postgres.session import Session
from perdure.runtime.ports import Ids
from waiting import until_asked

pytestmark = pytest.mark.postgres

ASKING = "local all all trust\nhostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n"
SERIAL = "SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@dataclass
class Secured:
    """A server that asks for certificates, and whose authority they are to be of."""

    cluster: PostgresCluster
    root: Authority


@pytest.fixture(scope="module")
def secured(postgres_cluster: PostgresCluster) -> Iterator[Secured]:
    assert postgres_cluster
    cluster, root = PostgresCluster.start(passwords=True), Authority("root")
    data = cluster.folder / "data"
    leaf = root.issue()
    for name, content in (
        ("server.crt", leaf.chain),
        ("server.key", leaf.key),
        ("clients.crt", root.pem),
        ("pg_hba.conf", ASKING.encode()),
    ):
        (data / name).write_bytes(content)
        (data / name).chmod(0o600)
        shutil.chown(data / name, cluster.user)
    dsn = cluster.create_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(b"ALTER SYSTEM SET ssl = on")
        connection.execute(b"ALTER SYSTEM SET ssl_ca_file = 'clients.crt'")
        connection.execute(b"SELECT pg_reload_conf()")
    yield Secured(cluster, root)
    cluster.stop()


class Client:
    """Files of a client, and the connection string that names them."""

    def __init__(self, secured: Secured, folder: Path) -> None:
        self.folder = folder
        self.issued = secured.root.issue()
        self.show(self.issued)
        authority.replace(folder / "root.pem", secured.root.pem)
        self.database = str(conninfo_to_dict(secured.cluster.create_database())["dbname"])
        self._place = secured.cluster.by_tcp(self.database, user="perdure")

    def show(self, issued: Issued) -> None:
        self.issued = issued
        issued.write(self.folder)

    def dsn(self, *, shown: bool = True, **others: str) -> str:
        told = {"sslmode": "verify-full", "sslrootcert": str(self.folder / "root.pem")}
        if shown:
            told["sslcert"] = str(self.folder / "certificate.pem")
            told["sslkey"] = str(self.folder / "key.pem")
        pairs = (f"{key}={value}" for key, value in {**told, **others}.items())
        return f"{self._place}?{'&'.join(pairs)}"


@pytest.fixture
def client(secured: Secured, tmp_path: Path) -> Client:
    return Client(secured, tmp_path)


async def test_a_store_works_with_certificates_on_both_ends(client: Client, ids: Ids) -> None:
    store = await PostgresStore.open(client.dsn(), ids=ids, create=True)
    try:
        assert await store.incarnation()
    finally:
        await store.close()


async def test_what_tls_refuses_is_one_sentence(client: Client, ids: Ids) -> None:
    authority.replace(client.folder / "other.pem", Authority("other").pem)
    for dsn in (
        client.dsn(shown=False, sslcert="/nowhere"),
        client.dsn(sslrootcert=str(client.folder / "other.pem")),
    ):
        with pytest.raises(StartupError, match="TLS failed: correct sslmode and sslrootcert"):
            await PostgresStore.open(dsn, ids=ids, create=True)


async def shown_serial(session: Session) -> int:
    """Returns the serial number of the certificate that the session's connection has shown."""
    ((serial,),) = await fetch_surely(session, SERIAL, ())
    return int(serial)


async def test_an_old_connection_makes_room_for_one_with_new_files(
    secured: Secured, client: Client
) -> None:
    address = replace(parse(client.dsn(), timeout_seconds=10.0), tls_age_seconds=0.0)
    session = Session(address)
    try:
        assert await shown_serial(session) == client.issued.certificate.serial_number
        client.show(secured.root.issue())

        async def replaced() -> bool:
            return await shown_serial(session) == client.issued.certificate.serial_number

        await until_asked(replaced)
    finally:
        await session.close()
    assert address.connections.open == 0


async def test_an_old_connection_stays_while_there_can_be_no_new_one(client: Client) -> None:
    address = replace(parse(client.dsn(), timeout_seconds=10.0), tls_age_seconds=0.0)
    session = Session(address)
    try:
        serial = await shown_serial(session)
        authority.replace(client.folder / "certificate.pem", b"broken")
        failures = address.connections.failures

        async def failed_often() -> bool:
            assert await shown_serial(session) == serial
            return address.connections.failures >= failures + 3

        await until_asked(failed_often)
    finally:
        await session.close()
    assert address.connections.open == 0


async def test_a_young_connection_stays(secured: Secured, client: Client) -> None:
    session = Session(parse(client.dsn(), timeout_seconds=10.0))
    try:
        serial = await shown_serial(session)
        client.show(secured.root.issue())
        assert [await shown_serial(session) for _ in range(5)] == [serial] * 5
    finally:
        await session.close()
