"""What crosses between nodes: every method, every error, deadlines and cancellations."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol, get_type_hints

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.failure.v1.message_pb2 import Failure
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core import errors
from perdure.core.commit import DispatchTask
from perdure.core.errors import Code, ServiceError
from perdure.persistence.ports import StoreUnavailable
from perdure.rpc.clients import (
    Encoded,
    MatchingNode,
    Namespace,
    NotOwnerError,
    Poller,
    StaleTask,
)
from perdure.rpc.handler import RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.errors import PeerUnreachableError, RemoteError
from perdure.rpc.internode.serving import internode_handlers
from perdure.rpc.internode.settings import InternodeSettings
from perdure.rpc.internode.wire import (
    HISTORY_METHODS,
    HISTORY_SERVICE,
    INTERNODE_SERVICES,
    LOCAL_METHODS,
    MATCHING_METHODS,
    _methods,
)
from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from unit.rpc.internode_world import (
    ACTIVITIES,
    NAMESPACE,
    Forever,
    arguments_of,
    connected,
    history_stand_in,
    matching_stand_in,
    methods_of,
    sample,
    serving_node,
    task_of,
)
from unit.rpc.test_rpc_errors import TABLE

START = wf.StartWorkflowExecutionRequest(namespace="default", workflow_id="workflow")
POLL = wf.PollWorkflowTaskQueueRequest(namespace="default")
UNREACHABLE = "127.0.0.1:1"


def crossing(protocol: type) -> list[str]:
    return [name for name in methods_of(protocol) if name not in LOCAL_METHODS]


CROSSING = [
    *[(HistoryClient, name) for name in crossing(HistoryClient)],
    *[(MatchingNode, name) for name in crossing(MatchingNode)],
]


@pytest.mark.parametrize(("protocol", "name"), CROSSING, ids=[name for _, name in CROSSING])
async def test_every_method_crosses_and_comes_back(protocol: type, name: str) -> None:
    arguments = arguments_of(protocol, name)
    async with serving_node() as server, connected() as peers:
        of_history = protocol is HistoryClient
        role: Any = (peers.history if of_history else peers.matching)(server.node.address)
        stand_in = server.history if of_history else server.matching
        result = await getattr(role, name)(*arguments)
        [(called, taken)] = [call for call in stand_in.calls if call[0] not in LOCAL_METHODS]
    assert (called, taken) == (name, arguments)
    if name != "add_tasks":
        returned = sample(get_type_hints(methods_of(protocol)[name])["return"])
        assert result == returned
        assert type(result) is type(returned)


def test_every_rpc_is_a_method_and_every_method_an_rpc() -> None:
    for methods, protocol, service in (
        (HISTORY_METHODS, HistoryClient, INTERNODE_SERVICES[0]),
        (MATCHING_METHODS, MatchingNode, INTERNODE_SERVICES[1]),
    ):
        assert {method.name for method in methods} == set(crossing(protocol))
        assert {method.rpc for method in methods} == set(service.methods_by_name)


def test_a_method_without_a_form_is_noticed() -> None:
    class Unnamed(HistoryClient, Protocol):
        async def a_new_one(self, namespace: Namespace, request: Message) -> Message: ...

    class Misshapen(Protocol):
        async def reset_sticky_task_queue(self, something: str) -> Message: ...

    with pytest.raises(AssertionError, match="a_new_one needs an RPC"):
        _methods(Unnamed, HISTORY_SERVICE)
    with pytest.raises(AssertionError, match="reset_sticky_task_queue needs a form"):
        _methods(Misshapen, HISTORY_SERVICE)


def test_a_node_serves_the_roles_that_it_has() -> None:
    history, matching = history_stand_in(), matching_stand_in()
    assert internode_handlers(None, None) == {}
    only_history = internode_handlers(history, None)
    assert set(only_history) == {method.path for method in HISTORY_METHODS}
    both = internode_handlers(history, matching)
    assert set(both) == set(only_history) | {method.path for method in MATCHING_METHODS}


async def test_a_poller_of_activities_crosses_with_its_own_request() -> None:
    task = task_of(queue=ACTIVITIES)
    poller = Poller("request", "worker", sample(wf.PollActivityTaskQueueRequest))
    async with serving_node() as server, connected() as peers:
        await peers.history(server.node.address).record_activity_task_started(task, poller)
        assert server.history.called("record_activity_task_started") == [(task, poller)]


ERRORS = [
    *[error for error, _, _ in TABLE],
    errors.QueryFailedError("failed", Failure(message="in the handler")),
    RemoteError(Code.DATA_LOSS, "no class of ours"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_errors_cross_unchanged(error: ServiceError) -> None:
    async with serving_node() as server, connected() as peers:
        server.history.answers["start_workflow_execution"] = error
        with pytest.raises(ServiceError) as caught:
            await peers.history(server.node.address).start_workflow_execution(NAMESPACE, START)
    told = caught.value
    if not isinstance(error.detail, Failure):
        assert type(told) is type(error)
        assert told.detail == error.detail
    assert (told.code, told.message, str(told)) == (error.code, error.message, error.message)


async def test_a_large_detail_crosses() -> None:
    error = errors.NamespaceNotFoundError("n" * 100_000)
    error.message = "short"
    async with serving_node() as server, connected() as peers:
        server.history.answers["start_workflow_execution"] = error
        with pytest.raises(errors.NamespaceNotFoundError) as caught:
            await peers.history(server.node.address).start_workflow_execution(NAMESPACE, START)
    assert caught.value.detail == error.detail


async def test_what_is_no_service_error_crosses_too() -> None:
    task, poller = task_of(), Poller("request", "worker", POLL)
    async with serving_node() as server, connected() as peers:
        history = peers.history(server.node.address)
        answers = server.history.answers
        answers["record_workflow_task_started"] = StaleTask()
        with pytest.raises(StaleTask):
            await history.record_workflow_task_started(task, poller)
        answers["record_workflow_task_started"] = NotOwnerError("somebody")
        with pytest.raises(NotOwnerError) as refused:
            await history.record_workflow_task_started(task, poller)
        assert refused.value.owner == "somebody"
        answers["record_workflow_task_started"] = StoreUnavailable("gone")
        with pytest.raises(errors.UnavailableError, match="database") as unavailable:
            await history.record_workflow_task_started(task, poller)
        assert type(unavailable.value) is errors.UnavailableError
        answers["record_workflow_task_started"] = ZeroDivisionError()
        with pytest.raises(RemoteError, match="something went wrong") as masked:
            await history.record_workflow_task_started(task, poller)
        assert masked.value.code is Code.UNKNOWN


async def test_nobody_there_means_certainly_not_sent() -> None:
    async with connected() as peers:
        with pytest.raises(PeerUnreachableError) as caught:
            await peers.history(UNREACHABLE).start_workflow_execution(NAMESPACE, START)
    assert not caught.value.maybe_sent
    assert caught.value.code is Code.UNAVAILABLE
    assert UNREACHABLE not in caught.value.message


async def test_a_node_that_dies_over_a_call_may_have_carried_it_out() -> None:
    forever = Forever()
    async with serving_node() as server, connected() as peers:
        server.history.answers["start_workflow_execution"] = forever
        history = peers.history(server.node.address)
        call = asyncio.ensure_future(history.start_workflow_execution(NAMESPACE, START))
        await forever.reached.wait()
        await server.stop()
        with pytest.raises(PeerUnreachableError) as caught:
            await call
        assert caught.value.maybe_sent
        # The channel learns of the loss a moment later; then it is known that nothing is sent.
        while caught.value.maybe_sent:
            with pytest.raises(PeerUnreachableError) as caught:
                await history.start_workflow_execution(NAMESPACE, START)


async def test_a_link_that_is_closed_under_a_call_is_no_cancellation() -> None:
    forever = Forever()
    async with serving_node() as server, connected() as peers:
        server.history.answers["start_workflow_execution"] = forever
        history = peers.history(server.node.address)
        call = asyncio.ensure_future(history.start_workflow_execution(NAMESPACE, START))
        await forever.reached.wait()
        await peers.retain([])
        with pytest.raises(PeerUnreachableError) as caught:
            await call
        assert caught.value.maybe_sent
        with pytest.raises(PeerUnreachableError) as closed:
            await history.start_workflow_execution(NAMESPACE, START)
        assert not closed.value.maybe_sent
        server.history.answers.clear()
        await peers.history(server.node.address).start_workflow_execution(NAMESPACE, START)


async def test_a_caller_that_goes_away_cancels_the_far_end() -> None:
    forever = Forever()
    async with serving_node() as server, connected() as peers:
        server.matching.answers["poll_workflow_task_queue"] = forever
        poll = asyncio.ensure_future(
            peers.matching(server.node.address).poll_workflow_task_queue(NAMESPACE, POLL, 60.0)
        )
        await forever.reached.wait()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        await forever.cancelled.wait()


async def test_a_node_that_hangs_is_not_waited_for_beyond_the_bound() -> None:
    settings = InternodeSettings(call=0.05, wait_margin=0.05)
    plain, waiting = Forever(), Forever()
    async with serving_node() as server, connected(settings) as peers:
        server.history.answers["start_workflow_execution"] = plain
        server.matching.answers["poll_workflow_task_queue"] = waiting
        with pytest.raises(PeerUnreachableError) as caught:
            await peers.history(server.node.address).start_workflow_execution(NAMESPACE, START)
        assert caught.value.maybe_sent
        await plain.cancelled.wait()
        with pytest.raises(PeerUnreachableError):
            await peers.matching(server.node.address).poll_workflow_task_queue(NAMESPACE, POLL, 0.0)
        await waiting.cancelled.wait()


class Contexts:
    """Notes what handlers are told of their calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.remaining: dict[str, float | None] = {}
        self.traces: list[Any] = []

        def noting(history: Any, matching: Any) -> Any:
            handlers = internode_handlers(history, matching)
            return {path: self._noting(path, handler) for path, handler in handlers.items()}

        monkeypatch.setattr("unit.rpc.internode_world.internode_handlers", noting)

    def _noting(self, path: str, handler: Any) -> Any:
        async def handle(request: Message, context: RequestContext) -> Any:
            self.remaining[path.rpartition("/")[2]] = context.time_remaining()
            self.traces.append(context.metadata.get("traceparent"))
            return await handler(request, context)

        return handle


async def test_deadlines_and_traces_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = Contexts(monkeypatch)
    settings = InternodeSettings(call=100.0, wait_margin=50.0)
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OpenTelemetryTracer(provider)
    async with serving_node() as server, connected(settings, tracer=tracer) as peers:
        await peers.history(server.node.address).start_workflow_execution(NAMESPACE, START)
        matching = peers.matching(server.node.address)
        with tracer.span("rpc"):
            await matching.poll_workflow_task_queue(NAMESPACE, POLL, 1_000.0)
    plain = contexts.remaining["StartWorkflowExecution"]
    waiting = contexts.remaining["PollWorkflowTaskQueue"]
    # gRPC sends timeouts rounded up, to few digits.
    assert plain is not None
    assert 0 < plain <= 101
    assert waiting is not None
    assert 1_000 < waiting <= 1_060
    call, rpc = exporter.get_finished_spans()
    assert call.context is not None
    assert call.parent == rpc.context
    ids, flags = call.context, call.context.trace_flags
    sent = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{flags:02x}"
    assert contexts.traces == [None, sent]


class Observed:
    """Notes calls as an observer is told."""

    def __init__(self) -> None:
        self.named: list[tuple[str, str]] = []
        self.ends: list[tuple[str, BaseException | None]] = []

    def operation(self, service: str, name: str) -> "Observed":
        self.named.append((service.rpartition(".")[2], name))
        return self

    def begin(self) -> float:
        return 7.0

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        assert begun == 7.0
        self.ends.append((namespace, error))


async def test_calls_are_observed_with_their_namespace() -> None:
    observed = Observed()
    async with serving_node() as server, connected(observer=observed) as peers:
        history = peers.history(server.node.address)
        await history.start_workflow_execution(NAMESPACE, START)
        error = errors.NotFoundError("none")
        server.history.answers["undo_task_started"] = error
        with pytest.raises(errors.NotFoundError) as caught:
            await history.undo_task_started(task_of(), "request")
    assert ("HistoryService", "StartWorkflowExecution") in observed.named
    assert len(observed.named) == len(set(observed.named)) == len(CROSSING)
    assert observed.ends == [("default", None), ("", caught.value)]


async def test_health_and_unknown_methods() -> None:
    async with (
        serving_node() as server,
        grpc.aio.insecure_channel(server.node.address) as channel,
    ):
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in INTERNODE_SERVICES:
            request = health_pb2.HealthCheckRequest(service=service.full_name)
            response = health_pb2.HealthCheckResponse.FromString(
                await check(request.SerializeToString())
            )
            assert response.status == health_pb2.HealthCheckResponse.SERVING
        for path in (
            f"/{HISTORY_SERVICE.full_name}/Nope",
            "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo",
        ):
            call: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_places_of_unpolled_sticky_hints_come_back() -> None:
    tasks: list[DispatchTask] = [task_of(1), task_of(2, sticky=True), task_of(3, sticky=True)]
    async with serving_node() as server, connected() as peers:
        seen = iter([True, False])
        server.matching.answers["has_recent_poller"] = lambda _queue: next(seen)
        assert list(await peers.matching(server.node.address).add_tasks(tasks)) == [2]
        assert server.matching.called("add_tasks") == [(tasks,)]


async def test_payload_bytes_are_passed_on_as_they_are() -> None:
    # Field 1000 is unknown to this release: whoever parsed and serialised anew would move it.
    odd = Encoded(b"\xc2\x3e\x01x\x0a\x05token\xc2\x3e\x01y")
    async with serving_node() as server, connected() as peers:
        server.matching.answers["poll_workflow_task_queue"] = odd
        matching = peers.matching(server.node.address)
        assert await matching.poll_workflow_task_queue(NAMESPACE, POLL, 1.0) == odd


async def test_a_node_that_is_there_but_dead_is_noticed_by_pings() -> None:
    hung_up = asyncio.Event()

    async def say_nothing_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # An empty SETTINGS frame is all that a client needs to take a connection for made.
        writer.write(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    settings = InternodeSettings(call=3_600.0, keepalive=0.05, keepalive_timeout=0.05)
    async with await asyncio.start_server(say_nothing_more, "127.0.0.1", 0) as dead:
        address = f"127.0.0.1:{dead.sockets[0].getsockname()[1]}"
        async with connected(settings) as peers:
            with pytest.raises(PeerUnreachableError) as caught:
                await peers.history(address).start_workflow_execution(NAMESPACE, START)
        await hung_up.wait()
    # Calls are not sent before the node has taken the stream.
    assert not caught.value.maybe_sent
