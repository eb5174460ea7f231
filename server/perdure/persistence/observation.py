"""What a store tells about itself: counters to read, and an observer to call.

Rules that hold here: everything is pre-bound and cheap, and nothing here can fail an operation.
Seconds are the machine's, only ever reported.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from perdure.runtime.clock import stopwatch


class StoreObserver(Protocol):
    """What telemetry implements to hear of a store's work."""

    def commit_done(self, size: int, seconds: float) -> None:
        """A batch of `size` transitions is durable, `seconds` after it was handed over."""
        ...

    def operation_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """A call of the store named `operation` has ended, with an error or without."""
        ...


@dataclass(slots=True)
class ConnectionStatistics:
    """The connections of a store that has some.

    Attributes:
        limit: How many may be open.
        open: How many are.
        busy: How many of those do something.
        attempts: How often one was made, or tried to be, since the store was opened.
        failures: How often none could be made.
    """

    limit: int = 0
    open: int = 0
    busy: int = 0
    attempts: int = 0
    failures: int = 0


@dataclass(slots=True)
class StoreStatistics:
    """Sums since the store was opened.

    Attributes:
        commits: Batches that were made durable.
        transitions: Transitions in those batches, the refused ones too.
        largest_batch: Most transitions in one batch.
        commit_seconds: Time from hand-over to durability, summed over batches.
        failed_commits: Batches that raised.
        careful_commits: Batches that had to be applied one transition at a time.
        reads: Reads that ended, with an error or without.
        read_seconds: Time spent in reads.
        connections: Those to the database, where there are any.
    """

    commits: int = 0
    transitions: int = 0
    largest_batch: int = 0
    commit_seconds: float = 0.0
    failed_commits: int = 0
    careful_commits: int = 0
    reads: int = 0
    read_seconds: float = 0.0
    connections: ConnectionStatistics | None = None


class Meter:
    """Keeps a store's statistics and passes them on to its observer."""

    __slots__ = ("_observer", "statistics")

    def __init__(self, observer: StoreObserver | None) -> None:
        self.statistics = StoreStatistics()
        self._observer = observer

    def committed(self, size: int, seconds: float) -> None:
        """Counts a batch that is durable."""
        sums = self.statistics
        sums.commits += 1
        sums.transitions += size
        sums.largest_batch = max(sums.largest_batch, size)
        sums.commit_seconds += seconds
        if self._observer is not None:
            self._observer.commit_done(size, seconds)
            self._observer.operation_done("commit", seconds, None)

    def commit_failed(self, seconds: float, error: BaseException) -> None:
        """Counts a batch that raised."""
        self.statistics.failed_commits += 1
        if self._observer is not None:
            self._observer.operation_done("commit", seconds, error)

    def read_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """Counts any other call."""
        sums = self.statistics
        sums.reads += 1
        sums.read_seconds += seconds
        if self._observer is not None:
            self._observer.operation_done(operation, seconds, error)

    def reading(self, operation: str) -> "Measured":
        """Returns a context that times one call other than a commit."""
        return Measured(self, operation)


class Measured:
    """Times the block that it encloses."""

    __slots__ = ("_meter", "_operation", "_started")

    def __init__(self, meter: Meter, operation: str) -> None:
        self._meter = meter
        self._operation = operation
        self._started = 0.0

    def __enter__(self) -> Self:
        self._started = stopwatch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = stopwatch() - self._started
        self._meter.read_done(self._operation, seconds, error)
