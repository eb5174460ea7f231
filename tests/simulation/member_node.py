"""A server process that is a member of a cluster: the real `ClusterNode` over simulated machines.

Parts start and end in the order of the composition root.
"""

from collections.abc import Callable
from typing import Any

from perdure.app.cluster import ClusterNode
from perdure.config.static import Cluster, InternodeListener, Listeners, ServerConfig
from perdure.config.static import Node as NodeConfig
from perdure.history.engine import HistoryEngine
from perdure.matching.engine import MatchingEngine
from perdure.membership.member import Member
from perdure.membership.view import ClusterView
from perdure.rpc.handler import SilentObserver as SilentRpcs
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.telemetry.tracing import NO_TRACING
from simulation.channels import NodeNetwork
from simulation.node import STOP_GRACE_SECONDS, Machine, Node
from simulation.trace import Trace

Check = Callable[[], None]


class MemberNode(Node):
    """A process of a cluster.

    Attributes:
        member: Its membership, once it has begun to start.
    """

    def __init__(self, *, config: ServerConfig, on_ownership: Check, **around: Any) -> None:
        """Makes a process that has not started.

        Args:
            config: As in a server.
            on_ownership: Called whenever this node may have come to own something.
            around: As of a `Node`.
        """
        super().__init__(**around)
        self._config = config
        self._on_ownership = on_ownership
        self._history: HistoryEngine | None = None
        self._matching: MatchingEngine | None = None
        self._cluster: ClusterNode

    @property
    def member(self) -> Member:
        """Its membership."""
        return self._cluster.member

    def served_from_memory(self) -> list[int]:
        """Returns the first slots of the shards that it would answer for now."""
        if self._history is None or not self.member.lease_valid():
            return []
        shards = self._history.shards
        return [each.first_slot for each in shards.held if shards.epoch(each.first_slot)]

    def foreign_queues(self) -> list[str]:
        """Returns the queues that are another node's and that workers poll here."""
        if self._matching is None:
            return []
        view, own_id = self.member.view, self.member.id
        owners = {
            each.queue: view.matching_owner(each.queue)
            for each in self._matching.statistics()
            if each.pending_polls
        }
        return [
            f"{queue.name} ({queue.task_type.name})"
            for queue, owner in owners.items()
            if owner is None or owner.id != own_id
        ]

    async def _start(self) -> None:
        incarnation = await self._store.incarnation()
        self._cluster = cluster = self._make_cluster()
        roles = self._machine.roles
        self._matching = self._make_matching(incarnation) if "matching" in roles else None
        matching = cluster.matching(self._matching, partitions=self._around.partitions)
        if "history" in roles:
            self._history = self._make_history(incarnation, matching, cluster.authority)
        history = cluster.history(self._history)
        if self._matching is not None:
            self._matching.attach_history(history)
        namespaces = NamespaceRegistry(
            metadata=self._store, clock=self._machine.clock, ids=self._machine.ids
        )
        await cluster.open_port(self._history, self._matching, namespaces)
        await cluster.join(self._history, self._matching)
        cluster.member.subscribe(lambda _: self._on_ownership())
        self._on_ownership()
        if "frontend" in roles:
            self._serve(history, matching)

    async def _stop(self) -> None:
        cluster = self._cluster
        await cluster.drain()
        if self._matching is not None:
            self._matching.stop_polls()
        await self._around.network.close(self._address, STOP_GRACE_SECONDS)
        await cluster.close_port(STOP_GRACE_SECONDS)
        if self._history is not None:
            self._history.stop()
        if self._matching is not None:
            await self._matching.close()
        await cluster.leave()
        await self._tasks.close()

    def _make_cluster(self) -> ClusterNode:
        machine, around = self._machine, self._around
        return ClusterNode(
            config=self._config,
            store=self._store,
            clock=machine.clock,
            ids=machine.ids,
            tasks=self._tasks,
            tracer=NO_TRACING,
            on_error=self._on_error,
            membership=_Observer(self.process.name, self._trace, self._on_ownership),
            serving=SilentRpcs(),
            calling=SilentRpcs(),
            network=NodeNetwork(
                around.network, host=machine.host, process=self.process, trace=self._trace
            ),
        )


def node_config(machine: Machine, *, shards: int, heartbeat: float, lease: float) -> ServerConfig:
    """Returns the configuration of a machine's processes."""
    return ServerConfig(
        roles=sorted(machine.roles),  # type: ignore[arg-type]
        listeners=Listeners(internode=InternodeListener(host=machine.host)),
        node=NodeConfig(name=machine.host, heartbeat_seconds=heartbeat, lease_seconds=lease),
        cluster=Cluster(shards=shards),
    )


class _Observer:
    """A `MembershipObserver` that keeps the journal."""

    def __init__(self, name: str, trace: Trace, on_ownership: Check) -> None:
        self._name = name
        self._trace = trace
        self._on_ownership = on_ownership

    def membership_changed(self, view: ClusterView) -> None:
        names = {node.id: node.name for node in view.nodes}
        nodes = " ".join(f"{node.name}:{node.state.value}" for node in view.nodes)
        shards = " ".join(
            f"{shard.first_slot}@{shard.epoch}={names.get(shard.owner, '-')}"
            for shard in view.shards
        )
        self._trace.note(self._name, f"sees {nodes}; {shards}")

    def lease_renewed(self, seconds: float) -> None:
        self._on_ownership()

    def lease_failed(self, error: BaseException) -> None:
        self._trace.note(self._name, f"could not renew its lease: {error}")

    def lease_lapsed(self, shards: int) -> None:
        self._trace.note(self._name, f"had lost its lease, with {shards} shards")

    def node_lost(self) -> None:
        self._trace.note(self._name, "was removed by others")
