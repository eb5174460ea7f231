"""Failures and results that are too large to keep, and what is kept in their place."""

from typing import Final

from temporalio.api.failure.v1.message_pb2 import Failure

# Room for the tags and lengths around what is kept.
_INFO_OVERHEAD: Final = 8
_FIELD_OVERHEAD: Final = 4
_SERVER_INFO_BYTES: Final = 4
_DEEPEST_CAUSE: Final = 20


def too_large(message: str, *, retryable: bool = False) -> Failure:
    """Returns the failure of a task whose report could not be kept."""
    failure = Failure(message=message)
    failure.server_failure_info.non_retryable = not retryable
    return failure


def replaced_if_large(
    failure: Failure, *, max_bytes: int, truncated_bytes: int, retryable: bool = False
) -> Failure | None:
    """Returns what is kept of a failure that is too large; None when it is not."""
    if failure.ByteSize() <= max_bytes:
        return None
    replacement = too_large("Failure exceeds size limit.", retryable=retryable)
    replacement.cause.CopyFrom(truncated(failure, truncated_bytes))
    return replacement


def truncated(failure: Failure, max_bytes: int, depth: int = 0) -> Failure:
    """Returns a failure cut to about `max_bytes`.

    What decides on retries stays; then messages count more than stack traces, and outer failures
    more than their causes. Details go.
    """
    kept = Failure()
    kept.source = _cut(failure.source, max_bytes)
    room = max_bytes - len(kept.source.encode())
    room -= _keep_info(failure, kept, room)
    for field in ("message", "stack_trace"):
        text = _cut(getattr(failure, field), room)
        if text:
            setattr(kept, field, text)
            room -= len(text.encode()) + _FIELD_OVERHEAD
    if failure.HasField("cause") and room > _FIELD_OVERHEAD and depth < _DEEPEST_CAUSE:
        kept.cause.CopyFrom(truncated(failure.cause, room - _FIELD_OVERHEAD, depth + 1))
    return kept


def _keep_info(failure: Failure, kept: Failure, max_bytes: int) -> int:
    """Copies what decides on retries; returns the bytes to count for it."""
    if failure.HasField("server_failure_info"):
        kept.server_failure_info.non_retryable = failure.server_failure_info.non_retryable
        return _SERVER_INFO_BYTES
    if failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        kept.application_failure_info.non_retryable = info.non_retryable
        kept.application_failure_info.type = _cut(info.type, max_bytes - _INFO_OVERHEAD)
        size = len(kept.application_failure_info.type.encode())
        return _INFO_OVERHEAD + size + _FIELD_OVERHEAD
    return 0


def _cut(text: str, max_bytes: int) -> str:
    if max_bytes <= 0:
        return ""
    if len(text) * 4 <= max_bytes:
        return text
    return text.encode()[:max_bytes].decode(errors="ignore")
