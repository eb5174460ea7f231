"""The root of a queue looks for tasks of partitions that nobody serves.

A partition comes into memory with its first poll or hint, and pollers wait at the root. So when a
node is lost with the hints that it had, or when the number of partitions was lowered while there
were tasks in those that polls do not reach any more, rows may wait of which nobody thinks. While
pollers wait at the root, it looks now and then which partitions have rows, and hands some of them
to their partitions as hints: this brings these into memory, and they forward all that they have.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.core.matching.reading import ReadSchedule
from perdure.matching.reader import QueueRows
from perdure.matching.settings import MatchingSettings
from perdure.persistence.ports import StoreError
from perdure.runtime.tasks import TaskSet


class PartitionWatch:
    """Looks after the other partitions of a queue.

    Attributes:
        idle: Whether no look is under way nor planned.
    """

    __slots__ = (
        "_closed",
        "_hint",
        "_jitter",
        "_limit",
        "_loop",
        "_pollers_wait",
        "_root",
        "_rows",
        "_schedule",
        "_tasks",
        "_timer",
        "idle",
    )

    def __init__(
        self,
        *,
        root: TaskQueueKey,
        settings: MatchingSettings,
        rows: QueueRows,
        hint: Callable[[Sequence[DispatchTask]], None],
        tasks: TaskSet,
        jitter: Callable[[], float],
        pollers_wait: Callable[[], bool],
    ) -> None:
        """Has looked at nothing.

        Args:
            root: The root of the queue.
            settings: Says how often to look.
            rows: Where rows are found.
            hint: Hands tasks to their partitions.
            tasks: Runs the looks.
            jitter: Returns a number in [0, 1).
            pollers_wait: Tells whether a poller waits at the root.
        """
        self.idle = True
        self._root = root
        self._limit = settings.forwards
        self._rows = rows
        self._hint = hint
        self._tasks = tasks
        self._jitter = jitter
        self._pollers_wait = pollers_wait
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        if settings.partitions > 1:
            bounds = settings.shortest_read_interval, settings.longest_read_interval
        else:
            # Only what was left when there were more.
            bounds = settings.idle_unload, settings.idle_unload
        self._schedule = ReadSchedule(*bounds)

    def plan(self) -> None:
        """Sees to it that there is a look in good time."""
        if self._closed or not self.idle:
            return
        self.idle = False
        when = self._schedule.due
        if when <= self._loop.time():
            self._begin()
        else:
            self._timer = self._loop.call_at(when, self._on_timer)

    def close(self) -> None:
        """Looks no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._pollers_wait():
            self._begin()
        else:
            self.idle = True

    def _begin(self) -> None:
        self._tasks.spawn(f"look at partitions of {self._root.name}", self._look())

    async def _look(self) -> None:
        found: list[DispatchTask] = []
        try:
            # While rows cannot be read, tasks cannot be started either.
            with suppress(StoreError):
                found = await self._read()
        finally:
            self._schedule.completed(self._loop.time(), self._jitter())
            self.idle = True
        if found and not self._closed:
            self._schedule.surprised(self._loop.time())
            self._hint(found)
        if self._pollers_wait():
            self.plan()

    async def _read(self) -> list[DispatchTask]:
        """Returns the first tasks of each partition that has some."""
        found: list[DispatchTask] = []
        queue = self._root
        while (number := await self._rows.next_partition(queue)) is not None:
            queue = queue._replace(partition=number)
            found += await self._rows.read_queue(queue, None, self._limit)
        return found
