"""The error table: how an exception reaches a client as a gRPC status.

Rules that hold here: a status with a detail carries `grpc-status-details-bin`, whose code and
message are the call's own; one without a detail carries none, as on the real server. What was not
expected is masked: clients get an id to quote, the log has the rest. Between nodes every status
carries it: that is how a node's answer is told from what the transport says when there is none.
"""

import asyncio
from typing import Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from perdure.core.errors import Code, ServiceError

DETAILS_KEY = "grpc-status-details-bin"
MAX_TEXT_BYTES: Final = 4_000
"""What the text of an error is cut to, where nothing else is said."""
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_CUT: Final = "... <truncated>"
# Clients written on gRPC's C core may refuse a status whose trailers are larger than 8 KiB.
_MAX_TRAILER_BYTES: Final = 7_000
_BASE64_GROWTH: Final = 4 / 3
_PERCENT_GROWTH: Final = 3


class MessageTooLargeError(ServiceError):
    """A request is larger than this server takes. Java's and Core's SDKs look for the text."""

    code = Code.RESOURCE_EXHAUSTED

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"grpc: received message larger than max ({size} vs. {limit})")


class UndecodableRequestError(ServiceError):
    """A request's bytes are not what its type says."""

    code = Code.INTERNAL

    def __init__(self) -> None:
        super().__init__(
            "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"
        )


class MaskedError(ServiceError):
    """What a client sees of an error that was not expected."""

    code = Code.UNKNOWN

    def __init__(self, fault_id: str) -> None:
        super().__init__(f"something went wrong, please retry ({fault_id})")


class UnknownMethodError(ServiceError):
    """There is no such RPC here."""

    code = Code.UNIMPLEMENTED

    def __init__(self, path: str, known_services: frozenset[str]) -> None:
        service, slash, method = path.removeprefix("/").rpartition("/")
        if not slash:
            text = f'malformed method name: "{path}"'
        elif service not in known_services:
            text = f"unknown service {service}"
        else:
            text = f"unknown method {method} for service {service}"
        super().__init__(text)


def details_of(
    error: ServiceError, *, always: bool = False, max_text_bytes: int = MAX_TEXT_BYTES
) -> bytes | None:
    """Returns the serialised google.rpc.Status that goes with an error.

    Args:
        error: What the caller is told.
        always: Whether an error without a detail has a status too.
        max_text_bytes: What its text is cut to.
    """
    packed = []
    if error.detail is not None:
        packed.append(Any())
        packed[0].Pack(error.detail)
    elif not always:
        return None
    text = _message_of(error, max_text_bytes)
    status: Message = Status(code=error.code, message=text, details=packed)
    return status.SerializeToString()


async def abort(
    call: "grpc.aio.ServicerContext[bytes, bytes]",
    error: ServiceError,
    *,
    always_detailed: bool = False,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> NoReturn:
    """Ends a call with an error's status."""
    details = details_of(error, always=always_detailed, max_text_bytes=max_text_bytes)
    # A tuple: with a list, grpc.aio gives the client UNKNOWN instead.
    trailing = () if details is None else ((DETAILS_KEY, details),)
    await call.abort(_STATUS_CODES[error.code], _message_of(error, max_text_bytes), trailing)
    raise asyncio.CancelledError  # abort never returns; the type checker is not told


def _message_of(error: ServiceError, most: int) -> str:
    """Returns the message, cut to `most` bytes and to what trailers can carry.

    It travels percent-encoded, and once more in the details where there are any.
    """
    encoded = error.message.encode()
    growth = _PERCENT_GROWTH + (0 if error.detail is None else _BASE64_GROWTH)
    if len(encoded) <= most and len(encoded) * growth <= _MAX_TRAILER_BYTES:
        return error.message
    if error.message.isascii():
        growth -= _PERCENT_GROWTH - 1
    most = min(most, int(_MAX_TRAILER_BYTES / growth))
    if len(encoded) <= most:
        return error.message
    return encoded[: most - len(_CUT)].decode(errors="ignore") + _CUT
