"""What a partition knows of its queue's tasks: a bounded, sorted memory in front of the rows.

Theory of operation: a task is held (waits for a poller), or in flight (given to a poller, history
has not yet said whether it started), or unknown. Hints, rows and tasks that are put back are held;
the best is taken first. When memory is full the worst is forgotten, which is no loss: its row is
there, `unread` is set, and the low-water mark goes back before it.

Rules that hold here:

- A task is never both held and in flight, nor twice either of them: hints and rows that repeat what
  is known are dropped.
- What a read returns is old: a task that was finished while the read was under way may be among it,
  and is dropped. A read sees all that was committed before it began, so nothing older needs
  remembering.
- Until the first read has begun nothing is held: that read finds what was hinted before.
"""

from bisect import insort
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from perdure.core.commit import DispatchTask
from perdure.core.matching.position import Position, position_of
from perdure.core.matching.reading import LowWaterMark


class Source(Enum):
    """How a task that is in flight came to its poller."""

    SYNC = "sync"
    """A poller waited when the hint came."""
    MEMORY = "memory"
    """It was held as a hint."""
    ROWS = "rows"
    """No hint had come, or it was forgotten: a read found it."""


class ReadRange(NamedTuple):
    """Which rows to read next: at most `limit` after a position, None being the beginning."""

    after: Position | None
    limit: int


class Backlog:
    """One queue's tasks.

    Attributes:
        unread: Whether there may be rows that memory has never seen or has forgotten.
    """

    __slots__ = (
        "_capacity",
        "_finished",
        "_from_rows",
        "_held",
        "_in_flight",
        "_lost",
        "_lost_since",
        "_mark",
        "_order",
        "_page_size",
        "_read",
        "_read_began",
        "_unheld",
        "unread",
    )

    def __init__(self, *, capacity: int, page_size: int, mark: LowWaterMark) -> None:
        """Makes the memory of a queue that was never read.

        Args:
            capacity: How many tasks are held.
            page_size: How many rows a read brings; not more than `capacity`.
            mark: Where reads begin.
        """
        assert 0 < page_size <= capacity
        self.unread = True
        self._capacity = capacity
        self._page_size = page_size
        self._mark = mark
        self._held: dict[Position, DispatchTask] = {}
        self._order: list[Position] = []
        self._from_rows: set[Position] = set()
        self._in_flight: dict[Position, Source] = {}
        self._read: ReadRange | None = None
        self._read_began: float | None = None
        self._finished: set[Position] = set()
        self._lost: Position | None = None
        self._unheld = 0
        self._lost_since = 0

    @property
    def held(self) -> int:
        """How many tasks wait in memory."""
        return len(self._order)

    @property
    def first(self) -> Position | None:
        """Where the best task in memory stands."""
        return self._order[0] if self._order else None

    @property
    def in_flight(self) -> int:
        """How many tasks are with a poller, undecided."""
        return len(self._in_flight)

    @property
    def reading(self) -> bool:
        """Whether a read is under way."""
        return self._read is not None

    @property
    def wants_rows(self) -> bool:
        """Whether there are unread rows, and memory runs short of tasks."""
        return self.unread and 2 * len(self._order) <= self._page_size

    @property
    def waiting(self) -> int:
        """About how many tasks no poller has."""
        return len(self._order) + self._unheld

    @property
    def approximate_count(self) -> int:
        """About how many tasks the queue has."""
        return self.waiting + len(self._in_flight)

    @property
    def approximate_oldest(self) -> int:
        """About when the oldest task was scheduled: nanoseconds since the epoch, 0 for none."""
        if not self._order:
            return self._lost_since if self._unheld else 0
        first = self._held[self._order[0]].scheduled_time
        return min(first, self._lost_since) if self._lost_since else first

    def claim(self, task: DispatchTask) -> bool:
        """Takes a hint in flight, past memory; False when the task is known."""
        position = task.key[1:]
        if position in self._in_flight or position in self._held:
            return False
        self._in_flight[position] = Source.SYNC
        if self._finished:
            self._finished.discard(position)
        return True

    def hold(self, task: DispatchTask) -> bool:
        """Keeps a hint; False when it is known already, or forgotten at once."""
        position = task.key[1:]
        if position in self._in_flight or position in self._held:
            return False
        if self._finished:
            self._finished.discard(position)
        return self._keep(position, task)

    def take(self) -> DispatchTask | None:
        """Takes the best task in flight."""
        if not self._order:
            return None
        position = self._order.pop(0)
        task = self._held.pop(position)
        self._in_flight[position] = self._source_of(position)
        return task

    def put_back(self, task: DispatchTask) -> None:
        """Holds a task again that was in flight and was not decided."""
        position = position_of(task)
        source = self._in_flight.pop(position)
        if self._keep(position, task) and source is Source.ROWS:
            self._from_rows.add(position)

    def finish(self, task: DispatchTask) -> Source:
        """Forgets a task in flight: history started it, or does not want it any more."""
        position = task.key[1:]
        if self._read is not None:
            self._finished.add(position)
        return self._in_flight.pop(position)

    def begin_read(self, now: float) -> ReadRange:
        """Returns which rows to read; `end_read` or `fail_read` follows.

        Rows that memory knows may come again, so the limit leaves room for them: a read always
        gets on.
        """
        assert self._read is None
        after = self._mark.begin(now)
        self._read = ReadRange(after, self._page_size + len(self._order) + len(self._in_flight))
        self._read_began = now
        self._lost = None
        return self._read

    def end_read(self, rows: Sequence[DispatchTask]) -> bool:
        """Holds the rows that are new; returns whether the queue was read to its end."""
        assert self._read is not None
        assert self._read_began is not None
        at_end = len(rows) < self._read.limit
        if at_end:
            self._mark.restart()
            self._unheld, self._lost_since = 0, 0
        else:
            self._mark.advance(self._read_began, position_of(rows[-1]))
            self._unheld = max(self._unheld, 1)
        self.unread = not at_end
        if self._lost is not None:
            # It was forgotten while the read was under way, which may not have seen its row.
            self._mark.retreat(self._lost)
            self.unread = True
        for task in rows:
            self._hold_row(task)
        self._end()
        return at_end

    def fail_read(self) -> None:
        """Notes that the store did not answer: the same rows are to be read again."""
        assert self._read is not None
        if self._lost is not None:
            self._mark.retreat(self._lost)
        self._end()

    def _end(self) -> None:
        self._read = None
        self._finished.clear()

    def _hold_row(self, task: DispatchTask) -> None:
        position = position_of(task)
        known = position in self._in_flight or position in self._held
        if known or position in self._finished:
            return
        if self._keep(position, task):
            self._from_rows.add(position)
            self._unheld = max(0, self._unheld - 1)

    def _keep(self, position: Position, task: DispatchTask) -> bool:
        """Holds a task in its order; returns whether it is held, or else forgotten."""
        if self._read_began is None:
            self._forget(position, task)
            return False
        if len(self._order) >= self._capacity:
            worst = self._order[-1]
            if position > worst:
                self._forget(position, task)
                return False
            self._order.pop()
            self._from_rows.discard(worst)
            self._forget(worst, self._held.pop(worst))
        self._held[position] = task
        insort(self._order, position)
        return True

    def _forget(self, position: Position, task: DispatchTask) -> None:
        self.unread = True
        self._unheld += 1
        self._lost_since = min(self._lost_since or task.scheduled_time, task.scheduled_time)
        self._mark.retreat(position)
        if self._lost is None or position < self._lost:
            self._lost = position

    def _source_of(self, position: Position) -> Source:
        if position in self._from_rows:
            self._from_rows.remove(position)
            return Source.ROWS
        return Source.MEMORY
