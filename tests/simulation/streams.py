"""Streams between simulated nodes: messages that arrive in order, or not at all.

Theory of operation: a stream is one long call of the network, so that it dies of what calls die of.
Its messages travel by themselves, each after the one before it. One that is lost takes the
connection with it: there is no stream that lacks a message. What arrives twice is a request of a
call that may be repeated, in a call of its own, as when a router has sent it again.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, NoReturn

import grpc

from perdure.proto import internode_pb2 as internode
from simulation.network import KEEPALIVE_SECONDS, Network, NoAnswerError, host_of

_AGAIN: int = 1 << 40
"""Added to the id of a call that arrives twice: nobody waits for its answer."""


class Pipe:
    """One direction.

    Attributes:
        source: The host that sends.
    """

    def __init__(
        self,
        network: Network,
        *,
        source: str,
        target: str,
        is_lost: Callable[[], bool],
        lost: Callable[[], None],
    ) -> None:
        self._network = network
        self.source = source
        self._target = target
        self._is_lost = is_lost
        self._lost = lost
        self._on_the_way: deque[bytes] = deque()
        self._arrived: deque[bytes] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = False
        self._stopped = False

    def send(self, message: bytes) -> None:
        """Sends a message, which arrives after those before it."""
        self._on_the_way.append(message)
        if len(self._on_the_way) == 1:
            self._travel()

    def end(self) -> None:
        """Lets nothing through any more: who reads gets what has arrived, and then None."""
        self._ended = True
        self._on_the_way.clear()
        self._wake()

    def stop(self) -> None:
        """Lets nothing through any more, and nobody knows."""
        self._stopped = True

    async def receive(self) -> bytes | None:
        """Returns the next message; None when there is none any more."""
        while not self._arrived:
            if self._ended:
                return None
            await self._changed()
        return self._arrived.popleft()

    async def delivered(self) -> None:
        """Returns when nothing is on the way."""
        while self._on_the_way:
            await self._changed()

    async def _changed(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _travel(self) -> None:
        seconds = self._network.transit_seconds(self.source, self._target)
        asyncio.get_running_loop().call_later(seconds, self._arrive, context=Context())

    def _arrive(self) -> None:
        if self._ended or self._stopped or not self._on_the_way:
            return
        if self._network.is_cut(self.source, self._target):
            # It is sent again and again, until the line is whole or given up.
            self._travel()
            return
        if self._is_lost():
            self._lost()
            return
        self._arrived.append(self._on_the_way.popleft())
        if self._on_the_way:
            self._travel()
        self._wake()


class SimulatedStream:
    """What a `grpc.aio.StreamStreamCall` does."""

    def __init__(
        self, network: Network, *, source: str, address: str, path: str, repeatable: frozenset[str]
    ) -> None:
        self._network = network
        self._address = address
        self._path = path
        self._repeatable = repeatable
        self._end: grpc.aio.AioRpcError | asyncio.CancelledError | None = None
        far = host_of(address)
        self._there = self._pipe(source, far, network.request_is_lost)
        self._back = self._pipe(far, source, network.reply_is_lost)
        self._rpc: asyncio.Task[None] | None = None

    def begin(self, wires: dict[asyncio.Task[Any], None], gone: Callable[[], None]) -> None:
        """Calls the other node.

        Args:
            wires: Of the channel: cancelling a task there is closing the connection.
            gone: Called when the connection is lost.
        """
        self._rpc = asyncio.get_running_loop().create_task(self._run(wires, gone))

    def _pipe(self, source: str, target: str, is_lost: Callable[[], bool]) -> Pipe:
        return Pipe(self._network, source=source, target=target, is_lost=is_lost, lost=self._lose)

    async def _run(self, wires: dict[asyncio.Task[Any], None], gone: Callable[[], None]) -> None:
        try:
            await self._network.call(
                self._there.source,
                self._address,
                lambda server: server.answer_stream(self._path, self._there, self._back),
                name=self._path.rpartition("/")[2],
                wires=wires,
            )
        except NoAnswerError as error:
            self._end = _unavailable(error.message)
            gone()
        except grpc.aio.AioRpcError as error:
            self._end = error
        except asyncio.CancelledError as error:
            self._end = self._end or error
            if not isinstance(self._end, asyncio.CancelledError):
                gone()
        finally:
            self._there.stop()
            self._back.end()
            # The far end learns of it by pings at the latest.
            asyncio.get_running_loop().call_later(
                2 * KEEPALIVE_SECONDS, self._there.end, context=Context()
            )

    def _lose(self) -> None:
        """Takes the connection away: the caller learns of it at once, or by pings."""
        self._there.stop()
        self._back.stop()
        seconds = self._network.silence_seconds()
        asyncio.get_running_loop().call_later(seconds, self._break_off, context=Context())

    def _break_off(self) -> None:
        self._end = self._end or _unavailable("simulated: connection lost")
        assert self._rpc is not None
        self._rpc.cancel()

    async def write(self, message: bytes) -> None:
        """Sends a message."""
        if self.done():
            raise asyncio.InvalidStateError
        self._there.send(message)
        for again in self._again(message):
            self._there.send(again)

    def _again(self, message: bytes) -> list[bytes]:
        copies = []
        for call in internode.CallBatch.FromString(message).calls:
            if call.path in self._repeatable and self._network.request_is_doubled():
                call.id += _AGAIN
                copies.append(internode.CallBatch(calls=[call]).SerializeToString())
        return copies

    async def done_writing(self) -> None:
        """Says that there is no more to come."""
        await self._there.delivered()
        self._there.end()

    async def read(self) -> Any:
        """Returns the next message, or EOF.

        Raises:
            AioRpcError: The stream has failed.
        """
        message = await self._back.receive()
        if message is not None:
            return message
        if self._end is not None:
            raise self._end
        return grpc.aio.EOF

    def done(self) -> bool:
        """Tells whether the stream has ended."""
        assert self._rpc is not None
        return self._rpc.done()

    def cancel(self) -> bool:
        """Ends the stream."""
        assert self._rpc is not None
        return self._rpc.cancel()


class ServerStream:
    """What a `grpc.aio.ServicerContext` of a stream does."""

    def __init__(self, there: Pipe, back: Pipe) -> None:
        self._there = there
        self._back = back

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns nothing: what calls have is in their frames."""
        return ()

    def peer(self) -> str:
        """Returns nothing: nobody asks between nodes."""
        return ""

    async def read(self) -> Any:
        """Returns the next message, or EOF."""
        message = await self._there.receive()
        return grpc.aio.EOF if message is None else message

    async def write(self, message: bytes) -> None:
        """Sends a message."""
        self._back.send(message)

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """Ends the stream with a status."""
        raise grpc.aio.AioRpcError(
            code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing_metadata), details=details
        )


def _unavailable(details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details
    )
