"""Priorities of workflows."""

from temporalio.api.common.v1.message_pb2 import Priority

from perdure.core.errors import InvalidArgumentError
from perdure.frontend.validation.identifiers import is_too_long, refuse_nul


def check_priority(priority: Priority, max_fairness_key_bytes: int) -> None:
    """Checks a priority."""
    if priority.priority_key < 0:
        raise InvalidArgumentError("priority key can't be negative")
    if is_too_long(priority.fairness_key, max_fairness_key_bytes):
        raise InvalidArgumentError("fairness key length exceeds limit")
    refuse_nul("fairness key", priority.fairness_key)
    if priority.fairness_weight < 0:
        raise InvalidArgumentError("must be greater than zero")
