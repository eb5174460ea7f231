"""Moves the log into the database file, off the commit path.

Theory of operation: a passive checkpoint copies while commits go on, on a connection and thread of
its own; a second one, while no commit runs, copies the little that was added meanwhile. Only then
does the next commit start the log from its beginning: under a steady load the first alone always
leaves something, and the file would grow for ever.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from perdure.core.commit import Commit
from perdure.persistence.settling import settled
from perdure.persistence.sqlite.database import connect
from perdure.persistence.sqlite.worker import Worker

PAGE_BYTES = 4_096
PAGES_PER_BATCH = 6
PAGES_PER_TRANSITION = 0.75
"""What a commit adds to the log beside its data; measured: 5.5 pages alone, 42 in batches of 50."""

PAGES_BETWEEN = 4_000
"""How much is logged between checkpoints: about 16 MiB."""


class Checkpointer:
    """Counts what is logged and runs checkpoints; `pause` is held by the store's commits.

    Attributes:
        done: Checkpoints after which the log began anew.
        failures: Checkpoints that SQLite refused; the next one copies what they left.
    """

    def __init__(self, database: Path, *, pause: asyncio.Lock) -> None:
        self._database = database
        self._pause = pause
        self._worker = Worker("sqlite-checkpoint")
        self._connection: sqlite3.Connection | None = None
        self._pages = 0.0
        self._task: asyncio.Task[None] | None = None
        self.done = 0
        self.failures = 0

    def committed(self, commits: Sequence[Commit]) -> None:
        """Counts a batch, and starts a checkpoint when enough has been logged."""
        self._pages += PAGES_PER_BATCH + PAGES_PER_TRANSITION * len(commits)
        self._pages += _payload_bytes(commits) / PAGE_BYTES
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
            await settled(self._worker.submit(self._checkpoint))
            async with self._pause:
                if await settled(self._worker.submit(self._checkpoint)):
                    self.done += 1
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


def _payload_bytes(commits: Sequence[Commit]) -> int:
    size = 0
    for commit in commits:
        for run in commit.runs:
            size += len(run.state)
            for batch in run.history:
                size += len(batch.blob)
        for message in commit.messages_added:
            size += len(message.data)
        for receipt in commit.receipts_added:
            size += len(receipt.data)
    return size
