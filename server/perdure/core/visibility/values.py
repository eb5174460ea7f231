"""Values in queries and search attributes: reading times and durations, and printing as Go does.

The real server is written in Go and puts values into its error texts in Go's way (`%v`), so that
has to be done likewise here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from perdure.core.cron import durations
from perdure.core.protobuf import NANOSECONDS_PER_SECOND

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_GO_DURATION = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d))+", re.ASCII)
_GO_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_CLOCK_DURATION = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d)", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_SEPARATORS = re.compile(r"[\x00-\x2f\x3a-\x60\x7b-\x7f]+")
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_UNIT_NANOSECONDS: Final = durations.UNITS | durations.DAYS
_LONGEST_DURATION_TEXT: Final = 100
_NANOSECOND_DIGITS: Final = 9
_GO_EXPONENT_LOW, _GO_EXPONENT_HIGH = -4, 6

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def clamped(number: int) -> int:
    """Returns the number nearest to one that fits into 64 bits."""
    return max(INT64_MIN, min(number, INT64_MAX))


def storable(text: str) -> str:
    """Returns a text as stores compare it: what they could not hold (NUL …) is U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def words(text: str) -> frozenset[str]:
    """Returns the words of a Text attribute, lower case.

    ASCII punctuation and blanks separate words; every other character belongs to one. Only ASCII
    letters are folded.
    """
    return frozenset(word for word in _SEPARATORS.split(text.translate(_LOWER)) if word)


def nanoseconds(moment: datetime) -> int:
    """Returns nanoseconds since the Unix epoch; exact to the datetime's microsecond.

    A time that 64 bits do not reach (before 1677, after 2262) is the nearest that they do, as in
    queries: one run with the year 9999 must not make a column that no database can compare.
    """
    return clamped((moment - _EPOCH) // _MICROSECOND * 1000)


def parse_datetime(text: str) -> int | None:
    """Reads an RFC 3339 time: nanoseconds since the Unix epoch, None when it is not one."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset = _offset_seconds(match[8])
    if offset is None:
        return None
    fraction = int((match[7] or "0")[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, "0"))
    whole = (moment - _EPOCH).days * 86_400
    whole += hour * 3_600 + minute * 60 + second
    return (whole - offset) * NANOSECONDS_PER_SECOND + fraction


def _offset_seconds(zone: str) -> int | None:
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:])
    if hours >= 24 or minutes >= 60:  # noqa: PLR2004 - hours of a day, minutes of an hour
        return None
    seconds = hours * 3_600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def parse_duration(text: str) -> int | None:
    """Reads `1h30m`, `2d`, `10:00:00` or a number of nanoseconds; None when it is none of them."""
    if len(text) > _LONGEST_DURATION_TEXT:
        return None
    if _INTEGER.fullmatch(text):
        return _in_range(int(text))
    if match := _CLOCK_DURATION.fullmatch(text):
        hours, minutes, seconds = (int(part) for part in match.groups())
        return _in_range((hours * 3_600 + minutes * 60 + seconds) * NANOSECONDS_PER_SECOND)
    if _GO_DURATION.fullmatch(text) is None:
        return None
    total = sum(
        int(Decimal(number) * _UNIT_NANOSECONDS[unit])
        for number, unit in _GO_DURATION_PART.findall(text)
    )
    return _in_range(-total if text.startswith("-") else total)


def _in_range(nanoseconds: int) -> int | None:
    return nanoseconds if INT64_MIN <= nanoseconds <= INT64_MAX else None


def go_format(value: object) -> str:
    """Prints a decoded JSON value as Go's `%v` does: `[a b]`, `map[k:v]`, `<nil>`, `1e+20`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case Mapping():
            pairs = (f"{key}:{go_format(value[key])}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        case str():
            return value
        case Sequence():
            return f"[{' '.join(map(go_format, value))}]"
        case _:
            return str(value)


def go_float(value: float) -> str:
    """Prints a floating-point number as Go's `%v` does: the shortest digits that are exact."""
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[repr(value)]
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    power = len(digits) + exponent - 1
    if value and not _GO_EXPONENT_LOW <= power < _GO_EXPONENT_HIGH:
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return f"{Decimal(repr(value)).normalize():f}"
