"""The statistics of the benchmark."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that so many percent do not exceed.

    Args:
        values: At least one value, in any order.
        percent: Above 0, up to 100.
    """
    assert values, "a percentile needs a value"
    assert 0 < percent <= 100, percent
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[rank - 1]


def spread(values: Sequence[float]) -> float:
    """How far repeated measurements lie apart: (largest - smallest) / mean, 0 for a single one."""
    mean = sum(values) / len(values)
    return (max(values) - min(values)) / mean if mean else 0.0


def ratio(value: float, base: float) -> float | None:
    """`value / base`, or None when the base was too small to be measured."""
    return value / base if base else None
