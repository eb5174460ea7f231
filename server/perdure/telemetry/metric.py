"""How a metric is declared: kind, labels, unit, buckets."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a metric's number does, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(Enum):
    """What a metric's number counts."""

    COUNT = "count"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    BYTES = "bytes"
    TIMESTAMP = "timestamp"


# The bounds of the real server's histograms, so that quantiles compare.
_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
)
_COUNTS = (*(float(step * 10**power) for power in range(5) for step in (1, 2, 5)), 100_000.0)
_BYTES = tuple(float(1024 * 2**power) for power in range(15))
BUCKETS = {
    Unit.COUNT: _COUNTS,
    Unit.SECONDS: _SECONDS,
    Unit.MILLISECONDS: tuple(bound * 1000 for bound in _SECONDS),
    Unit.BYTES: _BYTES,
}
"""Upper bounds of histogram buckets, inclusive, by unit; +Inf is implied."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's declaration. Every series of it has exactly these labels."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: Unit = Unit.COUNT
    buckets: tuple[float, ...] = ()


def counter(name: str, labels: tuple[str, ...], text: str) -> Metric:
    """Declares a number that only rises."""
    return Metric(name, Kind.COUNTER, labels, text)


def gauge(name: str, labels: tuple[str, ...], text: str, unit: Unit = Unit.COUNT) -> Metric:
    """Declares a number that rises and falls."""
    return Metric(name, Kind.GAUGE, labels, text, unit)


def histogram(name: str, labels: tuple[str, ...], text: str, unit: Unit = Unit.SECONDS) -> Metric:
    """Declares a distribution, with the buckets of its unit."""
    return Metric(name, Kind.HISTOGRAM, labels, text, unit, BUCKETS[unit])
