"""The standard health service, `grpc.health.v1.Health`, by service name."""

from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME, aio

__all__ = ["SERVICE_NAME", "Health", "health_handler"]


class Health(aio.HealthServicer):
    """Tells load balancers and start-up scripts whether services are served.

    The empty name stands for the server as a whole. A new one serves nothing.
    """

    def __init__(self, services: Iterable[str]) -> None:
        super().__init__()
        self._services = ("", *services)

    async def set_serving(self, *, serving: bool) -> None:
        """Changes the status of every service."""
        states = health_pb2.HealthCheckResponse
        for name in self._services:
            await self.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def Check(  # noqa: N802 - the library's name
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        """Returns a service's status; NOT_FOUND for one that does not exist."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return await super().Check(request, context)


def health_handler(servicer: Health) -> grpc.GenericRpcHandler:
    """Returns what answers the service's calls."""
    request = health_pb2.HealthCheckRequest.FromString
    response = health_pb2.HealthCheckResponse.SerializeToString
    return grpc.method_handlers_generic_handler(
        SERVICE_NAME,
        {
            "Check": grpc.unary_unary_rpc_method_handler(servicer.Check, request, response),
            "Watch": grpc.unary_stream_rpc_method_handler(servicer.Watch, request, response),
        },
    )
