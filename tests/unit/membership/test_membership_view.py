"""What a view answers, and when two are the same."""

from dataclasses import replace

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.membership.view import ClusterView, Role
from perdure.persistence.ports import NodeRow, NodeState, Shard
from unit.membership.world import node_row

QUEUE = TaskQueueKey("namespace", "queue", TaskType.ACTIVITY, 2)
SHARDS = [Shard(0, 99, "id-of-first", 1), Shard(100, 199, "id-of-dead", 2), Shard(300, 399, "", 3)]


def test_the_shard_table_says_who_owns_a_slot_if_that_node_is_alive() -> None:
    first = node_row("first")
    view = ClusterView([first], reversed(SHARDS))
    assert [view.history_owner(slot) for slot in (0, 50, 99)] == [first, first, first]
    assert [view.history_owner(slot) for slot in (100, 199, 300, 399)] == [None] * 4
    assert view.shard(199) == SHARDS[1]
    assert view.shard(200) is view.shard(299) is view.shard(400) is None
    assert view.owned_by("id-of-first") == (SHARDS[0],)
    assert ClusterView([first]).history_owner(0) is None


def test_owners_are_chosen_among_the_nodes_that_are_up_and_have_the_role() -> None:
    nodes = [
        node_row("front", roles="frontend"),
        node_row("keeper", roles="history"),
        node_row("matcher", roles="matching"),
        node_row("leaving", roles="frontend,history,matching", state=NodeState.DRAINING),
    ]
    view = ClusterView(nodes, SHARDS)
    assert {view.desired_history_owner(shard) for shard in SHARDS} == {"id-of-keeper"}
    matchers = {view.matching_owner(QUEUE._replace(partition=number)) for number in range(50)}
    assert matchers == {nodes[2]}
    assert [node.name for node in view.frontends] == ["front"]
    assert [node.name for node in view.with_role(Role.HISTORY)] == ["keeper", "leaving"]
    assert view.with_role(Role.WORKER) == ()
    leaving_only = ClusterView(nodes[3:], SHARDS)
    assert leaving_only.matching_owner(QUEUE) is None
    assert leaving_only.desired_history_owner(SHARDS[0]) is None


def test_a_namespace_is_looked_after_by_one_worker_that_is_up() -> None:
    nodes = [
        node_row("first", roles="worker"),
        node_row("second", roles="history,worker"),
        node_row("leaving", roles="worker", state=NodeState.DRAINING),
        node_row("keeper", roles="history"),
    ]
    owners = {ClusterView(nodes).worker_owner(f"namespace-{number}") for number in range(50)}
    assert owners == {nodes[0], nodes[1]}
    assert ClusterView(nodes[2:]).worker_owner("namespace") is None


def test_every_part_of_a_queues_key_counts_and_ids_do_not() -> None:
    nodes = [node_row(f"node-{number}") for number in range(8)]
    restarted = [replace(node, id=f"new-{node.id}") for node in nodes]
    view, later = ClusterView(nodes), ClusterView(restarted)
    queues = [
        TaskQueueKey(f"namespace-{number % 3}", f"queue-{number}", kind, number % 5)
        for number in range(60)
        for kind in TaskType
    ]
    assert [_name(view.matching_owner(queue)) for queue in queues] == [
        _name(later.matching_owner(queue)) for queue in queues
    ]
    varied = (
        [QUEUE._replace(namespace_id=str(number)) for number in range(30)],
        [QUEUE._replace(name=str(number)) for number in range(30)],
        [QUEUE._replace(partition=number) for number in range(30)],
    )
    for keys in varied:
        assert len({_name(view.matching_owner(key)) for key in keys}) > 3
    other = TaskType.WORKFLOW
    kinds = {queue: view.matching_owner(queue._replace(task_type=other)) for queue in queues}
    assert any(view.matching_owner(queue) != found for queue, found in kinds.items())


def _name(node: NodeRow | None) -> str:
    assert node is not None
    return node.name


def test_a_restarted_node_is_the_desired_owner_of_the_same_shards_under_its_new_id() -> None:
    nodes = [node_row("first"), node_row("second")]
    again = [nodes[0], node_row("second", node_id="new")]
    shards = [Shard(first, first + 9, "", 1) for first in range(0, 200, 10)]
    before = [ClusterView(nodes).desired_history_owner(shard) for shard in shards]
    after = [ClusterView(again).desired_history_owner(shard) for shard in shards]
    assert "new" in after
    assert after == ["new" if desired == "id-of-second" else desired for desired in before]


def test_the_lower_part_of_a_split_shard_stays_where_it_is() -> None:
    view = ClusterView([node_row(f"node-{number}") for number in range(5)])
    whole, part = Shard(100, 199, "", 1), Shard(100, 149, "", 2)
    assert view.desired_history_owner(whole) == view.desired_history_owner(part)


def test_renewals_are_no_change_and_everything_else_is() -> None:
    first, second = node_row("first"), node_row("second")
    view = ClusterView([second, first], SHARDS)
    assert view == ClusterView([first, replace(second, renewed=5)], SHARDS, earlier=view)
    assert hash(view) == hash(ClusterView([first, second], SHARDS))
    for nodes, shards in (
        ([first], SHARDS),
        ([first, replace(second, state=NodeState.DRAINING)], SHARDS),
        ([first, replace(second, address="elsewhere:1")], SHARDS),
        ([first, second], SHARDS[:2]),
        ([first, second], [SHARDS[0]._replace(owner=""), *SHARDS[1:]]),
        ([first, second], [SHARDS[0]._replace(epoch=9), *SHARDS[1:]]),
    ):
        assert view != ClusterView(nodes, shards, earlier=view)


def test_owners_are_found_anew_when_the_candidates_have_changed() -> None:
    nodes = [node_row(f"node-{number}") for number in range(4)]
    view = ClusterView(nodes)
    found = view.matching_owner(QUEUE)
    rest = [node for node in nodes if node != found]
    later = ClusterView(rest, earlier=view)
    assert later.matching_owner(QUEUE) in rest
    assert ClusterView(nodes, earlier=later).matching_owner(QUEUE) == found
