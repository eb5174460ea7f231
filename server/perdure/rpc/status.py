"""The error table: how an exception reaches a client as a gRPC status.

Rules that hold here: a status with a detail carries `grpc-status-details-bin`, whose code and
message are the call's own; one without a detail carries none, as on the real server. What was not
expected is masked: clients get an id to quote, the log has the rest.
"""

import asyncio
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from perdure.core.errors import Code, ServiceError

DETAILS_KEY = "grpc-status-details-bin"
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Text of the real server: frontend.maxServiceErrorText, in characters.
_MAX_MESSAGE_CHARACTERS = 4_000


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


def details_of(error: ServiceError) -> bytes | None:
    """Returns the serialised google.rpc.Status that goes with an error, if it has a detail."""
    if error.detail is None:
        return None
    packed = Any()
    packed.Pack(error.detail)
    status: Message = Status(code=error.code, message=_message_of(error), details=[packed])
    return status.SerializeToString()


async def abort(call: "grpc.aio.ServicerContext[bytes, bytes]", error: ServiceError) -> NoReturn:
    """Ends a call with an error's status."""
    details = details_of(error)
    # A tuple: with a list, grpc.aio gives the client UNKNOWN instead.
    trailing = () if details is None else ((DETAILS_KEY, details),)
    await call.abort(_STATUS_CODES[error.code], _message_of(error), trailing)
    raise asyncio.CancelledError  # abort never returns; the type checker is not told


def _message_of(error: ServiceError) -> str:
    return error.message[:_MAX_MESSAGE_CHARACTERS]
