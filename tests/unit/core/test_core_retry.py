"""Retry policies: what is wrong with them, and what they say after a failure."""

import pytest
from temporalio.api.common.v1 import RetryPolicy
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

from conformance.rpc import build
from perdure.core import retry
from perdure.core.protobuf import duration_ns, seconds
from unit.core.recipes import duration

NOW = seconds(1_000)


def policy(**fields: object) -> RetryPolicy:
    return retry.with_defaults(build(RetryPolicy, **fields))


def application(**info: object) -> Failure:
    return build(Failure, message="x", application_failure_info=info)


def timed_out(kind: str) -> Failure:
    return build(Failure, timeout_failure_info={"timeout_type": f"TIMEOUT_TYPE_{kind}"})


def decided(
    failure: Failure | None, *, attempt: int = 1, expiration: int = 0, **fields: object
) -> tuple[str, int]:
    decision = retry.decide(
        policy(**fields), attempt=attempt, failure=failure, now=NOW, expiration=expiration
    )
    name = RetryState.Name(decision.state).removeprefix("RETRY_STATE_")
    assert decision.retries == (name == "IN_PROGRESS")
    return name, decision.delay


def test_defaults_are_filled_in_and_the_policy_is_left_alone() -> None:
    given = RetryPolicy()
    complete = retry.with_defaults(given)
    assert given == RetryPolicy()
    assert duration_ns(complete.initial_interval) == seconds(1)
    assert complete.backoff_coefficient == 2
    assert duration_ns(complete.maximum_interval) == seconds(100)


def test_largest_interval_follows_from_the_first() -> None:
    complete = policy(initial_interval=duration(0.5))
    assert duration_ns(complete.maximum_interval) == seconds(50)


@pytest.mark.parametrize(
    ("attempt", "interval"), [(1, 2), (2, 6), (3, 18), (4, 20), (5_000, 20), (2**31 - 1, 20)]
)
def test_intervals_grow_up_to_the_largest(attempt: int, interval: int) -> None:
    growing = policy(
        initial_interval=duration(2), backoff_coefficient=3, maximum_interval=duration(20)
    )
    assert retry.next_interval(growing, attempt) == seconds(interval)


def test_interval_without_a_largest_stays_a_number_that_can_be_stored() -> None:
    endless = RetryPolicy(backoff_coefficient=2)
    endless.initial_interval.seconds = 1
    assert retry.next_interval(endless, 3) == seconds(4)
    assert retry.next_interval(endless, 5_000) == retry.LARGEST_INTERVAL < 2**63


@pytest.mark.parametrize(
    ("attempt", "maximum_attempts", "outcome"),
    [
        (1, 0, "IN_PROGRESS"),
        (9, 0, "IN_PROGRESS"),
        (1, 1, "MAXIMUM_ATTEMPTS_REACHED"),
        (2, 3, "IN_PROGRESS"),
        (3, 3, "MAXIMUM_ATTEMPTS_REACHED"),
    ],
)
def test_attempts_are_counted(attempt: int, maximum_attempts: int, outcome: str) -> None:
    assert decided(None, attempt=attempt, maximum_attempts=maximum_attempts)[0] == outcome


@pytest.mark.parametrize(
    ("remaining", "outcome"), [(0.5, "TIMEOUT"), (1, "TIMEOUT"), (1.5, "IN_PROGRESS")]
)
def test_no_attempt_begins_when_time_is_up(remaining: float, outcome: str) -> None:
    assert decided(None, expiration=NOW + seconds(remaining))[0] == outcome


@pytest.mark.parametrize(
    ("failure", "retryable"),
    [
        (application(), True),
        (application(type="Other"), True),
        (application(type="Fatal"), False),
        (application(non_retryable=True), False),
        (build(Failure, server_failure_info={}), True),
        (build(Failure, server_failure_info={"non_retryable": True}), False),
        (build(Failure, terminated_failure_info={}), False),
        (build(Failure, canceled_failure_info={}), False),
        (timed_out("START_TO_CLOSE"), True),
        (timed_out("HEARTBEAT"), True),
        (timed_out("SCHEDULE_TO_START"), False),
        (timed_out("SCHEDULE_TO_CLOSE"), False),
        (build(Failure, activity_failure_info={}), True),
        (build(Failure, child_workflow_execution_failure_info={}), True),
        (Failure(message="of no kind"), True),
    ],
    ids=lambda value: str(value.WhichOneof("failure_info")) if isinstance(value, Failure) else "",
)
def test_failures_that_end_it(failure: Failure, retryable: bool) -> None:
    outcome = "IN_PROGRESS" if retryable else "NON_RETRYABLE_FAILURE"
    assert decided(failure, non_retryable_error_types=["Fatal"])[0] == outcome


@pytest.mark.parametrize("kind", ["START_TO_CLOSE", "HEARTBEAT"])
def test_timeouts_that_a_policy_names_end_it(kind: str) -> None:
    name = kind.title().replace("_To_", "To").replace("_", "")
    policy_names = [f"TemporalTimeout:{name}"]
    failure = timed_out(kind)
    assert decided(failure, non_retryable_error_types=policy_names)[0] == "NON_RETRYABLE_FAILURE"
    other = [f"TemporalTimeout:{'Heartbeat' if name != 'Heartbeat' else 'StartToClose'}"]
    assert decided(failure, non_retryable_error_types=other)[0] == "IN_PROGRESS"


def test_failure_may_name_its_own_delay() -> None:
    failure = application(next_retry_delay=duration(50))
    assert decided(failure, maximum_interval=duration(2)) == ("IN_PROGRESS", seconds(50))
    assert decided(failure, expiration=NOW + seconds(40))[0] == "TIMEOUT"
    assert decided(failure, maximum_attempts=1)[0] == "MAXIMUM_ATTEMPTS_REACHED"


def test_delay_of_nothing_is_no_delay_that_could_be_waited_for() -> None:
    # The real server 1.32 says so too, and fails the activity.
    assert decided(application(next_retry_delay=duration(0)))[0] == "TIMEOUT"


PROBLEMS: dict[str, dict[str, object]] = {
    "invalid InitialInterval set on retry policy: negative duration.": {
        "initial_interval": duration(-1)
    },
    "BackoffCoefficient cannot be less than 1 on retry policy.": {"backoff_coefficient": 0.5},
    "invalid MaximumInterval set on retry policy: negative duration.": {
        "maximum_interval": duration(-1)
    },
    "MaximumInterval cannot be less than InitialInterval on retry policy.": {
        "initial_interval": duration(2),
        "maximum_interval": duration(1),
    },
    "MaximumAttempts cannot be negative on retry policy.": {"maximum_attempts": -1},
    "Invalid timeout type value: bogus.": {"non_retryable_error_types": ["TemporalTimeout:bogus"]},
    "Invalid timeout type value: .": {"non_retryable_error_types": ["TemporalTimeout:"]},
}


@pytest.mark.parametrize("text", PROBLEMS)
def test_problem(text: str) -> None:
    assert retry.problem(build(RetryPolicy, **PROBLEMS[text])) == text


@pytest.mark.parametrize("text", PROBLEMS)
def test_policy_of_one_attempt_is_not_looked_at(text: str) -> None:
    fields = PROBLEMS[text] | {"maximum_attempts": 1}
    assert retry.problem(build(RetryPolicy, **fields)) is None


def test_good_policies() -> None:
    assert retry.problem(RetryPolicy()) is None
    names = ["Fatal", "TemporalTimeout:Heartbeat", f"TemporalTimeout:{TimeoutType.Name(1)}"]
    assert retry.problem(build(RetryPolicy, non_retryable_error_types=names)) is None
