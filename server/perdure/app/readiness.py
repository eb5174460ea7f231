"""Whether a node can serve, by its view of the cluster. Pure.

Rules that hold here: before a node serves for the first time, everything must be in its place. From
then on shards that are on their way from one node to another are no reason to stop: calls wait for
them, and a load balancer that took every frontend away for that moment would fail them all.
"""

from perdure.membership.balance import plan
from perdure.membership.view import ClusterView, Role
from perdure.persistence.ports import NodeState


def missing(view: ClusterView, node_id: str, *, settled: bool) -> str:
    """Returns what keeps a node from serving, as a clause; empty when nothing does.

    Args:
        view: The cluster as the node sees it.
        node_id: The node.
        settled: Whether it has served before.
    """
    node = view.node(node_id)
    if node is None:
        return "it is not a member of the cluster"
    if node.state is not NodeState.UP:
        return "it is leaving"
    if not settled and plan(view, node_id, most_moving=1).take:
        return "it has not taken all of its shards yet"
    if node not in view.with_role(Role.FRONTEND):
        return ""
    if _orphaned(view) and not (settled and _is_up(view, Role.HISTORY)):
        return "some shards have no live owner: is a node with the history role running?"
    if not _is_up(view, Role.MATCHING):
        return "no live node has the matching role"
    return ""


def _orphaned(view: ClusterView) -> bool:
    return not view.shards or any(view.node(shard.owner) is None for shard in view.shards)


def _is_up(view: ClusterView, role: Role) -> bool:
    return any(node.state is NodeState.UP for node in view.with_role(role))
