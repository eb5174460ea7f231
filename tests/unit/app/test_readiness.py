"""When a node can serve: strict before it does so for the first time, patient afterwards."""

from dataclasses import replace

import pytest

from perdure.app.readiness import missing
from perdure.membership.view import ClusterView
from perdure.persistence.ports import NodeRow, NodeState, Shard
from unit.membership.world import node_row

FRONT = node_row("front", roles="frontend")
BACK = node_row("back", roles="history,matching")
OTHER = node_row("other", roles="history")
OWNED = Shard(0, 9, BACK.id, 1)
RELEASED = Shard(10, 19, "", 2)
ORPHANED = "some shards have no live owner: is a node with the history role running?"


def leaving(node: NodeRow) -> NodeRow:
    return replace(node, state=NodeState.DRAINING)


@pytest.mark.parametrize("settled", [False, True])
def test_a_frontend_serves_once_every_shard_and_queue_has_an_owner(settled: bool) -> None:
    view = ClusterView([FRONT, BACK], [OWNED])
    assert missing(view, FRONT.id, settled=settled) == ""
    assert missing(view, BACK.id, settled=settled) == ""


@pytest.mark.parametrize("settled", [False, True])
def test_a_frontend_does_not_serve_without_the_other_roles(settled: bool) -> None:
    def said(*nodes: NodeRow, shards: tuple[Shard, ...] = (OWNED,)) -> str:
        view = ClusterView([FRONT, *nodes], shards)
        return missing(view, FRONT.id, settled=settled)

    assert said() == ORPHANED
    assert said(BACK, shards=()) == ("" if settled else ORPHANED)
    assert said(leaving(BACK), shards=(RELEASED,)) == ORPHANED
    owned_by_other = OWNED._replace(owner=OTHER.id)
    assert said(OTHER, shards=(owned_by_other,)) == "no live node has the matching role"


def test_shards_on_their_way_keep_a_node_from_serving_the_first_time_only() -> None:
    view = ClusterView([FRONT, BACK], [OWNED, RELEASED])
    assert missing(view, FRONT.id, settled=False) == ORPHANED
    assert missing(view, FRONT.id, settled=True) == ""
    not_taken = "it has not taken all of its shards yet"
    assert missing(view, BACK.id, settled=False) == not_taken
    assert missing(view, BACK.id, settled=True) == ""


@pytest.mark.parametrize("settled", [False, True])
def test_a_node_that_leaves_or_was_removed_does_not_serve(settled: bool) -> None:
    view = ClusterView([leaving(FRONT), BACK], [OWNED])
    assert missing(view, FRONT.id, settled=settled) == "it is leaving"
    view = ClusterView([BACK], [OWNED])
    assert missing(view, FRONT.id, settled=settled) == "it is not a member of the cluster"
