"""Counters, gauges and histograms that cost a hot path one or two additions.

A `Metrics` object holds the series of one server, so that several can live in one process. Code
binds its series when it is put together, or when a task queue loads, and keeps them:

    requests = metrics.counter(catalogue.SERVICE_REQUESTS).bind(operation="X", namespace="y")
    requests.inc()

Series belong to the event loop's thread; a scrape in another thread only reads. The number of
series of a metric is capped: beyond the cap the labels that clients choose are replaced by
`_overflow_`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from perdure.telemetry.metric import Kind, Metric
from perdure.telemetry.series import (
    CounterSeries,
    CurrentSpan,
    GaugeSeries,
    HistogramSeries,
    TracedHistogramSeries,
)

SERIES_LIMIT = 2_000
"""Series per metric: enough for 500 task queues of two types with two partitions."""
OVERFLOW = "_overflow_"
_QUEUE = "taskqueue"
_CHOSEN_BY_CLIENTS = frozenset({"namespace", "taskqueue", "workflowType", "activityType"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


S = TypeVar("S")


class _Ledger:
    """What is kept of one metric beside its series, however it is seen.

    Attributes:
        overflowed: How often a series was not made, since there were too many.
        of_queues: The series of each task queue: queues come and go, and those of others are not
            to be looked through then.
    """

    __slots__ = ("of_queues", "overflowed")

    def __init__(self) -> None:
        self.overflowed = 0
        self.of_queues: dict[str, set[tuple[str, ...]]] = {}


class Family(Generic[S]):
    """All series of one metric, seen through preset labels."""

    __slots__ = ("_ledger", "_limit", "_make", "_preset", "_queue", "_series", "metric")

    def __init__(
        self,
        metric: Metric,
        make: Callable[[], S],
        *,
        limit: int = SERIES_LIMIT,
        preset: Mapping[str, str] | None = None,
        series: dict[tuple[str, ...], S] | None = None,
        ledger: _Ledger | None = None,
    ) -> None:
        self.metric = metric
        self._make = make
        self._limit = limit
        self._preset = dict(preset or {})
        self._series = {} if series is None else series
        self._ledger = ledger or _Ledger()
        self._queue = metric.labels.index(_QUEUE) if _QUEUE in metric.labels else None

    def bind(self, **labels: str) -> S:
        """Returns the series with these label values, making it when it is new.

        Raises:
            ValueError: The labels, preset ones included, are not exactly the metric's.
        """
        key = self._key(labels)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self._limit:
                key = self._overflow(key)
                self._ledger.overflowed += 1
            series = self._series.setdefault(key, self._make())
            if self._queue is not None:
                self._ledger.of_queues.setdefault(key[self._queue], set()).add(key)
        return series

    def share(self, series: S, **labels: str) -> None:
        """Has a series of another metric be this one's too: the two always have one value."""
        assert self._queue is None, "series of task queues come and go by themselves"
        key = self._key(labels)
        if len(self._series) < self._limit:
            self._series[key] = series

    def drop(self, **labels: str) -> None:
        """Forgets every series that has these label values."""
        wanted = {name: sanitise(value) for name, value in {**self._preset, **labels}.items()}
        positions = [
            (position, wanted[name])
            for position, name in enumerate(self.metric.labels)
            if name in wanted
        ]
        of_queues = self._ledger.of_queues
        indexed = self._queue is not None and _QUEUE in wanted
        for key in list(of_queues.get(wanted[_QUEUE], ()) if indexed else self._series):
            if all(key[position] == value for position, value in positions):
                del self._series[key]
                if self._queue is not None:
                    left = of_queues[key[self._queue]]
                    left.discard(key)
                    if not left:
                        del of_queues[key[self._queue]]

    def __len__(self) -> int:
        """Returns how many series there are."""
        return len(self._series)

    @property
    def overflowed(self) -> int:
        """How often a series was asked for that was not made, since there were too many."""
        return self._ledger.overflowed

    def series(self) -> Iterator[tuple[tuple[str, ...], S]]:
        """Yields label values and series, as they are at this moment."""
        yield from list(self._series.items())

    def through(self, preset: Mapping[str, str]) -> "Family[S]":
        """Returns the same series seen through preset labels, those the metric has."""
        kept = {name: value for name, value in preset.items() if name in self.metric.labels}
        return Family(
            self.metric,
            self._make,
            limit=self._limit,
            preset=kept,
            series=self._series,
            ledger=self._ledger,
        )

    def _key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        merged = {**self._preset, **labels}
        if merged.keys() != set(self.metric.labels):
            raise ValueError(
                f"{self.metric.name} has labels {self.metric.labels}, not {tuple(merged)}"
            )
        return tuple(sanitise(merged[name]) for name in self.metric.labels)

    def _overflow(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            OVERFLOW if name in _CHOSEN_BY_CLIENTS else value
            for name, value in zip(self.metric.labels, key, strict=True)
        )


AnyFamily = Family[CounterSeries] | Family[GaugeSeries] | Family[HistogramSeries]


@dataclass(frozen=True, slots=True)
class Traces:
    """Which histograms carry exemplars.

    Attributes:
        spans: By metric, what says which span an observation belongs to.
        now: Returns the time, in seconds since the Unix epoch.
    """

    spans: Mapping[Metric, CurrentSpan]
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one server, seen through preset labels."""

    series_limit: int = SERIES_LIMIT
    preset: Mapping[str, str] = field(default_factory=dict)
    traces: Traces | None = None
    _counters: dict[str, Family[CounterSeries]] = field(default_factory=dict)
    _gauges: dict[str, Family[GaugeSeries]] = field(default_factory=dict)
    _histograms: dict[str, Family[HistogramSeries]] = field(default_factory=dict)

    def scoped(self, **labels: str) -> "Metrics":
        """Returns the same metrics with label values filled in (service_name="history")."""
        return replace(self, preset={**self.preset, **labels})

    def traced(self, traces: Traces) -> "Metrics":
        """Returns the same metrics; histograms that are new from now on carry exemplars."""
        return replace(self, traces=traces)

    def counter(self, metric: Metric) -> Family[CounterSeries]:
        """Returns a counter's series."""
        assert metric.kind is Kind.COUNTER, metric.name
        made = Family(metric, CounterSeries, limit=self.series_limit)
        return self._counters.setdefault(metric.name, made).through(self.preset)

    def gauge(self, metric: Metric) -> Family[GaugeSeries]:
        """Returns a gauge's series."""
        assert metric.kind is Kind.GAUGE, metric.name
        made = Family(metric, GaugeSeries, limit=self.series_limit)
        return self._gauges.setdefault(metric.name, made).through(self.preset)

    def histogram(self, metric: Metric) -> Family[HistogramSeries]:
        """Returns a histogram's series."""
        assert metric.kind is Kind.HISTOGRAM, metric.name
        made = Family(metric, self._maker(metric), limit=self.series_limit)
        return self._histograms.setdefault(metric.name, made).through(self.preset)

    def _maker(self, metric: Metric) -> Callable[[], HistogramSeries]:
        span = self.traces.spans.get(metric) if self.traces is not None else None
        if self.traces is None or span is None:
            return partial(HistogramSeries, metric.buckets)
        return partial(TracedHistogramSeries, metric.buckets, span, self.traces.now)

    def families(self) -> list[AnyFamily]:
        """Returns every metric that has been asked for, by name."""
        by_name: dict[str, AnyFamily] = {**self._counters, **self._gauges, **self._histograms}
        return [by_name[name] for name in sorted(by_name)]


def sanitise(value: str) -> str:
    """Returns a label value as the real server writes it: anything unusual is an underscore."""
    return _UNSAFE.sub("_", value)
