"""Both ends of gRPC between nodes, over the simulated network.

Theory of operation: this is a `perdure.rpc.network.Network`. What is above it is real: the
dispatcher and its errors, the codec, links and what they make of a connection that broke. Only what
grpc.aio's server and channel would do is done here.
"""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn, Self, cast

import grpc

from perdure.rpc.internode.routing import REPEATABLE
from perdure.rpc.internode.wire import HISTORY_METHODS
from perdure.rpc.network import ChannelArguments
from simulation.loop import Process
from simulation.network import Network, NoAnswerError, Server
from simulation.streams import Pipe, ServerStream, SimulatedStream
from simulation.trace import Trace

_REPEATABLE_PATHS = frozenset(
    method.path for method in HISTORY_METHODS if method.name in REPEATABLE
)
_CONNECTIVITY = grpc.ChannelConnectivity


class NodeNetwork:
    """The network as one node has it."""

    def __init__(self, network: Network, *, host: str, process: Process, trace: Trace) -> None:
        self._network = network
        self._host = host
        self._process = process
        self._trace = trace

    def server(self, arguments: ChannelArguments) -> grpc.aio.Server:
        """Returns a server that listens nowhere yet."""
        server = SimulatedServer(self._network, self._process, self._trace)
        return cast(grpc.aio.Server, server)

    def channel(
        self,
        address: str,
        arguments: ChannelArguments,
        credentials: grpc.ChannelCredentials | None,
    ) -> grpc.aio.Channel:
        """Returns a channel that is not connected yet."""
        channel = SimulatedChannel(self._network, host=self._host, address=address)
        return cast(grpc.aio.Channel, channel)


class SimulatedServer:
    """What a `grpc.aio.Server` does.

    Attributes:
        process: What it dies with.
    """

    def __init__(self, network: Network, process: Process, trace: Trace) -> None:
        self.process = process
        self._network = network
        self._trace = trace
        self._address = ""
        self._handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Adds handlers: for each call they are asked in turn."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Adds nothing: these are among the generic ones as well."""

    def add_insecure_port(self, address: str) -> int:
        """Notes the address; returns its port."""
        self._address = address
        return int(address.rpartition(":")[2])

    async def start(self) -> None:
        """Listens."""
        self._network.listen(self._address, self)

    async def stop(self, grace: float | None) -> None:
        """Takes no more calls, and cancels those that do not end within the grace period."""
        await self._network.close(self._address, grace or 0.0)

    def _method(self, path: str) -> Any:
        details = cast(grpc.HandlerCallDetails, SimpleNamespace(method=path))
        found = (handler.service(details) for handler in self._handlers)
        return next(handler for handler in found if handler is not None)

    async def answer_stream(self, path: str, there: Pipe, back: Pipe) -> None:
        """Answers a stream.

        Raises:
            AioRpcError: With the status that the handler gave.
        """
        call = ServerStream(there, back)
        method = self._method(path)
        if method.stream_stream is None:
            await method.unary_unary(b"", call)
        await method.stream_stream(None, call)
        await back.delivered()

    async def answer(self, path: str, data: bytes, call: "_ServerCall") -> bytes:
        """Answers a call.

        Raises:
            AioRpcError: With the status that the handler gave.
        """
        method = self._method(path)
        request = method.request_deserializer(data) if method.request_deserializer else data
        call.on_unforeseen = self._trace.violation
        response = await method.unary_unary(request, call)
        answer: bytes = response
        if method.response_serializer:
            answer = method.response_serializer(response)
        return answer


class _ServerCall:
    """What a `grpc.aio.ServicerContext` does."""

    def __init__(self, path: str, metadata: Sequence[tuple[str, str]] | None) -> None:
        self.on_unforeseen: Callable[[str], None] = lambda _: None
        self._path = path
        self._metadata = tuple(metadata or ())

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the caller's headers."""
        return self._metadata

    def peer(self) -> str:
        """Returns nothing: nobody asks between nodes."""
        return ""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """Ends the call with a status."""
        if code is grpc.StatusCode.UNKNOWN:
            told = sys.exception()
            # What was raised, behind what the caller is told of it.
            error = None if told is None else told.__cause__ or told
            trace = "".join(traceback.format_exception(error)[-3:])
            self.on_unforeseen(f"{self._path} raised {type(error).__name__}: {error}\n{trace}")
        raise _status(code, details, trailing_metadata)


class SimulatedChannel:
    """What a `grpc.aio.Channel` does."""

    def __init__(self, network: Network, *, host: str, address: str) -> None:
        self._network = network
        self._host = host
        self._address = address
        self._server: Server | None = None
        self._failed = False
        self._closed = False
        self._calls: dict[asyncio.Task[Any], None] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Ends the connection and, with it, the calls under way."""
        self._closed = True
        for call in list(self._calls):
            call.cancel()
        self._network.wake()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns whether the channel is connected, as far as it knows."""
        if self._closed:
            return _CONNECTIVITY.SHUTDOWN
        if self._failed:
            # The next attempt is a new one.
            self._failed = False
            return _CONNECTIVITY.TRANSIENT_FAILURE
        return _CONNECTIVITY.READY if self._connected() else _CONNECTIVITY.IDLE

    def _connected(self) -> bool:
        if self._closed or self._server is None:
            return False
        return self._server is self._network.listener(self._address)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Connects, or fails to; a connection that is there is waited for until it goes."""
        if last_observed_state is _CONNECTIVITY.READY:
            while self._connected():
                await self._network.changed()
            return
        self._server = await self._network.connect(self._host, self._address)
        self._failed = self._server is None

    def _lost(self) -> None:
        self._server = None
        self._network.wake()

    def stream_stream(self, path: str) -> Callable[[], SimulatedStream]:
        """Returns what begins streams of a method."""

        def begin() -> SimulatedStream:
            if self._closed:
                raise grpc.aio.UsageError("Channel is closed.")
            stream = SimulatedStream(
                self._network,
                source=self._host,
                address=self._address,
                path=path,
                repeatable=_REPEATABLE_PATHS,
            )
            stream.begin(self._calls, self._lost)
            return stream

        return begin

    def unary_unary(self, path: str) -> Callable[..., Awaitable[bytes]]:
        """Returns what makes calls of a method."""

        async def send(
            data: bytes,
            *,
            timeout: float,
            metadata: Sequence[tuple[str, str]] | None = None,
            wait_for_ready: bool = False,
        ) -> bytes:
            if self._closed:
                raise grpc.aio.UsageError("Channel is closed.")
            call = _ServerCall(path, metadata)
            try:
                async with asyncio.timeout(timeout):
                    while wait_for_ready and self.get_state() is not _CONNECTIVITY.READY:
                        await self.wait_for_state_change(_CONNECTIVITY.IDLE)
                    answer: bytes = await self._network.call(
                        self._host,
                        self._address,
                        lambda server: server.answer(path, data, call),
                        name=path.rpartition("/")[2],
                        repeatable=path in _REPEATABLE_PATHS,
                        wires=self._calls,
                    )
            except TimeoutError:
                raise _status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
            except NoAnswerError as error:
                self._lost()
                raise _status(grpc.StatusCode.UNAVAILABLE, error.message) from None
            return answer

        return send


def _status(
    code: grpc.StatusCode, details: str, trailing: Sequence[tuple[str, Any]] = ()
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details=details
    )
