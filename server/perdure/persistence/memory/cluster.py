"""Nodes and shards of the memory store.

Rules that hold here: shards never overlap, and every epoch handed out is higher than all before.
"""

from collections.abc import Sequence
from dataclasses import replace

from perdure.persistence.ports import ClusterRows, NodeRow, NodeState, Shard
from perdure.persistence.shards import even_ranges
from perdure.runtime.ports import Clock


class Cluster:
    """Who is alive and who owns what; times are those of the clock given."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._nodes: dict[str, NodeRow] = {}
        self._shards: dict[int, Shard] = {}
        self._epoch = 0

    def holds(self, slot: int, epoch: int) -> bool:
        """Tells whether the shard of an epoch holds a slot."""
        shard = self._shards.get(epoch)
        return shard is not None and shard.first_slot <= slot <= shard.last_slot

    def read(self) -> ClusterRows:
        """Returns all nodes and shards."""
        nodes = sorted(self._nodes.values(), key=lambda node: (node.name, node.id))
        return ClusterRows(self._clock.now(), nodes, sorted(self._shards.values()))

    def register(self, node: NodeRow) -> NodeRow | None:
        """Adds a node, unless a live one has its name: returns another one that has it."""
        now = self._clock.now()
        for other in self._nodes.values():
            if other.name == node.name:
                if not other.expired(now):
                    return other if other.id != node.id else None
                del self._nodes[other.id]
                break
        self._nodes[node.id] = replace(node, started=now, renewed=now)
        return None

    def renew(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive; None when there is none."""
        node = self._nodes.get(node_id)
        if node is None:
            return None
        self._nodes[node_id] = replace(node, state=state, renewed=self._clock.now())
        return self.read()

    def remove(self, node_id: str) -> None:
        """Removes a node, and its name from its shards."""
        self._nodes.pop(node_id, None)
        for shard in list(self._shards.values()):
            if shard.owner == node_id:
                self._enter(shard._replace(owner=""))

    def remove_expired(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        now = self._clock.now()
        expired = [node.id for node in self._nodes.values() if node.expired(now - expired_for)]
        for node_id in expired:
            del self._nodes[node_id]
        return len(expired)

    def create_shards(self, count: int) -> bool:
        """Divides all slots into shards that nobody owns; False when some exist."""
        if self._shards:
            return False
        for first, last in even_ranges(count):
            self._enter(Shard(first, last, "", self._next_epoch()))
        return True

    def acquire(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Enters a shard in place of every shard that shares a slot with it."""
        self._shards = {
            epoch: shard
            for epoch, shard in self._shards.items()
            if shard.last_slot < first_slot or shard.first_slot > last_slot
        }
        return self._enter(Shard(first_slot, last_slot, owner, self._next_epoch()))

    def take(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over the shards that are still there with the epoch named."""
        taken = []
        for shard in shards:
            if self._shards.pop(shard.epoch, None) is not None:
                new = shard._replace(owner=owner, epoch=self._next_epoch())
                taken.append(self._enter(new))
        return taken

    def release(self, shard: Shard) -> bool:
        """Makes a shard nobody's; False when its epoch is another now."""
        if shard.epoch not in self._shards:
            return False
        self._enter(shard._replace(owner=""))
        return True

    def _enter(self, shard: Shard) -> Shard:
        self._shards[shard.epoch] = shard
        return shard

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch
