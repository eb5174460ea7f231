"""Moves the log into the database file, off the commit path.

Theory of operation: a passive checkpoint copies while commits go on, on a connection and thread of
its own; a second one, while no commit runs, copies the little that was added meanwhile, so that
the next commit starts the log from its beginning and the file does not grow for ever.
"""

import asyncio
import sqlite3
from pathlib import Path

from perdure.persistence.settling import settled
from perdure.persistence.sqlite.database import connect
from perdure.persistence.sqlite.worker import Worker

PAGES_PER_BATCH = 8
PAGES_PER_TRANSITION = 3
"""A guess at what a commit adds to the log; measured: 9 pages alone, 3 each in batches of 20."""

PAGES_BETWEEN = 4_000
"""How much is logged between checkpoints: about 16 MiB."""


class Checkpointer:
    """Counts what is logged and runs checkpoints; `pause` is held by the store's commits."""

    def __init__(self, database: Path, *, pause: asyncio.Lock) -> None:
        self._database = database
        self._pause = pause
        self._worker = Worker("sqlite-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._pages = 0
        self._task: asyncio.Task[None] | None = None
        self.failures = 0

    def committed(self, transitions: int) -> None:
        """Counts a batch, and starts a checkpoint when enough has been logged."""
        self._pages += PAGES_PER_BATCH + PAGES_PER_TRANSITION * transitions
        if self._pages >= PAGES_BETWEEN and self._task is None:
            self._pages = 0
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ends the checkpoint in progress and the thread."""
        if self._task is not None:
            await self._task
        if self._connection is not None:
            await settled(self._worker.submit(self._connection.close))
        self._worker.close()

    async def _run(self) -> None:
        try:
            if not await settled(self._worker.submit(self._checkpoint)):
                async with self._pause:
                    await settled(self._worker.submit(self._checkpoint))
        except sqlite3.Error:
            self.failures += 1
        finally:
            self._task = None

    def _checkpoint(self) -> bool:
        if self._connection is None:
            self._connection = connect(self._database)
        row = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        _, logged, copied = row
        return bool(logged == copied)
