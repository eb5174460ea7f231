"""Whether the address that other nodes are told leads to this node, and to no other one."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from perdure.persistence.ports import StartupError
from perdure.rpc.network import GrpcNetwork, Network
from perdure.rpc.tls.credentials import ChannelSecurity

PATIENCE_SECONDS = 5.0
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_OR_CERTIFICATE = (
    "; and see that this node's certificate has the name or address that is called, or give the"
    " name that it has as global.tls.internode.client.serverName"
)


async def check_reachable(
    address: str,
    *,
    identity: str = "",
    seconds: float = PATIENCE_SECONDS,
    security: ChannelSecurity | None = None,
    network: Network | None = None,
) -> None:
    """Calls a node's own address, as the others will.

    Args:
        address: What the others are told, `host:port`.
        identity: A service that only this node's health knows.
        seconds: How long to try.
        security: For TLS; without, the connection is plain.
        network: How it is reached.

    Raises:
        StartupError: No gRPC server answers there, or another one.
    """
    plain = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    options = plain if security is None else [*plain, *security.options]
    credentials = None if security is None else security.credentials
    async with (network or GrpcNetwork()).channel(address, options, credentials) as channel:
        check: Callable[..., Any] = channel.unary_unary(_HEALTH_CHECK)
        try:
            request = health_pb2.HealthCheckRequest(service=identity).SerializeToString()
            await check(request, timeout=seconds, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise StartupError(
                    f"another node answers at {address}, the address that other nodes are told of"
                    " this one: set listeners.internode.advertised to one that leads here only"
                ) from error
            raise StartupError(
                f"this node cannot be reached at {address}, the address that other nodes are told:"
                " set listeners.internode.advertised to one that leads here, and let the port"
                f" through firewalls{_OR_CERTIFICATE if security else ''}"
            ) from error
