"""The guard: who gets past it, what those see who do not, and what it tells."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import structlog
from google.protobuf.message import Message
from structlog.testing import capture_logs
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.errordetails.v1 import message_pb2 as details
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.access import nodes
from perdure.access.audit import Audit
from perdure.access.certificates import CertificateMapper
from perdure.access.guard import REFUSAL, Guard
from perdure.access.keys import KeyRing
from perdure.access.methods import RULES
from perdure.access.observer import SilentObserver
from perdure.access.sources import SourceError
from perdure.access.tokens import TokenForm, TokenMapper
from perdure.core.errors import InvalidArgumentError, PermissionDeniedError
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE, path_of
from perdure.rpc.peer_certificate import PeerCertificate
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.logging import get_logger
from perdure.telemetry.tracing import NO_TRACING, NoTracer, Tracer
from unit.access.issuing import Issuer

REGISTER = path_of(WORKFLOW_SERVICE, "RegisterNamespace")
LIST = path_of(WORKFLOW_SERVICE, "ListNamespaces")
START = path_of(WORKFLOW_SERVICE, "StartWorkflowExecution")
POLL = path_of(WORKFLOW_SERVICE, "PollWorkflowTaskQueue")
ANSWER = path_of(WORKFLOW_SERVICE, "RespondWorkflowTaskCompleted")
DELETE = path_of(OPERATOR_SERVICE, "DeleteNamespace")
DOMAIN = "example.com"


class Call:
    """A call's context as a test writes it."""

    peer = "ipv4:192.0.2.1:4321"

    def __init__(
        self, header: str | bytes | None = None, *, shows: str = "", name: str = "authorization"
    ) -> None:
        self.metadata: Mapping[str, str | bytes] = {} if header is None else {name: header}
        ids = (shows,) if shows else ()
        self.certificate = PeerCertificate("", "CN=desk-1", "1", ids, ()) if shows else None

    def time_remaining(self) -> float | None:
        return None


class Told(SilentObserver):
    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.without_keys: list[str] = []
        self.decisions: list[str] = []

    def decided(self, namespace: str, seconds: float) -> None:
        assert seconds >= 0
        self.decisions.append(namespace)

    def refused(self, namespace: str) -> None:
        self.refusals.append(namespace)

    def undecided(self, namespace: str) -> None:
        self.without_keys.append(namespace)


class World:
    """A guard in front of handlers that note who got past it."""

    def __init__(
        self,
        tasks: TaskSet,
        *,
        across_namespaces: bool = True,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        self.issuer = Issuer()
        self.told = Told()
        self.answered: list[Message] = []
        self.answers: dict[str, Any] = {}
        self.is_away = False
        clock = ManualClock()
        self.keys = KeyRing(
            sources=["file:///keys"],
            fetch=self._fetch,
            clock=clock,
            observer=self.told,
            tasks=tasks,
        )
        guard = Guard(
            tokens=TokenMapper(keys=self.keys, form=TokenForm(), clock=clock),
            certificates=CertificateMapper(trust_domain=DOMAIN, permissions={}),
            header="authorization",
            across_namespaces=across_namespaces,
            clock=clock,
            observer=self.told,
            audit=Audit(get_logger("audit")),
            tracer=tracer,
        )
        self.handlers = guard.guard({path: self._handler(path) for path in RULES})

    async def _fetch(self, _uri: str) -> bytes:
        if self.is_away:
            raise SourceError("away")
        return self.issuer.published

    def _handler(self, path: str) -> Handler:
        async def answer(request: Message, _context: RequestContext) -> Message:
            self.answered.append(request)
            found = self.answers.get(path, wf.StartWorkflowExecutionResponse())
            if isinstance(found, Exception):
                raise found
            assert isinstance(found, Message)
            return found

        return answer

    async def call(self, path: str, request: Message, call: Call) -> Any:
        return await self.handlers[path](request, call)

    async def is_let_in(self, path: str, request: Message, call: Call) -> bool:
        """Tells whether a call gets past the guard; what others learn is always the same."""
        before = len(self.answered)
        try:
            await self.call(path, request, call)
        except PermissionDeniedError as error:
            refusal = error
        else:
            assert len(self.answered) == before + 1
            return True
        assert refusal.message == REFUSAL == "Request unauthorized."
        assert refusal.detail == details.PermissionDeniedFailure(reason="")
        assert len(self.answered) == before
        return False


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


@pytest.fixture
async def world() -> AsyncIterator[World]:
    tasks = TaskSet(on_error=fail)
    yield World(tasks)
    await tasks.close()


def spiffe(role: str, namespace: str = "orders") -> str:
    return f"spiffe://{DOMAIN}/ns/{namespace}/role/{role}/host/desk-1"


def start(namespace: str = "orders") -> wf.StartWorkflowExecutionRequest:
    return wf.StartWorkflowExecutionRequest(namespace=namespace)


async def test_a_caller_who_shows_nothing(world: World) -> None:
    assert not await world.is_let_in(START, start(), Call())
    assert world.told.refusals == ["orders"]
    path = path_of(WORKFLOW_SERVICE, "GetSystemInfo")
    assert await world.is_let_in(path, wf.GetSystemInfoRequest(), Call())
    assert await world.is_let_in(path, wf.GetSystemInfoRequest(), Call("Bearer rubbish"))
    assert world.told.decisions == ["orders"], "what is open to all is not decided about"


async def test_a_token_and_a_certificate(world: World) -> None:
    good = world.issuer.header(["orders:write"])
    assert await world.is_let_in(START, start(), Call(good))
    assert not await world.is_let_in(START, start("billing"), Call(good))
    assert await world.is_let_in(START, start(), Call(shows=spiffe("writer")))
    assert not await world.is_let_in(START, start("billing"), Call(shows=spiffe("writer")))
    assert world.told.refusals == ["billing", "billing"]


async def test_a_token_goes_before_a_certificate(world: World) -> None:
    reads = world.issuer.header(["orders:read"])
    assert not await world.is_let_in(START, start(), Call(reads, shows=spiffe("admin")))
    assert not await world.is_let_in(START, start(), Call("Bearer x", shows=spiffe("admin")))
    assert not await world.is_let_in(START, start(), Call(b"Bearer x", shows=spiffe("admin")))
    # An empty header is none.
    assert await world.is_let_in(START, start(), Call("", shows=spiffe("admin")))


@pytest.mark.parametrize("shows", [spiffe("worker"), ""])
async def test_a_worker(world: World, shows: str) -> None:
    call = Call(None if shows else world.issuer.header(["orders:worker"]), shows=shows)
    poll = wf.PollWorkflowTaskQueueRequest(namespace="orders")
    assert await world.is_let_in(POLL, poll, call)
    poll.namespace = "billing"
    assert not await world.is_let_in(POLL, poll, call)
    assert not await world.is_let_in(START, start(), call)
    for path, request in (
        (REGISTER, wf.RegisterNamespaceRequest(namespace="orders")),
        (DELETE, operator.DeleteNamespaceRequest(namespace="orders")),
        (
            path_of(WORKFLOW_SERVICE, "TerminateWorkflowExecution"),
            wf.TerminateWorkflowExecutionRequest(namespace="orders"),
        ),
    ):
        assert not await world.is_let_in(path, request, call)


async def test_a_token_that_cannot_be_verified_for_want_of_keys(world: World) -> None:
    world.is_away = True
    assert not await world.is_let_in(START, start(), Call(world.issuer.header(["orders:write"])))
    assert (world.told.without_keys, world.told.refusals) == (["orders"], [])


async def test_commands_that_reach_into_another_namespace(world: World) -> None:
    request = wf.RespondWorkflowTaskCompletedRequest(namespace="orders")
    signal = request.commands.add(
        command_type=types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION
    ).signal_external_workflow_execution_command_attributes
    child = request.commands.add(
        command_type=types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION
    ).start_child_workflow_execution_command_attributes
    cancel = request.commands.add(
        command_type=types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION
    ).request_cancel_external_workflow_execution_command_attributes
    request.commands.add(command_type=types.COMMAND_TYPE_START_TIMER)
    works = Call(world.issuer.header(["orders:worker", "billing:worker"]))
    both = Call(world.issuer.header(["orders:worker", "billing:write"]))
    for attributes in (signal, child, cancel):
        assert await world.is_let_in(ANSWER, request, works)
        attributes.namespace = "orders"
        assert await world.is_let_in(ANSWER, request, works)
        attributes.namespace = "billing"
        assert not await world.is_let_in(ANSWER, request, works)
        assert await world.is_let_in(ANSWER, request, both)
        attributes.namespace = ""


async def test_commands_that_no_worker_may_use_are_left_to_the_engine() -> None:
    tasks = TaskSet(on_error=fail)
    world = World(tasks, across_namespaces=False)
    request = wf.RespondWorkflowTaskCompletedRequest(namespace="orders")
    request.commands.add(
        command_type=types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION
    ).start_child_workflow_execution_command_attributes.namespace = "billing"
    assert await world.is_let_in(ANSWER, request, Call(world.issuer.header(["orders:worker"])))
    await tasks.close()


@pytest.mark.parametrize(
    ("permissions", "seen"),
    [
        (["orders:worker"], ["orders"]),
        (["orders:read", "billing:admin"], ["billing", "orders"]),
        (["nothing:read"], []),
        (["temporal-system:read"], ["billing", "orders", "temporal-system"]),
    ],
)
async def test_namespaces_that_a_caller_sees(
    world: World, permissions: list[str], seen: list[str]
) -> None:
    listed = wf.ListNamespacesResponse(next_page_token=b"more")
    for name in ("billing", "orders", "temporal-system"):
        listed.namespaces.add().namespace_info.name = name
    world.answers[LIST] = listed
    found = await world.call(
        LIST, wf.ListNamespacesRequest(), Call(world.issuer.header(permissions))
    )
    assert [each.namespace_info.name for each in found.namespaces] == seen
    assert found.next_page_token == b"more"


@pytest.mark.parametrize("permissions", [[], ["orders:owner"], [":read"]])
async def test_namespaces_are_not_shown_to_those_without_roles(
    world: World, permissions: list[str]
) -> None:
    call = Call(world.issuer.header(permissions))
    assert not await world.is_let_in(LIST, wf.ListNamespacesRequest(), call)


async def test_every_administrative_call_is_audited(world: World) -> None:
    admin, writer = (Call(world.issuer.header([f"orders:{role}"])) for role in ("admin", "write"))
    register = wf.RegisterNamespaceRequest(namespace="orders")
    with capture_logs() as lines:
        await world.call(REGISTER, register, admin)
        world.answers[REGISTER] = InvalidArgumentError("no")
        with pytest.raises(InvalidArgumentError):
            await world.call(REGISTER, register, admin)
        world.answers[REGISTER] = ValueError("a defect")
        with pytest.raises(ValueError, match="a defect"):
            await world.call(REGISTER, register, admin)
        assert not await world.is_let_in(REGISTER, register, writer)
        assert not await world.is_let_in(REGISTER, register, Call())
        assert not await world.is_let_in(
            DELETE, operator.DeleteNamespaceRequest(namespace_id="an-id"), Call()
        )
        await world.call(START, start(), writer)
    audited = [line for line in lines if line["component"] == "audit"]
    assert {(line["event"], line["peer"], line["log_level"]) for line in audited} == {
        ("administrative call", Call.peer, "info")
    }
    told = [
        tuple(line.get(name) for name in ("principal", "method", "namespace", "outcome", "code"))
        for line in audited
    ]
    assert told == [
        ("ada", "RegisterNamespace", "orders", "done", None),
        ("ada", "RegisterNamespace", "orders", "failed", "INVALID_ARGUMENT"),
        ("ada", "RegisterNamespace", "orders", "failed", "ValueError"),
        ("ada", "RegisterNamespace", "orders", "refused", None),
        ("anonymous", "RegisterNamespace", "orders", "refused", None),
        ("anonymous", "DeleteNamespace", "an-id", "refused", None),
    ]


async def test_the_audit_log_leaves_nothing_out(world: World) -> None:
    register = wf.RegisterNamespaceRequest(namespace="orders")
    with capture_logs() as lines:
        for _ in range(100):
            assert not await world.is_let_in(REGISTER, register, Call())
    audited = [line for line in lines if line["component"] == "audit"]
    explained = [line for line in lines if line["component"] == "authorization"]
    assert (len(audited), len(explained)) == (100, 5)


class Notes(NoTracer):
    """A tracer that notes what spans are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def annotate(self, name: str, value: str) -> None:
        self.told.append((name, value))


async def test_spans_and_lines_of_a_call_say_whose_it_is() -> None:
    tasks, notes = TaskSet(on_error=fail), Notes()
    world = World(tasks, tracer=notes)
    call = Call(world.issuer.header(["orders:write"]))

    async def calls() -> object:
        await world.call(START, start(), call)
        return structlog.contextvars.get_contextvars().get("principal")

    # As a server's calls, each has a context of its own.
    assert await asyncio.create_task(calls()) == "ada"
    assert notes.told == [("enduser.id", "ada")]
    assert not await world.is_let_in(START, start("billing"), call)
    assert len(notes.told) == 1
    await tasks.close()


async def test_the_log_says_why_without_the_token(world: World) -> None:
    header = world.issuer.header(["orders:write"], exp=1)
    with capture_logs() as lines:
        assert not await world.is_let_in(START, start(), Call(header))
    (line,) = [line for line in lines if line["event"] == "a call was refused"]
    assert line["reason"] == "the token has expired"
    assert (line["method"], line["namespace"]) == ("StartWorkflowExecution", "orders")
    assert header.split()[1] not in str(lines)


@pytest.mark.parametrize(
    ("shows", "is_node"),
    [
        (spiffe("internode", "temporal-system"), True),
        (spiffe("worker", "temporal-system"), True),
        (spiffe("worker"), False),
        (spiffe("admin", "temporal-system"), False),
        ("spiffe://example.org/ns/temporal-system/role/internode/host/a", False),
        ("", True),
    ],
)
async def test_only_nodes_reach_the_port_for_nodes(shows: str, is_node: bool) -> None:
    async def answer(_request: Message, _context: RequestContext) -> Message:
        return wf.GetSystemInfoResponse()

    guarded = nodes.guarded({"/Service/Name": answer}, trust_domain=DOMAIN)
    if is_node:
        await guarded["/Service/Name"](wf.GetSystemInfoRequest(), Call(shows=shows))
    else:
        with pytest.raises(PermissionDeniedError):
            await guarded["/Service/Name"](wf.GetSystemInfoRequest(), Call(shows=shows))
    open_to_all = nodes.guarded({"/Service/Name": answer}, trust_domain="")
    await open_to_all["/Service/Name"](wf.GetSystemInfoRequest(), Call(shows=shows))
