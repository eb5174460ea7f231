"""The other nodes: a connection to each that is asked, made on demand.

Rules that hold here: one channel per address; a dead node is noticed within seconds by pings, and a
node that comes back is tried again at once when it is asked; a channel of a node that left is
closed by whoever follows the membership; credentials that change are used by new channels, and no
call under way is cut for them.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import grpc

from perdure.rpc.handler import OperationObserver, RpcObserver, SilentObserver
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.link import Link, RemoteCall, uncounted
from perdure.rpc.internode.settings import InternodeSettings
from perdure.rpc.internode.wire import HISTORY_METHODS, MATCHING_METHODS, WireMethod
from perdure.rpc.network import GrpcNetwork, Network
from perdure.rpc.tls.security import PeerSecurity
from perdure.telemetry.tracing import NO_TRACING, Tracer

_MILLISECONDS: Final = 1_000
_LARGEST_TRAILERS: Final = 1 << 20
_SHORTEST_RECONNECT_MS: Final = 100
_LONGEST_RECONNECT_MS: Final = 1_000


def implement(methods: Iterable[WireMethod], make: Callable[[WireMethod], RemoteCall]) -> Any:
    """Returns an object that has the methods of a Protocol, each made by a function."""
    return SimpleNamespace(**{method.name: make(method) for method in methods})


class _Peer(NamedTuple):
    link: Link
    history: HistoryClient
    matching: Any


class Peers:
    """The roles of other nodes, by address (`host:port`)."""

    def __init__(
        self,
        *,
        settings: InternodeSettings | None = None,
        observer: RpcObserver | None = None,
        security: PeerSecurity | None = None,
        network: Network | None = None,
        tracer: Tracer = NO_TRACING,
        sent: Callable[[int], None] = uncounted,
    ) -> None:
        """Makes an empty set.

        Args:
            settings: Bounds.
            observer: Where calls to other nodes are reported to.
            security: For TLS; without, connections are plain.
            network: How they are reached.
            tracer: Where spans around calls to them go.
            sent: Told how many calls each message has that is sent in a stream.
        """
        self._settings = settings or InternodeSettings()
        self._security = security
        self._network = network or GrpcNetwork()
        self._tracer = tracer
        self._sent = sent
        observer = observer or SilentObserver()
        self._observers: dict[str, OperationObserver] = {
            method.path: observer.operation(method.service, method.rpc)
            for method in (*HISTORY_METHODS, *MATCHING_METHODS)
        }
        self._peers: dict[str, _Peer] = {}
        self._context = copy_context()

    def history(self, address: str) -> HistoryClient:
        """Returns another node's history role."""
        return self._peer(address).history

    def matching(self, address: str) -> Any:
        """Returns another node's matching role.

        It has the methods of MatchingNode that cross machines, all of them coroutines:
        `add_tasks` returns the places of the sticky tasks whose queue nobody has polled lately.
        """
        return self._peer(address).matching

    async def retain(self, addresses: Collection[str]) -> None:
        """Closes the connections to all other addresses: their nodes have left."""
        for address in [known for known in self._peers if known not in addresses]:
            await self._peers.pop(address).link.close()

    async def renew(self) -> None:
        """Has calls from now on made over new connections, with the credentials of now.

        Returns when the old connections are closed: each when its calls under way have ended.
        """
        old = [peer.link for peer in self._peers.values()]
        self._peers.clear()
        await asyncio.gather(*(link.drain() for link in old))

    async def close(self) -> None:
        """Closes all connections."""
        await self.retain(())

    def _peer(self, address: str) -> _Peer:
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = self._new(address)
        return peer

    def _new(self, address: str) -> _Peer:
        channel = self._channel(address)
        link = Link(
            channel,
            address=address,
            settings=self._settings,
            tracer=self._tracer,
            sent=self._sent,
            context=self._context,
        )

        def make(method: WireMethod) -> RemoteCall:
            return link.method(method, self._observers[method.path])

        history = cast(HistoryClient, implement(HISTORY_METHODS, make))
        return _Peer(link, history, implement(MATCHING_METHODS, make))

    def _channel(self, address: str) -> grpc.aio.Channel:
        options = _channel_arguments(self._settings)
        if self._security is None:
            return self._network.channel(address, options, None)
        chosen = self._security.current()
        return self._network.channel(address, [*options, *chosen.options], chosen.credentials)


def _channel_arguments(settings: InternodeSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # A failure's detail may be larger than what gRPC takes in trailers by itself.
        ("grpc.max_metadata_size", _LARGEST_TRAILERS),
        ("grpc.absolute_max_metadata_size", _LARGEST_TRAILERS),
        ("grpc.keepalive_time_ms", round(settings.keepalive * _MILLISECONDS)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout * _MILLISECONDS)),
        # Without it the bound is gRPC's own for pings, a minute.
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout * _MILLISECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", _SHORTEST_RECONNECT_MS),
        # Despite its name, how long an attempt to connect may take.
        ("grpc.min_reconnect_backoff_ms", round(settings.connect * _MILLISECONDS)),
        ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MS),
        # Connections and their pauses are this channel's alone.
        ("grpc.use_local_subchannel_pool", 1),
        # Nodes are reached directly, whatever the environment says of proxies.
        ("grpc.enable_http_proxy", 0),
    ]
