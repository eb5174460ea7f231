"""An activity's four timeouts: how they follow from each other, and which comes first."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.command.v1 import ScheduleActivityTaskCommandAttributes
from temporalio.api.enums.v1 import TimeoutType

from conformance.rpc import build
from perdure.core.activity.state import ActivityStatus, deadline, next_timeout, status
from perdure.core.activity.validator import ActivityTimeouts, derive_timeouts
from perdure.core.protobuf import seconds
from perdure.proto import stored_pb2 as stored
from unit.core.recipes import duration

NAMES = (
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
)
limits = st.sampled_from([0, 0, 1, 5, 20, 100])


def attributes(*values: int) -> ScheduleActivityTaskCommandAttributes:
    fields = {name: duration(value) for name, value in zip(NAMES, values, strict=True) if value}
    return build(ScheduleActivityTaskCommandAttributes, **fields)


@pytest.mark.parametrize(
    ("given_seconds", "run_timeout", "derived"),
    [
        ((0, 0, 10, 0), 0, (0, 0, 10, 0)),
        ((0, 0, 10, 0), 60, (60, 60, 10, 0)),
        ((0, 5, 10, 20), 0, (0, 5, 10, 10)),
        ((30, 0, 0, 0), 0, (30, 30, 30, 0)),
        ((30, 40, 50, 60), 0, (30, 30, 30, 30)),
        ((30, 5, 10, 3), 0, (30, 5, 10, 3)),
        ((30, 25, 20, 15), 8, (8, 8, 8, 8)),
        ((0, 70, 90, 80), 60, (60, 60, 60, 60)),
    ],
)
def test_derived(
    given_seconds: tuple[int, ...], run_timeout: int, derived: tuple[int, ...]
) -> None:
    wanted = ActivityTimeouts(*(seconds(value) for value in derived))
    assert derive_timeouts(attributes(*given_seconds), seconds(run_timeout)) == wanted


@given(limits, limits, limits, limits, limits)
def test_none_outlasts_what_contains_it(
    close: int, to_start: int, start_to_close: int, heartbeat: int, run: int
) -> None:
    if not close and not start_to_close:
        return
    derived = derive_timeouts(attributes(close, to_start, start_to_close, heartbeat), seconds(run))
    assert derived.start_to_close, "every attempt ends some time"
    assert derived.heartbeat <= derived.start_to_close
    outer = derived.schedule_to_close
    if outer:
        assert max(derived.schedule_to_start, derived.start_to_close) <= outer
    if run:
        assert 0 < outer <= seconds(run)


def activity(**fields: Any) -> stored.ActivityInfo:
    return stored.ActivityInfo(
        **{"attempt": 1, "scheduled_time": 1_000, "attempt_scheduled_time": 1_000} | fields
    )


ALL = {
    "schedule_to_close_timeout": 100,
    "schedule_to_start_timeout": 10,
    "start_to_close_timeout": 50,
    "heartbeat_timeout": 20,
}


@pytest.mark.parametrize(
    ("fields", "due", "kind"),
    [
        ({}, 1_010, "SCHEDULE_TO_START"),
        ({"attempt_scheduled_time": 1_080}, 1_090, "SCHEDULE_TO_START"),
        ({"attempt_scheduled_time": 1_095}, 1_100, "SCHEDULE_TO_CLOSE"),
        ({"started_time": 1_005}, 1_025, "HEARTBEAT"),
        ({"started_time": 1_005, "last_heartbeat_time": 1_020}, 1_040, "HEARTBEAT"),
        ({"started_time": 1_005, "last_heartbeat_time": 1_050}, 1_055, "START_TO_CLOSE"),
        ({"started_time": 1_070, "last_heartbeat_time": 1_020}, 1_090, "HEARTBEAT"),
        ({"started_time": 1_090}, 1_100, "SCHEDULE_TO_CLOSE"),
        ({"retry_due": 1_060}, 1_100, "SCHEDULE_TO_CLOSE"),
    ],
)
def test_first_timeout(fields: dict[str, int], due: int, kind: str) -> None:
    assert next_timeout(activity(**ALL | fields)) == (
        due,
        TimeoutType.Value(f"TIMEOUT_TYPE_{kind}"),
    )


def test_deadline_of_a_backoff_is_the_next_attempt() -> None:
    assert deadline(activity(**ALL, retry_due=1_060)) == 1_060
    assert deadline(activity(**ALL, retry_due=1_200)) == 1_100


def test_nothing_to_wait_for() -> None:
    assert next_timeout(activity()) is None
    assert deadline(activity()) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ActivityStatus.SCHEDULED),
        ({"started_time": 1}, ActivityStatus.STARTED),
        ({"retry_due": 1}, ActivityStatus.BACKING_OFF),
        ({"attempt": 0}, ActivityStatus.CLOSED),
    ],
)
def test_status(fields: dict[str, int], expected: ActivityStatus) -> None:
    assert status(activity(**fields)) is expected
