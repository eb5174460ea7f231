"""A gRPC server of a node: some services, health, reflection, on one port.

Rules that hold here: a port that cannot be opened is one sentence; a server that stops says
NOT_SERVING first, takes no new calls, and lets those under way finish within a grace period.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from perdure.persistence.ports import StartupError
from perdure.rpc import health, reflection
from perdure.rpc.connections import close_connections
from perdure.rpc.dispatch import Dispatcher, Refuser
from perdure.rpc.faults import FaultLog
from perdure.rpc.handler import Handler, RpcObserver, SilentObserver
from perdure.rpc.methods import PUBLIC_SERVICES, methods_of
from perdure.rpc.network import GrpcNetwork, Network
from perdure.rpc.streams import StreamHandler
from perdure.rpc.tls.guarded import Guarded
from perdure.rpc.tls.security import ServerSecurity
from perdure.rpc.transport import TransportSettings
from perdure.runtime.ports import Clock

_SENDING_SECONDS = 0.05
"""What the last answers may need to get out once their handlers have ended."""


class RpcServer:
    """Serves handlers over gRPC.

    `start` opens the port, `stop` ends it all; a stopped server cannot be started again.
    """

    def __init__(
        self,
        *,
        handlers: Mapping[str, Handler],
        services: Sequence[ServiceDescriptor] = PUBLIC_SERVICES,
        always_detailed: bool = False,
        streamed: bool = False,
        clock: Clock,
        observer: RpcObserver | None = None,
        transport: TransportSettings | None = None,
        security: ServerSecurity | None = None,
        network: Network | None = None,
        identity: str = "",
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
            handlers: By what a client calls, `/package.Service/Name`. An RPC of the services that
                is not among them is refused by name.
            services: What is served; health and reflection name these.
            always_detailed: Whether every status has details: as nodes want it of each other.
            streamed: Whether calls may come many in a stream as well: as from other nodes.
            clock: For the log of unexpected errors.
            observer: Where calls are reported to.
            transport: How connections behave.
            security: For TLS; without, connections are plain.
            network: Where it listens.
            identity: A service that no other server has, for health to tell of.
        """
        self._handlers = handlers
        self._services = services
        self._always_detailed = always_detailed
        self._streamed = streamed
        self._names = tuple(service.full_name for service in services)
        self._faults = FaultLog(clock=clock)
        self._observer = observer or SilentObserver()
        self._transport = transport or TransportSettings()
        self._security = security
        self._gate = None if security is None else security.gate
        self._network = network or GrpcNetwork()
        self._health = health.Health((*self._names, identity) if identity else self._names)
        self._dispatcher = self._dispatch()
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self, host: str, port: int, *, serving: bool = True) -> int:
        """Opens the port, 0 for a free one, and returns its number.

        Args:
            host: The address.
            port: The port.
            serving: What health says at first.

        Raises:
            StartupError: The port is in use, or the address is not this machine's.
        """
        assert self._server is None, "a server is started once"
        server = self._network.server(self._transport.channel_arguments())
        others = map(self._guarded, self._others())
        server.add_generic_rpc_handlers((self._dispatcher, *self._streams(), *others))
        bound = self._listen(server, _address(host, port))
        await self._health.set_serving(serving=serving)
        await server.start()
        self._server = server
        self._port = bound
        return bound

    async def set_serving(self, *, serving: bool) -> None:
        """Has health say whether calls can be answered; they are taken all the same."""
        await self._health.set_serving(serving=serving)

    async def stop(self, grace_seconds: float, *, disconnect: bool = False) -> None:
        """Ends the server; calls that last longer than the grace period are cut off.

        Args:
            grace_seconds: How long calls under way may take.
            disconnect: Whether clients are refused meanwhile and then disconnected, which SDKs
                take for a server that has gone and make their calls anew.
        """
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        if disconnect:
            await self._dispatcher.calls.refuse(grace_seconds)
            await asyncio.sleep(_SENDING_SECONDS)
            close_connections(self._port)
            grace_seconds = 0.0
        await self._server.stop(grace_seconds)

    def _dispatch(self) -> Dispatcher:
        methods = {method.path: method for method in methods_of(self._services)}
        assert self._handlers.keys() <= methods.keys(), "every handler answers an RPC"
        return Dispatcher(
            methods={methods[path]: handler for path, handler in self._handlers.items()},
            observer=self._observer,
            faults=self._faults,
            max_request_bytes=self._transport.max_request_bytes,
            always_detailed=self._always_detailed,
            gate=self._gate,
            max_error_bytes=self._transport.max_error_bytes,
        )

    def _streams(self) -> Iterator[grpc.GenericRpcHandler]:
        """Yields what serves calls in streams: the gate is before each of these."""
        if self._streamed:
            yield StreamHandler(
                self._dispatcher.behaviours,
                known_services=frozenset(self._names),
                observer=self._observer,
            )

    def _others(self) -> Iterator[grpc.GenericRpcHandler]:
        """Yields what answers all other calls, the refusal of what nobody knows last."""
        names = (*self._names, health.SERVICE_NAME)
        yield health.health_handler(self._health)
        yield from reflection.reflection_handlers(names)
        known = frozenset((*names, *reflection.SERVICE_NAMES))
        yield Refuser(known_services=known, observer=self._observer)

    def _guarded(self, handler: grpc.GenericRpcHandler) -> grpc.GenericRpcHandler:
        return handler if self._gate is None else Guarded(handler, self._gate)

    def _listen(self, server: grpc.aio.Server, address: str) -> int:
        try:
            if self._security is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._security.credentials)
        except RuntimeError as error:
            raise StartupError(
                f"cannot listen on {address}: the port is in use or the address is not this"
                " machine's; stop what uses it or choose another"
            ) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
