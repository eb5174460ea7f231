"""One connection that outlives its server: it is made again when it broke.

Rules that hold here: a session has one user at a time, who holds `lock` or is alone by
construction. A transaction that somebody left open ends with the connection.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
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

        Else the driver would first ask a server that may not be there to give up, and wait.
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
            await asyncio.gather(task, return_exceptions=True)
            raise
        return task.result()

    def overdue(self) -> bool:
        """Returns whether the last call was cut because it took too long."""
        return self._bound is not None and self._bound.overdue

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._drop(self._connection)

    async def _drop(self, connection: Connection) -> None:
        self._connection = None
        self._counts.open -= 1
        await connection.close()

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None:
            status = connection.info.transaction_status
            if not connection.closed and status is TransactionStatus.IDLE:
                return connection
            await self._drop(connection)
        self._counts.attempts += 1
        try:
            self._connection = connection = await connect(self._address)
            self._counts.open += 1
            if self._setup:
                with bounded(connection, self._address.timeout_seconds):
                    await connection.execute(STATEMENTS[self._setup])
        except psycopg.Error as error:
            self._counts.failures += 1
            reason = self._address.without_password(" ".join(str(error).split()))
            raise StoreUnavailable(f"the database cannot be reached: {reason}") from error
        return connection


def _look_at(ended: asyncio.Future[Any]) -> None:
    """Sees how work ended: whoever began it may be cancelled twice, and gone by then."""
    if not ended.cancelled():
        ended.exception()
