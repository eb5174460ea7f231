"""From cron strings and textual calendars to structured ones.

Rules that hold here: what is accepted, what it comes to and what is said of the rest is as on the
real server. Five fields are minute, hour, day of month, month, day of week; a sixth is the year; of
seven the first is the second.
"""

import re
from typing import Final, NamedTuple

from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.cron import durations, syntax
from perdure.core.cron.calendars import FIRST_YEAR, LAST_YEAR
from perdure.core.cron.syntax import Fault, FaultyPartError, Field
from perdure.core.protobuf import set_duration


class InvalidSpecError(ValueError):
    """A spec is not one; the text is the real server's, for the client."""


_SUNDAY: Final = 7

FIELDS: Final = (
    Field("second", "Second", "0", 0, 59),
    Field("minute", "Minute", "0", 0, 59),
    Field("hour", "Hour", "0", 0, 23),
    Field("day_of_month", "DayOfMonth", "*", 1, 31),
    Field("month", "Month", "*", 1, 12, syntax.MONTHS),
    Field("year", "Year", "*", FIRST_YEAR, LAST_YEAR),
    # The whole week has one Sunday.
    Field("day_of_week", "DayOfWeek", "*", 0, _SUNDAY, syntax.WEEKDAYS, end=_SUNDAY - 1),
)
_FIVE = ("minute", "hour", "day_of_month", "month", "day_of_week")
_LAYOUTS: Final = {5: _FIVE, 6: (*_FIVE, "year"), 7: ("second", *_FIVE, "year")}
_DIALECT: Final = syntax.Dialect(
    wildcards=frozenset("*"),
    number=re.compile(r"[+-]?[0-9]{1,18}"),
    longest_name=None,
    wildcard_ranges=False,
)
_SENTENCES: Final = {
    Fault.SLASHES: "{0.title} has too many slashes",
    Fault.STEP: "{0.title} has invalid Step",
    Fault.DASHES: "{0.title} has too many dashes",
    Fault.VALUE: "{0.title} is not {0.bounds}",
    Fault.START: "{0.title} Start is not {0.bounds}",
    Fault.END: "{0.title} End is before Start or not {0.bounds}",
}


class ParsedCron(NamedTuple):
    """What a cron string says: a calendar or an interval, and maybe a time zone."""

    calendar: schedule.StructuredCalendarSpec | None
    interval: schedule.IntervalSpec | None
    timezone: str


def parse_cron(text: str) -> ParsedCron:
    """Parses a cron string.

    Raises:
        InvalidSpecError: It is none.
    """
    zone, separator, text = syntax.split_zone(text.strip())
    if zone is not None and not separator:
        raise InvalidSpecError("CronString has time zone but missing fields")
    timezone = zone or ""
    text, _, comment = text.partition("#")
    text = text.strip()
    if text.startswith("@every"):
        return ParsedCron(None, _parse_every(text), timezone)
    fields = syntax.DESCRIPTORS.get(text, text).split()
    if len(fields) not in _LAYOUTS:
        raise InvalidSpecError("CronString does not have 5-7 fields")
    calendar = schedule.CalendarSpec(comment=comment.strip())
    for name, field in zip(_LAYOUTS[len(fields)], fields, strict=True):
        setattr(calendar, name, field)
    return ParsedCron(parse_calendar(calendar), None, timezone)


def parse_calendar(calendar: schedule.CalendarSpec) -> schedule.StructuredCalendarSpec:
    """Parses a textual calendar.

    Raises:
        InvalidSpecError: A field of it is not one.
    """
    structured = schedule.StructuredCalendarSpec(comment=calendar.comment)
    for field in FIELDS:
        text = getattr(calendar, field.name).strip() or field.default
        if field.name == "year" and text == "*":
            continue
        ranges = getattr(structured, field.name)
        for part in text.split(","):
            ranges.extend(_parse_part(field, part))
    return structured


def _parse_part(field: Field, text: str) -> list[schedule.Range]:
    try:
        part = syntax.parse_part(text, field, _DIALECT)
    except FaultyPartError as error:
        raise InvalidSpecError(_SENTENCES[error.fault].format(field)) from None
    return _without_second_sunday(field, part.first, part.last, part.step)


def _without_second_sunday(field: Field, start: int, end: int, step: int) -> list[schedule.Range]:
    """Returns a range; in days of the week, 7 becomes 0."""
    if field.name != "day_of_week" or end != _SUNDAY:
        return [schedule.Range(start=start, end=max(start, end), step=step)]
    ranges = []
    if (_SUNDAY - start) % step == 0:
        ranges.append(schedule.Range(start=0, end=0, step=1))
    if start < _SUNDAY:
        ranges.append(schedule.Range(start=start, end=_SUNDAY - 1, step=step))
    return ranges


def _parse_every(text: str) -> schedule.IntervalSpec:
    _, space, rest = text.partition(" ")
    if not space:
        raise InvalidSpecError("CronString does not have interval after @every")
    interval, slash, phase = rest.partition("/")
    spec = schedule.IntervalSpec()
    set_duration(spec.interval, parse_duration(interval))
    if slash:
        set_duration(spec.phase, parse_duration(phase))
    return spec


def parse_duration(text: str) -> int:
    """Returns a duration such as "1h30m" in nanoseconds.

    Raises:
        InvalidSpecError: It is none.
    """
    found = durations.parse_duration(text, durations.DAYS)
    if found is None:
        raise InvalidSpecError(f'time: invalid duration "{text}"')
    return found
