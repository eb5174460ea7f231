"""Timer rows fire at their times: from memory, from scans, after failures, after a restart."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from contract.rows import commit_all, run_key, timer, transition, whole_shard
from perdure.core.commit import TimerRow
from perdure.core.errors import UnavailableError
from perdure.core.protobuf import seconds
from perdure.core.slots import SLOT_COUNT
from perdure.history import timers
from perdure.history.shards import SlotRange
from perdure.history.timers import TimerQueue
from perdure.persistence.ports import Shard, StoreUnavailable
from simulation.clock import EPOCH_NANOSECONDS
from unit.history.world import World, run, settle

ALL_SLOTS = [SlotRange(0, SLOT_COUNT - 1)]


class Setup:
    """A queue, and what it fired.

    Attributes:
        fired: The names of the rows that fired, with the second at which they did.
        failing: What the next firings of a row raise, by its name.
        held: While it is not set, firings take their time.
    """

    def __init__(self, world: World, shard: Shard, page_rows: int, concurrency: int) -> None:
        self.world = world
        self.shard = shard
        self.fired: list[tuple[str, float]] = []
        self.failing: dict[str, list[Exception]] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.most_at_once = 0
        self._at_once = 0
        self.queue = TimerQueue(
            store=world.store,
            clock=world.clock,
            tasks=world.tasks,
            horizon_seconds=60.0,
            page_rows=page_rows,
            concurrency=concurrency,
            fire=self._fire,
        )

    async def _fire(self, row: TimerRow) -> None:
        name = row.run.run_id
        self.fired.append((name, round(self.world.loop.time(), 3)))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.held.wait()
            if self.failing.get(name):
                raise self.failing[name].pop(0)
            done = transition(self.shard, timers_deleted=[row])
            await commit_all(self.world.store, done)
        finally:
            self._at_once -= 1

    async def store(self, rows: Iterable[TimerRow], *, tell: bool = False) -> None:
        """Writes rows; with `tell` the queue hears of it, as of its own process's commits."""
        commit = transition(self.shard, timers=rows)
        await commit_all(self.world.store, commit)
        if tell:
            self.queue.apply(commit)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.fired]


async def make(world: World, *, page_rows: int = 100, concurrency: int = 10) -> Setup:
    return Setup(world, await whole_shard(world.store), page_rows, concurrency)


def row(name: str, due_seconds: float) -> TimerRow:
    return timer(EPOCH_NANOSECONDS + seconds(due_seconds), run=run_key(name))


def test_rows_of_own_commits_fire_at_their_times() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.queue.start(ALL_SLOTS)
        await settle()
        await setup.store([row("b", 20), row("a", 10)], tell=True)
        await setup.store([row("past", -5)], tell=True)
        await asyncio.sleep(25)
        assert setup.fired == [("past", 0.0), ("a", 10.0), ("b", 20.0)]
        # The scan of the 30th second finds nothing that has not fired.
        await asyncio.sleep(40)
        assert len(setup.fired) == 3

    run(scenario)


def test_rows_beyond_the_horizon_wait_for_a_scan() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.queue.start(ALL_SLOTS)
        await settle()
        await setup.store([row("far", 300), row("near", 59)], tell=True)
        await asyncio.sleep(305)
        assert setup.fired == [("near", 59.0), ("far", 300.0)]
        assert len(world.store.timer_reads) == 11, "one scan for each half of the horizon"

    run(scenario)


def test_a_scan_reads_page_after_page() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world, page_rows=2)
        rows = [row(name, 10) for name in "abcde"]
        await setup.store(rows)
        setup.queue.start(ALL_SLOTS)
        await asyncio.sleep(11)
        assert sorted(setup.fired) == [(name, 10.0) for name in "abcde"]
        assert world.store.timer_reads == [None, rows[1], rows[3]]

    run(scenario)


def test_memory_holds_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "MOST_IN_MEMORY", 4)

    async def scenario(world: World) -> None:
        setup = await make(world, page_rows=2)
        await setup.store(row(str(number), number) for number in range(1, 9))
        setup.queue.start(ALL_SLOTS)
        await settle()
        assert len(world.store.timer_reads) == 2, "more was read than may be held"
        # Its turn comes when a scan gets there, as for what was stored before.
        await setup.store([row("new", 7.5)], tell=True)
        await asyncio.sleep(10)
        expected = [(str(number), float(number)) for number in range(1, 9)]
        assert setup.fired == [*expected[:7], ("new", 7.5), expected[7]]

    run(scenario)


def test_no_more_fire_at_once_than_may() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world, concurrency=2)
        setup.held.clear()
        setup.queue.start(ALL_SLOTS)
        await setup.store([row(name, 1) for name in "abcde"], tell=True)
        await asyncio.sleep(5)
        assert setup.names == ["a", "b"]
        setup.held.set()
        await settle()
        assert (setup.names, setup.most_at_once) == (list("abcde"), 2)

    run(scenario)


def test_a_row_is_tried_again_when_the_store_was_away() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.failing["a"] = [UnavailableError("away")] * 2
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 1), row("b", 1)], tell=True)
        await asyncio.sleep(50)
        assert setup.fired == [("a", 1.0), ("b", 1.0), ("a", 2.0), ("a", 3.0)]

    run(scenario)


def test_a_row_is_tried_again_after_a_fault_of_ours_which_is_reported() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world, concurrency=1)
        setup.failing["a"] = [ValueError("a bug"), UnavailableError("away"), ValueError("a bug")]
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 1), row("b", 1)], tell=True)
        await asyncio.sleep(50)
        assert setup.fired == [("a", 1.0), ("b", 1.0), ("a", 2.0), ("a", 3.0), ("a", 5.0)]
        assert {name for name, _ in world.errors} == {"fire-timer"}

    run(scenario, failures=2)


def test_a_row_that_always_fails_is_tried_ever_more_seldom() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.failing["a"] = [ValueError("a bug") for _ in range(100)]
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 0)], tell=True)
        await asyncio.sleep(200)
        pauses = [later - earlier for (_, earlier), (_, later) in _pairs(setup.fired)]
        assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    run(scenario, failures=9)


def _pairs(
    fired: list[tuple[str, float]],
) -> Iterable[tuple[tuple[str, float], tuple[str, float]]]:
    return itertools.pairwise(fired)


def test_a_scan_is_tried_again_when_the_store_was_away() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        await setup.store([row("a", 0)])
        world.faults.away = StoreUnavailable("away")
        setup.queue.start(ALL_SLOTS)
        await asyncio.sleep(3.5)
        assert setup.fired == []
        world.faults.away = None
        await asyncio.sleep(1)
        assert setup.fired == [("a", 4.0)]

    run(scenario)


def test_nothing_fires_after_a_stop_and_everything_after_a_restart() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.queue.start(ALL_SLOTS)
        await settle()
        setup.failing["failing"] = [UnavailableError("away")]
        await setup.store([row("failing", 1), row("later", 10)], tell=True)
        await asyncio.sleep(1.5)
        setup.queue.stop()
        await asyncio.sleep(60)
        assert setup.names == ["failing"]
        setup.queue.start(ALL_SLOTS)
        await asyncio.sleep(1)
        assert sorted(setup.names) == ["failing", "failing", "later"]
        await asyncio.sleep(120)
        assert len(setup.fired) == 3

    run(scenario)


def test_a_row_is_known_once_whoever_tells_of_it() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.held.clear()
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 5)], tell=True)
        await asyncio.sleep(100)
        assert setup.names == ["a"], "a scan brought it back while it was firing"

    run(scenario)


def test_a_row_that_is_added_again_while_it_is_handled_fires_again() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.held.clear()
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 5)], tell=True)
        await asyncio.sleep(6)
        setup.queue.apply(transition(setup.shard, timers=[row("a", 5)]))
        setup.held.set()
        await asyncio.sleep(1)
        assert setup.names == ["a", "a"]
        await asyncio.sleep(100)
        assert setup.names == ["a", "a"]

    run(scenario)


def test_a_row_that_is_handled_twice_at_once_after_a_restart_of_the_scan_ends_well() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        setup.held.clear()
        setup.queue.start(ALL_SLOTS)
        await setup.store([row("a", 5)], tell=True)
        await asyncio.sleep(6)
        setup.queue.start(ALL_SLOTS)
        await asyncio.sleep(1)
        assert setup.names == ["a", "a"]
        setup.held.set()
        await asyncio.sleep(1)
        assert setup.queue.in_memory == 0
        assert world.errors == []

    run(scenario)
