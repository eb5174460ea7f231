"""Cron schedules: when the next run of a chain begins.

A schedule is five fields (minute, hour, day of month, month, day of week; the last two also by
English names), or a descriptor such as `@daily`, or `@every` and a duration. `CRON_TZ=` or `TZ=`
and a time zone may come first; else times are UTC. Rules that hold here, as in the library that the
real server reads schedules with (robfig/cron, its "standard" parser): `n/step` means from n to the
end; where both days are restricted, either is enough; a local time that does not exist is skipped,
and one that comes twice counts twice; `@every` has no zone and counts whole seconds.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from perdure.core.protobuf import NANOSECONDS_PER_SECOND

INVALID = "invalid CronSchedule."
NO_TIME = "invalid CronSchedule, no time can be found to satisfy the schedule"

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS_PER_SECOND,
    "m": 60 * NANOSECONDS_PER_SECOND,
    "h": 3600 * NANOSECONDS_PER_SECOND,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[-+]?({_PART.pattern})+")
_YEARS_AHEAD = 9
"""How far a time that satisfies a schedule is looked for: February 29 is at most 8 years away, so
that a schedule which comes at all always comes within them. (The real server looks 5 years ahead.)
"""
_ANY_TIME = 946_684_800


class CronError(ValueError):
    """A schedule is none, or never comes; its text is the real server's."""


@dataclass(slots=True, frozen=True)
class _Field:
    """The values that a field allows; `any` when it was left open."""

    values: frozenset[int]
    any: bool


@dataclass(slots=True, frozen=True)
class _Bounds:
    first: int
    last: int
    names: tuple[str, ...] = ()


_BOUNDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, ("", *_MONTHS)),
    _Bounds(0, 6, tuple(_DAYS)),
)


@dataclass(slots=True, frozen=True)
class _Every:
    """A schedule of equal intervals, in whole seconds."""

    interval: int

    def next_after(self, second: int, now: int) -> int:
        """Returns the first time after `now` that is a number of intervals after `second`."""
        elapsed = max(now - second, 0)
        return second + (elapsed // self.interval + 1) * self.interval


@dataclass(slots=True, frozen=True)
class _Calendar:
    """A schedule of the five fields, in a time zone."""

    minutes: _Field
    hours: _Field
    days: _Field
    months: _Field
    weekdays: _Field
    zone: tzinfo

    def next_after(self, second: int, now: int) -> int:
        """Returns the first time after both; 0 when there is none in the years ahead."""
        after = max(second, now)
        start = datetime.fromtimestamp(after - after % 60 + 60, UTC)
        last_year = start.astimezone(self.zone).year + _YEARS_AHEAD
        time = start
        while (local := time.astimezone(self.zone)).year <= last_year:
            if local.month not in self.months.values:
                time = self._midnight((local.replace(day=1) + timedelta(days=32)).replace(day=1))
            elif not self._is_day(local):
                time = self._midnight(local + timedelta(days=1))
            elif local.hour not in self.hours.values:
                time += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes.values:
                time += timedelta(minutes=1)
            else:
                return int(time.timestamp())
        return 0

    def _midnight(self, day: datetime) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def _is_day(self, local: datetime) -> bool:
        in_month = local.day in self.days.values
        in_week = local.isoweekday() % 7 in self.weekdays.values
        if self.days.any or self.weekdays.any:
            return in_month and in_week
        return in_month or in_week


Schedule = _Every | _Calendar


def check(text: str) -> None:
    """Raises CronError unless a schedule can be read, and comes at all; "" is none."""
    if text and not _parse(text).next_after(_ANY_TIME, _ANY_TIME):
        raise CronError(NO_TIME)


def backoff(text: str, scheduled: int, now: int) -> int:
    """Returns how long the next run waits, in nanoseconds: whole seconds, rounded up.

    Args:
        text: The schedule, which has been checked; "" waits not at all.
        scheduled: When the run before it was to begin.
        now: The time. Both are nanoseconds since the Unix epoch.
    """
    if not text:
        return 0
    following = _parse(text).next_after(
        scheduled // NANOSECONDS_PER_SECOND, now // NANOSECONDS_PER_SECOND
    )
    assert following, "a schedule that has been checked comes again"
    return -(-(following * NANOSECONDS_PER_SECOND - now) // NANOSECONDS_PER_SECOND) * (
        NANOSECONDS_PER_SECOND
    )


@lru_cache(maxsize=1024)
def _parse(text: str) -> Schedule:
    spec, zone = text, None
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, _, spec = text.partition("=")[2].partition(" ")
        zone, spec = _zone(name), spec.strip()
    if spec.startswith("@every "):
        return _Every(_whole_seconds(spec.removeprefix("@every ")))
    if spec.startswith("@"):
        if spec not in _DESCRIPTORS:
            raise CronError(INVALID)
        spec = _DESCRIPTORS[spec]
    parts = spec.split()
    if len(parts) != len(_BOUNDS):
        raise CronError(INVALID)
    minutes, hours, days, months, weekdays = (
        _field(part, bounds) for part, bounds in zip(parts, _BOUNDS, strict=True)
    )
    return _Calendar(minutes, hours, days, months, weekdays, zone or UTC)


def _zone(name: str) -> tzinfo:
    if name in {"", "Local"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CronError(INVALID) from None


def _whole_seconds(text: str) -> int:
    if text in {"0", "+0", "-0"}:
        return 1
    if not _DURATION.fullmatch(text):
        raise CronError(INVALID)
    total = sum(int(float(number) * _UNITS[unit]) for number, unit in _PART.findall(text))
    return 1 if text.startswith("-") else max(total // NANOSECONDS_PER_SECOND, 1)


def _field(text: str, bounds: _Bounds) -> _Field:
    values: set[int] = set()
    open_field = False
    for part in filter(None, text.split(",")):
        chosen, is_open = _range(part, bounds)
        values.update(chosen)
        open_field = open_field or is_open
    return _Field(frozenset(values), open_field)


def _range(text: str, bounds: _Bounds) -> tuple[range, bool]:
    """Returns the values of one part of a field, and whether it leaves the field open."""
    whole, *steps = text.split("/")
    low, *highs = whole.split("-")
    if len(steps) > 1 or (len(highs) > 1 and low not in {"*", "?"}):
        raise CronError(INVALID)
    is_open = low in {"*", "?"}
    if is_open:
        first, last = bounds.first, bounds.last
    else:
        first = _number(low, bounds)
        last = _number(highs[0], bounds) if highs else first
    step = _plain_number(steps[0]) if steps else 1
    if steps and not highs:
        last = bounds.last
    if first < bounds.first or last > bounds.last or first > last or not step:
        raise CronError(INVALID)
    return range(first, last + 1, step), is_open and step == 1


def _number(text: str, bounds: _Bounds) -> int:
    name = text.lower()
    return bounds.names.index(name) if name and name in bounds.names else _plain_number(text)


def _plain_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004 - any bound
        raise CronError(INVALID)
    return int(text)
