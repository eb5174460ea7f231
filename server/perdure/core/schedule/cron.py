"""From cron strings and textual calendars to structured ones.

Rules that hold here: what is accepted, what it comes to and what is said of the rest is as on the
real server. Five fields are minute, hour, day of month, month, day of week; a sixth is the year; of
seven the first is the second.
"""

import re
from typing import Final, NamedTuple

from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.protobuf import NANOSECONDS_PER_SECOND, set_duration
from perdure.core.schedule.calendars import FIRST_YEAR, LAST_YEAR


class InvalidSpecError(ValueError):
    """A spec is not one; the text is the real server's, for the client."""


class Field(NamedTuple):
    """A field of a calendar: its name in messages and in errors, its default, its range."""

    name: str
    title: str
    default: str
    first: int
    last: int
    names: tuple[str, ...] = ()


_MONTHS = "january february march april may june july august september october november december"
_WEEKDAYS = "sunday monday tuesday wednesday thursday friday saturday"

FIELDS: Final = (
    Field("second", "Second", "0", 0, 59),
    Field("minute", "Minute", "0", 0, 59),
    Field("hour", "Hour", "0", 0, 23),
    Field("day_of_month", "DayOfMonth", "*", 1, 31),
    Field("month", "Month", "*", 1, 12, tuple(_MONTHS.split())),
    Field("year", "Year", "*", FIRST_YEAR, LAST_YEAR),
    Field("day_of_week", "DayOfWeek", "*", 0, 7, tuple(_WEEKDAYS.split())),
)
_FIVE = ("minute", "hour", "day_of_month", "month", "day_of_week")
_LAYOUTS: Final = {5: _FIVE, 6: (*_FIVE, "year"), 7: ("second", *_FIVE, "year")}
_PREDEFINED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SUNDAY: Final = 7
_SHORTEST_NAME: Final = 3
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_DURATION: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d)")
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS_PER_SECOND,
    "m": 60 * NANOSECONDS_PER_SECOND,
    "h": 3_600 * NANOSECONDS_PER_SECOND,
    "d": 86_400 * NANOSECONDS_PER_SECOND,
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
    text, timezone = text.strip(), ""
    if text.startswith(("TZ=", "CRON_TZ=")):
        named, space, text = text.partition(" ")
        if not space:
            raise InvalidSpecError("CronString has time zone but missing fields")
        timezone = named.partition("=")[2]
    text, _, comment = text.partition("#")
    text = text.strip()
    if text.startswith("@every"):
        return ParsedCron(None, _parse_every(text), timezone)
    fields = _PREDEFINED.get(text, text).split()
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


def _parse_part(field: Field, part: str) -> list[schedule.Range]:
    step, has_step = 1, "/" in part
    if has_step:
        part, *steps = part.split("/")
        if len(steps) != 1:
            raise InvalidSpecError(f"{field.title} has too many slashes")
        if not _NUMBER.fullmatch(steps[0]) or int(steps[0]) < 1:
            raise InvalidSpecError(f"{field.title} has invalid Step")
        step = int(steps[0])
    bounds = f"in range [{field.first}-{field.last}]"
    # The whole week has one Sunday.
    start, end = field.first, 6 if field.name == "day_of_week" else field.last
    if "-" in part:
        first, *lasts = part.split("-")
        if len(lasts) != 1:
            raise InvalidSpecError(f"{field.title} has too many dashes")
        found = _parse_value(field, first)
        if found is None:
            raise InvalidSpecError(f"{field.title} Start is not {bounds}")
        last = _parse_value(field, lasts[0])
        if last is None or last < found:
            raise InvalidSpecError(f"{field.title} End is before Start or not {bounds}")
        start, end = found, last
    elif part != "*":
        found = _parse_value(field, part)
        if found is None:
            raise InvalidSpecError(f"{field.title} is not {bounds}")
        start, end = found, end if has_step else found
    return _without_second_sunday(field, start, end, step)


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


def _parse_value(field: Field, text: str) -> int | None:
    value: int | None = None
    if _NUMBER.fullmatch(text):
        value = int(text)
    elif len(text) >= _SHORTEST_NAME:
        for number, name in enumerate(field.names, field.first):
            if name.startswith(text.lower()):
                value = number
    return value if value is not None and field.first <= value <= field.last else None


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
    if text == "0":
        return 0
    total, at = 0, 0
    for found in _DURATION.finditer(text):
        if found.start() != at:
            break
        amount, unit = found.group().rstrip("nsuµmhd"), found.group(3)
        whole, _, fraction = amount.partition(".")
        total += int(whole or "0") * _UNITS[unit]
        if fraction:
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
        at = found.end()
    if not text or at != len(text):
        raise InvalidSpecError(f'time: invalid duration "{text}"')
    return total
