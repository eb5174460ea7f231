"""Throws away receipts of messages that cannot come again."""

import asyncio
from collections.abc import Callable, Sequence

from perdure.history.shards import SlotRange
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet

LOT_ROWS = 1000
LOT_PAUSE_SECONDS = 0.1
"""Between two lots: requests come first."""


class ReceiptSweep:
    """Deletes the expired receipts of the owned slots, every so often.

    A receipt that has expired is nobody's to read, so it does no harm that its slot may be another
    node's by now.
    """

    def __init__(
        self,
        *,
        store: WorkflowStore,
        clock: Clock,
        tasks: TaskSet,
        period_seconds: float,
        ranges: Callable[[], Sequence[SlotRange]],
    ) -> None:
        """Makes it; `start` begins.

        Args:
            store: Where the receipts are.
            clock: Tells which have expired.
            tasks: Where the background work runs.
            period_seconds: How long it rests after each round.
            ranges: Returns the slots that are owned.
        """
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._period_seconds = period_seconds
        self._ranges = ranges
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, unless it has begun."""
        if self._task is None:
            self._task = self._tasks.spawn("sweep-receipts", self._sweep_forever())

    def stop(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_seconds)
            try:
                await self._sweep()
            except StoreError:
                # They can wait for the next round.
                continue

    async def _sweep(self) -> None:
        now = self._clock.now()
        for slots in self._ranges():
            deleted = LOT_ROWS
            while deleted == LOT_ROWS:
                deleted = await self._store.delete_expired_receipts(*slots, now, LOT_ROWS)
                await asyncio.sleep(LOT_PAUSE_SECONDS)
