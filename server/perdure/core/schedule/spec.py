"""The canonical form of a schedule's spec: what Describe returns, and what times follow from.

Cron strings and textual calendars become structured ones and intervals; ranges say their end and
step. Whatever is not a spec is refused in the real server's words.
"""

from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.cron.syntax import Field
from perdure.core.cron.zones import UnknownZoneError, find_zone
from perdure.core.protobuf import NANOSECONDS_PER_SECOND, duration_ns
from perdure.core.schedule.cron import FIELDS, InvalidSpecError, parse_calendar, parse_cron

_LAST_WEEKDAY = 6


def canonical(spec: schedule.ScheduleSpec) -> schedule.ScheduleSpec:
    """Returns the canonical form of a spec.

    Raises:
        InvalidSpecError: It is no spec.
    """
    found = schedule.ScheduleSpec()
    found.CopyFrom(spec)
    for name in ("cron_string", "calendar", "exclude_calendar"):
        found.ClearField(name)
    for calendar in (*found.structured_calendar, *found.exclude_structured_calendar):
        _complete(calendar)
    _add_cron_strings(found, spec)
    found.structured_calendar.extend(parse_calendar(each) for each in spec.calendar)
    found.exclude_structured_calendar.extend(parse_calendar(each) for each in spec.exclude_calendar)
    for interval in found.interval:
        _check_interval(interval)
    try:
        find_zone(found.timezone_name, found.timezone_data)
    except UnknownZoneError as error:
        raise InvalidSpecError(str(error)) from None
    return found


def _add_cron_strings(found: schedule.ScheduleSpec, spec: schedule.ScheduleSpec) -> None:
    for text in spec.cron_string:
        parsed = parse_cron(text)
        if parsed.calendar is not None:
            found.structured_calendar.append(parsed.calendar)
        if parsed.interval is not None:
            found.interval.append(parsed.interval)
        if parsed.timezone:
            if found.timezone_data or found.timezone_name not in {"", parsed.timezone}:
                raise InvalidSpecError("conflicting timezone names")
            found.timezone_name = parsed.timezone


def _complete(calendar: schedule.StructuredCalendarSpec) -> None:
    for field in FIELDS:
        for each in getattr(calendar, field.name):
            _complete_range(field, each)


def _complete_range(field: Field, each: schedule.Range) -> None:
    last = _LAST_WEEKDAY if field.name == "day_of_week" else field.last
    bounds, prefix = f"in range [{field.first}-{last}]", f"invalid calendar spec: {field.title}"
    if not field.first <= each.start <= last:
        raise InvalidSpecError(f"{prefix} Start is not {bounds}")
    each.end = each.end or each.start
    if not each.start <= each.end <= last:
        raise InvalidSpecError(f"{prefix} End is before Start or not {bounds}")
    each.step = each.step or 1
    if each.step < 0:
        raise InvalidSpecError(f"{prefix} has invalid Step")


def _check_interval(interval: schedule.IntervalSpec) -> None:
    if duration_ns(interval.interval) < NANOSECONDS_PER_SECOND:
        raise InvalidSpecError("interval is too small")
    if duration_ns(interval.phase) < 0:
        raise InvalidSpecError("phase is negative")
    if duration_ns(interval.phase) >= duration_ns(interval.interval):
        raise InvalidSpecError("phase cannot be greater than Interval")
