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
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from perdure.core.cron import durations, syntax
from perdure.core.cron.calendars import Calendar
from perdure.core.cron.syntax import FaultyPartError, Field
from perdure.core.cron.zones import UnknownZoneError, find_zone
from perdure.core.protobuf import NANOSECONDS_PER_SECOND

INVALID = "invalid CronSchedule."
NO_TIME = "invalid CronSchedule, no time can be found to satisfy the schedule"

_FIELDS: Final = (
    Field("minute", "Minute", "", 0, 59),
    Field("hour", "Hour", "", 0, 23),
    Field("day_of_month", "DayOfMonth", "", 1, 31),
    Field("month", "Month", "", 1, 12, syntax.MONTHS),
    Field("day_of_week", "DayOfWeek", "", 0, 6, syntax.WEEKDAYS),
)
_DIALECT: Final = syntax.Dialect(
    wildcards=frozenset("*?"),
    number=re.compile(r"[0-9]{1,9}"),
    longest_name=syntax.SHORTEST_NAME,
    wildcard_ranges=True,
)
_YEARS: Final = tuple(range(1970, 2201))
"""Any that a run may last into. (The real server looks 5 years ahead, and stops there.)"""
_ALL_DAYS: Final = tuple(range(1, 32))
_ALL_WEEKDAYS: Final = frozenset(range(7))
_ANY_TIME: Final = 946_684_800


class CronError(ValueError):
    """A schedule is none, or never comes; its text is the real server's."""


class _Values(NamedTuple):
    """The values that a field allows; `any` when it was left open."""

    values: frozenset[int]
    any: bool


@dataclass(slots=True, frozen=True)
class _Every:
    """A schedule of equal intervals, in whole seconds."""

    interval: int

    def next_after(self, second: int, now: int) -> int:
        """Returns the first time after `now` that is a number of intervals after `second`."""
        elapsed = max(now - second, 0)
        return second + (elapsed // self.interval + 1) * self.interval


@dataclass(slots=True, frozen=True)
class _Calendars:
    """A schedule of the five fields, in a time zone: the times of any of its calendars."""

    calendars: tuple[Calendar, ...]
    zone: tzinfo

    def next_after(self, second: int, now: int) -> int:
        """Returns the first time after both; 0 when there is none."""
        after = max(second, now)
        found = (each.next_instant(after, self.zone) for each in self.calendars)
        return min((each for each in found if each is not None), default=0)


Schedule = _Every | _Calendars


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
    name, _, spec = syntax.split_zone(text)
    zone = UTC if name is None else _zone(name)
    if name is not None:
        spec = spec.strip()
    if spec.startswith("@every "):
        return _Every(_whole_seconds(spec.removeprefix("@every ")))
    if spec.startswith("@"):
        if spec not in syntax.DESCRIPTORS:
            raise CronError(INVALID)
        spec = syntax.DESCRIPTORS[spec]
    parts = spec.split()
    if len(parts) != len(_FIELDS):
        raise CronError(INVALID)
    fields = [_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    return _Calendars(_calendars(*fields), zone)


def _calendars(
    minutes: _Values, hours: _Values, days: _Values, months: _Values, weekdays: _Values
) -> tuple[Calendar, ...]:
    """Returns the calendars whose times are a schedule's; two where either day is enough."""
    if days.any or weekdays.any:
        chosen = [(tuple(sorted(days.values)), weekdays.values)]
    else:
        chosen = [
            (tuple(sorted(days.values)), _ALL_WEEKDAYS),
            (_ALL_DAYS, weekdays.values),
        ]
    return tuple(
        Calendar(
            seconds=(0,),
            minutes=tuple(sorted(minutes.values)),
            hours=tuple(sorted(hours.values)),
            days=in_month,
            months=tuple(sorted(months.values)),
            years=_YEARS,
            weekdays=in_week,
        )
        for in_month, in_week in chosen
    )


def _zone(name: str) -> tzinfo:
    try:
        return find_zone(name)
    except UnknownZoneError:
        raise CronError(INVALID) from None


def _whole_seconds(text: str) -> int:
    found = durations.parse_duration(text)
    if found is None:
        raise CronError(INVALID)
    return max(found // NANOSECONDS_PER_SECOND, 1)


def _field(text: str, field: Field) -> _Values:
    values: set[int] = set()
    is_open = False
    for each in filter(None, text.split(",")):
        try:
            part = syntax.parse_part(each, field, _DIALECT)
        except FaultyPartError:
            raise CronError(INVALID) from None
        values.update(range(part.first, part.last + 1, part.step))
        is_open = is_open or (part.is_wild and part.step == 1)
    return _Values(frozenset(values), is_open)
