"""Durations as cron strings write them: "1h30m", "1.5s"; as Go's time package reads them."""

import re
from typing import Final

from perdure.core.protobuf import NANOSECONDS_PER_SECOND

UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS_PER_SECOND,
    "m": 60 * NANOSECONDS_PER_SECOND,
    "h": 3_600 * NANOSECONDS_PER_SECOND,
}
"""Nanoseconds of each unit."""
DAYS: Final = {"d": 86_400 * NANOSECONDS_PER_SECOND}
"""A unit that Go does not know."""
_COMPONENT: Final = re.compile(r"0*+([0-9]*+)(?:\.([0-9]*+))?(ns|us|µs|μs|ms|s|m|h|d)")
_MOST_DIGITS: Final = 19
"""Of a number of nanoseconds; more of a fraction are below one."""
_LONGEST: Final = (1 << 63) - 1


def parse_duration(text: str, more_units: dict[str, int] | None = None) -> int | None:
    """Returns a duration in nanoseconds; None when the text is none, or too long a one.

    Args:
        text: Numbers, each with a unit; a sign may come first. "0" needs no unit.
        more_units: Units that count beside Go's own.
    """
    units = UNITS if more_units is None else UNITS | more_units
    sign, unsigned = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if unsigned == "0":
        return 0
    total, at = 0, 0
    while at < len(unsigned):
        found = _COMPONENT.match(unsigned, at)
        if found is None or found[3] not in units or not _has_digits(found):
            return None
        total += _nanoseconds(found[1], found[2] or "", units[found[3]])
        if total > _LONGEST:
            return None
        at = found.end()
    return sign * total if at else None


def _has_digits(found: re.Match[str]) -> bool:
    return found[0][0].isdigit() or bool(found[2])


def _nanoseconds(whole: str, fraction: str, unit: int) -> int:
    if len(whole) > _MOST_DIGITS:
        return _LONGEST + 1
    fraction = fraction[:_MOST_DIGITS]
    power: int = 10 ** len(fraction)
    return int(whole or "0") * unit + int(fraction or "0") * unit // power
