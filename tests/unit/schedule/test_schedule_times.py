"""Times of a schedule, against a reference that walks second by second."""

import struct
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.protobuf import NANOSECONDS_PER_SECOND, seconds
from perdure.core.schedule.spec import canonical
from perdure.core.schedule.times import CompiledSpec

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "UTC",
)
# Changes of offset: New York, Berlin, Lord Howe, Apia's lost day, Casablanca around Ramadan.
MOMENTS = (1741503600, 1762063200, 1743296400, 1761440400, 1759590000, 1325239200, 1740276000)
WINDOW = 4 * 3600


def _shown(instant: int, zone: str) -> datetime:
    return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(zone))


def _in_ranges(value: int, ranges: list[tuple[int, int, int]]) -> bool:
    return any(value in range(first, last + 1, step) for first, last, step in ranges)


def _matches(shown: datetime, fields: dict[str, list[tuple[int, int, int]]]) -> bool:
    values = {
        "second": shown.second,
        "minute": shown.minute,
        "hour": shown.hour,
        "day_of_month": shown.day,
        "month": shown.month,
        "day_of_week": shown.isoweekday() % 7,
    }
    return all(_in_ranges(values[name], ranges) for name, ranges in fields.items())


def _ranges(first: int, last: int) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    bounds = st.tuples(st.integers(first, last), st.integers(first, last), st.integers(1, 7))
    one = bounds.map(lambda each: (min(each[:2]), max(each[:2]), each[2]))
    return st.lists(one, min_size=1, max_size=2)


FIELDS = st.fixed_dictionaries(
    {
        "second": st.sampled_from([[(0, 0, 1)], [(0, 59, 20)], [(59, 59, 1)]]),
        "minute": _ranges(0, 59),
        "hour": _ranges(0, 23),
        "day_of_month": st.one_of(st.just([(1, 31, 1)]), _ranges(1, 31)),
        "month": st.one_of(st.just([(1, 12, 1)]), _ranges(1, 12)),
        "day_of_week": st.one_of(st.just([(0, 6, 1)]), _ranges(0, 6)),
    }
)


def _calendar(fields: dict[str, list[tuple[int, int, int]]]) -> schedule.StructuredCalendarSpec:
    spec = schedule.StructuredCalendarSpec()
    for name, ranges in fields.items():
        for first, last, step in ranges:
            getattr(spec, name).add(start=first, end=last, step=step)
    return spec


def _times(spec: schedule.ScheduleSpec, start: int, end: int) -> list[int]:
    found = CompiledSpec(canonical(spec)).between("seed", seconds(start), seconds(end))
    return [due.actual // NANOSECONDS_PER_SECOND for due in found]


@settings(max_examples=60, deadline=None)
@given(
    fields=FIELDS,
    excluded=st.one_of(st.none(), FIELDS),
    interval=st.one_of(st.none(), st.tuples(st.integers(60, 9000), st.integers(0, 59))),
    zone=st.sampled_from(ZONES),
    moment=st.sampled_from(MOMENTS),
    shift=st.integers(-WINDOW, 0),
)
def test_times_are_those_of_a_walk(  # noqa: PLR0917
    fields: dict[str, list[tuple[int, int, int]]],
    excluded: dict[str, list[tuple[int, int, int]]] | None,
    interval: tuple[int, int] | None,
    zone: str,
    moment: int,
    shift: int,
) -> None:
    start = moment + shift
    spec = schedule.ScheduleSpec(structured_calendar=[_calendar(fields)], timezone_name=zone)
    if excluded is not None:
        spec.exclude_structured_calendar.append(_calendar(excluded))
    if interval is not None:
        added = spec.interval.add()
        added.interval.seconds, added.phase.seconds = interval
    expected = []
    for instant in range(start + 1, start + WINDOW + 1):
        by_interval = interval is not None and (instant - interval[1]) % interval[0] == 0
        if by_interval or _matches(_shown(instant, zone), fields):
            expected.append(instant)
    if excluded is not None:
        expected = [each for each in expected if not _matches(_shown(each, zone), excluded)]
    assert _times(spec, start, start + WINDOW) == expected


@settings(max_examples=25, deadline=None)
@given(
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from(ZONES),
    first_day=st.dates(date(2011, 1, 1), date(2030, 1, 1)),
)
@example(hour=2, minute=30, zone="America/New_York", first_day=date(2025, 3, 8))
@example(hour=1, minute=30, zone="America/New_York", first_day=date(2025, 11, 1))
@example(hour=12, minute=0, zone="Pacific/Apia", first_day=date(2011, 12, 28))
def test_daily_times_over_months(hour: int, minute: int, zone: str, first_day: date) -> None:
    """Every minute of 120 days, by what the clock on the wall shows."""
    start = (first_day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400
    days = 120
    spec = schedule.ScheduleSpec(cron_string=[f"{minute} {hour} * * *"], timezone_name=zone)
    expected = []
    for instant in range(start + 60, start + days * 86_400 + 1, 60):
        # Offsets are whole minutes in all of these years.
        if (instant // 60 - minute) % 5 == 0:
            shown = _shown(instant, zone)
            if (shown.hour, shown.minute) == (hour, minute):
                expected.append(instant)
    assert _times(spec, start, start + days * 86_400) == expected


@given(
    jitter=st.integers(1, 7200),
    every=st.integers(1, 3600),
    seed=st.text(max_size=5),
    after=st.integers(0, 2_000_000_000),
)
def test_jitter_keeps_times_in_order_and_is_the_same_on_every_look(
    jitter: int, every: int, seed: str, after: int
) -> None:
    spec = schedule.ScheduleSpec()
    spec.interval.add().interval.seconds = every
    spec.jitter.seconds = jitter
    compiled = CompiledSpec(canonical(spec))
    first = compiled.next_due(seed, seconds(after))
    assert first is not None
    again = CompiledSpec(canonical(spec)).next_due(seed, seconds(after))
    assert first == again
    assert first.nominal <= first.actual < first.nominal + seconds(min(jitter, every))
    second = compiled.next_due(seed, first.actual)
    assert second is not None
    assert second.nominal == first.nominal + seconds(every)


@pytest.mark.parametrize(
    ("hour", "day", "expected"),
    [
        # 2:30 does not exist on 9 March 2025, 1:30 exists twice on 2 November.
        (2, datetime(2025, 3, 9, tzinfo=UTC), 0),
        (3, datetime(2025, 3, 9, tzinfo=UTC), 1),
        (1, datetime(2025, 11, 2, tzinfo=UTC), 2),
    ],
)
def test_the_clock_on_the_wall_is_taken_literally(hour: int, day: datetime, expected: int) -> None:
    start = int((day + timedelta(hours=5)).timestamp())
    spec = schedule.ScheduleSpec(cron_string=[f"30 {hour} * * *"], timezone_name="America/New_York")
    assert len(_times(spec, start, start + 20 * 3600)) == expected


def test_a_zone_may_come_as_data() -> None:
    by_name = schedule.ScheduleSpec(cron_string=["30 1 * * *"], timezone_name="America/New_York")
    # One hour ahead of UTC, for ever.
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = struct.pack(">lbb", 3600, 0, 0) + b"CET\0"
    data = header + block + header + block + b"\nCET-1\n"
    by_data = schedule.ScheduleSpec(cron_string=["30 1 * * *"], timezone_data=data)
    assert _times(by_data, 0, 86_400) == [1800]
    assert _times(by_name, 0, 86_400) == [5 * 3600 + 5400]


def test_start_and_end_are_inclusive() -> None:
    spec = schedule.ScheduleSpec()
    spec.interval.add().interval.seconds = 10
    spec.start_time.seconds, spec.end_time.seconds = 100, 130
    assert _times(spec, 0, 1000) == [100, 110, 120, 130]


def test_a_spec_that_excludes_everything_is_over() -> None:
    spec = schedule.ScheduleSpec()
    spec.interval.add().interval.seconds = 3600
    spec.exclude_calendar.add(hour="*")
    assert CompiledSpec(canonical(spec)).next_due("", 0) is None


def test_a_spec_without_times_is_over() -> None:
    spec = schedule.ScheduleSpec(cron_string=["0 0 30 2 *", "0 0 1 1 * 2001"])
    assert CompiledSpec(canonical(spec)).next_due("", seconds(2_000_000_000)) is None
