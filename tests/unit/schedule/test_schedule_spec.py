"""The canonical form of specs, and what is said of what is none."""

from typing import Any

import pytest
from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.schedule.cron import InvalidSpecError, parse_duration
from perdure.core.schedule.spec import canonical

ALL_DAYS = "1-31/1 1-12/1  0-6/1"


def _ranges(ranges: Any) -> str:
    return ",".join(f"{each.start}-{each.end}/{each.step}" for each in ranges)


def _show(calendar: schedule.StructuredCalendarSpec) -> str:
    names = ("second", "minute", "hour", "day_of_month", "month", "year", "day_of_week")
    return " ".join(_ranges(getattr(calendar, name)) for name in names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0 12 * * *", f"0-0/1 0-0/1 12-12/1 {ALL_DAYS}"),
        ("@daily", f"0-0/1 0-0/1 0-0/1 {ALL_DAYS}"),
        ("@weekly", "0-0/1 0-0/1 0-0/1 1-31/1 1-12/1  0-0/1"),
        ("*/15 * * * SUN,7", "0-0/1 0-59/15 0-23/1 1-31/1 1-12/1  0-0/1,0-0/1"),
        ("0 0 * * 5-7", "0-0/1 0-0/1 0-0/1 1-31/1 1-12/1  0-0/1,5-6/1"),
        ("1-5/2 9-17 1,15 jan-mar *", "0-0/1 1-5/2 9-17/1 1-1/1,15-15/1 1-3/1  0-6/1"),
        ("0 12 * * * 2030-2031", "0-0/1 0-0/1 12-12/1 1-31/1 1-12/1 2030-2031/1 0-6/1"),
        ("5 0 12 * * MON-FRI 2030", "5-5/1 0-0/1 12-12/1 1-31/1 1-12/1 2030-2030/1 1-5/1"),
        ("0 5/6 * * *", f"0-0/1 0-0/1 5-23/6 {ALL_DAYS}"),
    ],
)
def test_cron_strings(text: str, shown: str) -> None:
    found = canonical(schedule.ScheduleSpec(cron_string=[text]))
    assert [_show(each) for each in found.structured_calendar] == [shown]
    assert not found.cron_string


def test_comments_and_time_zones() -> None:
    found = canonical(
        schedule.ScheduleSpec(cron_string=["CRON_TZ=Europe/Berlin 0 12 * * * # a # b"])
    )
    assert found.timezone_name == "Europe/Berlin"
    assert found.structured_calendar[0].comment == "a # b"


def test_intervals() -> None:
    found = canonical(schedule.ScheduleSpec(cron_string=["@every 1h/5m"]))
    assert (found.interval[0].interval.seconds, found.interval[0].phase.seconds) == (3600, 300)
    assert not found.structured_calendar


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), ("2d", 172800 * 10**9), ("-1.5s", -15 * 10**8)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"cron_string": ["5 4 * *"]}, "CronString does not have 5-7 fields"),
        ({"cron_string": ["@foo"]}, "CronString does not have 5-7 fields"),
        ({"cron_string": ["60 * * * *"]}, "Minute is not in range [0-59]"),
        ({"cron_string": ["1,2 3/4 * * ?"]}, "DayOfWeek is not in range [0-7]"),
        ({"cron_string": ["-1 * * * *"]}, "Minute Start is not in range [0-59]"),
        (
            {"cron_string": ["5-1 * * * *"]},
            "Minute End is before Start or not in range [0-59]",
        ),
        ({"cron_string": ["*/0 * * * *"]}, "Minute has invalid Step"),
        ({"cron_string": ["@every x"]}, 'time: invalid duration "x"'),
        ({"cron_string": ["@every 1h-2m"]}, 'time: invalid duration "1h-2m"'),
        ({"cron_string": ["@every 9999999h"]}, 'time: invalid duration "9999999h"'),
        ({"cron_string": ["9" * 5000 + " * * * *"]}, "Minute is not in range [0-59]"),
        ({"cron_string": ["@every 0s"]}, "interval is too small"),
        ({"cron_string": ["@every 1h/-0.5s"]}, "phase is negative"),
        ({"cron_string": ["@every 1h/2h"]}, "phase cannot be greater than Interval"),
        ({"timezone_name": "Mars/X"}, "unknown time zone Mars/X"),
        ({"timezone_data": b"x"}, "malformed time zone information"),
        (
            {"cron_string": ["TZ=Asia/Tokyo 0 1 * * *"], "timezone_name": "Asia/Seoul"},
            "conflicting timezone names",
        ),
        (
            {"structured_calendar": [{"hour": [{"start": 5, "end": 3}]}]},
            "invalid calendar spec: Hour End is before Start or not in range [0-23]",
        ),
        (
            {"structured_calendar": [{"day_of_week": [{"start": 7}]}]},
            "invalid calendar spec: DayOfWeek Start is not in range [0-6]",
        ),
        (
            {"structured_calendar": [{"hour": [{"start": 5, "end": 9, "step": -1}]}]},
            "invalid calendar spec: Hour has invalid Step",
        ),
    ],
)
def test_what_is_no_spec(spec: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        canonical(schedule.ScheduleSpec(**spec))
    assert str(refused.value) == text
