"""Whether the address that other nodes are told leads to this node."""

from collections.abc import Callable
from typing import Any

import grpc

from perdure.persistence.ports import StartupError
from perdure.rpc.network import GrpcNetwork, Network

PATIENCE_SECONDS = 5.0
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"


async def check_reachable(
    address: str,
    *,
    seconds: float = PATIENCE_SECONDS,
    credentials: grpc.ChannelCredentials | None = None,
    network: Network | None = None,
) -> None:
    """Calls a node's own address, as the others will.

    Args:
        address: What the others are told, `host:port`.
        seconds: How long to try.
        credentials: For TLS; without, the connection is plain.
        network: How it is reached.

    Raises:
        StartupError: No gRPC server answers there.
    """
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with (network or GrpcNetwork()).channel(address, options, credentials) as channel:
        check: Callable[..., Any] = channel.unary_unary(_HEALTH_CHECK)
        try:
            await check(b"", timeout=seconds, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise StartupError(
                f"this node cannot be reached at {address}, the address that other nodes are told:"
                " set listeners.internode.advertised to one that leads here, and let the port"
                " through firewalls"
            ) from error
