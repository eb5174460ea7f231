"""Cron schedules: what is read, and when they come."""

from datetime import UTC, datetime

import pytest

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
