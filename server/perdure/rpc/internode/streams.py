"""The stream to another node: opened when a call needs it, replaced when its connection goes.

Theory of operation: a stream is opened once the channel is connected, and from then on the
channel's state is watched. When the other node sends the connection away (it stops, or the
connection is old), or it is lost, the channel leaves that state: the stream is retired, and the
next call opens another one over a new connection. A node that does not know streams says so at
once, and is called without as long as this connection lasts: the next one may be to a newer
release.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import grpc

from perdure.rpc.internode.call_stream import EXCHANGE, OPENING, CallStream
from perdure.rpc.internode.errors import PeerUnreachableError

_READY: Final = grpc.ChannelConnectivity.READY


class Streams:
    """The stream of one channel."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        address: str,
        connect_seconds: float,
        sent: Callable[[int], None],
        context: Context,
    ) -> None:
        """Makes it possible to open a stream.

        Args:
            channel: Over which.
            address: Of the other node, for errors.
            connect_seconds: How long opening may take, once connected.
            sent: Told how many calls each message has that is sent.
            context: Of the tasks that carry calls: those of no caller.
        """
        self._channel = channel
        self._address = address
        self._connect_seconds = connect_seconds
        self._sent = sent
        self._stream: CallStream | None = None
        self._refused = False
        self._opening: asyncio.Task[CallStream | None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._context = context

    @property
    def current(self) -> CallStream | None:
        """The stream that takes calls, if there is one."""
        stream = self._stream
        return stream if stream is not None and stream.takes_calls else None

    async def open(self) -> CallStream | None:
        """Returns a stream that takes calls, over a channel that is connected.

        None when the other node knows no streams.

        Raises:
            PeerUnreachableError: It does not answer; nothing was sent to it.
        """
        if self.current is not None or self._refused:
            return self.current
        if self._opening is None:
            self._opening = self._spawn("open a stream", self._open())
            self._opening.add_done_callback(self._opened)
        # Whoever goes away leaves it to the others who wait for it.
        stream = await asyncio.shield(self._opening)
        if stream is not None and not stream.takes_calls:
            raise PeerUnreachableError(self._address, maybe_sent=False)
        return stream

    async def close(self) -> None:
        """Ends the stream: calls under way fail."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # It is no part of the request that has brought it about.
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _opened(self, opening: "asyncio.Task[CallStream | None]") -> None:
        self._opening = None
        if not opening.cancelled():
            # Who waited for it may have gone.
            opening.exception()

    async def _open(self) -> CallStream | None:
        # Before the stream, so that no change after it is missed.
        left = self._spawn("watch a connection", self._channel.wait_for_state_change(_READY))
        await asyncio.sleep(0)
        begin: Any = self._channel.stream_stream(EXCHANGE)
        opened = begin()
        code = await self._told(opened)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            self._refused = True
            self._spawn("leave a connection", self._leave(left))
            return None
        if code is not grpc.StatusCode.OK:
            opened.cancel()
            left.cancel()
            raise PeerUnreachableError(self._address, maybe_sent=False)
        stream = CallStream(opened, address=self._address, sent=self._sent)
        self._stream = stream
        carrying = self._spawn("carry calls", stream.run())
        self._spawn("leave a connection", self._leave(left, stream, carrying))
        return stream

    async def _told(self, opened: "grpc.aio.StreamStreamCall[bytes, bytes]") -> grpc.StatusCode:
        """Returns OK where the other node takes calls, or why it does not."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                await opened.write(OPENING)
                answer = await opened.read()
        except grpc.aio.AioRpcError as failure:
            return failure.code()
        except (TimeoutError, asyncio.InvalidStateError):
            return grpc.StatusCode.UNAVAILABLE
        return grpc.StatusCode.OK if isinstance(answer, bytes) else grpc.StatusCode.UNAVAILABLE

    async def _leave(
        self,
        left: "asyncio.Task[None]",
        stream: CallStream | None = None,
        carrying: "asyncio.Task[None] | None" = None,
    ) -> None:
        """Waits for the end of a connection, or of its stream."""
        watched = [left] if carrying is None else [left, carrying]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        self._refused = False
        if stream is not None:
            stream.retire()
