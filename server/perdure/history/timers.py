"""Wakes runs when something in them is due.

The near future is held in memory: what commits add, and what a scan of the timer table finds before
the horizon. Rows further ahead cost no memory until a scan reaches them. A wake-up that the run's
state does not call for changes nothing. One that fails is tried again, whatever the reason: the row
is still there, and so is the need.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from perdure.core.commit import Commit, TimerRow
from perdure.core.errors import ServiceError
from perdure.core.protobuf import NANOSECONDS_PER_SECOND, seconds
from perdure.history.shards import SlotRange
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet

RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
MOST_IN_MEMORY = 100_000

Fire = Callable[[TimerRow], Coroutine[Any, Any, None]]


class TimerQueue:
    """Calls back for each timer row that comes due."""

    def __init__(
        self,
        *,
        store: WorkflowStore,
        clock: Clock,
        tasks: TaskSet,
        horizon_seconds: float,
        page_rows: int,
        concurrency: int,
        fire: Fire,
        on_fire: Callable[[float], None] = lambda _late_seconds: None,
    ) -> None:
        """Scans nothing yet.

        Args:
            store: Where the rows are.
            clock: Says what is due.
            tasks: Where the background work runs.
            horizon_seconds: How far ahead rows are held in memory.
            page_rows: Rows read from the store at a time.
            concurrency: Rows that are handled at a time.
            fire: Handles a row that is due.
            on_fire: Told of each row, when it is first handled, how many seconds late that is.
        """
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._horizon_seconds = horizon_seconds
        self._page_rows = page_rows
        self._concurrency = concurrency
        self._fire = fire
        self._on_fire = on_fire
        self._heap: list[TimerRow] = []
        self._known: set[TimerRow] = set()
        self._failures: dict[TimerRow, int] = {}
        # Of rows that are being handled: whether one just like it has been added meanwhile.
        self._added_again: dict[TimerRow, bool] = {}
        self._due: deque[TimerRow] = deque()
        self._firing = 0
        self._horizon = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_due = 0
        self._scanner: asyncio.Task[None] | None = None
        self._ranges: Sequence[SlotRange] = ()

    @property
    def in_memory(self) -> int:
        """How many timers are due soon, or being handled."""
        return len(self._known)

    def start(self, ranges: Sequence[SlotRange]) -> None:
        """Begins to scan some slots; called again when they are others, it scans afresh."""
        self.stop()
        self._ranges = ranges
        self._horizon = self._clock.now()
        self._scanner = self._tasks.spawn("scan-timers", self._scan_forever())

    def stop(self) -> None:
        """Forgets what is in memory and scans no more."""
        if self._scanner is not None:
            self._scanner.cancel()
            self._scanner = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._heap.clear()
        self._known.clear()
        self._failures.clear()
        self._due.clear()

    def apply(self, commit: Commit) -> None:
        """Takes in the rows that a durable commit added."""
        for row in commit.timers_added:
            if row.due <= self._horizon:
                self._push(row)
            if row in self._added_again:
                self._added_again[row] = True

    def _push(self, row: TimerRow) -> None:
        if row in self._known:
            return
        self._known.add(row)
        heapq.heappush(self._heap, row)
        if self._alarm is None or row.due < self._alarm_due:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._heap:
            self._alarm_due = self._heap[0].due
            delay = max(self._alarm_due - self._clock.now(), 0) / NANOSECONDS_PER_SECOND
            self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock.now()
        while self._heap and self._heap[0].due <= now:
            self._due.append(heapq.heappop(self._heap))
        self._pump()
        self._set_alarm()

    def _pump(self) -> None:
        while self._due and self._firing < self._concurrency:
            self._firing += 1
            self._tasks.spawn("fire-timer", self._fire_one(self._due.popleft()))

    async def _fire_one(self, row: TimerRow) -> None:
        self._added_again[row] = False
        if row not in self._failures:
            self._on_fire(max(0, self._clock.now() - row.due) / NANOSECONDS_PER_SECOND)
        try:
            await self._fire(row)
        except ServiceError:
            # The store is away, and comes back for all rows at once.
            self._fire_later(row, RETRY_SECONDS)
        except Exception:
            # A fault of ours: it is reported, and must not cost the run its timer.
            failures = self._failures[row] = self._failures.get(row, 0) + 1
            pause = RETRY_SECONDS * 2.0 ** min(failures - 1, 10)
            self._fire_later(row, min(pause, LONGEST_RETRY_SECONDS))
            raise
        else:
            self._failures.pop(row, None)
            if row in self._known:
                self._known.discard(row)
                if self._added_again.get(row):
                    self._push(row)
        finally:
            # After a restart of the scan a row may be handled twice at once.
            self._added_again.pop(row, None)
            self._firing -= 1
            self._pump()

    def _fire_later(self, row: TimerRow, seconds_from_now: float) -> None:
        asyncio.get_running_loop().call_later(seconds_from_now, self._again, row)

    def _again(self, row: TimerRow) -> None:
        if row in self._known:
            self._due.append(row)
            self._pump()

    async def _scan_forever(self) -> None:
        while True:
            try:
                complete = await self._scan()
            except StoreError:
                complete = False
            await asyncio.sleep(self._horizon_seconds / 2 if complete else RETRY_SECONDS)

    async def _scan(self) -> bool:
        """Reads the rows up to the horizon; returns whether all of them fit into memory."""
        end = self._clock.now() + seconds(self._horizon_seconds)
        # Commits from here on add their own rows, so that none falls between scan and memory.
        self._horizon = end
        for slots in self._ranges:
            await self._scan_slots(slots)
        return self._horizon == end

    async def _scan_slots(self, slots: SlotRange) -> None:
        """Reads the rows of some slots; the horizon comes nearer when memory is full."""
        after: TimerRow | None = None
        while True:
            rows = await self._store.read_timers(*slots, self._horizon, after, self._page_rows)
            for row in rows:
                self._push(row)
            if len(rows) < self._page_rows:
                return
            after = rows[-1]
            if len(self._known) >= MOST_IN_MEMORY:
                self._horizon = after.due
                return
