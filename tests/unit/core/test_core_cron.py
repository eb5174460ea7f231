"""Cron schedules: what is read, and when they come."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.protobuf import NANOSECONDS_PER_SECOND, seconds
from perdure.core.workflow import cron


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * (
        NANOSECONDS_PER_SECOND
    )


@pytest.mark.parametrize(
    ("schedule", "now", "following"),
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:15:01", "2026-01-01T00:30:00"),
        ("50/3 * * * *", "2026-01-01T00:53:00", "2026-01-01T00:56:00"),
        ("0 12 * * MON-fri", "2026-01-02T12:00:00", "2026-01-05T12:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        # Where both days are restricted either is enough; an open one leaves it to the other.
        ("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("0 0 */2 * 5", "2026-01-02T00:00:00", "2026-01-03T00:00:00"),
        ("0 0 ? * 0", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("@monthly", "2026-01-31T00:00:00", "2026-02-01T00:00:00"),
        ("@every 90s", "2026-01-01T00:00:00", "2026-01-01T00:01:30"),
        ("@every 1500ms", "2026-01-01T00:00:00", "2026-01-01T00:00:01"),
        ("@every -5s", "2026-01-01T00:00:00", "2026-01-01T00:00:01"),
        ("CRON_TZ=America/New_York 0 9 * * *", "2026-07-01T00:00:00", "2026-07-01T13:00:00"),
        ("TZ=America/New_York @daily", "2026-01-01T00:00:00", "2026-01-01T05:00:00"),
        # Clocks go forward: half past two does not exist that day.
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),
        # Clocks go back: half past two comes twice.
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
    ],
)
def test_next_time(schedule: str, now: str, following: str) -> None:
    cron.check(schedule)
    assert cron.backoff(schedule, at(now), at(now)) == at(following) - at(now)


ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut")
# Minutes before clocks change: New York, Berlin, Lord Howe and Beirut (at midnight), both ways.
MOMENTS = (29025060, 29368560, 29055180, 29356980, 29332500, 29061120, 29052120, 29358480)
WALKED_MINUTES = 2 * 1440


def _field(first: int, last: int) -> st.SearchStrategy[tuple[str, frozenset[int], bool]]:
    """A text, the values that it allows, and whether it leaves the field open."""
    bounds = st.tuples(st.integers(first, last), st.integers(first, last), st.integers(1, 9))
    everything = range(first, last + 1)
    return st.one_of(
        st.just(("*", frozenset(everything), True)),
        st.integers(first, last).map(lambda each: (str(each), frozenset({each}), False)),
        st.integers(2, 9).map(lambda step: (f"*/{step}", frozenset(everything[::step]), False)),
        bounds.map(
            lambda each: (
                f"{min(each[:2])}-{max(each[:2])}/{each[2]}",
                frozenset(range(min(each[:2]), max(each[:2]) + 1, each[2])),
                False,
            )
        ),
    )


@given(
    minutes=_field(0, 59),
    hours=_field(0, 23),
    days=_field(1, 31),
    weekdays=_field(0, 6),
    zone=st.sampled_from(ZONES),
    moment=st.sampled_from(MOMENTS),
    ahead=st.integers(0, 2 * 1440),
)
def test_the_next_time_is_that_of_a_walk(  # noqa: PLR0917 - the fields
    minutes: tuple[str, frozenset[int], bool],
    hours: tuple[str, frozenset[int], bool],
    days: tuple[str, frozenset[int], bool],
    weekdays: tuple[str, frozenset[int], bool],
    zone: str,
    moment: int,
    ahead: int,
) -> None:
    text = f"CRON_TZ={zone} {minutes[0]} {hours[0]} {days[0]} * {weekdays[0]}"
    start = (moment - ahead) * 60
    found = cron.backoff(text, seconds(start), seconds(start)) // NANOSECONDS_PER_SECOND + start

    def matches(second: int) -> bool:
        shown = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone))
        in_month, in_week = shown.day in days[1], shown.isoweekday() % 7 in weekdays[1]
        either = not (days[2] or weekdays[2])
        is_day = (in_month or in_week) if either else (in_month and in_week)
        return is_day and shown.hour in hours[1] and shown.minute in minutes[1]

    walked = range(start + 60, start + WALKED_MINUTES * 60, 60)
    first = next((each for each in walked if matches(each)), None)
    if first is None:
        assert found >= walked.stop
        assert matches(found)
    else:
        assert found == first


def test_intervals_count_from_the_last_time_and_are_rounded_up() -> None:
    scheduled = at("2026-01-01T00:00:00")
    late = scheduled + seconds(125.25)
    assert cron.backoff("@every 1m", scheduled, late) == seconds(55)
    assert cron.backoff("* * * * *", scheduled, late) == seconds(55)
    assert cron.backoff("", scheduled, late) == 0


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* * 0 * *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "L * * * *",
        "@every",
        "@every 1d",
        "@reboot",
        "CRON_TZ=Mars/X * * * * *",
        "CRON_TZ=../etc * * * * *",
        "CRON_TZ=UTC",
        " ",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(cron.CronError, match=r"^invalid CronSchedule\.$"):
        cron.check(schedule)


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", ", * * * *"])
def test_a_schedule_that_never_comes_is_refused(schedule: str) -> None:
    with pytest.raises(cron.CronError, match="no time can be found"):
        cron.check(schedule)
