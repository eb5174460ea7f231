"""The numbers themselves: what a hot path holds and adds to."""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple


class CounterSeries:
    """A number that only rises."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Adds."""
        self.value += amount

    def current(self) -> float:
        """Returns the value to export."""
        return self.value


class GaugeSeries:
    """A number that rises and falls, or is asked for when it is scraped."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self._read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        """Replaces the value."""
        self.value = float(value)

    def inc(self, amount: float = 1) -> None:
        """Adds."""
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        """Subtracts."""
        self.value -= amount

    def follow(self, read: Callable[[], float]) -> None:
        """Has the value read at every scrape; `read` runs in another thread."""
        self._read = read

    def current(self) -> float:
        """Returns the value to export."""
        return self._read() if self._read else self.value


class Exemplar(NamedTuple):
    """An observation that can be looked up among the traces."""

    trace_id: str
    value: float


class HistogramSeries:
    """A distribution over fixed buckets."""

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float) -> None:
        """Counts a value, in the metric's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_traced(self, value: float, trace_id: str) -> None:
        """Counts a value and remembers its trace as the bucket's example."""
        self.observe(value)
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(trace_id, value)
