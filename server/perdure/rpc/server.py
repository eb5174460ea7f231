"""The gRPC server of a node: public services, health, reflection, on one port.

Rules that hold here: a port that cannot be opened is one sentence; a server that stops says
NOT_SERVING first, takes no new calls, and lets those under way finish within a grace period.
"""

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2_grpc

from perdure.persistence.ports import StartupError
from perdure.rpc import health, reflection
from perdure.rpc.dispatch import Dispatcher, Refuser
from perdure.rpc.faults import FaultLog
from perdure.rpc.handler import Handler, RpcObserver, SilentObserver
from perdure.rpc.methods import PUBLIC_SERVICES, public_methods
from perdure.rpc.transport import TransportSettings
from perdure.runtime.ports import Clock

_SERVICE_NAMES = tuple(service.full_name for service in PUBLIC_SERVICES)


class RpcServer:
    """Serves handlers over gRPC.

    `start` opens the port, `stop` ends it all; a stopped server cannot be started again.
    """

    def __init__(
        self,
        *,
        handlers: Mapping[str, Handler],
        clock: Clock,
        observer: RpcObserver | None = None,
        transport: TransportSettings | None = None,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
            handlers: By what a client calls, `/package.Service/Name`. An RPC of the public
                services that is not among them is refused by name.
            clock: For the log of unexpected errors.
            observer: Where calls are reported to.
            transport: How connections behave.
            credentials: For TLS; without, connections are plain.
        """
        self._handlers = handlers
        self._faults = FaultLog(clock=clock)
        self._observer = observer or SilentObserver()
        self._transport = transport or TransportSettings()
        self._credentials = credentials
        self._health = health.Health(_SERVICE_NAMES)
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Opens the port, 0 for a free one, and returns its number.

        Raises:
            StartupError: The port is in use, or the address is not this machine's.
        """
        assert self._server is None, "a server is started once"
        server = grpc.aio.server(options=self._transport.channel_arguments())
        server.add_generic_rpc_handlers((self._dispatcher(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*_SERVICE_NAMES, health.SERVICE_NAME)
        server.add_generic_rpc_handlers(tuple(reflection.reflection_handlers(names)))
        known = frozenset((*names, *reflection.SERVICE_NAMES))
        server.add_generic_rpc_handlers((Refuser(known_services=known, observer=self._observer),))
        bound = self._listen(server, _address(host, port))
        await self._health.set_serving(serving=True)
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace_seconds: float) -> None:
        """Ends the server; calls that last longer than the grace period are cut off."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)

    def _dispatcher(self) -> Dispatcher:
        methods = {method.path: method for method in public_methods()}
        assert self._handlers.keys() <= methods.keys(), "every handler answers a public RPC"
        return Dispatcher(
            methods={methods[path]: handler for path, handler in self._handlers.items()},
            observer=self._observer,
            faults=self._faults,
            max_request_bytes=self._transport.max_request_bytes,
        )

    def _listen(self, server: grpc.aio.Server, address: str) -> int:
        try:
            if self._credentials is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise StartupError(
                f"cannot listen on {address}: the port is in use or the address is not this"
                " machine's; stop what uses it or choose another"
            ) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
