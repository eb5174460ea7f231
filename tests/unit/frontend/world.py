"""A frontend over a memory store, behind a real gRPC server, with stand-ins for the other roles.

The stand-ins are made of the Protocols themselves: they have the very methods, refuse other
arguments, note what reaches them, and answer with empty messages.
"""

import inspect
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

import grpc
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from temporalio.api.operatorservice.v1 import request_response_pb2 as op
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code
from perdure.core.visibility.query import ValueType
from perdure.frontend.services import Frontend
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.system import ClusterInfo
from perdure.persistence.memory.store import MemoryStore
from perdure.rpc.clients import MatchingClient, Namespace
from perdure.rpc.handler import Handler
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.methods import PUBLIC_SERVICES
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.rpc.server import RpcServer
from perdure.rpc.task_queue_configs import TaskQueueConfigs
from perdure.rpc.transport import TransportSettings
from perdure.runtime.deterministic import ManualClock, SeededIds
from unit.frontend.invalid_requests import CUSTOM_ATTRIBUTES

RETENTION_SECONDS = 86_400
TIMEOUT_SECONDS = 30.0


class Recorder:
    """Notes the calls of every method of a Protocol, and answers with what the method returns."""

    def __init__(self, protocol: type) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Any] = {}
        for name, method in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                setattr(self, name, self._recording(name, method))

    @property
    def last(self) -> tuple[Any, ...]:
        """The arguments of the last call."""
        return self.calls[-1][1]

    def _recording(self, name: str, method: Any) -> Any:
        def note(arguments: tuple[Any, ...]) -> Any:
            inspect.signature(method).bind(None, *arguments)
            self.calls.append((name, arguments))
            return self._answer(name, method)

        async def noted(*arguments: Any) -> Any:
            return note(arguments)

        return noted if inspect.iscoroutinefunction(method) else lambda *given: note(given)

    def _answer(self, name: str, method: Any) -> Any:
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        returned = inspect.signature(method, eval_str=True).return_annotation
        if answer is not None or returned is None:
            return answer
        return returned()


class Answer(Exception):
    """A status that is not OK, with what its details say."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.code(), error.details())
        self.code = Code(error.code().value[0])
        self.message = error.details() or ""
        self.status = _status(error)

    def detail(self, kind: type[Message]) -> Message | None:
        """Returns the detail of a type, if the status has one."""
        for packed in self.status.details if self.status else ():
            unpacked = kind()
            if packed.Unpack(unpacked):
                return unpacked
        return None


def _status(error: grpc.aio.AioRpcError) -> Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return Status.FromString(value)
    return None


class World:
    """Everything that a test of the frontend needs."""

    def __init__(self, *, settings: FrontendSettings | None = None) -> None:
        self.clock = ManualClock()
        self.ids = SeededIds(generator=random.Random(1), clock=self.clock)
        self.store = MemoryStore(ids=self.ids)
        self.history = Recorder(HistoryClient)
        self.matching = Recorder(MatchingClient)
        self.namespaces = NamespaceRegistry(metadata=self.store, clock=self.clock, ids=self.ids)
        self.search_attributes = SearchAttributeRegistry(metadata=self.store, clock=self.clock)
        self.frontend = Frontend(
            history=cast(HistoryClient, self.history),
            matching=cast(MatchingClient, self.matching),
            visibility=self.store,
            namespaces=self.namespaces,
            search_attributes=self.search_attributes,
            task_queue_configs=TaskQueueConfigs(metadata=self.store, clock=self.clock),
            ids=self.ids,
            clock=self.clock,
            settings=settings or FrontendSettings(),
            cluster=ClusterInfo(cluster_id="cluster", host_name="here:7233"),
        )
        self.default = Namespace("", "default")

    async def prepare(self) -> None:
        """Makes the namespace and the search attributes that tests use."""
        self.default = await self.namespaces.ensure("default", retention_seconds=RETENTION_SECONDS)

        def add(types: dict[str, ValueType]) -> None:
            types.update({name: ValueType(number) for name, number in CUSTOM_ATTRIBUTES.items()})

        await self.search_attributes.update(self.default.id, add)


class Client:
    """Calls a server as SDKs do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def __aenter__(self) -> Self:
        """Returns itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Closes the channel."""
        await self.channel.close()

    async def call(
        self,
        rpc: str,
        request: Message,
        *,
        timeout: float | None = TIMEOUT_SECONDS,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Any:
        """Returns the response. Raises Answer when the status is not OK."""
        module = wf if hasattr(wf, f"{rpc}Response") else op
        data = await self.raw(
            path_of_rpc(rpc), request.SerializeToString(), timeout=timeout, metadata=metadata
        )
        return getattr(module, f"{rpc}Response").FromString(data)

    async def raw(
        self,
        path: str,
        data: bytes,
        *,
        timeout: float | None = TIMEOUT_SECONDS,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        """Sends bytes and returns bytes. Raises Answer when the status is not OK."""
        try:
            return await self.channel.unary_unary(path)(data, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise Answer(error) from None

    async def refusal(self, rpc: str, request: Message, **options: Any) -> Answer:
        """Returns the status of a call that must not succeed."""
        try:
            response = await self.call(rpc, request, **options)
        except Answer as answer:
            return answer
        raise AssertionError(f"{rpc} succeeded: {response}")


def path_of_rpc(rpc: str) -> str:
    """Returns what a client calls for an RPC of either service."""
    for service in PUBLIC_SERVICES:
        if rpc in service.methods_by_name:
            return f"/{service.full_name}/{rpc}"
    raise AssertionError(f"there is no {rpc}")


@asynccontextmanager
async def serving(
    handlers: dict[str, Handler] | Any,
    world: World,
    *,
    transport: TransportSettings | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """Serves handlers on a free port, and yields a client of it."""
    server = RpcServer(handlers=handlers, clock=world.clock, transport=transport, **options)
    port = await server.start("127.0.0.1", 0)
    channel = grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]
    )
    try:
        async with Client(channel) as client:
            yield client
    finally:
        await server.stop(0)


@asynccontextmanager
async def serving_frontend(
    *, settings: FrontendSettings | None = None
) -> AsyncIterator[tuple[World, Client]]:
    """Serves a whole frontend."""
    world = World(settings=settings)
    await world.prepare()
    async with serving(world.frontend.handlers(), world) as client:
        yield world, client
