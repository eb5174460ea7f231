"""Nodes: leases on the store's clock, names that only one live node has."""

import asyncio
from dataclasses import replace

import pytest

from contract.rows import FOREVER, commit_all, node, start, whole_shard
from perdure.persistence.ports import NodeRow, NodeState, Store


async def register(store: Store, *nodes: NodeRow) -> None:
    for each in nodes:
        assert await store.register_node(each) is None


async def read_nodes(store: Store) -> dict[str, NodeRow]:
    return {each.id: each for each in (await store.read_cluster()).nodes}


async def expiry_of(store: Store, node_id: str) -> None:
    """Waits until a node's lease has run out; its length is at most some nanoseconds."""
    async with asyncio.timeout(30):
        while True:
            now, nodes, _ = await store.read_cluster()
            if next(each for each in nodes if each.id == node_id).expired(now):
                return


async def test_a_new_store_has_neither_nodes_nor_shards(store: Store) -> None:
    now, nodes, shards = await store.read_cluster()
    assert now > 0
    assert nodes == []
    assert shards == []


async def test_a_node_is_what_it_said_and_since_when(store: Store) -> None:
    before = (await store.read_cluster()).now
    draining = replace(node("id", "name", lease=7), state=NodeState.DRAINING, started=1, renewed=2)
    await register(store, draining)
    after, (found,), _ = await store.read_cluster()
    assert before <= found.started <= after
    assert found == replace(draining, started=found.started, renewed=found.started)


async def test_nodes_are_read_by_name(store: Store) -> None:
    names = ["B", "a", "b", "é"]
    await register(store, *(node(f"{9 - index}", name) for index, name in enumerate(names)))
    cluster = await store.read_cluster()
    assert [each.name for each in cluster.nodes] == names


async def test_the_name_of_a_live_node_is_taken(store: Store) -> None:
    await register(store, node("id-1", "name"), node("id-3", "other"))
    nodes = await read_nodes(store)
    assert await store.register_node(node("id-2", "name")) == nodes["id-1"]
    assert await read_nodes(store) == nodes


async def test_a_node_that_registers_again_is_in_nobodys_way(store: Store) -> None:
    await register(store, node("id", "name"))
    await register(store, node("id", "name"))
    assert set(await read_nodes(store)) == {"id"}


@pytest.mark.parametrize("lease", [0, 1])
async def test_an_expired_node_of_the_name_is_replaced(store: Store, lease: int) -> None:
    await register(store, node("id-1", "name", lease=lease), node("id-3", "other", lease=lease))
    await expiry_of(store, "id-1")
    await register(store, node("id-2", "name"))
    assert set(await read_nodes(store)) == {"id-2", "id-3"}
    assert await store.renew_node("id-1", NodeState.UP) is None
    assert await store.register_node(node("id-1", "name")) is not None


async def test_of_nodes_that_want_one_name_at_once_one_gets_it(store: Store) -> None:
    answers = await asyncio.gather(
        *(store.register_node(node(f"id-{number}", "name")) for number in range(5))
    )
    (winner,) = await read_nodes(store)
    assert [answer.id for answer in answers if answer is not None] == [winner] * 4


async def test_a_removed_node_may_register_again(store: Store) -> None:
    await register(store, node("id", "name"))
    await store.remove_node("id")
    await register(store, node("id", "name"))
    assert set(await read_nodes(store)) == {"id"}


async def test_renewing_moves_the_lease_and_reads_the_cluster(store: Store) -> None:
    await register(store, node("id-1", "b"), node("id-2", "a"))
    shard = await whole_shard(store, "id-2")
    before = await read_nodes(store)
    cluster = await store.renew_node("id-1", NodeState.DRAINING)
    assert cluster is not None
    assert [each.id for each in cluster.nodes] == ["id-2", "id-1"]
    assert cluster.shards == [shard]
    other, renewed = cluster.nodes
    assert other == before["id-2"]
    assert before["id-1"].renewed <= renewed.renewed <= cluster.now
    assert renewed == replace(before["id-1"], state=NodeState.DRAINING, renewed=renewed.renewed)
    assert cluster.nodes == (await store.read_cluster()).nodes


async def test_an_expired_node_that_is_still_there_may_renew(store: Store) -> None:
    await register(store, node("id", lease=0))
    await expiry_of(store, "id")
    registered = (await read_nodes(store))["id"]
    cluster = await store.renew_node("id", NodeState.UP)
    assert cluster is not None
    assert cluster.nodes[0].renewed > registered.renewed
    assert cluster.nodes[0].started == registered.started


async def test_an_unknown_node_cannot_renew(store: Store) -> None:
    assert await store.renew_node("never", NodeState.UP) is None
    await register(store, node("id"))
    await store.remove_node("id")
    assert await store.renew_node("id", NodeState.UP) is None
    assert await read_nodes(store) == {}


async def test_the_shards_of_a_removed_node_are_nobodys(store: Store) -> None:
    await register(store, node("id-1"), node("id-2"))
    mine = await store.acquire_shard(0, 99, "id-1")
    other = await store.acquire_shard(100, 199, "id-2")
    await store.remove_node("id-1")
    _, nodes, shards = await store.read_cluster()
    assert [each.id for each in nodes] == ["id-2"]
    assert shards == [mine._replace(owner=""), other]


async def test_removing_an_unknown_node_is_no_error(store: Store) -> None:
    await register(store, node("id"))
    await store.remove_node("never")
    assert set(await read_nodes(store)) == {"id"}


async def test_nodes_that_expired_long_ago_are_removed(store: Store) -> None:
    await register(store, node("dead-1", lease=0), node("alive"), node("dead-2", lease=1))
    await expiry_of(store, "dead-1")
    await expiry_of(store, "dead-2")
    assert await store.remove_expired_nodes(FOREVER) == 0
    assert await store.remove_expired_nodes(0) == 2
    assert await store.remove_expired_nodes(0) == 0
    assert set(await read_nodes(store)) == {"alive"}


async def test_what_happens_to_nodes_fences_nobody(store: Store) -> None:
    await register(store, node("id", lease=0))
    shard = await whole_shard(store, "id")
    await expiry_of(store, "id")
    assert await store.remove_expired_nodes(0) == 1
    await commit_all(store, start(shard, "run-1"))
    await store.remove_node("id")
    await commit_all(store, start(shard, "run-2", "other"))
