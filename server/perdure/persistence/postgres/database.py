"""Connects to the database, checks that it may be used, and keeps its schema current.

Rules that hold here: whatever keeps the database from being used is a `StartupError` of one
sentence that says the fix and holds no password.
"""

from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from perdure.persistence.ports import StartupError
from perdure.persistence.sql_files import load_migrations, load_statements
from perdure.runtime.ports import Ids

OLDEST_SERVER = 120_000
"""PostgreSQL 12: in `server_version_num`'s form."""

OLDEST_COMPATIBLE = 1
"""The oldest schema version that a release must know to use the schema as it is now."""

CONNECTING: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "fallback_application_name": "perdure",
    "client_encoding": "utf8",
}
"""A peer that vanished is noticed within 25 s; a connection string may say otherwise."""

_FOLDER = Path(__file__).parent
STATEMENTS = load_statements(_FOLDER / "statements.sql")
MIGRATIONS = load_migrations(_FOLDER / "migrations")
SCHEMA_VERSION = max(MIGRATIONS)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def complete(dsn: str) -> str:
    """Returns a connection string with defaults for what it leaves open.

    Raises StartupError when it is none.
    """
    try:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise StartupError(
            "The PostgreSQL connection string cannot be read: write it as"
            " postgresql://user@host:5432/database?sslmode=verify-full."
        ) from error
    missing = {key: value for key, value in CONNECTING.items() if key not in given}
    return make_conninfo(dsn, **missing)


async def connect(dsn: str) -> Connection:
    """Returns a connection without implicit transactions. Raises psycopg.OperationalError."""
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def prepare_database(dsn: str, *, ids: Ids, migrate: bool) -> tuple[str, str]:
    """Checks the database and brings its schema up to this release's.

    Args:
        dsn: A completed connection string.
        ids: Makes the names of a new store.
        migrate: Whether the schema may be changed.

    Returns:
        The cluster's id and the store's incarnation.

    Raises:
        StartupError: The database cannot or must not be used.
    """
    try:
        connection = await connect(dsn)
    except psycopg.OperationalError as error:
        raise StartupError(
            f"The PostgreSQL database cannot be reached ({_one_line(error)}):"
            " start it, or correct the connection string."
        ) from error
    async with connection:
        try:
            await _inspect(connection)
            async with connection.transaction():
                await connection.execute(STATEMENTS["lock_schema"])
                await _check_schema(connection, ids, migrate=migrate)
            cursor = await connection.execute(STATEMENTS["read_store"])
            row = await cursor.fetchone()
        except psycopg.Error as error:
            raise StartupError(
                f"The PostgreSQL database refused to be set up ({_one_line(error)}):"
                " give the server a database and schema that its user owns."
            ) from error
    assert row is not None
    return row[0], row[1]


async def _inspect(connection: Connection) -> None:
    row = await (await connection.execute(STATEMENTS["inspect"])).fetchone()
    assert row is not None
    encoding, version, standby, _ = row
    if encoding != "UTF8":
        raise StartupError(
            f"The PostgreSQL database is encoded in {encoding}: create it with ENCODING 'UTF8'."
        )
    if version < OLDEST_SERVER:
        raise StartupError(
            f"The PostgreSQL server is version {version // 10_000}: upgrade it to 12 or newer."
        )
    if standby:
        raise StartupError(
            "The PostgreSQL server is a standby, which cannot be written:"
            " name the primary, or add target_session_attrs=read-write to the connection string."
        )


async def _check_schema(connection: Connection, ids: Ids, *, migrate: bool) -> None:
    version, oldest = await _version(connection)
    if oldest > SCHEMA_VERSION:
        raise StartupError(
            f"The PostgreSQL schema has version {version} and needs a release that knows {oldest};"
            f" this one knows {SCHEMA_VERSION}: start a newer release."
        )
    if version >= SCHEMA_VERSION:
        return
    if not migrate:
        raise StartupError(
            f"The PostgreSQL schema has version {version} and this release needs"
            f" {SCHEMA_VERSION}: start once with migrations allowed."
        )
    for number in range(version + 1, SCHEMA_VERSION + 1):
        await connection.execute(MIGRATIONS[number].encode())
    await connection.execute(STATEMENTS["create_version"])
    versions = {"version": SCHEMA_VERSION, "oldest": OLDEST_COMPATIBLE}
    await connection.execute(STATEMENTS["write_version"], versions)
    await connection.execute(STATEMENTS["create_store"], (ids.request_id(), ids.request_id()))


async def _version(connection: Connection) -> tuple[int, int]:
    found = await (await connection.execute(STATEMENTS["find_version"])).fetchone()
    if found is None or not found[0]:
        return 0, 0
    row = await (await connection.execute(STATEMENTS["read_version"])).fetchone()
    return (row[0], row[1]) if row is not None else (0, 0)


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
