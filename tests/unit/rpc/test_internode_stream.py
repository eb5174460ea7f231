"""Calls that share a stream: together, apart, and when their connection goes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, UnavailableError
from perdure.proto import internode_pb2 as internode
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import SilentObserver
from perdure.rpc.internode.call_stream import EXCHANGE, CallStream
from perdure.rpc.internode.errors import PeerUnreachableError, RemoteError
from perdure.rpc.internode.link import Link
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.settings import INTERNODE_TRANSPORT
from perdure.rpc.internode.wire import HISTORY_SERVICE
from perdure.rpc.methods import path_of
from perdure.rpc.peer_certificate import PeerCertificate
from perdure.rpc.streams import StreamHandler
from perdure.rpc.tls.denied import Denied
from perdure.rpc.tls.gate import Gate
from unit.rpc.internode_world import (
    NAMESPACE,
    QUICK,
    Forever,
    Server,
    connected,
    serving_node,
)
from waiting import until

START = wf.StartWorkflowExecutionRequest(namespace="default", workflow_id="workflow")
PATH = path_of(HISTORY_SERVICE, "StartWorkflowExecution")
POLL = wf.PollWorkflowTaskQueueRequest(namespace="default")
ANSWER = b"answer"


class Messages:
    """Notes how many calls each message of streams has had."""

    def __init__(self) -> None:
        self.calls: list[int] = []


@asynccontextmanager
async def counted() -> AsyncIterator[tuple[Peers, Messages]]:
    messages = Messages()
    peers = Peers(settings=QUICK, sent=messages.calls.append)
    try:
        yield peers, messages
    finally:
        await peers.close()


async def start(peers: Peers, server: Server, request: Any = START) -> Any:
    return await peers.history(server.node.address).start_workflow_execution(NAMESPACE, request)


def stream_of(peers: Peers, server: Server) -> CallStream | None:
    """Returns the stream that takes calls."""
    link: Link = peers._peers[server.node.address].link
    return link._streams.current


# What goes together, and what does not


async def test_calls_that_are_made_at_once_are_one_message() -> None:
    async with serving_node() as server, counted() as (peers, messages):
        await start(peers, server)
        assert messages.calls == [1]
        await asyncio.gather(*(start(peers, server) for _ in range(50)))
        assert messages.calls == [1, 50]
        assert len(server.history.calls) == 51


async def test_calls_that_are_much_together_are_several_messages() -> None:
    request = wf.StartWorkflowExecutionRequest(identity="i" * 60_000)
    async with serving_node() as server, counted() as (peers, messages):
        await asyncio.gather(*(start(peers, server, request) for _ in range(12)))
        assert sum(messages.calls) == 12
        assert max(messages.calls) == 5


async def test_a_large_request_goes_alone() -> None:
    request = wf.StartWorkflowExecutionRequest(identity="i" * 5_000_000)
    async with serving_node() as server, counted() as (peers, messages):
        await start(peers, server, request)
        assert messages.calls == []
        assert server.history.called("start_workflow_execution") == [(NAMESPACE, request)]


async def test_a_large_answer_comes_in_parts_and_holds_nobody_up() -> None:
    large = Encoded(bytes(range(256)) * 40_000)
    async with serving_node() as server, connected() as peers:
        server.matching.answers["poll_workflow_task_queue"] = large
        poll = peers.matching(server.node.address).poll_workflow_task_queue(NAMESPACE, POLL, 60.0)
        polled, _ = await asyncio.gather(poll, start(peers, server))
        assert polled == large


async def test_a_request_that_is_too_large_is_refused_as_everywhere() -> None:
    async with serving_node() as server, counted() as (peers, messages):
        await server.stop()
        transport = replace(INTERNODE_TRANSPORT, max_request_bytes=1_000)
        await server.restart(transport=transport)
        with pytest.raises(RemoteError, match="received message larger than max") as refused:
            await start(peers, server, wf.StartWorkflowExecutionRequest(identity="i" * 2_000))
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert messages.calls == [1]


# Nodes of other releases


async def test_a_node_that_knows_no_streams_is_called_without_until_it_is_another() -> None:
    async with serving_node() as server, counted() as (peers, messages):
        await server.stop()
        await server.restart(streamed=False)
        for _ in range(3):
            await start(peers, server)
        assert messages.calls == []
        assert len(server.history.calls) == 3
        await server.stop()
        await server.restart()
        await until_streamed(peers, server, messages)


async def until_streamed(peers: Peers, server: Server, messages: Messages) -> None:
    """Calls until a call has gone in a stream; meanwhile the connection may be found lost."""
    async with asyncio.timeout(30):
        while not messages.calls:
            try:
                await start(peers, server)
            except PeerUnreachableError:
                await asyncio.sleep(0.001)


# Connections that go


async def test_a_lost_connection_fails_all_its_calls_and_the_next_one_opens_another() -> None:
    forever = Forever()
    async with serving_node() as server, counted() as (peers, messages):
        server.history.answers["start_workflow_execution"] = forever
        calls = [asyncio.ensure_future(start(peers, server)) for _ in range(3)]
        await until(lambda: len(server.history.calls) == 3)
        await server.stop()
        for call in calls:
            with pytest.raises(PeerUnreachableError) as lost:
                await call
            assert lost.value.maybe_sent
        server.history.answers.clear()
        await server.restart()
        messages.calls.clear()
        await until_streamed(peers, server, messages)


async def test_a_connection_that_is_old_loses_no_call() -> None:
    release = asyncio.Event()

    async def slow(*_: Any) -> Any:
        await release.wait()
        return wf.StartWorkflowExecutionResponse(run_id="slow")

    async with serving_node() as server, connected() as peers:
        await server.stop()
        transport = replace(INTERNODE_TRANSPORT, max_age_seconds=0.2, max_age_grace_seconds=600.0)
        await server.restart(transport=transport)
        server.history.answers["start_workflow_execution"] = slow
        call = asyncio.ensure_future(start(peers, server))
        await until(lambda: len(server.history.calls) == 1)
        first = stream_of(peers, server)
        assert first is not None
        server.history.answers.clear()
        seen = {id(first)}
        async with asyncio.timeout(30):
            while len(seen) < 3:
                await start(peers, server)
                current = stream_of(peers, server)
                if current is not None:
                    seen.add(id(current))
        assert not call.done()
        release.set()
        assert (await call).run_id == "slow"


async def test_a_server_that_stops_lets_calls_end_and_is_not_held_up_by_streams() -> None:
    release = asyncio.Event()

    async def slow(*_: Any) -> Any:
        await release.wait()
        return wf.StartWorkflowExecutionResponse(run_id="slow")

    async with serving_node() as server, connected() as peers:
        await start(peers, server)
        server.history.answers["start_workflow_execution"] = slow
        call = asyncio.ensure_future(start(peers, server))
        await until(lambda: len(server.history.calls) == 2)
        stopping = asyncio.ensure_future(server.stop(3_600.0))
        # The next call finds nobody, and is known not to have been sent.
        await until(lambda: stream_of(peers, server) is None)
        with pytest.raises(PeerUnreachableError) as refused:
            await start(peers, server)
        assert not refused.value.maybe_sent
        release.set()
        assert (await call).run_id == "slow"
        async with asyncio.timeout(30):
            await stopping


async def test_a_server_that_refuses_says_so_in_streams_too() -> None:
    async with serving_node() as server, connected() as peers:
        await start(peers, server)
        assert server._server is not None
        await server._server._dispatcher.calls.refuse(0)
        with pytest.raises(UnavailableError, match="this server is stopping"):
            await start(peers, server)


# A node that does not read


class Stalled:
    """A stream whose far end reads no more than it is let."""

    def __init__(self) -> None:
        self.batches: list[internode.CallBatch] = []
        self.room = asyncio.Semaphore(0)
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def write(self, message: bytes) -> None:
        self.batches.append(internode.CallBatch.FromString(message))
        await self.room.acquire()

    async def read(self) -> Any:
        return await self.answers.get() or grpc.aio.EOF

    async def done_writing(self) -> None:
        return

    def cancel(self) -> bool:
        return True


@asynccontextmanager
async def stalled() -> AsyncIterator[tuple[Stalled, CallStream]]:
    double = Stalled()
    stream = CallStream(cast(Any, double), address="there:1", sent=lambda _: None)
    running = asyncio.ensure_future(stream.run())
    try:
        yield double, stream
    finally:
        double.answers.put_nowait(b"")
        await running


async def test_what_was_not_handed_over_was_not_sent_and_never_is() -> None:
    async with stalled() as (double, stream):
        sent = asyncio.ensure_future(stream.call(PATH, b"1", 3_600.0))
        await until(lambda: len(double.batches) == 1)
        late = asyncio.ensure_future(stream.call(PATH, b"2", 0.01))
        left = asyncio.ensure_future(stream.call(PATH, b"3", 3_600.0))
        with pytest.raises(PeerUnreachableError) as expired:
            await late
        assert not expired.value.maybe_sent
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        double.room.release()
        await until(lambda: len(double.batches) == 2)
    first, second = double.batches
    assert [call.request for call in first.calls] == [b"1"]
    assert list(second.calls) == []
    assert list(second.cancelled) == [first.calls[0].id]


async def test_a_time_limit_ends_a_call_that_was_sent_at_both_ends() -> None:
    async with stalled() as (double, stream):
        double.room.release()
        with pytest.raises(PeerUnreachableError) as expired:
            await stream.call(PATH, b"1", 0.01)
        assert expired.value.maybe_sent
        await until(lambda: len(double.batches) == 2)
    assert list(double.batches[1].cancelled) == [double.batches[0].calls[0].id]


async def test_an_answer_at_the_last_moment_counts() -> None:
    async with stalled() as (double, stream):
        call = asyncio.ensure_future(stream.call(PATH, b"1", 3_600.0))
        await until(lambda: len(double.batches) == 1)
        call_id = double.batches[0].calls[0].id
        # The timer of a call fires before its caller has had its turn.
        stream._take(internode.StreamedAnswer(id=call_id, data=ANSWER))
        stream._expire(call_id)
        assert await call == ANSWER
        assert not stream._cancelled


async def test_waiting_for_the_other_node_is_taken_off_the_time_that_it_gets() -> None:
    async with stalled() as (double, stream):
        calls = [asyncio.ensure_future(stream.call(PATH, b"1", 3_600.0))]
        await until(lambda: len(double.batches) == 1)
        calls.append(asyncio.ensure_future(stream.call(PATH, b"2", 3_600.0)))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: loop.time() > began + 0.01)
        double.room.release()
        await until(lambda: len(double.batches) == 2)
        assert double.batches[1].calls[0].timeout <= 3_600.0 - 0.01
        for call in calls:
            call.cancel()


async def test_a_stream_that_ends_tells_what_was_sent() -> None:
    async with stalled() as (double, stream):
        sent = asyncio.ensure_future(stream.call(PATH, b"1", 3_600.0))
        await until(lambda: len(double.batches) == 1)
        waiting = asyncio.ensure_future(stream.call(PATH, b"2", 3_600.0))
        await asyncio.sleep(0)
        double.answers.put_nowait(b"")
        for call, maybe_sent in ((sent, True), (waiting, False)):
            with pytest.raises(PeerUnreachableError) as lost:
                await call
            assert lost.value.maybe_sent is maybe_sent
        assert not stream.takes_calls


async def test_an_answer_to_who_has_gone_is_dropped() -> None:
    async with stalled() as (double, stream):
        answers = [internode.StreamedAnswer(id=77, data=b"?")]
        double.answers.put_nowait(internode.AnswerBatch(answers=answers).SerializeToString())
        call = asyncio.ensure_future(stream.call(PATH, b"1", 3_600.0))
        await until(lambda: len(double.batches) == 1)
        call_id = double.batches[0].calls[0].id
        answers = [internode.StreamedAnswer(id=call_id, data=ANSWER)]
        double.answers.put_nowait(internode.AnswerBatch(answers=answers).SerializeToString())
        assert await call == ANSWER


# The far end by itself


class Caller:
    """The near end of a stream, as the far end sees it: reads answers only when it is let."""

    def __init__(self) -> None:
        self.batches: deque[internode.CallBatch] = deque()
        self.sent = asyncio.Condition()
        self.read_calls = 0
        self.closed = False
        self.room = asyncio.Event()
        self.answers: list[internode.StreamedAnswer] = []

    async def send(self, *calls: internode.StreamedCall, cancelled: tuple[int, ...] = ()) -> None:
        async with self.sent:
            self.batches.append(internode.CallBatch(calls=calls, cancelled=cancelled))
            self.sent.notify_all()

    async def close(self) -> None:
        async with self.sent:
            self.closed = True
            self.sent.notify_all()

    async def read(self) -> Any:
        async with self.sent:
            await self.sent.wait_for(lambda: self.batches or self.closed)
            if not self.batches:
                return grpc.aio.EOF
            self.read_calls += 1
            # As long as this takes, others get their turn.
            await asyncio.sleep(0)
            return self.batches.popleft().SerializeToString()

    async def write(self, message: bytes) -> None:
        await self.room.wait()
        self.answers += internode.AnswerBatch.FromString(message).answers

    def peer(self) -> str:
        return "caller:1"

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def answer(self, call_id: int) -> bytes:
        return b"".join(each.data for each in self.answers if each.id == call_id)


@asynccontextmanager
async def answering(serve: Any) -> AsyncIterator[tuple[Caller, "asyncio.Task[None]"]]:
    caller = Caller()
    known = frozenset({HISTORY_SERVICE.full_name})
    handler = StreamHandler({PATH: serve}, known_services=known, observer=SilentObserver())
    details = cast(grpc.HandlerCallDetails, type("Details", (), {"method": EXCHANGE}))
    found: Any = handler.service(details)
    serving = asyncio.ensure_future(found.stream_stream(None, caller))
    try:
        yield caller, serving
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def call_of(call_id: int, *, timeout: float = 3_600.0, path: str = PATH) -> Any:
    return internode.StreamedCall(id=call_id, path=path, request=b"?", timeout=timeout)


async def test_nothing_is_read_while_answers_wait_for_who_does_not_read_them() -> None:
    async def serve(*_: Any) -> bytes:
        return bytes(9 * 1024 * 1024)

    async with answering(serve) as (caller, serving):
        await caller.send(call_of(1))
        await caller.send(call_of(2), call_of(3))
        await until(lambda: caller.read_calls == 2)
        for call_id in range(4, 10):
            await caller.send(call_of(call_id))
        for _ in range(50):
            await asyncio.sleep(0)
        # One more was being read when the answers had become too many.
        assert caller.read_calls == 3
        caller.room.set()
        await caller.close()
        await serving
        assert all(len(caller.answer(each)) == 9 * 1024 * 1024 for each in range(1, 10))


async def test_a_call_ends_at_the_far_end_by_itself_when_its_time_is_over() -> None:
    forever = Forever()
    async with answering(forever) as (caller, serving):
        caller.room.set()
        await caller.send(call_of(1, timeout=0.01))
        await forever.cancelled.wait()
        await caller.close()
        await serving
        assert caller.answers == []


async def test_a_call_is_cancelled_alone() -> None:
    forever = Forever()
    async with answering(forever) as (caller, serving):
        caller.room.set()
        await caller.send(call_of(1))
        await forever.reached.wait()
        await caller.send(cancelled=(1,))
        await forever.cancelled.wait()
        assert not serving.done()


async def test_a_stream_that_breaks_cancels_its_calls() -> None:
    forever = Forever()
    async with answering(forever) as (caller, serving):
        await caller.send(call_of(1))
        await forever.reached.wait()
        serving.cancel()
        await forever.cancelled.wait()


async def test_a_stream_that_is_closed_ends_when_its_calls_have() -> None:
    release = asyncio.Event()

    async def serve(*_: Any) -> bytes:
        await release.wait()
        return ANSWER

    async with answering(serve) as (caller, serving):
        caller.room.set()
        await caller.send(call_of(1))
        await caller.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not serving.done()
        release.set()
        await serving
        assert caller.answer(1) == ANSWER


async def test_who_is_revoked_is_refused_call_by_call() -> None:
    gate = Gate()
    forever = Forever()

    async def serve(_data: bytes, call: Any, _context: object) -> bytes:
        with gate.passed(call):
            return await forever()

    async with answering(serve) as (caller, serving):
        caller.room.set()
        await caller.send(call_of(1))
        await forever.reached.wait()
        gate.change(_Everybody())
        await until(lambda: len(caller.answers) == 1)
        await caller.send(call_of(2))
        await until(lambda: len(caller.answers) == 2)
        assert not serving.done()
    for answer in caller.answers:
        assert Status.FromString(answer.data).code == Code.UNAUTHENTICATED


class _Everybody(Denied):
    def __bool__(self) -> bool:
        return True

    def refuses(self, certificate: PeerCertificate | None) -> bool:
        return True


async def test_an_rpc_that_nobody_knows_is_refused_by_name() -> None:
    async with answering(None) as (caller, serving):
        caller.room.set()
        await caller.send(call_of(1, path=f"/{HISTORY_SERVICE.full_name}/Nope"))
        await caller.close()
        await serving
    (answer,) = caller.answers
    status = Status.FromString(answer.data)
    assert answer.failed
    assert status.code == Code.UNIMPLEMENTED
    assert status.message == f"unknown method Nope for service {HISTORY_SERVICE.full_name}"
