"""Retry policies."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1.message_pb2 import RetryPolicy
from temporalio.api.enums.v1.workflow_pb2 import TimeoutType

from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import duration_ns
from perdure.frontend.validation.durations import duration_problem

_TIMEOUT_PREFIX: Final = "TemporalTimeout:"
_TIMEOUT_NAMES: Final = frozenset(
    "".join(word.capitalize() for word in name.removeprefix("TIMEOUT_TYPE_").split("_"))
    for name in TimeoutType.keys()  # noqa: SIM118 - an enum wrapper, not a dictionary
)


def check_retry_policy(policy: RetryPolicy) -> None:
    """Checks a retry policy that is set. One that allows no retry is not looked at further."""
    if policy.maximum_attempts == 1:
        return
    _check_interval("InitialInterval", policy.initial_interval)
    if policy.backoff_coefficient and policy.backoff_coefficient < 1:
        raise InvalidArgumentError("BackoffCoefficient cannot be less than 1 on retry policy.")
    _check_interval("MaximumInterval", policy.maximum_interval)
    maximum = duration_ns(policy.maximum_interval)
    if maximum and maximum < duration_ns(policy.initial_interval):
        raise InvalidArgumentError(
            "MaximumInterval cannot be less than InitialInterval on retry policy."
        )
    if policy.maximum_attempts < 0:
        raise InvalidArgumentError("MaximumAttempts cannot be negative on retry policy.")
    for error_type in policy.non_retryable_error_types:
        timeout = error_type.removeprefix(_TIMEOUT_PREFIX)
        if timeout != error_type and timeout not in _TIMEOUT_NAMES:
            raise InvalidArgumentError(f"Invalid timeout type value: {timeout}.")


def _check_interval(field: str, interval: Duration) -> None:
    if problem := duration_problem(interval):
        raise InvalidArgumentError(f"invalid {field} set on retry policy: {problem}")
