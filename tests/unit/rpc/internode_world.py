"""Nodes on loopback: stand-ins for roles behind real servers, and a view of the cluster to change.

A stand-in has the very methods of a Protocol. It notes the arguments of every call and answers with
what `answers` has for the method: a value, an exception to raise, or a function of the arguments.
"""

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast, get_type_hints

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchKey, DispatchTask, RunKey, TaskQueueKey, TaskType
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import (
    Encoded,
    ForwardOutcome,
    MatchingNode,
    Namespace,
    Poller,
    QueryOutcome,
    QueryTask,
)
from perdure.rpc.handler import RpcObserver
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import Node
from perdure.rpc.internode.serving import internode_handlers
from perdure.rpc.internode.settings import INTERNODE_TRANSPORT, InternodeSettings
from perdure.rpc.internode.wire import INTERNODE_SERVICES
from perdure.rpc.server import RpcServer
from perdure.rpc.transport import TransportSettings
from perdure.runtime.deterministic import ManualClock, SeededIds
from perdure.telemetry.tracing import NO_TRACING, Tracer

NAMESPACE = Namespace("11111111-2222-3333-4444-555555555555", "default")
WORKFLOWS = TaskQueueKey(NAMESPACE.id, "queue", TaskType.WORKFLOW)
ACTIVITIES = TaskQueueKey(NAMESPACE.id, "queue", TaskType.ACTIVITY)
WORKFLOW_ID = "workflow"

QUICK = InternodeSettings(shortest_pause=0.001, longest_pause=0.01)
"""For tests that go on when something happens."""

PATIENT = InternodeSettings(shortest_pause=60, longest_pause=60, routing=600)
"""For tests that go on only when the view changes."""

IMPATIENT = InternodeSettings(shortest_pause=0.001, longest_pause=0.002, routing=0.02, call=0.5)
"""For tests of what happens when nothing does."""


class StandIn:
    """A role."""

    def __init__(self, protocol: type) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Any] = {}
        for name, method in methods_of(protocol).items():
            given = self._coroutine if inspect.iscoroutinefunction(method) else self._plain
            setattr(self, name, given(name, method))

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """Returns the arguments of a method's calls."""
        return [arguments for called, arguments in self.calls if called == name]

    def _plain(self, name: str, method: Any) -> Callable[..., Any]:
        return lambda *arguments: self._answer(name, method, arguments)

    def _coroutine(self, name: str, method: Any) -> Callable[..., Any]:
        async def called(*arguments: Any) -> Any:
            answer = self._answer(name, method, arguments)
            return await answer if inspect.isawaitable(answer) else answer

        return called

    def _answer(self, name: str, method: Any, arguments: tuple[Any, ...]) -> Any:
        inspect.signature(method).bind(None, *arguments)
        self.calls.append((name, arguments))
        answer = self.answers.get(name)
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return answer(*arguments)
        return sample(get_type_hints(method)["return"]) if answer is None else answer


def methods_of(protocol: type) -> dict[str, Any]:
    """Returns the methods of a Protocol."""
    members = inspect.getmembers(protocol, inspect.isfunction)
    return {name: method for name, method in members if not name.startswith("_")}


def history_stand_in() -> Any:
    """Returns a history role."""
    return StandIn(HistoryClient)


def matching_stand_in() -> Any:
    """Returns a matching role."""
    return StandIn(MatchingNode)


class Forever:
    """An answer that does not come: it tells when it is waited for, and when it is cancelled."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, *_: Any) -> Any:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Address(NamedTuple):
    """A node, as views name it."""

    id: str
    address: str


class Server:
    """A node's listener, which may stop and start again at its place."""

    def __init__(self, node_id: str, history: Any, matching: Any) -> None:
        self.history = history
        self.matching = matching
        self.node = Address(node_id, "")
        self._server: RpcServer | None = None

    async def start(
        self,
        port: int = 0,
        observer: RpcObserver | None = None,
        *,
        streamed: bool = True,
        transport: TransportSettings = INTERNODE_TRANSPORT,
    ) -> None:
        """Opens the port; not streamed, as a node of an earlier release."""
        self._server = RpcServer(
            handlers=internode_handlers(
                cast(HistoryClient, self.history), cast(MatchingNode, self.matching)
            ),
            services=INTERNODE_SERVICES,
            always_detailed=True,
            streamed=streamed,
            clock=ManualClock(),
            transport=transport,
            observer=observer,
        )
        bound = await self._server.start("127.0.0.1", port)
        self.node = Address(self.node.id, f"127.0.0.1:{bound}")

    async def restart(
        self, *, streamed: bool = True, transport: TransportSettings = INTERNODE_TRANSPORT
    ) -> None:
        """Opens the port that it had."""
        port = int(self.node.address.rpartition(":")[2])
        await self.start(port, streamed=streamed, transport=transport)

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Ends, and cuts off what is under way after that time."""
        assert self._server is not None
        await self._server.stop(grace_seconds)


@asynccontextmanager
async def serving_node(
    node_id: str = "other", *, history: Any = None, matching: Any = None
) -> AsyncIterator[Server]:
    """Serves a node's roles."""
    server = Server(node_id, history or history_stand_in(), matching or matching_stand_in())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(
    settings: InternodeSettings | None = None,
    observer: RpcObserver | None = None,
    tracer: Tracer = NO_TRACING,
) -> AsyncIterator[Peers]:
    """Yields connections that are closed in the end."""
    peers = Peers(settings=settings or QUICK, observer=observer, tracer=tracer)
    try:
        yield peers
    finally:
        await peers.close()


class View:
    """A `Directory` that a test changes."""

    def __init__(self, *nodes: Node, own_id: str = "own") -> None:
        self.own_id = own_id
        self.nodes = {node.id: node for node in nodes}
        self.history: Node | None = None
        self.matching: dict[TaskQueueKey, Node] = {}
        self.refreshed = asyncio.Event()
        self.waits = 0
        self._changed = asyncio.Event()

    def node(self, node_id: str) -> Node | None:
        return self.nodes.get(node_id)

    def history_owner(self, slot: int) -> Node | None:
        return self.history

    def matching_owner(self, queue: TaskQueueKey) -> Node | None:
        return self.matching.get(queue)

    async def changed(self, timeout: float) -> None:
        self.waits += 1
        changed = self._changed
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            return

    def refresh(self) -> None:
        self.refreshed.set()

    def change(self) -> None:
        """Lets those go on who wait for a newer view."""
        self._changed.set()
        self._changed = asyncio.Event()


OWN = Address("own", "")


def ids() -> SeededIds:
    """Returns ids of a fixed seed."""
    return SeededIds(generator=random.Random(1), clock=ManualClock())


def task_of(
    number: int = 7, queue: TaskQueueKey = WORKFLOWS, *, sticky: bool = False
) -> DispatchTask:
    """Returns a task in which no field has its default."""
    key = DispatchKey(queue, "version", 3, "fairness", number)
    run = RunKey(queue.namespace_id, WORKFLOW_ID, "run")
    return DispatchTask(key, 12, run, 5, 2, 1_000, 2_000, sticky)


def sample(kind: Any, name: str = "") -> Any:
    """Returns a value of a type that crosses, with something in it."""
    plain: dict[Any, Any] = {
        type(None): None,
        Encoded: Encoded(b"encoded"),
        ForwardOutcome: ForwardOutcome.STALE,
        Namespace: NAMESPACE,
        DispatchTask: task_of(sticky=True),
        TaskQueueKey: ACTIVITIES._replace(partition=3),
        QueryTask: QueryTask("query", NAMESPACE.id, task_of().run, b"head"),
        float: 12.5,
        int: 4,
        str: f"some {name}",
        bool: True,
    }
    if kind in plain:
        return plain[kind]
    if kind is QueryOutcome:
        return QueryOutcome(sample(wf.RespondQueryTaskCompletedRequest))
    if kind is Poller:
        return Poller("request", "worker", sample(wf.PollWorkflowTaskQueueRequest))
    if isinstance(kind, type) and issubclass(kind, Message):
        return filled(kind())
    return [task_of(number) for number in range(3)]


def filled(message: Message) -> Message:
    """Fills a message's own texts, and those that name a workflow, with its workflow id."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(message, field.name, WORKFLOW_ID)
        elif field.name == "task_token":
            token = stored.TaskToken(
                namespace_id=NAMESPACE.id, workflow_id=WORKFLOW_ID, task_queue="queue"
            )
            setattr(message, field.name, token.SerializeToString())
        elif field.name in {"execution", "workflow_execution"}:
            getattr(message, field.name).workflow_id = WORKFLOW_ID
        elif field.name == "update_ref":
            getattr(message, field.name).workflow_execution.workflow_id = WORKFLOW_ID
        elif isinstance(message, wf.ExecuteMultiOperationRequest) and field.name == "operations":
            message.operations.add().start_workflow.workflow_id = WORKFLOW_ID
            message.operations.add().update_workflow.workflow_execution.workflow_id = WORKFLOW_ID
    return message


def arguments_of(protocol: type, name: str) -> tuple[Any, ...]:
    """Returns arguments for a method."""
    types = get_type_hints(methods_of(protocol)[name])
    return tuple(sample(kind, argument) for argument, kind in types.items() if argument != "return")
