"""Who owns what, as the router learns it of the membership."""

import asyncio

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.rpc.internode.membership import MemberDirectory
from perdure.rpc.internode.owned import owns_queue
from perdure.rpc.internode.routing import Directory
from unit.membership.world import World, run, settled

QUEUE = TaskQueueKey("namespace", "queue", TaskType.WORKFLOW)


def test_owners_are_those_of_the_newest_view() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        directories: list[Directory] = [
            MemberDirectory(machine.member) for machine in (first, second)
        ]
        await world.until(lambda: settled(first, second))
        members = {machine.member.id: machine.member for machine in (first, second)}
        for directory in directories:
            assert directory.own_id in members
            owners = {directory.history_owner(slot) for slot in range(0, 16_384, 16)}
            assert {owner.id for owner in owners if owner} == set(members)
            for owner in owners:
                assert owner is not None
                assert directory.node(owner.id) == owner
                assert owner.address == members[owner.id].node.address
        assert [owns_queue(directory, QUEUE) for directory in directories].count(True) == 1
        assert directories[0].node("nobody") is None

    run(scenario)


def test_a_newer_view_ends_waiting_and_so_does_time() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        directory = MemberDirectory(first.member)
        began = world.loop.time()
        await directory.changed(5.0)
        assert world.loop.time() - began == 5.0
        waiting = asyncio.ensure_future(directory.changed(600.0))
        await asyncio.sleep(0)
        await world.machine("second").start()
        await waiting
        assert {node.name for node in first.member.view.nodes} == {"first", "second"}

    run(scenario)


def test_refreshing_reads_the_cluster_once_for_all_who_ask() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        directory = MemberDirectory(first.member)
        await world.until(lambda: first.wire.calls[-1] == "renew_node")
        await asyncio.sleep(0.1)
        before = first.wire.calls.count("renew_node")
        for _ in range(5):
            directory.refresh()
            await asyncio.sleep(0.01)
        assert first.wire.calls.count("renew_node") == before + 1

    run(scenario)
