"""Where a queue's rows are read from, and when.

Theory of operation: rows are read in passes from the queue's beginning to its end, a page at a time
as memory has room. A read position acknowledges nothing: many owners write one queue, so a row may
become visible behind it. Therefore:

- The next page is not read from where the last one ended but from the low-water mark: where reads
  had come to one transaction window ago. Transactions that were open then have ended by now, so
  what they wrote is seen. Re-reading costs little: tasks that were started have no row any more.
- A row that memory had and lost takes the mark back before it.
- A row that is written behind the mark later (a higher priority) comes as a hint; should the hint
  be lost, the next pass finds it, which begins at the latest one longest pass after this one began.
"""

from collections import deque
from dataclasses import dataclass

from perdure.core.matching.position import Position


class LowWaterMark:
    """How far reads have come, now and one transaction window ago."""

    __slots__ = ("_checkpoints", "_longest_pass", "_mark", "_pass_began", "_window")

    def __init__(self, *, transaction_window: float, longest_pass: float) -> None:
        """Starts at the queue's beginning.

        Args:
            transaction_window: Longer than any transaction that writes tasks stays open, seconds.
            longest_pass: After how many seconds a new pass begins, wherever this one is.
        """
        self._window = transaction_window
        self._longest_pass = longest_pass
        self._pass_began: float | None = None
        self._mark: Position | None = None
        self._checkpoints: deque[tuple[float, Position]] = deque()

    def begin(self, now: float) -> Position | None:
        """Returns the position to read after, None for the queue's beginning."""
        if self._pass_began is None or now - self._pass_began >= self._longest_pass:
            self.restart()
            self._pass_began = now
        while self._checkpoints and self._checkpoints[0][0] <= now - self._window:
            self._mark = self._checkpoints.popleft()[1]
        return self._mark

    def advance(self, began: float, position: Position) -> None:
        """Notes that a read that began at a time came to a position."""
        self._checkpoints.append((began, position))

    def retreat(self, position: Position) -> None:
        """Has a position read again."""
        while self._checkpoints and self._checkpoints[-1][1] >= position:
            self._checkpoints.pop()
        if self._mark is not None and self._mark >= position:
            self.restart()

    def restart(self) -> None:
        """Has the next read begin a new pass."""
        self._pass_began = None
        self._mark = None
        self._checkpoints.clear()


@dataclass(slots=True)
class ReadSchedule:
    """When to read a whole queue again while pollers wait: often after a surprise, then seldom.

    Attributes:
        shortest: Bound on the age of the last full read after one that found something, seconds.
        longest: Bound after many that found nothing, seconds.
        due: When the next full read is due; at once for a queue that was never read.
        retry_at: Before that nothing is read, because the store just failed.
    """

    shortest: float
    longest: float
    due: float = 0.0
    retry_at: float = 0.0
    _bound: float = 0.0

    def __post_init__(self) -> None:
        """Starts with the shortest bound."""
        assert 0 < self.shortest <= self.longest
        self._bound = self.shortest

    def completed(self, now: float, jitter: float) -> None:
        """Notes that the end of the queue was read.

        Args:
            now: Seconds.
            jitter: A number in [0, 1): queues that were loaded together shall not read together.
        """
        self.due = now + self._bound * (0.9 + 0.2 * jitter)
        self._bound = min(2 * self._bound, self.longest)

    def failed(self, now: float, jitter: float) -> None:
        """Notes that the store did not answer."""
        self.completed(now, jitter)
        self.retry_at = self.due

    def surprised(self, now: float) -> None:
        """Notes that a read brought a task that no hint had announced, and it was started."""
        self._bound = self.shortest
        self.due = min(self.due, now + self._bound)
