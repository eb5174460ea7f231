"""From grpc.aio's calls to handlers: one coroutine around each, made when the server is made.

Theory of operation: grpc.aio asks its generic handlers in turn for every call; `Dispatcher` finds
the RPC in one dictionary. Requests arrive as bytes and are parsed here, because grpc.aio would
answer an undecodable one with UNKNOWN, and a size limit in the transport would answer with a text
that SDKs do not recognise. This is the hot path: no logging, no label look-ups, no allocation that
a call does not need.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cached_property

import grpc
from google.protobuf.message import DecodeError

from perdure.core.errors import ServiceError, UnavailableError
from perdure.persistence.ports import StoreError
from perdure.rpc.faults import FaultLog
from perdure.rpc.handler import Handler, OperationObserver, RequestContext, RpcObserver
from perdure.rpc.methods import Method
from perdure.rpc.peer_certificate import PeerCertificate, peer_certificate
from perdure.rpc.status import (
    MaskedError,
    MessageTooLargeError,
    UndecodableRequestError,
    UnknownMethodError,
    abort,
)
from perdure.rpc.tls.gate import Gate

Call = grpc.aio.ServicerContext[bytes, bytes]
Behaviour = Callable[[bytes, Call, RequestContext], Awaitable[bytes]]
"""Answers a call by its request, as bytes; raises ServiceError: whatever happens, made presentable.

Of the call it takes who has made it, of the context what the handler may know: calls in a stream
share the former.
"""


class GrpcContext:
    """The `RequestContext` of a grpc.aio call."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @cached_property
    def metadata(self) -> Mapping[str, str | bytes]:
        """The call's headers, by lower-case name; the last one of a name wins."""
        return {key.lower(): value for key, value in self._call.invocation_metadata() or ()}

    @property
    def peer(self) -> str:
        """The caller's address."""
        return self._call.peer()

    @property
    def certificate(self) -> PeerCertificate | None:
        """The client certificate of the caller's connection; None where there is none."""
        return peer_certificate(self._call)

    def time_remaining(self) -> float | None:
        """Returns the seconds until the caller gives up; None when it never does."""
        return self._call.time_remaining()


class OpenCalls:
    """The calls under way.

    Attributes:
        number: How many there are.
        refused: Whether new ones are answered that this server is stopping.
    """

    __slots__ = ("_none", "number", "refused")

    def __init__(self) -> None:
        self.number = 0
        self.refused = False
        self._none = asyncio.Event()

    def end(self) -> None:
        """Notes that one has ended."""
        self.number -= 1
        if self.refused and not self.number:
            self._none.set()

    async def refuse(self, seconds: float) -> None:
        """Takes no new calls, and waits so long for those under way."""
        self.refused = True
        if not self.number:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._none.wait()


class Dispatcher(grpc.GenericRpcHandler):
    """Finds the handler of a call.

    Attributes:
        calls: Those under way.
        behaviours: What answers which RPC, by path.
    """

    def __init__(
        self,
        *,
        methods: Mapping[Method, Handler],
        observer: RpcObserver,
        faults: FaultLog,
        max_request_bytes: int,
        always_detailed: bool,
        max_error_bytes: int,
        gate: Gate | None = None,
    ) -> None:
        """Makes a dispatcher.

        Args:
            methods: What answers which RPC.
            observer: Where calls are reported to.
            faults: Where unexpected errors go.
            max_request_bytes: A larger request is refused.
            always_detailed: Whether a status has details though its error has none.
            gate: Refuses calls by their certificate; without, none are.
            max_error_bytes: What the text of an error is cut to.
        """
        self.calls = OpenCalls()
        self.behaviours: dict[str, Behaviour] = {
            method.path: _serve(
                method,
                handler,
                calls=self.calls,
                observer=observer.operation(method.service, method.name),
                faults=faults,
                max_request_bytes=max_request_bytes,
                gate=gate,
            )
            for method, handler in methods.items()
        }
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path: grpc.unary_unary_rpc_method_handler(
                _alone(serve, always_detailed=always_detailed, max_error_bytes=max_error_bytes)
            )
            for path, serve in self.behaviours.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Returns what serves a call; None leaves it to the generic handlers that come after."""
        return self._handlers.get(handler_call_details.method)


class Refuser(grpc.GenericRpcHandler):
    """Refuses by name whatever no other generic handler serves: it comes last."""

    def __init__(self, *, known_services: frozenset[str], observer: RpcObserver) -> None:
        self._known_services = known_services
        self._unknown = observer.operation("", "unknown")

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Returns what refuses a call."""
        error = UnknownMethodError(handler_call_details.method, self._known_services)

        async def refuse(_request: bytes, call: Call) -> bytes:
            self._unknown.end(self._unknown.begin(), "", error)
            return await abort(call, error)

        return grpc.unary_unary_rpc_method_handler(refuse)


def _alone(
    serve: Behaviour, *, always_detailed: bool, max_error_bytes: int
) -> Callable[[bytes, Call], Awaitable[bytes]]:
    """Returns what answers calls that are an RPC each."""

    async def answer(data: bytes, call: Call) -> bytes:
        try:
            return await serve(data, call, GrpcContext(call))
        except ServiceError as error:
            return await abort(
                call, error, always_detailed=always_detailed, max_text_bytes=max_error_bytes
            )

    return answer


def _serve(
    method: Method,
    handler: Handler,
    *,
    calls: OpenCalls,
    observer: OperationObserver,
    faults: FaultLog,
    max_request_bytes: int,
    gate: Gate | None,
) -> Behaviour:
    parse, begin, end = method.parse, observer.begin, observer.end
    names_namespace, may_wait = method.names_namespace, method.may_wait

    async def serve(data: bytes, call: Call, context: RequestContext) -> bytes:
        begun = begin()
        namespace, waits = "", False
        calls.number += 1
        try:
            if calls.refused:
                raise UnavailableError("this server is stopping, try again")
            if len(data) > max_request_bytes:
                raise MessageTooLargeError(len(data), max_request_bytes)
            request = parse(data)
            if names_namespace:
                namespace = request.namespace  # type: ignore[attr-defined]
            if may_wait:
                waits = request.wait_new_event  # type: ignore[attr-defined]
            if gate is None:
                response = await handler(request, context)
            else:
                with gate.passed(call):
                    response = await handler(request, context)
            answer = (
                bytes(response)  # grpc.aio takes nothing but bytes itself, no subclass
                if isinstance(response, bytes)
                else response.SerializeToString()
            )
        except asyncio.CancelledError as cancelled:
            end(begun, namespace, cancelled, waits)
            raise
        except Exception as error:
            failure = _foreseen(error)
            end(begun, namespace, failure or error, waits)
            if failure is error:
                raise
            raise failure or MaskedError(faults.record(method.name, error)) from error
        finally:
            calls.end()
        end(begun, namespace, None, waits)
        return answer

    return serve


def _foreseen(error: Exception) -> ServiceError | None:
    """Returns what a client is told of an error; None when nobody has thought of it."""
    match error:
        case ServiceError():
            return error
        case DecodeError():
            return UndecodableRequestError()
        case StoreError():
            return UnavailableError("the database does not answer right now, try again")
        case _:
            return None
