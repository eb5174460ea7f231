"""Makes connections that end: every wait for the database has a bound.

Rules that hold here: a connection string is never shown, and a password in it never leaves this
module. A connection to a standby or to a read-only server is refused as if nobody were there.
"""

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8BinaryDumper

from perdure.persistence.observation import ConnectionStatistics
from perdure.persistence.ports import StartupError
from perdure.persistence.postgres import columns
from perdure.persistence.postgres.statements import STATEMENTS

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

SHORTEST_CONNECT_SECONDS = 2
"""What libpq takes a shorter `connect_timeout` for."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is, and how long it may take to answer.

    Attributes:
        conninfo: A completed connection string.
        timeout_seconds: The longest that one call of the store waits for the database.
        connections: What those who connect there say of it.
    """

    conninfo: str = field(repr=False)
    timeout_seconds: float
    connections: ConnectionStatistics = field(
        default_factory=ConnectionStatistics, repr=False, compare=False
    )

    def without_password(self, text: str) -> str:
        """Returns a text in which the password, should it be there, is blotted out."""
        password = conninfo_to_dict(self.conninfo).get("password")
        return text.replace(str(password), "****") if password else text

    def place(self) -> str:
        """Returns host, port and database, for people."""
        given = conninfo_to_dict(self.conninfo)
        host, port = given.get("host", "localhost"), given.get("port", 5432)
        return f"{host}:{port}/{given.get('dbname', given.get('user', ''))}"


def parse(dsn: str, *, timeout_seconds: float) -> Address:
    """Returns the address of a connection string, with what it leaves open filled in.

    A peer that vanished is noticed within `timeout_seconds`; the string may say otherwise. Of
    several hosts the one that can be written is taken, and a lone one must be writable.

    Raises:
        StartupError: It is no connection string.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise StartupError(
            "The PostgreSQL connection string cannot be read: write it as"
            " postgresql://user@host:5432/database?sslmode=verify-full."
        ) from None
    if dsn.startswith(("postgresql://", "postgres://")) and _misread(given):
        raise StartupError(
            "The PostgreSQL connection string cannot be read: its port is no number, or its user"
            " or password holds an @ or / that must be written as %40 or %2F."
        )
    probe = max(1, int(timeout_seconds / 4))
    defaults: dict[str, str | int] = {
        "connect_timeout": max(SHORTEST_CONNECT_SECONDS, ceil(timeout_seconds)),
        "keepalives_idle": probe,
        "keepalives_interval": probe,
        "keepalives_count": 3,
        "tcp_user_timeout": int(timeout_seconds * 1000),
        "target_session_attrs": "read-write",
        "fallback_application_name": "perdure",
        "client_encoding": "utf8",
    }
    missing = {key: value for key, value in defaults.items() if key not in given}
    return Address(make_conninfo(dsn, **missing), timeout_seconds)


def _misread(given: Mapping[str, Any]) -> bool:
    """Tells whether a part of a password was taken for a host, a port or a database's name."""
    places = f"{given.get('host', '')}{given.get('dbname', '')}"
    ports = str(given.get("port", "")).replace(",", "")
    return "@" in places or not (ports == "" or ports.isdecimal())


async def connect(address: Address) -> Connection:
    """Returns a connection without implicit transactions, set up for the store.

    Raises:
        psycopg.OperationalError: Nobody answers, or not in time, or a writable server does not.
    """
    seconds = address.timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            connection = await psycopg.AsyncConnection.connect(address.conninfo, autocommit=True)
    except TimeoutError as error:
        raise psycopg.errors.ConnectionTimeout("connection timeout expired") from error
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    columns.register(connection.adapters)
    milliseconds = str(int(seconds * 1000))
    with bounded(connection, seconds) as bound:
        try:
            await connection.execute(STATEMENTS["configure_session"], (milliseconds, milliseconds))
        except psycopg.OperationalError as error:
            if bound.overdue:
                raise psycopg.errors.ConnectionTimeout("connection timeout expired") from error
            raise
    return connection


class Bound:
    """Whether a connection was cut because its work took too long."""

    __slots__ = ("_connection", "overdue")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.overdue = False

    def cut(self) -> None:
        """Ends the connection's work as if the peer had died."""
        if self._connection.closed:
            return
        self.overdue = True
        descriptor = os.dup(self._connection.pgconn.socket)
        with suppress(OSError), socket.socket(fileno=descriptor) as peer:
            peer.shutdown(socket.SHUT_RDWR)


@contextmanager
def bounded(connection: Connection, seconds: float) -> Iterator[Bound]:
    """Cuts the connection when the enclosed work takes longer."""
    bound = Bound(connection)
    handle = asyncio.get_running_loop().call_later(seconds, bound.cut)
    try:
        yield bound
    finally:
        handle.cancel()
