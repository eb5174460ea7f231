"""The shards of a process: what it may step, and under which epoch."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from perdure.history.shards import REACQUIRE, ShardSet, SlotRange, SoleOwner, merge
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import Shard, StoreUnavailable
from perdure.rpc.clients import NotOwnerError
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.tasks import TaskSet
from waiting import until

LOW = Shard(0, 99, "me", 7)
HIGH = Shard(100, 199, "me", 9)


@dataclass
class Listener:
    """Notes what it hears; `in_flight` holds up the giving away of shards."""

    heard: list[tuple[str, list[SlotRange]]] = field(default_factory=list)
    in_flight: asyncio.Event | None = None

    def gained(self, ranges: Sequence[SlotRange]) -> None:
        self.heard.append(("gained", list(ranges)))

    def lost(self, ranges: Sequence[SlotRange]) -> None:
        self.heard.append(("lost", list(ranges)))

    async def finish(self, slots: SlotRange) -> None:
        self.heard.append(("finish", [slots]))
        if self.in_flight is not None:
            await self.in_flight.wait()


@dataclass
class Authority:
    """Grants what it is told to grant."""

    valid: bool = True
    alone: bool = False
    failures: int = 0
    grants: list[Shard] = field(default_factory=list)
    asked: list[list[Shard]] = field(default_factory=list)
    released: list[Shard] = field(default_factory=list)

    def lease_valid(self) -> bool:
        return self.valid

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        self.asked.append(list(shards))
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return self.grants

    async def release(self, shard: Shard) -> None:
        self.released.append(shard)

    def takes_back(self) -> bool:
        return self.alone


@dataclass
class World:
    authority: Authority
    listener: Listener
    tasks: TaskSet
    shards: ShardSet


@pytest.fixture
async def world() -> World:
    errors: list[BaseException] = []
    tasks = TaskSet(on_error=lambda _, error: errors.append(error))
    authority, listener = Authority(), Listener()
    ids = SystemIds(clock=SystemClock())
    shards = ShardSet(authority=authority, ids=ids, tasks=tasks, listener=listener)
    return World(authority, listener, tasks, shards)


async def test_only_slots_that_are_held_may_be_stepped(world: World) -> None:
    world.shards.adopt([LOW, HIGH])
    assert (world.shards.epoch(99), world.shards.epoch(100)) == (7, 9)
    await world.shards.ready(0)
    assert world.shards.epoch(200) == 0
    with pytest.raises(NotOwnerError):
        await world.shards.ready(200)
    assert world.listener.heard == [("gained", [SlotRange(0, 199)])]
    assert world.shards.ranges == [SlotRange(0, 199)]


async def test_what_is_adopted_again_changes_nothing(world: World) -> None:
    world.shards.adopt([LOW])
    world.shards.adopt([LOW])
    assert len(world.listener.heard) == 1


async def test_what_is_not_owned_any_more_is_lost(world: World) -> None:
    world.shards.adopt([LOW, HIGH])
    world.shards.adopt([HIGH])
    assert world.listener.heard[-1] == ("lost", [SlotRange(0, 99)])
    with pytest.raises(NotOwnerError):
        await world.shards.ready(0)
    assert world.shards.held == [HIGH]


async def test_a_later_epoch_means_that_memory_is_dropped(world: World) -> None:
    world.shards.adopt([LOW])
    world.shards.adopt([LOW._replace(epoch=11)])
    assert [what for what, _ in world.listener.heard] == ["gained", "lost", "gained"]
    assert world.shards.epoch(0) == 11


async def test_an_old_view_does_not_revive_an_epoch_that_has_ended(world: World) -> None:
    world.shards.adopt([LOW])
    world.shards.fenced(5, LOW.epoch)
    world.shards.adopt([LOW])
    assert world.shards.held == []
    world.shards.adopt([LOW._replace(epoch=8)])
    assert world.shards.epoch(0) == 8


async def test_a_fence_under_an_epoch_that_is_over_loses_nothing(world: World) -> None:
    world.shards.adopt([LOW])
    world.shards.fenced(5, LOW.epoch - 1)
    assert world.shards.held == [LOW]


async def test_who_is_alone_takes_back_what_a_dead_process_has_raised(world: World) -> None:
    world.authority.alone = True
    world.authority.grants = [LOW._replace(epoch=11)]
    world.shards.adopt([LOW])
    world.shards.fenced(5, LOW.epoch)
    assert world.shards.epoch(0) == 0
    await world.shards.ready(0)
    assert world.shards.epoch(0) == 11


async def test_task_ids_rise_whatever_is_gained_or_lost(world: World) -> None:
    world.shards.adopt([HIGH])
    first = world.shards.next_task_id()
    world.shards.adopt([HIGH, LOW])
    second = world.shards.next_task_id()
    world.shards.adopt([LOW])
    third = world.shards.next_task_id()
    world.shards.adopt([LOW, HIGH._replace(epoch=20)])
    assert first < second < third < world.shards.next_task_id()


async def test_giving_away_waits_for_what_is_in_flight(world: World) -> None:
    world.shards.adopt([LOW, HIGH])
    world.listener.in_flight = asyncio.Event()
    giving = asyncio.create_task(world.shards.release(LOW))
    await until(lambda: world.listener.heard[-1][0] == "finish")
    with pytest.raises(NotOwnerError):
        await world.shards.ready(0)
    await world.shards.ready(100)
    assert world.authority.released == []
    world.listener.in_flight.set()
    await giving
    assert world.listener.heard[-1] == ("lost", [SlotRange(0, 99)])
    assert world.authority.released == [LOW]


async def test_a_shard_lost_while_it_is_given_away_is_not_released(world: World) -> None:
    world.shards.adopt([LOW])
    world.listener.in_flight = asyncio.Event()
    giving = asyncio.create_task(world.shards.release(LOW))
    await until(lambda: world.listener.heard[-1][0] == "finish")
    world.shards.adopt([])
    world.listener.in_flight.set()
    await giving
    assert world.authority.released == []


async def test_after_lost_commits_steps_wait_for_new_epochs(world: World) -> None:
    world.shards.adopt([LOW, HIGH])
    world.authority.grants = [LOW._replace(epoch=12)]
    world.shards.recover()
    world.shards.recover()
    assert world.shards.epoch(0) == 0
    await world.shards.ready(0)
    assert world.authority.asked == [[LOW, HIGH]]
    assert world.shards.held == [LOW._replace(epoch=12)]
    assert world.listener.heard[1:] == [
        ("lost", [SlotRange(0, 199)]),
        ("gained", [SlotRange(0, 99)]),
    ]
    with pytest.raises(NotOwnerError):
        await world.shards.ready(100)


async def test_raising_epochs_goes_on_until_the_store_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(REACQUIRE), "pause_seconds", lambda *_: 0.0)
    world.shards.adopt([LOW])
    world.authority.failures = 3
    world.authority.grants = [LOW._replace(epoch=12)]
    world.shards.recover()
    await world.shards.ready(0)
    assert len(world.authority.asked) == 4


async def test_a_view_that_knows_the_new_epoch_already_ends_the_wait(world: World) -> None:
    world.shards.adopt([LOW])
    world.authority.grants = [LOW._replace(epoch=12)]
    world.shards.recover()
    world.shards.adopt(world.authority.grants)
    assert world.shards.epoch(0) == 12
    await until(lambda: not len(world.tasks))
    assert world.shards.epoch(0) == 12
    assert [what for what, _ in world.listener.heard] == ["gained", "lost", "gained"]


async def test_nothing_is_answered_from_memory_without_a_lease(world: World) -> None:
    world.shards.adopt([LOW])
    world.shards.check_lease()
    world.authority.valid = False
    with pytest.raises(NotOwnerError):
        world.shards.check_lease()


async def test_a_sole_owner_takes_every_slot_from_whoever_had_it() -> None:
    store = MemoryStore(ids=SystemIds(clock=SystemClock()))
    earlier = SoleOwner(store=store, node_id="earlier")
    (old,) = await earlier.take(())
    owner = SoleOwner(store=store, node_id="later")
    (shard,) = await owner.take(())
    assert shard.epoch > old.epoch
    (again,) = await owner.take([shard])
    assert again.epoch > shard.epoch
    await owner.release(again)
    assert (await store.read_cluster()).shards == [again._replace(owner="")]


def test_neighbouring_ranges_are_one() -> None:
    ranges = [SlotRange(10, 19), SlotRange(0, 9), SlotRange(30, 39)]
    assert merge(ranges) == [SlotRange(0, 19), SlotRange(30, 39)]
