"""Puts a gate before services that the gRPC library answers itself, such as health."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from perdure.rpc.status import abort
from perdure.rpc.tls.gate import Gate, RevokedCertificateError

AnyHandler = Any
"""A `grpc.RpcMethodHandler`, whose functions grpc.aio has be coroutines, other than its types."""


class Guarded(grpc.GenericRpcHandler):
    """Other handlers behind a gate: a call that is not let through ends with a status."""

    def __init__(self, handler: grpc.GenericRpcHandler, gate: Gate) -> None:
        self._handler = handler
        self._gate = gate

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> AnyHandler | None:
        """Returns what serves a call."""
        found: AnyHandler = self._handler.service(handler_call_details)
        if found is None:
            return None
        if found.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _awaited(found.unary_unary, self._gate),
                found.request_deserializer,
                found.response_serializer,
            )
        if found.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _awaited(found.unary_stream, self._gate),
                found.request_deserializer,
                found.response_serializer,
            )
        assert found.stream_stream is not None, "no service takes a stream and answers once"
        return grpc.stream_stream_rpc_method_handler(
            _iterated(found.stream_stream, self._gate),
            found.request_deserializer,
            found.response_serializer,
        )


def _awaited(serve: Callable[..., Awaitable[Any]], gate: Gate) -> Callable[..., Any]:
    async def guarded(request: Any, call: Any) -> Any:
        try:
            with gate.passed(call):
                return await serve(request, call)
        except RevokedCertificateError as error:
            return await abort(call, error)

    return guarded


def _iterated(serve: Callable[..., AsyncIterator[Any]], gate: Gate) -> Callable[..., Any]:
    async def guarded(requests: Any, call: Any) -> AsyncIterator[Any]:
        try:
            with gate.passed(call):
                async for response in serve(requests, call):
                    yield response
        except RevokedCertificateError as error:
            await abort(call, error)

    return guarded
