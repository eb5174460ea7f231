"""Calls in streams: the far end. Whatever a call is that is an RPC of its own, these are as well.

Theory of operation: whoever serves a stream reads its calls and has each answered by a task of its
own, with what answers it as an RPC too (`dispatch`). Answers go into an outbox; a task sends what
is there, as one message for all that came in the same turn of the event loop. Large ones are sent
in parts, between which others get their turn.

Rules that hold here: a call ends when its time is over, its caller gives it up, or its stream
breaks; nothing is read while too many bytes of answers wait for a caller that does not read them; a
stream that its caller has closed ends when its calls have ended.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc

from perdure.core.errors import ServiceError
from perdure.proto import internode_pb2 as internode
from perdure.rpc.dispatch import Behaviour, Call
from perdure.rpc.handler import OperationObserver, RpcObserver
from perdure.rpc.internode.call_stream import EXCHANGE
from perdure.rpc.peer_certificate import PeerCertificate, peer_certificate
from perdure.rpc.status import UnknownMethodError, details_of

ACCEPTED: Final = b""
"""Answers the first message of a stream, which is empty too."""

_BATCH_BYTES: Final = 256 * 1024
"""A message is sent when its answers have grown to this."""
_PART_BYTES: Final = 64 * 1024
_FRAME_BYTES: Final = 16
"""What an answer has besides its data, about."""
_MOST_WAITING_BYTES: Final = 16 * 1024 * 1024


class StreamHandler(grpc.GenericRpcHandler):
    """Serves streams of calls."""

    def __init__(
        self,
        behaviours: Mapping[str, Behaviour],
        *,
        known_services: frozenset[str],
        observer: RpcObserver,
    ) -> None:
        """Makes a handler.

        Args:
            behaviours: What answers which RPC, by path.
            known_services: For the refusal of others.
            observer: Where these are reported to.
        """
        self._behaviours = behaviours
        self._known_services = known_services
        self._unknown = observer.operation("", "unknown")
        self._handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._serve
        )

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Returns what serves a stream; None for all other calls."""
        return self._handler if handler_call_details.method == EXCHANGE else None

    async def _serve(self, _requests: object, call: Call) -> None:
        behaviours = self._behaviours
        await _Stream(call, lambda path: behaviours.get(path) or self._refusal(path)).run()

    def _refusal(self, path: str) -> Behaviour:
        observer: OperationObserver = self._unknown
        error = UnknownMethodError(path, self._known_services)

        async def refuse(*_: object) -> bytes:
            observer.end(observer.begin(), "", error)
            raise error

        return refuse


class StreamedContext:
    """The `RequestContext` of a call in a stream."""

    __slots__ = ("_call", "_deadline", "metadata")

    def __init__(self, call: Call, headers: Mapping[str, str | bytes], deadline: float) -> None:
        self.metadata = headers
        self._call = call
        self._deadline = deadline

    @property
    def peer(self) -> str:
        """The caller's address."""
        return self._call.peer()

    @property
    def certificate(self) -> PeerCertificate | None:
        """The client certificate of the caller's connection; None where there is none."""
        return peer_certificate(self._call)

    def time_remaining(self) -> float:
        """Returns the seconds until the caller gives up."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())


class _Answer:
    __slots__ = ("data", "failed", "sent")

    def __init__(self, data: bytes, failed: bool) -> None:
        self.data = data
        self.failed = failed
        self.sent = 0


class _Stream:
    """A stream while it lasts."""

    def __init__(self, call: Call, find: Callable[[str], Behaviour]) -> None:
        self._call = call
        self._find = find
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        # Taken from at the front, where a plain dictionary becomes slow.
        self._outbox: OrderedDict[int, _Answer] = OrderedDict()
        self._waiting_bytes = 0
        self._closed = False
        self._wake: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def run(self) -> None:
        """Serves until the caller has closed the stream, and all is answered."""
        serving = asyncio.current_task()
        assert serving is not None, "a stream has a task of its own"
        writer = asyncio.ensure_future(self._write())
        # Who cannot answer does not listen either.
        writer.add_done_callback(lambda _: None if self._closed else serving.cancel())
        try:
            await self._read()
            self._closed = True
            self._go_on()
            await writer
        finally:
            writer.cancel()
            for task in self._tasks.values():
                task.cancel()

    async def _read(self) -> None:
        read: Callable[[], Awaitable[Any]] = self._call.read
        while isinstance(message := await read(), bytes):
            batch = internode.CallBatch.FromString(message)
            for streamed in batch.calls:
                self._begin(streamed)
            for call_id in batch.cancelled:
                self._cancel(call_id)
            if not self._room.is_set():
                await self._room.wait()

    def _begin(self, streamed: internode.StreamedCall) -> None:
        call_id = streamed.id
        task = self._loop.create_task(self._answer(streamed))
        self._tasks[call_id] = task
        task.add_done_callback(lambda _: self._ended(call_id))

    def _cancel(self, call_id: int) -> None:
        task = self._tasks.get(call_id)
        if task is not None:
            task.cancel()
            return
        answer = self._outbox.pop(call_id, None)
        if answer is not None:
            self._let_go(len(answer.data) - answer.sent)

    def _ended(self, call_id: int) -> None:
        self._tasks.pop(call_id, None)
        if self._closed:
            self._go_on()

    async def _answer(self, streamed: internode.StreamedCall) -> None:
        loop = self._loop
        task = self._tasks[streamed.id]
        timeout = streamed.timeout
        timer = loop.call_later(timeout, task.cancel)
        context = StreamedContext(self._call, dict(streamed.headers), loop.time() + timeout)
        try:
            serve = self._find(streamed.path)
            answer = _Answer(await serve(streamed.request, self._call, context), failed=False)
        except ServiceError as error:
            answer = _Answer(details_of(error, always=True) or b"", failed=True)
        finally:
            timer.cancel()
        self._outbox[streamed.id] = answer
        self._waiting_bytes += len(answer.data)
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._room.clear()
        self._go_on()

    # Sending

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _let_go(self, size: int) -> None:
        self._waiting_bytes -= size
        if self._waiting_bytes <= _MOST_WAITING_BYTES:
            self._room.set()

    async def _write(self) -> None:
        write = self._call.write
        try:
            await write(ACCEPTED)
            while self._outbox or self._tasks or not self._closed:
                if self._outbox:
                    await write(self._batch())
                    continue
                self._wake = self._loop.create_future()
                await self._wake
                self._wake = None
        except grpc.aio.BaseError:
            # The connection is lost.
            return

    def _batch(self) -> bytes:
        """Takes what one message can hold out of the outbox, oldest first."""
        outbox = self._outbox
        answers = []
        unfinished = {}
        size = 0
        while outbox and size < _BATCH_BYTES:
            call_id, answer = outbox.popitem(last=False)
            data, at = answer.data, answer.sent
            more = len(data) - at > _PART_BYTES
            if at or more:
                data = data[at : at + _PART_BYTES]
            if more:
                answer.sent = at + len(data)
                unfinished[call_id] = answer
            size += len(data) + _FRAME_BYTES
            self._let_go(len(data))
            answers.append(
                internode.StreamedAnswer(
                    id=call_id, data=data, failed=answer.failed, unfinished=more
                )
            )
        # Behind the others.
        outbox.update(unfinished)
        return internode.AnswerBatch(answers=answers).SerializeToString()
