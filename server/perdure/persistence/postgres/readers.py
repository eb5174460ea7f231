"""A fixed number of connections for reads.

Rules that hold here: the connection that was used last is used next, so that the others' plans
and buffers stay few. A read on a connection that its server has ended is made once more on a new
one; a write is made only on a connection that has just answered.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from perdure.persistence.ports import StoreUnavailable
from perdure.persistence.postgres.connecting import Address
from perdure.persistence.postgres.session import Session

Rows = list[tuple[Any, ...]]
Parameters = Sequence[Any] | Mapping[str, Any]


class Readers:
    """Sessions that reads take turns on.

    Args:
        address: Where the database is.
        count: How many reads may be under way at once; the others wait.
    """

    def __init__(self, address: Address, *, count: int) -> None:
        self._sessions = [Session(address, setup="configure_reads") for _ in range(count)]
        self._free = list(self._sessions)
        self._permits = asyncio.Semaphore(count)
        self._timeout_seconds = address.timeout_seconds

    async def read(self, sql: str, parameters: Parameters) -> Rows:
        """Returns the rows of a query. Raises StoreUnavailable."""
        async with self._session() as session:
            return await session.promptly(fetch_twice(session, sql, parameters))

    async def change(self, sql: str, parameters: Parameters) -> int:
        """Returns the number of rows that a statement changed; 0 when one was there already."""
        async with self._session() as session:
            return await session.promptly(_change(session, sql, parameters))

    async def close(self) -> None:
        """Closes the connections."""
        for session in self._sessions:
            await session.close()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._permits.acquire()
        except TimeoutError as error:
            count = len(self._sessions)
            raise StoreUnavailable(f"all {count} connections for reads are busy") from error
        session = self._free.pop()
        try:
            yield session
        finally:
            self._free.append(session)
            self._permits.release()


async def _change(session: Session, sql: str, parameters: Parameters) -> int:
    await fetch_twice(session, "SELECT 1", ())
    try:
        async with session.connected() as connection:
            return (await connection.execute(sql.encode(), parameters)).rowcount
    except psycopg.errors.UniqueViolation:
        return 0
    except psycopg.Error as error:
        raise StoreUnavailable(f"the database cannot be written: {error}") from error


async def fetch(session: Session, sql: str, parameters: Parameters) -> Rows | None:
    """Returns the rows of a query, None when its connection had been ended meanwhile."""
    async with session.connected() as connection:
        try:
            cursor = connection.cursor(binary=True)
            await cursor.execute(sql.encode(), parameters)
            return await cursor.fetchall()
        except psycopg.Error as error:
            if connection.closed and not session.overdue():
                return None
            raise StoreUnavailable(f"the database cannot be read: {error}") from error


async def fetch_surely(session: Session, sql: str, parameters: Parameters) -> Rows:
    """Returns the rows of a query. Raises StoreUnavailable."""
    rows = await fetch(session, sql, parameters)
    if rows is None:
        raise StoreUnavailable("the database ended the connection")
    return rows


async def fetch_twice(session: Session, sql: str, parameters: Parameters) -> Rows:
    """Returns the rows of a query, made once more when its connection had been ended meanwhile."""
    rows = await fetch(session, sql, parameters)
    return rows if rows is not None else await fetch_surely(session, sql, parameters)
