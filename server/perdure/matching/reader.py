"""Reads a queue's rows into its backlog: on load, when memory forgot some, and from time to time.

Rules that hold here: one read at a time; nothing is read unless pollers wait or take; at most one
timer per queue, however many pollers wait; a store that fails is left alone for a while.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from perdure.core.commit import DispatchKey, DispatchTask, TaskQueueKey
from perdure.core.matching.backlog import Backlog
from perdure.core.matching.position import key_at
from perdure.core.matching.reading import ReadSchedule
from perdure.persistence.ports import StoreError
from perdure.runtime.tasks import TaskSet


class QueueRows(Protocol):
    """The part of a WorkflowStore that matching uses."""

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        ...

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        """Returns the first partition of a queue after a given one that has tasks, if any."""
        ...


class BacklogReader:
    """The reader of one queue."""

    __slots__ = (
        "_backlog",
        "_closed",
        "_jitter",
        "_loop",
        "_on_rows",
        "_pollers_wait",
        "_queue",
        "_rows",
        "_schedule",
        "_tasks",
        "_timer",
        "idle",
    )

    def __init__(
        self,
        *,
        queue: TaskQueueKey,
        backlog: Backlog,
        schedule: ReadSchedule,
        rows: QueueRows,
        tasks: TaskSet,
        jitter: Callable[[], float],
        pollers_wait: Callable[[], bool],
        on_rows: Callable[[], None],
    ) -> None:
        """Makes a reader that has read nothing.

        Args:
            queue: Whose rows.
            backlog: Where they go.
            schedule: When to read all of them.
            rows: Where they come from.
            tasks: Runs the reads.
            jitter: Returns a number in [0, 1).
            pollers_wait: Tells whether a poller has no task.
            on_rows: Called when the backlog may have new tasks.
        """
        self.idle = True
        """Whether no read is under way nor planned."""
        self._queue = queue
        self._backlog = backlog
        self._schedule = schedule
        self._rows = rows
        self._tasks = tasks
        self._jitter = jitter
        self._pollers_wait = pollers_wait
        self._on_rows = on_rows
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def plan(self) -> None:
        """Sees to it that a poller that waits or takes is served from the rows in good time."""
        if self._backlog.reading or self._closed:
            return
        if self._backlog.unread:
            if not self._backlog.wants_rows:
                return
            when = self._schedule.retry_at
        else:
            when = self._schedule.due
        if when <= self._loop.time():
            self._stop_timer()
            self._begin()
        elif self._timer is None or when < self._timer.when():
            self._stop_timer()
            self.idle = False
            self._timer = self._loop.call_at(when, self._on_timer)

    def surprised(self) -> None:
        """Notes that a task was started of which only its row had told."""
        self._schedule.surprised(self._loop.time())

    def close(self) -> None:
        """Plans nothing any more."""
        self._closed = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.idle = True

    def _on_timer(self) -> None:
        self._timer = None
        self.idle = True
        if self._pollers_wait():
            self.plan()

    def _begin(self) -> None:
        self.idle = False
        after, limit = self._backlog.begin_read(self._loop.time())
        self._tasks.spawn(f"read {self._queue.name}", self._read(key_at(self._queue, after), limit))

    async def _read(self, after: DispatchKey | None, limit: int) -> None:
        try:
            rows = await self._rows.read_queue(self._queue, after, limit)
        except StoreError:
            self._failed()
        except BaseException:
            self._failed()
            raise
        else:
            self._succeeded(rows)
        finally:
            if self._pollers_wait():
                self.plan()

    def _succeeded(self, rows: list[DispatchTask]) -> None:
        self.idle = True
        if self._backlog.end_read(rows):
            self._schedule.completed(self._loop.time(), self._jitter())
        self._on_rows()

    def _failed(self) -> None:
        self.idle = True
        self._backlog.fail_read()
        self._schedule.failed(self._loop.time(), self._jitter())
