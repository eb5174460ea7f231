"""What history tells metrics besides commits: the shards it holds, and what it has in memory."""

from collections.abc import Sequence

from perdure.history.shards import ShardSet, SlotRange
from perdure.persistence.ports import Shard
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.runtime.tasks import TaskSet
from unit.history.world import World, run

LOW, HIGH = Shard(0, 99, "me", 7), Shard(100, 199, "me", 9)


class Told:
    """A `ShardObserver` that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int]] = []
        self.acquisitions: list[int] = []

    def acquired(self, shards: int, seconds: float) -> None:
        assert seconds >= 0.0
        self.acquisitions.append(shards)

    def gained(self, shards: int, held: int) -> None:
        self.events.append(("gained", shards, held))

    def lost(self, shards: int, held: int) -> None:
        self.events.append(("lost", shards, held))

    def timer_fired(self, late_seconds: float) -> None:
        assert late_seconds >= 0.0


class Granting:
    """A `ShardAuthority`, and a `ShardListener` that does nothing."""

    def __init__(self) -> None:
        self.grants: list[Shard] = []

    def lease_valid(self) -> bool:
        return True

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        return self.grants

    async def release(self, shard: Shard) -> None:
        assert shard.owner == "me"

    def takes_back(self) -> bool:
        return False

    def gained(self, ranges: Sequence[SlotRange]) -> None:
        assert ranges

    def lost(self, ranges: Sequence[SlotRange]) -> None:
        assert ranges

    async def finish(self, slots: SlotRange) -> None:
        assert slots.first <= slots.last


async def test_shards_that_come_and_go_are_told_with_how_many_are_left() -> None:
    errors: list[BaseException] = []
    tasks = TaskSet(on_error=lambda _, error: errors.append(error))
    granting, told = Granting(), Told()
    shards = ShardSet(
        authority=granting,
        ids=SystemIds(clock=SystemClock()),
        tasks=tasks,
        listener=granting,
        observer=told,
    )
    assert await shards.take([LOW]) == []
    granting.grants = [LOW, HIGH]
    shards.adopt(await shards.take([LOW, HIGH]))
    await shards.release(LOW)
    shards.fenced(100, HIGH.epoch)
    assert told.acquisitions == [2]
    assert told.events == [("gained", 2, 2), ("lost", 1, 1), ("lost", 1, 0)]
    assert errors == []


def test_look_ups_misses_and_what_is_in_memory_are_counted() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        before = server.history.statistics()
        assert (before.cache_entries, before.cache_requests, before.cache_misses) == (0, 0, 0)
        await server.start("w")
        started = server.history.statistics()
        assert (started.cache_entries, started.cache_misses) == (1, 1)
        assert 0 < started.cache_bytes < started.cache_limit_bytes
        await server.signal("w")
        signalled = server.history.statistics()
        assert signalled.cache_requests > started.cache_requests
        assert signalled.cache_misses == 1

    run(scenario)
