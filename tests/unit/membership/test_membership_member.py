"""Members come, crash, stop, restart, drain and leave; the store goes away and comes back."""

import asyncio

import pytest

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.membership.settings import MembershipSettings
from perdure.membership.view import ClusterView
from perdure.persistence.ports import (
    NodeState,
    Shard,
    StartupError,
    UnknownOutcome,
)
from unit.membership.world import Machine, World, node_row, run, settled

QUEUES = [TaskQueueKey("namespace", f"queue-{number}", TaskType.WORKFLOW) for number in range(50)]


def names(machine: Machine) -> list[str]:
    return [node.name for node in machine.member.view.nodes]


def test_a_node_that_joins_is_seen_and_gets_its_shards() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first", shards=16)
        await world.until(lambda: settled(first))
        assert len(first.valid_slots) == 16
        second = await world.machine("second").start()
        await world.until(lambda: settled(first, second))
        assert first.valid_slots
        assert second.valid_slots

    run(scenario)


def test_a_crashed_nodes_shards_are_taken_when_its_lease_has_expired_and_not_before() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.kill()
        settings = MembershipSettings()
        taken_after = await world.until(lambda: settled(first))
        assert settings.lease - settings.period - 0.1 < taken_after < settings.lease + 2.0

    run(scenario)


def test_a_node_restarted_under_its_name_waits_for_its_own_lease_and_gets_its_work_back() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        slots = second.valid_slots
        owners = [_owner_names(first.member.view)]
        second.kill()
        again = await world.machine("second").start()
        await world.until(lambda: settled(first, again))
        assert again.valid_slots == slots
        assert again.member.id != second.member.id
        owners.append(_owner_names(first.member.view))
        assert owners[0] == owners[1]

    run(scenario)


def _owner_names(view: ClusterView) -> list[str | None]:
    owners = [view.matching_owner(queue) for queue in QUEUES]
    return [None if owner is None else owner.name for owner in owners]


def test_a_name_that_a_live_node_has_is_refused_when_that_has_renewed_its_lease() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        began = world.loop.time()
        with pytest.raises(StartupError, match="'first': give this node a name of its own"):
            await world.machine("first").start()
        settings = MembershipSettings()
        waited = world.loop.time() - began
        assert waited <= 2 * settings.period < settings.lease
        assert first.member.lease_valid()
        assert names(first) == ["first"]

    run(scenario)


def test_a_name_that_a_leaving_node_has_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        first.member.drain()
        starting = asyncio.create_task(world.machine("first").start())
        await asyncio.sleep(3 * MembershipSettings().period)
        assert not starting.done()
        await first.member.leave()
        again = await starting
        await world.until(lambda: settled(again))
        assert names(again) == ["first"]

    run(scenario)


def test_a_registration_whose_answer_was_lost_is_not_a_conflict_with_itself() -> None:
    async def scenario(world: World) -> None:
        await world.store.create_shards(4)
        machine = world.machine("first")
        machine.wire.error = lambda: UnknownOutcome("the answer was lost")
        with pytest.raises(UnknownOutcome):
            await machine.start()
        machine.wire.error = lambda: None
        await machine.start()
        assert machine.wire.calls[:3] == ["register_node", "register_node", "renew_node"]

    run(scenario)


def test_a_draining_node_is_seen_at_once_and_hands_over_all_its_shards() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.member.drain()
        own = second.member.view.node(second.member.id)
        assert own is not None
        assert own.state is NodeState.DRAINING
        assert await world.until(lambda: NodeState.DRAINING in _states(first)) < 1.1
        await world.until(lambda: len(first.valid_slots) == 8)
        assert second.valid_slots == []
        assert names(first) == ["first", "second"]
        assert all(
            owner is not None and owner.name == "first"
            for owner in map(first.member.view.matching_owner, QUEUES)
        )
        await second.leave()
        assert not second.member.lease_valid()
        assert await world.until(lambda: names(first) == ["first"]) < 1.1

    run(scenario)


def _states(machine: Machine) -> set[NodeState]:
    return {node.state for node in machine.member.view.nodes}


def test_drain_tells_the_store_without_waiting_for_the_next_renewal() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await asyncio.sleep(5.0)
        first.wire.calls.clear()
        await world.until(lambda: "renew_node" in first.wire.calls)
        await asyncio.sleep(0.1)
        first.member.drain()
        await asyncio.sleep(0.01)
        rows = await world.store.read_cluster()
        assert rows.nodes[0].state is NodeState.DRAINING

    run(scenario)


def test_the_last_node_keeps_its_shards_while_it_drains_and_gives_them_up_when_it_leaves() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        first.member.drain()
        await asyncio.sleep(10.0)
        assert len(first.valid_slots) == 8
        await first.leave()
        assert first.valid_slots == []
        second = await world.machine("second").start()
        assert await world.until(lambda: settled(second)) < 1.0

    run(scenario)


@pytest.mark.parametrize("way", ["cut", "hangs"])
def test_after_an_outage_of_the_store_nobody_is_declared_dead_and_nothing_moves(way: str) -> None:
    async def scenario(world: World) -> None:
        machines = await world.start("first", "second", "third")
        await world.until(lambda: settled(*machines))
        owned = [machine.valid_slots for machine in machines]
        seen = [len(machine.views) for machine in machines]
        for machine in machines:
            setattr(machine.wire, way, True)
        await asyncio.sleep(30.0)
        assert [machine.valid_slots for machine in machines] == [[], [], []]
        # The store comes back for one after the other.
        for machine in machines:
            setattr(machine.wire, way, False)
            await asyncio.sleep(0.9)
        await asyncio.sleep(15.0)
        for machine, before in zip(machines, seen, strict=True):
            assert {tuple(map(_name, view.nodes)) for view in machine.views[before:]} <= {
                ("first", "second", "third")
            }
            assert machine.losses == 0
        assert [machine.valid_slots for machine in machines] == owned

    run(scenario)


def _name(node: object) -> str:
    return str(getattr(node, "name", ""))


def test_a_node_that_died_during_the_outage_is_declared_dead_after_the_grace() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        first.wire.cut = True
        second.kill()
        await asyncio.sleep(30.0)
        first.wire.cut = False
        settings = MembershipSettings()
        declared_after = await world.until(lambda: names(first) == ["first"])
        assert settings.grace <= declared_after < settings.grace + 2 * settings.period + 0.1

    run(scenario)


def test_a_node_cut_off_alone_loses_its_shards_though_the_others_see_the_store() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.wire.cut = True
        await world.until(lambda: settled(first))
        assert second.valid_slots == []
        second.wire.cut = False
        await world.until(lambda: settled(first, second))

    run(scenario)


def test_a_suspended_process_finds_its_lease_over_when_it_wakes() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.stop(20.0)
        await world.until(lambda: len(first.valid_slots) == 8)
        assert world.loop.time() < second.process.stopped_until
        assert second.valid_slots == []
        await world.until(lambda: settled(first, second))
        assert second.losses == 0

    run(scenario)


def test_a_lapsed_lease_is_revived_with_new_epochs_only() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        # Nobody takes over, but somebody might have decided to, by these epochs.
        first.moves_shards = False
        decided = second.member.view.owned_by(second.member.id)
        second.stop(20.0)
        await asyncio.sleep(19.0)
        assert second.valid_slots == []
        await world.until(lambda: second.valid_slots != [])
        assert await world.store.take_shards(decided, first.member.id) == []
        assert len(second.valid_slots) == len(decided)

    run(scenario)


def test_a_removed_node_owns_nothing_and_registers_anew() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        lost = second.member.id
        await world.store.remove_node(lost)
        await world.until(lambda: second.losses == 1)
        assert second.valid_slots == []
        await world.until(lambda: settled(first, second))
        assert second.member.id != lost
        assert second.losses == 1

    run(scenario)


def test_a_removed_node_whose_name_is_taken_ends_for_good() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        second.stop(20.0)
        await asyncio.sleep(8.0)
        usurper = await world.machine("second").start()
        await world.until(lambda: second.errors != [])
        assert isinstance(second.errors[0], StartupError)
        assert not second.member.lease_valid()
        await world.until(lambda: settled(first, usurper))

    run(scenario)


def test_a_removed_node_registers_anew_though_the_store_goes_away_meanwhile() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        await world.store.remove_node(first.member.id)
        first.member.on_lost(lambda: setattr(first.wire, "cut", True))
        await world.until(lambda: first.losses == 1)
        first.wire.calls.clear()
        await asyncio.sleep(30.0)
        assert 25 < len(first.wire.calls) < 100
        first.wire.cut = False
        await world.until(lambda: settled(first))
        assert first.losses == 1

    run(scenario)


def test_failed_renewals_are_retried_with_pauses_and_one_does_not_cost_the_lease() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")
        await world.until(lambda: settled(first))
        first.wire.cut = True
        first.wire.calls.clear()
        await asyncio.sleep(4.0)
        assert 4 <= first.wire.calls.count("renew_node") <= 16
        assert first.member.lease_valid()
        first.wire.cut = False
        first.wire.hangs = True
        await asyncio.sleep(0.5)
        first.wire.hangs = False
        await asyncio.sleep(2.0)
        epochs = [shard.epoch for shard in first.member.view.shards]
        await asyncio.sleep(5.0)
        assert first.member.lease_valid()
        assert [shard.epoch for shard in first.member.view.shards] == epochs

    run(scenario)


def test_subscribers_hear_of_real_changes_only_and_a_failing_one_costs_nothing() -> None:
    async def scenario(world: World) -> None:
        [first] = await world.start("first")

        def failing(view: ClusterView) -> None:
            raise ValueError("a defect")

        first.member.subscribe(failing)
        late: list[ClusterView] = []
        first.member.subscribe(late.append)
        await world.until(lambda: settled(first))
        heard = len(late)
        assert heard > 0
        await asyncio.sleep(60.0)
        assert len(late) == heard
        assert late[-1] is first.member.view
        assert first.member.lease_valid()

    run(scenario)


def test_a_release_that_did_not_get_through_is_repeated() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.moves_shards = False
        shard = second.member.view.owned_by(second.member.id)[0]
        second.wire.cut = True
        await second.member.release(shard)
        second.wire.cut = False
        assert not second.is_valid_for(shard.first_slot)
        await world.until(lambda: _owner_in_store(world, shard) == "")
        assert not second.is_valid_for(shard.first_slot)

    run(scenario)


def _owner_in_store(world: World, shard: Shard) -> str:
    rows = world.store._cluster.read()
    return next(row.owner for row in rows.shards if row.first_slot == shard.first_slot)


def test_nothing_is_taken_without_a_valid_lease() -> None:
    async def scenario(world: World) -> None:
        await world.store.create_shards(4)
        machine = world.machine("first")
        rows = await world.store.read_cluster()
        assert await machine.member.take(rows.shards) == []
        assert machine.wire.calls == []

    run(scenario)


def test_a_shard_given_away_before_its_taking_was_answered_is_not_taken() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        second.moves_shards = False
        shard = second.member.view.owned_by(second.member.id)[0]
        delays = iter([0.0, 1.5])
        second.wire.delay = lambda: next(delays, 0.0)
        taking = asyncio.ensure_future(second.member.take([shard]))
        await world.until(lambda: second.member.view.shard(shard.first_slot) != shard)
        (taken,) = (
            each
            for each in second.member.view.owned_by(second.member.id)
            if each.first_slot == shard.first_slot
        )
        await second.member.release(taken)
        assert not taking.done()
        assert await taking == []
        assert not second.is_valid_for(shard.first_slot)

    run(scenario)


def test_rows_of_nodes_long_dead_are_removed() -> None:
    async def scenario(world: World) -> None:
        await world.store.register_node(node_row("dead"))
        first, second = await world.start("first", "second")
        await asyncio.sleep(500.0)
        assert len((await world.store.read_cluster()).nodes) == 3
        await asyncio.sleep(300.0)
        rows = await world.store.read_cluster()
        assert [node.name for node in rows.nodes] == ["first", "second"]
        assert first.losses == second.losses == 0

    run(scenario)


def test_a_stores_clock_that_is_set_forward_kills_nobody() -> None:
    async def scenario(world: World) -> None:
        first, second = await world.start("first", "second")
        await world.until(lambda: settled(first, second))
        views = len(first.views), len(second.views)
        world.clock.offset_nanoseconds += 3_600_000_000_000
        await asyncio.sleep(10.0)
        assert (len(first.views), len(second.views)) == views
        assert settled(first, second)

    run(scenario)
