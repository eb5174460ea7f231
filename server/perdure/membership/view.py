"""`ClusterView`: the cluster as one node sees it at one moment. It never changes."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from typing import Self

from perdure.core.commit import TaskQueueKey
from perdure.membership.rendezvous import Rendezvous
from perdure.persistence.ports import NodeRow, NodeState, Shard


class Role(Enum):
    """What a node may serve, as `NodeRow.roles` names it."""

    FRONTEND = "frontend"
    HISTORY = "history"
    MATCHING = "matching"
    WORKER = "worker"


class ClusterView:
    """Nodes taken for alive, and the shards.

    Two views are equal when nobody came, left or changed, and no shard moved: the times of
    renewals do not count.

    Attributes:
        nodes: The nodes alive, draining ones too, by name. Their `renewed` is 0.
        shards: All shards, by first slot.
    """

    __slots__ = (
        "_by_id",
        "_by_name",
        "_first_slots",
        "_history",
        "_matching",
        "_worker",
        "nodes",
        "shards",
    )

    def __init__(
        self,
        nodes: Iterable[NodeRow] = (),
        shards: Iterable[Shard] = (),
        *,
        earlier: Self | None = None,
    ) -> None:
        """Makes a view.

        Args:
            nodes: Those taken for alive.
            shards: All of them.
            earlier: A view whose remembered owners are reused where the candidates are the same.
        """
        self.nodes = tuple(
            sorted((replace(node, renewed=0) for node in nodes), key=lambda node: node.name)
        )
        self.shards = tuple(sorted(shards))
        self._by_id = {node.id: node for node in self.nodes}
        self._by_name = {node.name: node for node in self.nodes}
        self._first_slots = [shard.first_slot for shard in self.shards]
        self._history = self._candidates(Role.HISTORY)
        self._matching = self._candidates(Role.MATCHING)
        self._worker = self._candidates(Role.WORKER)
        if earlier is not None:
            self._history = _remembering(self._history, earlier._history)
            self._matching = _remembering(self._matching, earlier._matching)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClusterView):
            return NotImplemented
        return self.nodes == other.nodes and self.shards == other.shards

    def __hash__(self) -> int:
        return hash((self.nodes, self.shards))

    def __repr__(self) -> str:
        names = ", ".join(f"{node.name} {node.state.value}" for node in self.nodes)
        return f"<ClusterView of {names or 'nobody'}; {len(self.shards)} shards>"

    def node(self, node_id: str) -> NodeRow | None:
        """Returns a node that is alive, by its id."""
        return self._by_id.get(node_id)

    def with_role(self, role: Role) -> tuple[NodeRow, ...]:
        """Returns the nodes alive that serve a role, draining ones too, by name."""
        return tuple(node for node in self.nodes if _serves(node, role))

    @property
    def frontends(self) -> tuple[NodeRow, ...]:
        """The frontends that take new calls, by name."""
        return tuple(node for node in self.with_role(Role.FRONTEND) if node.state is NodeState.UP)

    def shard(self, slot: int) -> Shard | None:
        """Returns the shard that holds a slot; None before shards were created."""
        index = bisect_right(self._first_slots, slot) - 1
        if index < 0:
            return None
        shard = self.shards[index]
        return shard if slot <= shard.last_slot else None

    def owned_by(self, node_id: str) -> tuple[Shard, ...]:
        """Returns the shards that a node owns, by first slot."""
        return tuple(shard for shard in self.shards if shard.owner == node_id)

    def history_owner(self, slot: int) -> NodeRow | None:
        """Returns the node that owns a slot's shard; None when nobody alive does."""
        shard = self.shard(slot)
        return None if shard is None else self._by_id.get(shard.owner)

    def desired_history_owner(self, shard: Shard) -> str | None:
        """Returns the id of the node that should own a shard; None when none takes shards.

        It goes by the first slot, so that one part of a shard that is split stays where it is.
        """
        name = self._history.owner((shard.first_slot,))
        return None if name is None else self._by_name[name].id

    def matching_owner(self, queue: TaskQueueKey) -> NodeRow | None:
        """Returns the node that should serve a queue's partition; None when none takes polls.

        It goes by the node's name: one that restarts gets its queues back.
        """
        name = self._matching.owner(queue)
        return None if name is None else self._by_name[name]

    def worker_owner(self, namespace_id: str) -> NodeRow | None:
        """Returns the node that should look after a namespace; None when none does.

        Two may think that it is them for a moment: what they do must be harmless when done twice.
        """
        name = self._worker.owner((namespace_id,))
        return None if name is None else self._by_name[name]

    def _candidates(self, role: Role) -> Rendezvous:
        up = (node for node in self.with_role(role) if node.state is NodeState.UP)
        return Rendezvous(node.name for node in up)


def _remembering(made: Rendezvous, earlier: Rendezvous) -> Rendezvous:
    return earlier if earlier.candidates == made.candidates else made


def _serves(node: NodeRow, role: Role) -> bool:
    return role.value in node.roles.split(",")
