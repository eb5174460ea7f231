"""What an operator does with the database: set it up, migrate it, look at it.

Rules that hold here: everything may be done twice, and by two people at once.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg

from perdure.persistence.postgres import schema, startup
from perdure.persistence.postgres.connecting import (
    Address,
    Connection,
    bounded,
    connect,
    parse,
)
from perdure.persistence.postgres.schema import STEPS, Step, Version
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.runtime.ports import Ids

TIMEOUT_SECONDS = 10.0
"""How long the database may take to answer, unless the configuration says otherwise."""

FIRST_CONNECT_SECONDS = 6.0
"""The longest that a first connection is waited for, so that a server or command that cannot do its
work says so within ten seconds."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TableSize:
    """What a table takes, with its partitions and indexes; `rows` is the planner's estimate."""

    name: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a database is.

    Attributes:
        place: Host, port and database.
        server_version: Of PostgreSQL.
        schema_version: The last step that was applied; 0 when there is no schema.
        known_version: The last step that this release knows.
        pending: Steps that are not applied.
        cluster_id: The cluster's id; empty when there is no schema.
        tables: The largest tables first.
    """

    place: str
    server_version: str
    schema_version: int
    known_version: int
    pending: list[Step]
    cluster_id: str = ""
    tables: list[TableSize] = field(default_factory=list)


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Connection]:
    try:
        connection = await connect(address, longest_seconds=FIRST_CONNECT_SECONDS)
    except (psycopg.Error, OSError) as error:
        raise startup.unreachable(address, error) from error
    async with connection:
        try:
            with bounded(connection, address.timeout_seconds):
                row = await (await connection.execute(STATEMENTS["inspect"])).fetchone()
            assert row is not None
            startup.check_server(*row)
            yield connection
        except psycopg.Error as error:
            raise startup.refused(address, error) from error


async def prepare(
    address: Address, *, ids: Ids, create: bool, steps: Sequence[Step] = STEPS
) -> tuple[str, str]:
    """Checks that a server may use the database.

    Args:
        address: Where the database is.
        ids: Makes the names of a new store.
        create: Whether a schema is made, or brought up to date, where it is not.
        steps: The steps that this release knows.

    Returns:
        The cluster's id and the store's incarnation.

    Raises:
        StartupError: The database cannot or must not be used.
    """
    async with _connected(address) as connection:
        if create:
            version = await schema.read_version(connection)
            await _apply(connection, steps[version.number :], ids=ids, say=lambda _: None)
        with bounded(connection, address.timeout_seconds):
            schema.check_version(await schema.read_version(connection), steps)
            row = await (await connection.execute(STATEMENTS["read_store"])).fetchone()
    assert row is not None
    return row[0], row[1]


async def setup(
    dsn: str,
    *,
    ids: Ids,
    say: Say,
    timeout_seconds: float = TIMEOUT_SECONDS,
    steps: Sequence[Step] = STEPS,
) -> None:
    """Creates the schema in a database that has none; leaves one that is there as it is.

    Raises StartupError.
    """
    async with _connected(parse(dsn, timeout_seconds=timeout_seconds)) as connection:
        version = await schema.read_version(connection)
        if version.number == 0:
            await _apply(connection, steps, ids=ids, say=say)
            version = await schema.read_version(connection)
        schema.check_version(version, steps)
        say(f"the schema has version {version.number}")


async def migrate(
    dsn: str,
    *,
    ids: Ids,
    say: Say,
    expand_only: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    steps: Sequence[Step] = STEPS,
) -> None:
    """Applies the steps that are pending, in order.

    Args:
        dsn: The connection string.
        ids: Makes the names of a new store.
        say: Told of every step.
        expand_only: Ends before the first `contract` step.
        timeout_seconds: How long connecting may take; steps have no bound.
        steps: The steps that this release knows.

    Raises:
        StartupError: There is no schema, it is of a newer release, or a step must not be applied.
    """
    async with _connected(parse(dsn, timeout_seconds=timeout_seconds)) as connection:
        version = await schema.read_version(connection)
        if version.number == 0 or version.oldest_schema > steps[-1].number:
            schema.check_version(version, steps)
        pending = list(steps[version.number :])
        contracts = [index for index, step in enumerate(pending) if step.kind == "contract"]
        if expand_only and contracts:
            pending, left = pending[: contracts[0]], pending[contracts[0] :]
            say(f"left for later: {', '.join(_title(step) for step in left)}")
        await _apply(connection, pending, ids=ids, say=say)
        version = await schema.read_version(connection)
        say(f"the schema has version {version.number}")


async def status(
    dsn: str, *, timeout_seconds: float = TIMEOUT_SECONDS, steps: Sequence[Step] = STEPS
) -> Status:
    """Returns how the database is, changing nothing. Raises StartupError."""
    address = parse(dsn, timeout_seconds=timeout_seconds)
    async with _connected(address) as connection:
        version = await schema.read_version(connection)
        server = await (await connection.execute("SHOW server_version")).fetchone()
        assert server is not None
        found = Status(
            place=address.place(),
            server_version=server[0],
            schema_version=version.number,
            known_version=steps[-1].number,
            pending=list(steps[version.number :]),
        )
        return found if version == Version(0, 0) else await _measured(connection, found)


async def _measured(connection: Connection, found: Status) -> Status:
    store = await (await connection.execute(STATEMENTS["read_store"])).fetchone()
    assert store is not None
    cursor = await connection.execute(STATEMENTS["read_sizes"])
    sizes = [TableSize(*row) for row in await cursor.fetchall()]
    return Status(
        place=found.place,
        server_version=found.server_version,
        schema_version=found.schema_version,
        known_version=found.known_version,
        pending=found.pending,
        cluster_id=store[0],
        tables=sizes,
    )


async def _apply(connection: Connection, steps: Sequence[Step], *, ids: Ids, say: Say) -> None:
    for step in steps:
        try:
            applied = await schema.apply(connection, step, ids)
        except psycopg.errors.LockNotAvailable as error:
            raise schema.lock_refused(step, error) from error
        say(f"{_title(step)}: {'applied' if applied else 'was applied meanwhile'}")


def _title(step: Step) -> str:
    return f"step {step.number} ({step.kind}: {step.name.replace('_', ' ')})"
