"""How errors reach clients: over a real server, as a real client sees them."""

import asyncio
from typing import Any

import pytest
from google.protobuf.message import Message
from structlog.testing import capture_logs
from temporalio.api.errordetails.v1 import message_pb2 as details
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core import errors
from perdure.core.errors import Code, ServiceError
from perdure.persistence.ports import StoreUnavailable, UnknownOutcome
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import OperationObserver, RequestContext
from perdure.rpc.methods import WORKFLOW_SERVICE
from perdure.rpc.transport import TransportSettings
from unit.frontend.world import Answer, World, path_of_rpc, serving

RPC = "SignalWorkflowExecution"
REQUEST = wf.SignalWorkflowExecutionRequest(namespace="default", signal_name="signal")
BYTES = REQUEST.SerializeToString()

TABLE: list[tuple[ServiceError, Code, Message | None]] = [
    (errors.InvalidArgumentError("wrong"), Code.INVALID_ARGUMENT, None),
    (errors.NotFoundError("none"), Code.NOT_FOUND, details.NotFoundFailure()),
    (
        errors.NamespaceNotFoundError("here"),
        Code.NOT_FOUND,
        details.NamespaceNotFoundFailure(namespace="here"),
    ),
    (
        errors.NamespaceAlreadyExistsError("there"),
        Code.ALREADY_EXISTS,
        details.NamespaceAlreadyExistsFailure(),
    ),
    (
        errors.WorkflowExecutionAlreadyStartedError(
            "running", start_request_id="request", run_id="run", first_run_id="first"
        ),
        Code.ALREADY_EXISTS,
        details.WorkflowExecutionAlreadyStartedFailure(
            start_request_id="request", run_id="run", first_execution_run_id="first"
        ),
    ),
    (errors.QueryFailedError("failed"), Code.INVALID_ARGUMENT, details.QueryFailedFailure()),
    (
        errors.WorkflowNotReadyError("later"),
        Code.FAILED_PRECONDITION,
        details.WorkflowNotReadyFailure(),
    ),
    (errors.FailedPreconditionError("not now"), Code.FAILED_PRECONDITION, None),
    (
        errors.PermissionDeniedError("no"),
        Code.PERMISSION_DENIED,
        details.PermissionDeniedFailure(),
    ),
    (
        errors.ResourceExhaustedError("enough", 5, 1),
        Code.RESOURCE_EXHAUSTED,
        details.ResourceExhaustedFailure(cause=5, scope=1),  # type: ignore[arg-type]
    ),
    (errors.UnimplementedError("not here"), Code.UNIMPLEMENTED, None),
    (errors.UnavailableError("later"), Code.UNAVAILABLE, None),
    (errors.DeadlineExceededError("late"), Code.DEADLINE_EXCEEDED, None),
    (errors.InvalidArgumentError("Straße\n„é“ %41"), Code.INVALID_ARGUMENT, None),
]


def raising(error: BaseException) -> dict[str, Any]:
    async def handler(_request: Message, _context: RequestContext) -> Message:
        raise error

    return {path_of_rpc(RPC): handler}


class Observed:
    """Notes how calls end."""

    def __init__(self) -> None:
        self.under_way = 0
        self.ends: list[tuple[str, BaseException | None]] = []

    def operation(self, service: str, name: str) -> OperationObserver:
        return self

    def begin(self) -> float:
        self.under_way += 1
        return 7.0

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        assert begun == 7.0
        self.under_way -= 1
        self.ends.append((namespace, error))


async def refusal(client: Any, path: str = path_of_rpc(RPC), data: bytes = BYTES) -> Answer:
    with pytest.raises(Answer) as caught:
        await client.raw(path, data)
    return caught.value


@pytest.mark.parametrize(("error", "code", "detail"), TABLE, ids=lambda part: type(part).__name__)
async def test_a_typed_error_becomes_a_status_with_its_detail(
    error: ServiceError, code: Code, detail: Message | None
) -> None:
    async with serving(raising(error), World()) as client:
        answer = await refusal(client)
    assert (answer.code, answer.message) == (code, error.message)
    if detail is None:
        assert answer.status is None
        return
    assert answer.status is not None
    assert (answer.status.code, answer.status.message) == (code, error.message)
    assert len(answer.status.details) == 1
    assert answer.detail(type(detail)) == detail


@pytest.mark.parametrize("letter", ["a", "é", "☃"])
async def test_a_text_without_end_is_cut(letter: str) -> None:
    text = letter * 10_000
    for error in (errors.NotFoundError(text), errors.FailedPreconditionError(text)):
        async with serving(raising(error), World()) as client:
            answer = await refusal(client)
        assert answer.code is error.code
        assert 500 < len(answer.message) <= 4_000
        assert set(answer.message) == {letter}
        assert answer.status is None or answer.status.message == answer.message


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), UnknownOutcome("lost")])
async def test_a_store_that_does_not_answer_makes_clients_try_again(error: Exception) -> None:
    async with serving(raising(error), World()) as client:
        answer = await refusal(client)
    assert answer.code is Code.UNAVAILABLE
    assert str(error) not in answer.message


async def test_what_was_not_expected_is_masked_and_logged_once() -> None:
    world, observer = World(), Observed()
    error = ZeroDivisionError("secret")
    with capture_logs() as logged:
        async with serving(raising(error), world, observer=observer) as client:
            first, second = await refusal(client), await refusal(client)
            assert len(logged) == 1
            world.clock.advance(61)
            third = await refusal(client)
    assert first.code is Code.UNKNOWN
    assert first.message == second.message == third.message
    prefix, _, fault_id = first.message.partition("(")
    assert prefix == "something went wrong, please retry "
    assert len(logged) == 2
    assert logged[0]["fault_id"] == fault_id.rstrip(")")
    assert logged[0]["exc_info"] is error
    assert [ended for _, ended in observer.ends] == [error] * 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            path_of_rpc("CreateSchedule"),
            f"unknown method CreateSchedule for service {WORKFLOW_SERVICE.full_name}",
        ),
        (
            "/temporal.api.operatorservice.v1.OperatorService/Nope",
            "unknown method Nope for service temporal.api.operatorservice.v1.OperatorService",
        ),
        ("/grpc.health.v1.Health/Nope", "unknown method Nope for service grpc.health.v1.Health"),
        ("/foo.Bar/Baz", "unknown service foo.Bar"),
        ("/x", 'malformed method name: "/x"'),
    ],
)
async def test_what_does_not_exist_is_refused_by_name(path: str, message: str) -> None:
    async with serving({}, World()) as client:
        answer = await refusal(client, path)
    assert (answer.code, answer.message, answer.status) == (Code.UNIMPLEMENTED, message, None)


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x05ab"])
async def test_bytes_that_are_no_request_are_refused(data: bytes) -> None:
    async with serving(raising(AssertionError()), World()) as client:
        answer = await refusal(client, data=data)
    assert answer.code is Code.INTERNAL
    assert answer.message.startswith("grpc: error unmarshalling request")


async def test_a_large_request_is_refused_with_the_text_that_sdks_look_for() -> None:
    transport = TransportSettings(max_request_bytes=1_000, max_received_bytes=2_000)
    async with serving(raising(AssertionError()), World(), transport=transport) as client:
        answer = await refusal(client, data=b"x" * 1_001)
        assert answer.code is Code.RESOURCE_EXHAUSTED
        assert answer.message == "grpc: received message larger than max (1001 vs. 1000)"
        beyond = await refusal(client, data=b"x" * 2_001)
        assert beyond.code is Code.RESOURCE_EXHAUSTED


async def test_a_response_may_be_a_message_or_its_bytes() -> None:
    response = wf.StartWorkflowExecutionResponse(run_id="run", started=True)

    async def message(_request: Message, _context: RequestContext) -> Message:
        return response

    async def encoded(_request: Message, _context: RequestContext) -> Encoded:
        return Encoded(response.SerializeToString())

    rpc = "StartWorkflowExecution"
    for handler in (message, encoded):
        async with serving({path_of_rpc(rpc): handler}, World()) as client:
            assert await client.call(rpc, wf.StartWorkflowExecutionRequest()) == response


async def test_a_handler_learns_of_the_call_what_it_asks_for() -> None:
    seen: list[tuple[str | bytes, float | None, str]] = []

    async def handler(_request: Message, context: RequestContext) -> Message:
        seen.append((context.metadata["client-name"], context.time_remaining(), context.peer))
        return wf.SignalWorkflowExecutionResponse()

    async with serving({path_of_rpc(RPC): handler}, World()) as client:
        await client.call(RPC, REQUEST, timeout=1_000, metadata=(("client-name", "me"),))
        await client.call(RPC, REQUEST, timeout=None, metadata=(("client-name", "me"),))
    (name, remaining, peer), (_, forever, _) = seen
    assert name == "me"
    assert remaining is not None
    # gRPC sends timeouts rounded up, to few digits.
    assert 0 < remaining <= 1_100
    assert forever is None
    assert "127.0.0.1" in peer


async def test_a_caller_that_goes_away_cancels_the_handler() -> None:
    started, cancelled, observer = asyncio.Event(), asyncio.Event(), Observed()

    async def handler(_request: Message, _context: RequestContext) -> Message:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with serving({path_of_rpc(RPC): handler}, World(), observer=observer) as client:
        call = asyncio.ensure_future(client.call(RPC, REQUEST))
        await started.wait()
        call.cancel()
        await cancelled.wait()
    assert observer.under_way == 0
    ((namespace, error),) = observer.ends
    assert namespace == "default"
    assert isinstance(error, asyncio.CancelledError)
