"""Which shards a node should give away and take, by its view of the cluster. Pure.

Rules that hold here: a shard is released only when another node is there to take it; what a live
node owns is never taken from it. Applied by every node again and again, every shard comes to its
desired owner, and then nothing moves any more.
"""

from typing import NamedTuple

from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeState, Shard


class Plan(NamedTuple):
    """What one node should do next, by first slot."""

    release: list[Shard]
    take: list[Shard]


def plan(view: ClusterView, node_id: str, *, most_moving: int) -> Plan:
    """Returns what a node should do.

    Args:
        view: The cluster as the node sees it.
        node_id: The node; one that is not alive in the view does nothing.
        most_moving: How many shards may be without a live owner at the same time through releases
            of this node: it waits until those of the cluster that are on their way have arrived.
            A draining node does not wait.
    """
    assert most_moving > 0, "shards could never move"
    node = view.node(node_id)
    if node is None:
        return Plan([], [])
    release: list[Shard] = []
    take: list[Shard] = []
    moving = 0
    for shard in view.shards:
        desired = view.desired_history_owner(shard)
        if shard.owner == node_id:
            if desired not in {None, node_id}:
                release.append(shard)
        elif view.node(shard.owner) is None:
            moving += 1
            if desired == node_id:
                take.append(shard)
    if node.state is not NodeState.DRAINING:
        release = release[: max(0, most_moving - moving)]
    return Plan(release, take)
