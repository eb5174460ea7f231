"""When to try again: retry policies of activities and workflows."""

from dataclasses import dataclass

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures

from perdure.core.protobuf import (
    LONGEST_DURATION,
    capped_ns,
    duration_ns,
    duration_problem,
    seconds,
    set_duration,
)

DEFAULT_INITIAL_INTERVAL = seconds(1)
DEFAULT_BACKOFF_COEFFICIENT = 2.0
DEFAULT_MAXIMUM_INTERVAL_FACTOR = 100

TIMEOUT_PREFIX = "TemporalTimeout:"
"""Begins a name among a policy's non-retryable error types that stands for a timeout."""

_RETRYABLE_TIMEOUTS = {
    enums.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose",
    enums.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat",
}
_TIMEOUT_NAMES = frozenset(
    {
        "StartToClose",
        "ScheduleToStart",
        "ScheduleToClose",
        "Heartbeat",
        *enums.TimeoutType.keys()[1:],
    }
)


@dataclass(slots=True, frozen=True)
class Decision:
    """Whether to try again, and after how long (nanoseconds)."""

    state: enums.RetryState.ValueType
    delay: int = 0

    @property
    def retries(self) -> bool:
        """Whether there is another attempt."""
        return self.state == enums.RETRY_STATE_IN_PROGRESS


def with_defaults(policy: common.RetryPolicy) -> common.RetryPolicy:
    """Returns a copy of a policy whose unset fields have the default values."""
    complete = common.RetryPolicy()
    complete.CopyFrom(policy)
    if not duration_ns(complete.initial_interval):
        set_duration(complete.initial_interval, DEFAULT_INITIAL_INTERVAL)
    if not complete.backoff_coefficient:
        complete.backoff_coefficient = DEFAULT_BACKOFF_COEFFICIENT
    if not duration_ns(complete.maximum_interval):
        set_duration(
            complete.maximum_interval,
            duration_ns(complete.initial_interval) * DEFAULT_MAXIMUM_INTERVAL_FACTOR,
        )
    for interval in (complete.initial_interval, complete.maximum_interval):
        set_duration(interval, capped_ns(interval))
    return complete


def problem(policy: common.RetryPolicy) -> str | None:
    """Returns what is wrong with a retry policy, in the real server's words."""
    if policy.maximum_attempts == 1:
        # No retries: the other fields are not looked at.
        return None
    if found := duration_problem(policy.initial_interval):
        return f"invalid InitialInterval set on retry policy: {found}"
    if policy.backoff_coefficient and policy.backoff_coefficient < 1:
        return "BackoffCoefficient cannot be less than 1 on retry policy."
    if found := duration_problem(policy.maximum_interval):
        return f"invalid MaximumInterval set on retry policy: {found}"
    maximum = duration_ns(policy.maximum_interval)
    if maximum and maximum < duration_ns(policy.initial_interval):
        return "MaximumInterval cannot be less than InitialInterval on retry policy."
    if policy.maximum_attempts < 0:
        return "MaximumAttempts cannot be negative on retry policy."
    for name in policy.non_retryable_error_types:
        timeout = name.removeprefix(TIMEOUT_PREFIX)
        if timeout != name and timeout not in _TIMEOUT_NAMES:
            return f"Invalid timeout type value: {timeout}."
    return None


def decide(
    policy: common.RetryPolicy,
    *,
    attempt: int,
    failure: failures.Failure | None,
    now: int,
    expiration: int,
) -> Decision:
    """Decides what follows a failed attempt.

    Args:
        policy: The retry policy, with defaults filled in.
        attempt: The attempt that has just failed, from 1.
        failure: Why, if it failed with a failure.
        now: The time, in nanoseconds since the Unix epoch.
        expiration: When no further attempt may begin; 0 for never.
    """
    if failure is not None and not is_retryable(failure, policy):
        return Decision(enums.RETRY_STATE_NON_RETRYABLE_FAILURE)
    if policy.maximum_attempts and attempt >= policy.maximum_attempts:
        return Decision(enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED)
    delay = next_interval(policy, attempt)
    if failure is not None and failure.application_failure_info.HasField("next_retry_delay"):
        delay = capped_ns(failure.application_failure_info.next_retry_delay)
        if delay <= 0:
            # As on the real server, which finds no time to wait for.
            return Decision(enums.RETRY_STATE_TIMEOUT)
    if expiration and now + delay >= expiration:
        return Decision(enums.RETRY_STATE_TIMEOUT)
    return Decision(enums.RETRY_STATE_IN_PROGRESS, delay)


def next_interval(policy: common.RetryPolicy, attempt: int) -> int:
    """Returns the pause after an attempt, in nanoseconds."""
    initial = duration_ns(policy.initial_interval)
    try:
        interval = int(initial * policy.backoff_coefficient ** (attempt - 1))
    except OverflowError:
        interval = LONGEST_DURATION
    return min(interval, capped_ns(policy.maximum_interval) or LONGEST_DURATION)


def is_retryable(failure: failures.Failure, policy: common.RetryPolicy) -> bool:
    """Tells whether a failure's own nature allows another attempt."""
    match failure.WhichOneof("failure_info"):
        case "terminated_failure_info" | "canceled_failure_info":
            return False
        case "timeout_failure_info":
            timeout = _RETRYABLE_TIMEOUTS.get(failure.timeout_failure_info.timeout_type)
            return (
                timeout is not None
                and TIMEOUT_PREFIX + timeout not in policy.non_retryable_error_types
            )
        case "server_failure_info":
            return not failure.server_failure_info.non_retryable
        case "application_failure_info":
            info = failure.application_failure_info
            return not info.non_retryable and info.type not in policy.non_retryable_error_types
        case _:
            return True
