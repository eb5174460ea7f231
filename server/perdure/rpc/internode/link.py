"""Calls over one channel: the near end.

Theory of operation: calls travel together in a stream; a large one, and all to a node that knows no
streams, as an RPC of its own.

Rules that hold here: a connection is made before a call is sent, so that what cannot have been sent
is known; a call has a time limit always; a status without details is no answer of the other node
but the transport's word that there is none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final

import grpc

from perdure.core.errors import Code, ServiceError
from perdure.rpc.clients import StaleTask
from perdure.rpc.handler import OperationObserver
from perdure.rpc.internode.call_stream import CallStream
from perdure.rpc.internode.errors import PeerUnreachableError, RemoteError, raised_by
from perdure.rpc.internode.settings import InternodeSettings
from perdure.rpc.internode.streams import Streams
from perdure.rpc.internode.wire import WireMethod
from perdure.rpc.status import DETAILS_KEY
from perdure.telemetry.tracing import NO_TRACING, Tracer

RemoteCall = Callable[..., Awaitable[Any]]
"""Takes the arguments of a Protocol's method."""

_READY: Final = grpc.ChannelConnectivity.READY
_HOPELESS: Final = (
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
    grpc.ChannelConnectivity.SHUTDOWN,
)
_NO_ANSWER: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
"""What the transport says when a connection or the other node died."""
_LATEST_BEGIN_SECONDS: Final = 1.0
_LONGEST_CALL_SECONDS: Final = 120.0
"""More than a long poll takes."""
_LARGEST_STREAMED: Final = 64 * 1024
"""Bytes of a request that goes together with others: they wait until it has been sent."""


def uncounted(_calls: int) -> None:
    """Is told of messages that nobody counts."""


class Link:
    """A channel to another node."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        address: str,
        settings: InternodeSettings,
        tracer: Tracer = NO_TRACING,
        sent: Callable[[int], None] = uncounted,
        context: Context | None = None,
    ) -> None:
        """Makes a link; nothing is connected before the first call.

        Args:
            channel: Whose it is from now on.
            address: Of the other node, for errors.
            settings: Bounds.
            tracer: Where spans around calls go, if what calls has one.
            sent: Told how many calls each message of a stream has.
            context: Of the tasks that carry calls; the caller's, unless it is given.
        """
        self._tracer = tracer
        self._channel = channel
        self._address = address
        self._settings = settings
        self._under_way = 0
        self._drained: asyncio.Event | None = None
        self._streams = Streams(
            channel,
            address=address,
            connect_seconds=settings.connect,
            sent=sent,
            context=copy_context() if context is None else context,
        )

    async def drain(self) -> None:
        """Closes the connection when calls under way have ended, whose time is bounded.

        Whoever has just been given this link may still begin one.
        """
        try:
            await asyncio.sleep(_LATEST_BEGIN_SECONDS)
            self._drained = asyncio.Event()
            if self._under_way:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), _LONGEST_CALL_SECONDS)
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends the connection; calls under way fail as if the other node had gone."""
        await self._streams.close()
        await self._channel.close()

    def method(self, method: WireMethod, observer: OperationObserver) -> RemoteCall:
        """Returns what calls a method of the other node's role.

        It raises what the role raises, and PeerUnreachableError where there is no answer.
        """
        form = method.form
        path = method.path
        send: Callable[..., Any] = self._channel.unary_unary(path)
        seconds = self._settings.wait_margin if form.timed else self._settings.call

        async def call(*arguments: Any) -> Any:
            namespace = arguments[0].name if form.namespaced else ""
            limit = seconds + arguments[form.timeout_at] if form.timed else seconds
            begun = observer.begin()
            try:
                request = form.request(*arguments).SerializeToString()
                data = await self._send(path, send, request, limit)
            except BaseException as error:
                observer.end(begun, namespace, error)
                raise
            observer.end(begun, namespace, None)
            return form.result(data)

        return self._in_span(method, call) if self._tracer.enabled else call

    def _in_span(self, method: WireMethod, call: RemoteCall) -> RemoteCall:
        tracer = self._tracer
        name = method.path.strip("/")
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": method.service,
            "rpc.method": method.rpc,
            "server.address": self._address,
        }

        async def traced_call(*arguments: Any) -> Any:
            # What no request has caused begins no trace.
            if tracer.ids() is None:
                return await call(*arguments)
            with tracer.span(name, kind="client", attributes=attributes):
                return await call(*arguments)

        return traced_call

    async def _send(self, path: str, send: Callable[..., Any], data: bytes, limit: float) -> bytes:
        headers = self._tracer.headers() if self._tracer.enabled else ()
        sent = False
        self._under_way += 1
        try:
            stream = await self._stream_for(data)
            if stream is not None:
                return await stream.call(path, data, limit, headers)
            sent = True
            answer: bytes = await send(data, timeout=limit, metadata=headers or None)
        except grpc.aio.AioRpcError as failure:
            raise self._told_by(failure) from None
        except grpc.aio.UsageError:
            # The link was closed, because the node left.
            raise PeerUnreachableError(self._address, maybe_sent=sent) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not the caller has gone: the link was closed under the call.
            raise PeerUnreachableError(self._address, maybe_sent=sent) from None
        finally:
            self._under_way -= 1
            if self._drained is not None and not self._under_way:
                self._drained.set()
        return answer

    async def _stream_for(self, data: bytes) -> CallStream | None:
        """Returns the stream that takes a request; None where that is an RPC of its own."""
        small = len(data) <= _LARGEST_STREAMED
        if small and (stream := self._streams.current) is not None:
            return stream
        if self._channel.get_state() is not _READY:
            await self._connect()
        return await self._streams.open() if small else None

    async def _connect(self) -> None:
        """Waits until the channel is connected.

        Raises:
            PeerUnreachableError: It cannot be, now or in time.
        """
        try:
            async with asyncio.timeout(self._settings.connect):
                while (state := self._channel.get_state(try_to_connect=True)) is not _READY:
                    if state in _HOPELESS:
                        raise PeerUnreachableError(self._address, maybe_sent=False)
                    await self._channel.wait_for_state_change(state)
        except TimeoutError:
            raise PeerUnreachableError(self._address, maybe_sent=False) from None

    def _told_by(self, failure: grpc.aio.AioRpcError) -> ServiceError | StaleTask:
        for key, value in failure.trailing_metadata() or ():
            if key == DETAILS_KEY and isinstance(value, bytes):
                return raised_by(value)
        if failure.code() in _NO_ANSWER:
            return PeerUnreachableError(self._address, maybe_sent=True)
        return RemoteError(Code(failure.code().value[0]), failure.details() or "")
