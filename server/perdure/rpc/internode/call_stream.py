"""Calls in one stream: the near end.

Theory of operation: calls put their frames into an outbox. One task sends what is there, as one
message for all that came in the same turn of the event loop, and waits while the other node does
not read. Another one reads answers and hands them to who waits. A stream that is retired takes no
new calls and ends when those under way have.

Rules that hold here: what is still in the outbox has certainly not been sent, and is not sent any
more once its caller has gone; every call has a time limit here, whatever the other node does; when
the stream breaks, all its calls fail at once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from perdure.core.errors import ServiceError
from perdure.proto import internode_pb2 as internode
from perdure.rpc.clients import StaleTask
from perdure.rpc.internode.errors import PeerUnreachableError, raised_by

EXCHANGE: Final = "/perdure.internode.v1.CallService/Exchange"
OPENING: Final = b""
"""The first message: the other node answers it with the same."""

_BATCH_BYTES: Final = 256 * 1024
"""A message is sent when its calls have grown to this."""
_FRAME_BYTES: Final = 64
"""What a call has besides its request, about."""

Answer = bytes | ServiceError | StaleTask
Headers = Sequence[tuple[str, str]]


class _Frame(NamedTuple):
    path: str
    request: bytes
    deadline: float
    headers: Headers


class CallStream:
    """A stream to another node.

    Attributes:
        takes_calls: Whether new calls may be made in it.
    """

    def __init__(
        self,
        stream: "grpc.aio.StreamStreamCall[bytes, bytes]",
        *,
        address: str,
        sent: Callable[[int], None],
    ) -> None:
        """Makes calls possible over a stream that the other node has accepted.

        Args:
            stream: Whose it is from now on.
            address: Of the other node, for errors.
            sent: Told how many calls a message has that is sent.
        """
        self.takes_calls = True
        self._stream = stream
        self._address = address
        self._sent = sent
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._parts: dict[int, list[bytes]] = {}
        # Taken from at the front, where a plain dictionary becomes slow.
        self._outbox: OrderedDict[int, _Frame] = OrderedDict()
        self._cancelled: list[int] = []
        self._wake: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Carries calls until the stream ends; then all that are under way have failed."""
        writer = asyncio.ensure_future(self._write())
        try:
            await self._read()
        finally:
            writer.cancel()
            self._stream.cancel()
            self._fail_all()

    async def call(self, path: str, request: bytes, limit: float, headers: Headers = ()) -> bytes:
        """Makes a call.

        Args:
            path: `/package.Service/Name`.
            request: The serialised request.
            limit: Seconds after which there is no answer.
            headers: The call's.

        Raises:
            PeerUnreachableError: There is no answer. All else is what the other node raised.
        """
        self._last_id = call_id = self._last_id + 1
        loop = self._loop
        self._outbox[call_id] = _Frame(path, request, loop.time() + limit, headers)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting[call_id] = answer
        self._go_on()
        timer = loop.call_later(limit, self._expire, call_id)
        try:
            told = await answer
        except asyncio.CancelledError:
            if self._waiting.pop(call_id, None) is not None:
                self._take_back(call_id)
            raise
        finally:
            timer.cancel()
        if isinstance(told, bytes):
            return told
        raise told

    def retire(self) -> None:
        """Takes no new calls; the stream ends when those under way have."""
        self.takes_calls = False
        self._go_on()

    def _expire(self, call_id: int) -> None:
        answer = self._waiting.pop(call_id, None)
        if answer is None:
            # It has been answered just now: its caller has not had its turn.
            return
        sent = self._take_back(call_id)
        if not answer.done():
            answer.set_result(PeerUnreachableError(self._address, maybe_sent=sent))

    def _take_back(self, call_id: int) -> bool:
        """Sees to it that nobody works on a call; returns whether it may have been sent."""
        self._parts.pop(call_id, None)
        sent = self._outbox.pop(call_id, None) is None
        if sent:
            self._cancelled.append(call_id)
        self._go_on()
        return sent

    def _fail_all(self) -> None:
        self.takes_calls = False
        waiting, self._waiting = self._waiting, {}
        for call_id, answer in waiting.items():
            if not answer.done():
                sent = call_id not in self._outbox
                answer.set_result(PeerUnreachableError(self._address, maybe_sent=sent))
        self._outbox.clear()

    # Sending

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _write(self) -> None:
        try:
            while self.takes_calls or self._waiting or self._cancelled:
                if self._outbox or self._cancelled:
                    await self._stream.write(self._batch())
                    continue
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
            await self._stream.done_writing()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            # The stream has ended: whoever reads is told so.
            return
        except Exception:
            self._stream.cancel()
            raise

    def _batch(self) -> bytes:
        """Takes what one message can hold out of the outbox, oldest first."""
        now = self._loop.time()
        outbox = self._outbox
        size = 0
        calls = []
        while outbox and size < _BATCH_BYTES:
            call_id, (path, request, deadline, headers) = outbox.popitem(last=False)
            size += len(request) + _FRAME_BYTES
            calls.append(
                internode.StreamedCall(
                    id=call_id,
                    path=path,
                    request=request,
                    timeout=max(deadline - now, 0.0),
                    headers=dict(headers),
                )
            )
        cancelled, self._cancelled = self._cancelled, []
        self._sent(len(calls))
        return internode.CallBatch(calls=calls, cancelled=cancelled).SerializeToString()

    # Answers

    async def _read(self) -> None:
        read: Callable[[], Awaitable[Any]] = self._stream.read
        try:
            while isinstance(message := await read(), bytes):
                for answer in internode.AnswerBatch.FromString(message).answers:
                    self._take(answer)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, DecodeError):
            # Which way it has ended makes no difference to its calls.
            return

    def _take(self, answer: internode.StreamedAnswer) -> None:
        call_id, data = answer.id, answer.data
        if call_id not in self._waiting:
            # Its caller has gone.
            return
        if answer.unfinished:
            self._parts.setdefault(call_id, []).append(data)
            return
        if call_id in self._parts:
            data = b"".join((*self._parts.pop(call_id), data))
        waiting = self._waiting.pop(call_id)
        if not waiting.done():
            waiting.set_result(raised_by(data) if answer.failed else data)
        if not self.takes_calls:
            self._go_on()
