"""What a failed RPC looked like to the client: code, message, and the typed details."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from temporalio.service import RPCError

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(slots=True, frozen=True)
class RpcFailure:
    """A non-OK answer.

    `details` is None when the server sent no status details at all. `mismatch` tells how the
    detailed status contradicts the call's own code or message ("" when it does not).
    """

    code: str
    message: str
    details: Sequence[AnyMessage] | None
    mismatch: str = ""


def failure_of_call(error: grpc.aio.AioRpcError) -> RpcFailure:
    """Returns what a raw gRPC call failed with."""
    message = error.details() or ""
    blob = next((v for k, v in error.trailing_metadata() or () if k == _DETAILS_KEY), None)
    if blob is None:
        return RpcFailure(error.code().name, message, None)
    status = Status()
    try:
        status.ParseFromString(blob if isinstance(blob, bytes) else blob.encode())
    except DecodeError:
        return RpcFailure(error.code().name, message, None, "the status details do not parse")
    return RpcFailure(
        error.code().name, message, list(status.details), _mismatch(error, message, status)
    )


def failure_of_sdk(error: RPCError) -> RpcFailure:
    """Returns what an SDK client's call failed with."""
    status = Status()
    status.ParseFromString(error.raw_grpc_status)
    return RpcFailure(error.status.name, error.message, list(status.details))


def _mismatch(error: grpc.aio.AioRpcError, message: str, status: Status) -> str:
    if _CODES.get(status.code) != error.code().name:
        return f"the detailed status has code {status.code}"
    if status.message != message:
        return f"the detailed status has message {status.message!r}"
    return ""
