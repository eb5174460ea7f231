"""Where servers listen and channels lead: the machine's network, unless another one is given.

A simulation gives one of its own; everything above it (dispatch, codec, links) stays as it is.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import grpc

ChannelArguments = Sequence[tuple[str, Any]]


class Network(Protocol):
    """Makes both ends of connections."""

    def server(self, arguments: ChannelArguments) -> grpc.aio.Server:
        """Returns a server that listens nowhere yet."""
        ...

    def channel(
        self,
        address: str,
        arguments: ChannelArguments,
        credentials: grpc.ChannelCredentials | None,
    ) -> grpc.aio.Channel:
        """Returns a channel to `host:port`, not connected yet; without credentials, a plain one."""
        ...


class GrpcNetwork:
    """The machine's network, by grpc.aio."""

    def server(self, arguments: ChannelArguments) -> grpc.aio.Server:
        """Returns a server that listens nowhere yet."""
        return grpc.aio.server(options=arguments)

    def channel(
        self,
        address: str,
        arguments: ChannelArguments,
        credentials: grpc.ChannelCredentials | None,
    ) -> grpc.aio.Channel:
        """Returns a channel to `host:port`, not connected yet; without credentials, a plain one."""
        if credentials is None:
            return grpc.aio.insecure_channel(address, options=arguments)
        return grpc.aio.secure_channel(address, credentials, options=arguments)
