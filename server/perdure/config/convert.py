"""Converters from what JSON and YAML can hold to the types of settings.

Every converter raises ValueError with half a sentence that says what it wants.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal

_NANOSECONDS_BY_UNIT = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "": 1_000_000_000,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|$)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")


def boolean(value: object) -> bool:
    """Accepts true and false, and the words as a string."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError("wants true or false")


def integer(value: object) -> int:
    """Accepts whole numbers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("wants a whole number")


def number(value: object) -> float:
    """Accepts numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError("wants a number")


def text(value: object) -> str:
    """Accepts strings."""
    if isinstance(value, str):
        return value
    raise ValueError("wants a string")


def nanoseconds(value: object) -> int:
    """Accepts durations: a number of seconds, or a string such as "1m30s", "500ms", "3d"."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        parts = _DURATION_PART.findall(value)
        return int(sum(Decimal(amount) * _NANOSECONDS_BY_UNIT[unit] for amount, unit in parts))
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(Decimal(str(value)) * 1_000_000_000)
    raise ValueError('wants a duration such as "10s" or a number of seconds')


def seconds(value: object) -> float:
    """Accepts what `nanoseconds` does, and returns seconds."""
    return nanoseconds(value) / 1e9


def whole_seconds(value: object) -> int:
    """Accepts what `nanoseconds` does, and returns seconds, rounded down."""
    return nanoseconds(value) // 1_000_000_000


def at_least(minimum: int, convert: Callable[[object], int] = integer) -> Callable[[object], int]:
    """Returns a converter that refuses anything below `minimum`."""

    def checked(value: object) -> int:
        converted = convert(value)
        if converted < minimum:
            raise ValueError(f"wants at least {minimum}")
        return converted

    return checked


def number_at_least(minimum: float) -> Callable[[object], float]:
    """Returns a converter that accepts numbers and refuses anything below `minimum`."""

    def checked(value: object) -> float:
        converted = number(value)
        if not minimum <= converted < math.inf:
            raise ValueError(f"wants a number of at least {minimum:g}")
        return converted

    return checked
