"""When a failed attempt is followed by another, and after how long."""

from typing import Any

import pytest
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

from perdure.core import retry
from perdure.core.protobuf import LONGEST_DURATION, duration_ns, seconds

NOW = seconds(1_700_000_000)
IN_PROGRESS = RetryState.RETRY_STATE_IN_PROGRESS
GIVEN_UP = {
    "non retryable": RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE,
    "attempts": RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED,
    "time": RetryState.RETRY_STATE_TIMEOUT,
}


def policy(**fields: Any) -> RetryPolicy:
    return RetryPolicy(**fields)


def decide(given: RetryPolicy, *, attempt: int = 1, expiration: int = 0, **info: Any) -> Any:
    return retry.decide(
        retry.with_defaults(given),
        attempt=attempt,
        failure=Failure(message="broken", **info),
        now=NOW,
        expiration=expiration,
    )


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 1), (2, 2), (3, 4), (7, 64), (8, 100), (9, 100), (5000, 100)]
)
def test_intervals_double_from_a_second_to_a_hundred(attempt: int, delay: int) -> None:
    decision = decide(policy(), attempt=attempt)
    assert (decision.state, decision.delay) == (IN_PROGRESS, seconds(delay))


def test_intervals_follow_the_policy() -> None:
    given = policy(
        initial_interval={"seconds": 3}, backoff_coefficient=1.5, maximum_interval={"seconds": 5}
    )
    delays = [decide(given, attempt=attempt).delay for attempt in (1, 2, 3)]
    assert delays == [seconds(3), seconds(4.5), seconds(5)]


@pytest.mark.parametrize("coefficient", [1.0, 2.0, 1e300])
def test_no_interval_is_too_long_to_be_counted(coefficient: float) -> None:
    given = policy(
        initial_interval={"seconds": 300_000_000_000},
        maximum_interval={"seconds": 315_000_000_000},
        backoff_coefficient=coefficient,
    )
    for attempt in (1, 2, 1000):
        assert decide(given, attempt=attempt).delay == LONGEST_DURATION
    complete = retry.with_defaults(given)
    assert duration_ns(complete.initial_interval) == LONGEST_DURATION
    assert duration_ns(complete.maximum_interval) == LONGEST_DURATION


@pytest.mark.parametrize(("asked", "delay"), [(7, seconds(7)), (10**11, LONGEST_DURATION)])
def test_a_failure_may_ask_for_its_own_delay(asked: int, delay: int) -> None:
    info = {"next_retry_delay": {"seconds": asked}}
    given = policy(maximum_interval={"seconds": 2})
    decision = decide(given, application_failure_info=info)
    assert (decision.state, decision.delay) == (IN_PROGRESS, delay)
    final = decide(given, expiration=NOW + delay, application_failure_info=info)
    assert final.state == GIVEN_UP["time"]
    last = decide(policy(maximum_attempts=1), application_failure_info=info)
    assert last.state == GIVEN_UP["attempts"]


@pytest.mark.parametrize("asked", [0, -1_700_000_000])
def test_a_delay_of_nothing_is_final(asked: int) -> None:
    # The real server 1.32 answers so: it finds no time to wait for.
    decision = decide(policy(), application_failure_info={"next_retry_delay": {"seconds": asked}})
    assert decision.state == GIVEN_UP["time"]


def test_attempts_are_counted() -> None:
    assert decide(policy(maximum_attempts=3), attempt=2).retries
    assert decide(policy(maximum_attempts=3), attempt=3).state == GIVEN_UP["attempts"]


def test_no_attempt_begins_at_the_expiration_or_later() -> None:
    assert decide(policy(), expiration=NOW + seconds(1) + 1).retries
    assert decide(policy(), expiration=NOW + seconds(1)).state == GIVEN_UP["time"]


@pytest.mark.parametrize(
    "info",
    [
        {"application_failure_info": {"non_retryable": True}},
        {"application_failure_info": {"type": "Fatal"}},
        {"canceled_failure_info": {}},
        {"terminated_failure_info": {}},
        {"server_failure_info": {"non_retryable": True}},
        {"timeout_failure_info": {"timeout_type": TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START}},
        {"timeout_failure_info": {"timeout_type": TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE}},
    ],
    ids=str,
)
def test_some_failures_are_final(info: dict[str, Any]) -> None:
    given = policy(non_retryable_error_types=["Fatal"], maximum_attempts=1)
    assert decide(given, **info).state == GIVEN_UP["non retryable"]


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"application_failure_info": {"type": "Other"}},
        {"server_failure_info": {}},
        {"activity_failure_info": {}},
        {"child_workflow_execution_failure_info": {}},
        {"timeout_failure_info": {"timeout_type": TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE}},
        {"timeout_failure_info": {"timeout_type": TimeoutType.TIMEOUT_TYPE_HEARTBEAT}},
    ],
    ids=str,
)
def test_other_failures_are_tried_again(info: dict[str, Any]) -> None:
    assert decide(policy(non_retryable_error_types=["Fatal"]), **info).retries


@pytest.mark.parametrize(
    ("kind", "name"), [("START_TO_CLOSE", "StartToClose"), ("HEARTBEAT", "Heartbeat")]
)
def test_a_policy_may_make_timeouts_final(kind: str, name: str) -> None:
    info: dict[str, Any] = {
        "timeout_failure_info": {"timeout_type": TimeoutType.Value(f"TIMEOUT_TYPE_{kind}")}
    }
    given = policy(non_retryable_error_types=[f"TemporalTimeout:{name}"])
    assert decide(given, **info).state == GIVEN_UP["non retryable"]
    assert decide(policy(non_retryable_error_types=[name]), **info).retries


def test_defaults_leave_alone_what_is_given() -> None:
    given = policy(initial_interval={"nanos": 5}, backoff_coefficient=1, maximum_attempts=4)
    complete = retry.with_defaults(given)
    assert complete.maximum_interval.nanos == 500
    complete.ClearField("maximum_interval")
    assert complete == policy(
        initial_interval={"nanos": 5}, backoff_coefficient=1, maximum_attempts=4
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, None),
        ({"initial_interval": {"seconds": -1}, "maximum_attempts": 1}, None),
        (
            {"initial_interval": {"seconds": -1}},
            "invalid InitialInterval set on retry policy: negative duration",
        ),
        (
            {"maximum_interval": {"seconds": 1, "nanos": -1}},
            (
                "invalid MaximumInterval set on retry policy: "
                "duration has seconds and nanos with different signs"
            ),
        ),
        (
            {"backoff_coefficient": 0.5},
            "BackoffCoefficient cannot be less than 1 on retry policy.",
        ),
        (
            {"maximum_interval": {"seconds": -1}},
            "invalid MaximumInterval set on retry policy: negative duration",
        ),
        (
            {"initial_interval": {"seconds": 2}, "maximum_interval": {"seconds": 1}},
            "MaximumInterval cannot be less than InitialInterval on retry policy.",
        ),
        ({"maximum_attempts": -1}, "MaximumAttempts cannot be negative on retry policy."),
        (
            {"non_retryable_error_types": ["Fatal", "TemporalTimeout:bogus"]},
            "Invalid timeout type value: bogus.",
        ),
        (
            {"non_retryable_error_types": ["TemporalTimeout:Unspecified"]},
            "Invalid timeout type value: Unspecified.",
        ),
        ({"non_retryable_error_types": ["Fatal", "TemporalTimeout:ScheduleToStart"]}, None),
        ({"non_retryable_error_types": ["TemporalTimeout:TIMEOUT_TYPE_HEARTBEAT"]}, None),
    ],
)
def test_bad_policies_are_told(fields: dict[str, Any], problem: str | None) -> None:
    assert retry.problem(policy(**fields)) == problem
