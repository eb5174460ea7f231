"""This process as a node of a cluster: its membership, and how its roles and the others' meet.

Parts end in this order: the node says that it is leaving, gives away shards and queues while it
still answers, closes its ports, and is removed from the cluster last.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from perdure.app.authorization import for_nodes_only
from perdure.app.exemplars import remembered
from perdure.app.readiness import missing
from perdure.app.traced import continued
from perdure.config.static import CLOCK_MARGIN_SECONDS, ServerConfig
from perdure.config.version import FORMAT, VERSION
from perdure.core.commit import DispatchTask
from perdure.history.engine import HistoryEngine
from perdure.history.ownership import MemberAuthority, Ownership
from perdure.matching.engine import MatchingEngine
from perdure.membership.member import Member
from perdure.membership.observer import MembershipObserver
from perdure.membership.settings import MembershipSettings
from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeRow, NodeState, Store
from perdure.rpc.clients import MatchingNode
from perdure.rpc.handler import RpcObserver
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.hints import Hints
from perdure.rpc.internode.learning import learning
from perdure.rpc.internode.link import uncounted
from perdure.rpc.internode.matching import RoutedMatching
from perdure.rpc.internode.membership import MemberDirectory
from perdure.rpc.internode.owned import OwnedMatching, owns_queue
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.reach import check_reachable
from perdure.rpc.internode.routing import Router, routed_history
from perdure.rpc.internode.serving import internode_handlers
from perdure.rpc.internode.settings import INTERNODE_TRANSPORT, InternodeSettings
from perdure.rpc.internode.wire import HISTORY_SERVICE, MATCHING_SERVICE
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.network import Network
from perdure.rpc.server import RpcServer
from perdure.rpc.tls.security import PLAIN, NodeSecurity
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import ErrorCallback, TaskSet
from perdure.telemetry.logging import get_logger
from perdure.telemetry.tracing import Tracer

WAITING_LOG_SECONDS = 10.0


class ClusterNode:
    """Membership, routing and the internode port of this process.

    Attributes:
        member: This node's membership.
    """

    def __init__(
        self,
        *,
        config: ServerConfig,
        store: Store,
        clock: Clock,
        ids: Ids,
        tasks: TaskSet,
        tracer: Tracer,
        on_error: ErrorCallback,
        membership: MembershipObserver,
        serving: RpcObserver,
        calling: RpcObserver,
        sent: Callable[[int], None] = uncounted,
        settings: InternodeSettings | None = None,
        network: Network | None = None,
        security: NodeSecurity = PLAIN,
    ) -> None:
        """Makes a node that nobody knows of yet.

        Args:
            config: Names, roles, addresses and times.
            store: Where membership lives.
            clock: Its monotonic clock counts the time that the machine sleeps.
            ids: Names the node.
            tasks: Where background work runs.
            tracer: Where spans around calls of other nodes go.
            on_error: Told when membership has ended for good.
            membership: Told of renewals and views.
            serving: Told of calls of other nodes.
            calling: Told of calls to other nodes.
            sent: Told how many of them each message of a stream has.
            settings: Bounds of what nodes ask of each other.
            network: What connects the nodes, if it is not the machine's network.
            security: TLS between them.
        """
        self._config = config
        self._store = store
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._tracer = tracer
        self._serving = serving
        self._network = network
        self._settings = settings or InternodeSettings()
        self._log = get_logger("cluster")
        self.member = Member(
            node=_unregistered(config),
            store=store,
            clock=clock,
            ids=ids,
            settings=MembershipSettings(
                period=config.node.heartbeat_seconds,
                lease=config.node.lease_seconds,
                margin=CLOCK_MARGIN_SECONDS,
            ),
            on_error=on_error,
            observer=membership,
        )
        self._directory = MemberDirectory(self.member)
        self._router = Router(directory=self._directory, ids=ids, settings=self._settings)
        self._security = security
        self._peers = self._connections(calling, sent)
        self._routed_history: HistoryClient | None = None
        self._routed_matching: RoutedMatching | None = None
        self._ownership: Ownership | None = None
        self._server: RpcServer | None = None
        self._told: dict[RpcServer, bool] = {}
        self._settled = False

    def _connections(self, observer: RpcObserver, sent: Callable[[int], None]) -> Peers:
        secured = self._security.peers
        peers = Peers(
            settings=self._settings,
            observer=observer,
            security=secured,
            network=self._network,
            tracer=self._tracer,
            sent=sent,
        )

        def renew() -> None:
            self._tasks.spawn("renew-connections", peers.renew())

        if secured is not None:
            secured.follow(renew)
        return peers

    @property
    def hints(self) -> Hints:
        """What is sent to other nodes' matching."""
        assert self._routed_matching is not None
        return self._routed_matching.hints

    @property
    def authority(self) -> MemberAuthority:
        """Who decides which shards this process owns."""
        return MemberAuthority(self.member)

    def matching(self, local: MatchingEngine | None, *, partitions: int = 1) -> MatchingNode:
        """Returns the cluster's matching.

        Args:
            local: This process's own, if it has the role.
            partitions: How many a task queue may have.
        """
        self._routed_matching = RoutedMatching(
            router=self._router,
            peers=self._peers,
            local=local,
            sticky_unpolled=self._sticky_unpolled,
            tasks=self._tasks,
            ids=self._ids,
            settings=self._settings,
            partitions=partitions,
        )
        if local is not None:
            local.attach_cluster(self._routed_matching)
        return self._routed_matching

    def history(self, local: HistoryEngine | None) -> HistoryClient:
        """Returns the cluster's history.

        Args:
            local: This process's own, if it has the role.
        """
        self._routed_history = routed_history(router=self._router, peers=self._peers, local=local)
        if local is not None:
            local.attach_cluster(self._routed_history)
        return self._routed_history

    def looks_after(self, namespace_id: str) -> bool:
        """Tells whether this node is the one that looks after a namespace, as it sees it."""
        owner = self.member.view.worker_owner(namespace_id)
        return owner is not None and owner.id == self.member.id and self.member.lease_valid()

    async def _sticky_unpolled(self, task: DispatchTask) -> None:
        assert self._routed_history is not None
        await self._routed_history.sticky_queue_unpolled(task)

    async def open_port(
        self,
        history: HistoryEngine | None,
        matching: MatchingEngine | None,
        namespaces: NamespaceRegistry,
    ) -> str:
        """Lets other nodes reach this process's roles; returns the address that they are told.

        Args:
            history: This process's own, if it has the role.
            matching: The same of matching.
            namespaces: Where history finds namespaces.

        Raises:
            StartupError: The port is in use, or the address is not this machine's.
        """
        guarded = None if matching is None else OwnedMatching(matching, self._directory)
        listener = self._config.listeners.internode
        roles = ((history, HISTORY_SERVICE), (matching, MATCHING_SERVICE))
        handlers = for_nodes_only(
            learning(internode_handlers(history, guarded), namespaces),
            self._config.global_.authorization,
        )
        handlers = remembered(handlers, self._tracer)
        self._server = RpcServer(
            handlers=continued(handlers, self._tracer),
            services=[service for role, service in roles if role is not None],
            always_detailed=True,
            streamed=True,
            clock=self._clock,
            observer=self._serving,
            transport=INTERNODE_TRANSPORT,
            security=self._security.internode,
            network=self._network,
            identity=self.member.id,
        )
        port = await self._server.start(listener.host, listener.port, serving=False)
        self.tell_health(self._server)
        address = listener.address(port)
        self.member.node = replace(self.member.node, address=address)
        return address

    async def join(self, history: HistoryEngine | None, matching: MatchingEngine | None) -> None:
        """Becomes a member, and from then on owns what it should.

        Raises:
            StartupError: Another live node has the name, or the others could not reach this one.
            StoreError: The store failed.
        """
        if matching is not None:
            self.member.subscribe(lambda _: self._let_queues_go(matching))
        self.member.subscribe(self._viewed)
        self._tasks.spawn("keep-health", self._keep_health())
        if history is not None:
            await self._store.create_shards(self._config.cluster.shards)
        peers = self._security.peers
        await check_reachable(
            self.member.node.address,
            identity=self.member.id,
            security=None if peers is None else peers.current(),
            network=self._network,
        )
        await self.member.start()
        if history is not None:
            self._ownership = Ownership(
                member=self.member,
                shards=history.shards,
                tasks=self._tasks,
                most_moving=self._settings.shards_moving,
            )
            self._ownership.start()

    def _let_queues_go(self, matching: MatchingEngine) -> None:
        matching.release_queues(lambda queue: not owns_queue(self._directory, queue))

    def _viewed(self, view: ClusterView) -> None:
        addresses = {node.address for node in view.nodes}
        self._tasks.spawn("close-connections", self._peers.retain(addresses))

    def missing(self) -> str:
        """Returns what keeps this node from serving, as a clause; empty when nothing does."""
        if not self.member.lease_valid():
            return "its lease is not valid"
        return missing(self.member.view, self.member.id, settled=self._settled)

    def tell_health(self, server: RpcServer) -> None:
        """Has a server's health say, from `join` on, whether this node can serve."""
        self._told[server] = False

    async def _keep_health(self) -> None:
        served = False
        while True:
            reason = self.missing()
            if reason and served:
                is_wanted = self.member.node.state is NodeState.DRAINING
                tell = self._log.info if is_wanted else self._log.warning
                tell("not ready to serve any more", reason=reason)
            served = not reason
            self._settled = self._settled or served
            for server, told in self._told.items():
                if told is not served:
                    await server.set_serving(serving=served)
                    self._told[server] = served
            await self._directory.changed(self._config.node.heartbeat_seconds)

    async def ready(self) -> None:
        """Waits until this node can serve, and says in the log what it waits for."""
        loop = asyncio.get_running_loop()
        say_at = loop.time() + WAITING_LOG_SECONDS
        while reason := self.missing():
            if loop.time() >= say_at:
                self._log.warning("waiting to serve", reason=reason)
                say_at = loop.time() + WAITING_LOG_SECONDS
            await self._directory.changed(self._config.node.heartbeat_seconds)

    async def drain(self) -> None:
        """Says that this node is leaving, and gives away what it owns, for a bounded time."""
        self.member.drain()
        if self._ownership is None:
            return
        try:
            async with asyncio.timeout(self._config.node.drain_seconds):
                await self._ownership.given_away()
        except TimeoutError:
            self._log.warning("not all shards were given away in time; others will take them")

    async def close_port(self, grace_seconds: float) -> None:
        """Takes no more calls of other nodes."""
        if self._routed_matching is not None:
            self._routed_matching.close()
        if self._server is not None:
            await self._server.stop(grace_seconds)
        await self._peers.close()

    async def leave(self) -> None:
        """Is not a member any more."""
        await self.member.leave()


def _unregistered(config: ServerConfig) -> NodeRow:
    """Returns what a node says of itself; the rest is found out when it joins."""
    return NodeRow(
        id="",
        name=config.node.name,
        roles=",".join(sorted(config.roles)),
        address="",
        version=VERSION,
        format=FORMAT,
        state=NodeState.UP,
        lease=0,
    )
