"""One connection that outlives its server: it is made again when it broke.

One with TLS is replaced when it has become old, so that a certificate that expires and an authority
that is not trusted any more have an end. The next one is made beside it, because a server that is
slow to let somebody in must not hold up whoever has a connection.

Rules that hold here: a session has one user at a time, who holds `lock` or is alone by
construction. A transaction that somebody left open ends with the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from perdure.persistence.ports import StoreUnavailable
from perdure.persistence.postgres.connecting import (
    Address,
    Bound,
    Connection,
    bounded,
    connect,
)
from perdure.persistence.postgres.statements import STATEMENTS

T = TypeVar("T")


class Session:
    """A connection that is made when it is needed, and again after it broke.

    Args:
        address: Where the database is.
        setup: A named statement that prepares a new connection for its job; empty for none.
    """

    def __init__(self, address: Address, *, setup: str = "") -> None:
        self.lock = asyncio.Lock()
        self._address = address
        self._setup = setup
        self._connection: Connection | None = None
        self._bound: Bound | None = None
        self._busy = False
        self._old_at = inf
        self._next: asyncio.Task[Connection] | None = None
        self._counts = address.connections
        self._counts.limit += 1

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Gives the connection for one call of the store, which is cut when it takes too long.

        Raises:
            StoreUnavailable: There is no server to connect to.
        """
        connection = await self._connected()
        with bounded(connection, self._address.timeout_seconds) as self._bound:
            self._busy = True
            self._counts.busy += 1
            try:
                yield connection
            finally:
                self._busy = False
                self._counts.busy -= 1

    async def promptly(self, work: Coroutine[Any, Any, T]) -> T:
        """Does work on the connection; a cancellation cuts it.

        Else the driver would first ask a server that may not be there to give up, and wait; and
        there are releases of pgbouncer that such a request can crash.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(_look_at)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if self._busy and self._bound is not None:
                self._bound.cut()
            else:
                task.cancel()
            while not task.done():
                # It ends soon, and until then the connection is its own, however often one asks.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            raise
        return task.result()

    def overdue(self) -> bool:
        """Returns whether the last call was cut because it took too long."""
        return self._bound is not None and self._bound.overdue

    async def close(self) -> None:
        """Closes the connection."""
        await self._drop_next()
        if self._connection is not None:
            await self._drop(self._connection)

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None:
            if _usable(connection):
                young = asyncio.get_running_loop().time() < self._old_at
                return connection if young else await self._younger(connection)
            await self._drop_next()
            await self._drop(connection)
        return self._use(await self._new())

    async def _younger(self, connection: Connection) -> Connection:
        """Returns the connection that takes an old one's place; that one until there is one."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._new())
            self._next.add_done_callback(_look_at)
        if not self._next.done():
            return connection
        made, self._next = self._next, None
        if made.cancelled() or made.exception() is not None:
            self._old_at = asyncio.get_running_loop().time() + self._address.tls_age_seconds
            return connection
        if not _usable(made.result()):
            await self._end(made.result())
            return connection
        await self._drop(connection)
        return self._use(made.result())

    def _use(self, connection: Connection) -> Connection:
        seconds = self._address.tls_age_seconds if connection.pgconn.ssl_in_use else inf
        self._old_at = asyncio.get_running_loop().time() + seconds
        self._connection = connection
        return connection

    async def _new(self) -> Connection:
        """Makes a connection, and prepares it for its job. Raises StoreUnavailable."""
        self._counts.attempts += 1
        try:
            connection = await connect(self._address)
            self._counts.open += 1
            try:
                await self._prepare(connection)
            except BaseException:
                await self._end(connection)
                raise
        except psycopg.Error as error:
            self._counts.failures += 1
            reason = self._address.without_password(" ".join(str(error).split()))
            raise StoreUnavailable(f"the database cannot be reached: {reason}") from error
        return connection

    async def _prepare(self, connection: Connection) -> None:
        if self._setup:
            with bounded(connection, self._address.timeout_seconds):
                await connection.execute(STATEMENTS[self._setup])

    async def _drop_next(self) -> None:
        """Gives up the connection that was to come next."""
        made, self._next = self._next, None
        if made is None:
            return
        made.cancel()
        await asyncio.wait([made])
        if not made.cancelled() and made.exception() is None:
            await self._end(made.result())

    async def _drop(self, connection: Connection) -> None:
        self._connection = None
        await self._end(connection)

    async def _end(self, connection: Connection) -> None:
        self._counts.open -= 1
        await connection.close()


def _usable(connection: Connection) -> bool:
    return not connection.closed and (connection.info.transaction_status is TransactionStatus.IDLE)


def _look_at(ended: asyncio.Future[Any]) -> None:
    """Sees how work ended: whoever began it may be cancelled twice, and gone by then."""
    if not ended.cancelled():
        ended.exception()
