"""Counts the transactions that a database commits for workflows, by its own statistics.

A backend of PostgreSQL adds what it has counted to `pg_stat_database` at the end of a transaction,
but not twice within a second. So a count is read after a second of silence and one more workflow,
whose first transaction brings along what its connection held back. From one such reading to the
next, that is, the workflows between and one more. What the database commits while nothing runs
(heartbeats, above all) is measured first and taken off. That leaves an error: such transactions
come one by one, so that of those expected in a short time some more, or some fewer, come.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

HELD_BACK_S = 1.1
BACKGROUND_S = 10.0
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"


@dataclass(frozen=True, slots=True)
class Count:
    """How many transactions workflows took, and how far that may be off."""

    commits: float
    error: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A reading: when, and how many transactions had been committed."""

    at_s: float
    commits: int


class CommitCounter:
    """Reads the statistics of one database, from another one, so as not to count itself."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        database: str,
        run_one: Callable[[], Awaitable[object]],
    ) -> None:
        self._connection = connection
        self._database = database
        self._run_one = run_one
        self._background_per_s = 0.0

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, dsn: str, run_one: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[Self]:
        """Connect for the length of the block.

        Args:
            dsn: The database whose commits are counted.
            run_one: Runs one workflow alone.

        Raises:
            psycopg.Error: The database does not answer.
        """
        elsewhere = make_conninfo(dsn, dbname="postgres")
        async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as connection:
            yield cls(connection, str(conninfo_to_dict(dsn)["dbname"]), run_one)

    async def measure_background(self) -> None:
        """Find out what is committed while no workflow runs."""
        await asyncio.sleep(HELD_BACK_S)
        begin = await self._read()
        await asyncio.sleep(BACKGROUND_S)
        end = await self._read()
        self._background_per_s = (end.commits - begin.commits) / (end.at_s - begin.at_s)

    async def mark(self) -> Mark:
        """Run one more workflow and read the statistics."""
        await asyncio.sleep(HELD_BACK_S)
        await self._run_one()
        return await self._read()

    def between(self, first: Mark, second: Mark) -> Count:
        """Transactions of the workflows between two marks, and of one more workflow alone."""
        background = self._background_per_s * (second.at_s - first.at_s)
        commits = max(0.0, second.commits - first.commits - background)
        # One for where the time begins and ends between two, and one standard deviation.
        return Count(commits, error=1.0 + math.sqrt(background))

    async def _read(self) -> Mark:
        cursor = await self._connection.execute(COMMITS, (self._database,))
        row = await cursor.fetchone()
        assert row is not None
        return Mark(time.perf_counter(), row[0])
