"""Plans, applied again and again from any state, bring every shard home, and then rest."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from perdure.membership.balance import Plan, plan
from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeRow, NodeState, Shard
from unit.membership.world import node_row

ROLES = st.sampled_from(["history", "frontend,history,matching", "frontend"])
STATES = st.sampled_from(NodeState)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[NodeRow], list[Shard]]:
    count = draw(st.integers(min_value=0, max_value=5))
    nodes = [
        node_row(f"node-{number}", roles=draw(ROLES), state=draw(STATES)) for number in range(count)
    ]
    owners = st.sampled_from(["", "id-of-dead", *(node.id for node in nodes)])
    shards = [
        Shard(10 * number, 10 * number + 9, draw(owners), number + 1)
        for number in range(draw(st.integers(min_value=0, max_value=12)))
    ]
    return nodes, shards


def apply(shards: list[Shard], step: Plan, node_id: str) -> list[Shard]:
    released = {shard.first_slot for shard in step.release}
    taken = {shard.first_slot for shard in step.take}
    moved = []
    for shard in shards:
        if shard.first_slot in released:
            assert shard.owner == node_id
            moved.append(shard._replace(owner=""))
        elif shard.first_slot in taken:
            moved.append(shard._replace(owner=node_id, epoch=shard.epoch + 1_000))
        else:
            moved.append(shard)
    return moved


@given(clusters(), st.integers(min_value=1, max_value=4), st.randoms(use_true_random=False))
def test_every_shard_comes_to_its_desired_owner_and_then_nothing_moves(
    cluster: tuple[list[NodeRow], list[Shard]], most_moving: int, order: random.Random
) -> None:
    nodes, shards = cluster
    view = ClusterView(nodes, shards)
    homes = [view.desired_history_owner(shard) for shard in shards]
    for _ in range(2 * len(shards) + 2):
        for node in order.sample(nodes, len(nodes)):
            view = ClusterView(nodes, shards)
            shards = apply(shards, plan(view, node.id, most_moving=most_moving), node.id)
    view = ClusterView(nodes, shards)
    assert all(plan(view, node.id, most_moving=most_moving) == ([], []) for node in nodes)
    if any(homes):
        assert [shard.owner for shard in shards] == homes
    else:
        assert shards == cluster[1]


@given(clusters(), st.integers(min_value=1, max_value=4))
def test_nothing_is_released_without_a_taker_nor_taken_from_the_living(
    cluster: tuple[list[NodeRow], list[Shard]], most_moving: int
) -> None:
    nodes, shards = cluster
    view = ClusterView(nodes, shards)
    alive = {node.id: node for node in nodes}
    for node in nodes:
        step = plan(view, node.id, most_moving=most_moving)
        for shard in step.release:
            taker = alive[str(view.desired_history_owner(shard))]
            assert taker.id != node.id
            assert taker.state is NodeState.UP
        assert all(shard.owner not in alive for shard in step.take)
        if node.state is NodeState.DRAINING:
            assert step.take == []


def test_releases_wait_until_those_before_have_arrived() -> None:
    view = ClusterView([node_row("old"), node_row("new")])
    wanted = [
        shard
        for shard in (Shard(first, first, "id-of-old", 1) for first in range(40))
        if view.desired_history_owner(shard) == "id-of-new"
    ]
    assert len(wanted) > 10
    nodes = [node_row("old"), node_row("new")]
    assert plan(ClusterView(nodes, wanted), "id-of-old", most_moving=3).release == wanted[:3]
    moving = [*(shard._replace(owner="") for shard in wanted[:2]), *wanted[2:]]
    assert plan(ClusterView(nodes, moving), "id-of-old", most_moving=3).release == wanted[2:3]
    assert plan(ClusterView(nodes, moving), "id-of-old", most_moving=2).release == []
    assert plan(ClusterView(nodes, moving), "id-of-new", most_moving=2).take == moving[:2]
    draining = [replace(nodes[0], state=NodeState.DRAINING), nodes[1]]
    assert plan(ClusterView(draining, moving), "id-of-old", most_moving=1).release == wanted[2:]


def test_a_node_that_is_not_alive_in_the_view_does_nothing() -> None:
    view = ClusterView([node_row("first")], [Shard(0, 9, "", 1)])
    assert plan(view, "id-of-another", most_moving=1) == ([], [])
