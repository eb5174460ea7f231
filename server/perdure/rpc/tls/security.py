"""What ports and connections of a process are given to have TLS; nothing, where there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import grpc

from perdure.rpc.tls.credentials import ChannelSecurity
from perdure.rpc.tls.gate import Gate


class ServerSecurity(NamedTuple):
    """How a port is opened, and who is refused there though the transport lets them in."""

    credentials: grpc.ServerCredentials
    gate: Gate


@dataclass(frozen=True, slots=True)
class PeerSecurity:
    """How connections to other nodes are made.

    Attributes:
        current: Returns what a new channel is made with.
        follow: Has a function called whenever that is another, on the loop.
    """

    current: Callable[[], ChannelSecurity]
    follow: Callable[[Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class NodeSecurity:
    """The ports of a process: those without TLS have None.

    Attributes:
        frontend: The port for clients.
        internode: The port for other nodes.
        peers: Connections to other nodes.
    """

    frontend: ServerSecurity | None = None
    internode: ServerSecurity | None = None
    peers: PeerSecurity | None = None


PLAIN: Final = NodeSecurity()
"""No TLS anywhere."""
