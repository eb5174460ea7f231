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


class SpanIds(NamedTuple):
    """A sampled span, in hexadecimal digits: 32 of its trace, 16 of its own."""

    trace_id: str
    span_id: str


CurrentSpan = Callable[[], SpanIds | None]
"""Returns the sampled span that an observation belongs to; None where there is none."""


class Exemplar(NamedTuple):
    """An observation that can be looked up among the traces.

    Attributes:
        span: Where.
        value: In the metric's unit.
        seconds: When, since the Unix epoch.
    """

    span: SpanIds
    value: float
    seconds: float


class HistogramSeries:
    """A distribution over fixed buckets."""

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        """The last traced observation of each bucket, by the bucket's place."""

    def observe(self, value: float) -> None:
        """Counts a value, in the metric's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class TracedHistogramSeries(HistogramSeries):
    """A distribution whose buckets remember the last observation of a sampled trace."""

    __slots__ = ("_now", "_span")

    def __init__(
        self, bounds: tuple[float, ...], span: CurrentSpan, now: Callable[[], float]
    ) -> None:
        super().__init__(bounds)
        self._span = span
        self._now = now

    def observe(self, value: float) -> None:
        """Counts a value, in the metric's unit."""
        position = bisect_left(self.bounds, value)
        self.counts[position] += 1
        self.total += value
        span = self._span()
        if span is not None:
            self.exemplars[position] = Exemplar(span, value, self._now())
