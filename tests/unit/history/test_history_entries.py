"""What stays in memory, what makes room, and what a reader may answer from."""

import asyncio
from collections.abc import Iterable

import pytest
from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.commit import RunKey
from perdure.core.slots import slot_of
from perdure.core.workflow.state import Run, new_run
from perdure.history.committer import CommitLost
from perdure.history.entries import EntryCache, WorkflowEntry
from perdure.history.shards import SlotRange
from perdure.persistence.ports import Outcome, Result
from perdure.proto import stored_pb2 as stored
from unit.history.world import NAMESPACE, World, run, settle

EMPTY_BYTES = WorkflowEntry(("namespace", "empty"), 0, None).measure()
COMMITTED, REFUSED = Outcome(Result.COMMITTED), Outcome(Result.VERSION_MISMATCH)


def a_run(workflow_id: str, tail_bytes: int = 0) -> Run:
    key = RunKey("namespace", workflow_id, f"run of {workflow_id}")
    made = new_run(key, stored.RunStart(), stored.Attributes())
    made.tail_bytes = tail_bytes
    return made


def entry_of(workflow_id: str, tail_bytes: int = 0) -> WorkflowEntry:
    return WorkflowEntry(("namespace", workflow_id), 0, a_run(workflow_id, tail_bytes))


class Cache:
    """A cache of so many empty entries, and what it has evicted."""

    def __init__(self, entries: int) -> None:
        self.evicted: list[str] = []
        self.entries: dict[str, WorkflowEntry] = {}
        self.cache = EntryCache(
            budget_bytes=entries * EMPTY_BYTES,
            on_evict=lambda entry: self.evicted.append(entry.key[1]),
        )

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self.entries[name] = entry_of(name)
            self.cache.add(self.entries[name])

    def use(self, name: str) -> WorkflowEntry | None:
        return self.cache.get(("namespace", name))

    @property
    def kept(self) -> str:
        return "".join(name for name, entry in self.entries.items() if not entry.dropped)


def test_the_oldest_make_room_for_the_newest() -> None:
    cache = Cache(3)
    cache.add("abcde")
    assert (cache.evicted, cache.kept) == (["a", "b"], "cde")
    assert cache.use("a") is None
    assert len(cache.cache) == 3
    assert cache.cache.total_bytes == 3 * EMPTY_BYTES


def test_use_makes_an_entry_the_newest() -> None:
    cache = Cache(3)
    cache.add("abc")
    assert cache.use("a") is cache.entries["a"]
    cache.add("de")
    assert cache.evicted == ["b", "c"]


def test_an_entry_that_grows_makes_others_go() -> None:
    cache = Cache(3)
    cache.add("abc")
    grown = cache.entries["b"]
    grown.runs["run of b"].tail_bytes = EMPTY_BYTES
    cache.cache.resize(grown)
    assert cache.kept == "bc"
    assert cache.cache.total_bytes == sum(cache.entries[name].measure() for name in "bc")


def test_an_entry_larger_than_everything_stays_until_it_is_not_the_newest() -> None:
    cache = Cache(3)
    cache.add("ab")
    large = entry_of("large", 10 * EMPTY_BYTES)
    cache.cache.add(large)
    assert not large.dropped
    assert cache.kept == ""
    cache.add("c")
    assert large.dropped
    assert cache.kept == "c"


def test_entries_in_use_stay() -> None:
    async def scenario(world: World) -> None:
        cache = Cache(3)
        cache.add("abc")
        cache.entries["a"].in_flight = 1
        waiting = asyncio.create_task(cache.entries["b"].changed_since(0, 60.0))
        await settle()
        cache.add("de")
        assert (cache.evicted, cache.kept) == (["c", "d"], "abe")
        cache.entries["b"].wake()
        await waiting
        cache.add("fg")
        assert "b" not in cache.kept
        assert "a" in cache.kept

    run(scenario)


def test_many_that_are_in_use_do_not_hide_what_is_not() -> None:
    cache = Cache(2)
    used, idle = ([f"{kind} {number}" for number in range(200)] for kind in ("used", "idle"))
    for name in used:
        cache.add([name])
        cache.entries[name].in_flight = 1
    cache.add(idle)
    assert not any(cache.entries[name].dropped for name in used)
    # Each addition looks at 64 of them, so it takes four to get round.
    assert sum(not cache.entries[name].dropped for name in idle) <= 4


def test_a_dropped_entry_is_forgotten_once() -> None:
    cache = Cache(3)
    cache.add("ab")
    for _ in range(2):
        cache.cache.drop(cache.entries["a"])
    cache.cache.resize(cache.entries["a"])
    assert cache.evicted == ["a"]
    assert cache.cache.total_bytes == cache.entries["b"].measure()


def test_dropping_an_entry_leaves_its_successor_alone() -> None:
    cache = Cache(3)
    cache.add("a")
    first = cache.entries["a"]
    cache.add("a")
    cache.cache.drop(first)
    assert cache.use("a") is cache.entries["a"]


def test_dropping_everything_wakes_everybody() -> None:
    async def scenario(world: World) -> None:
        cache = Cache(5)
        cache.add("abc")
        waits = [
            asyncio.create_task(entry.changed_since(entry.change, 60.0))
            for entry in cache.entries.values()
        ]
        await settle()
        assert not any(wait.done() for wait in waits)
        cache.cache.drop_all()
        await asyncio.gather(*waits)
        assert world.loop.time() == 0.0
        assert (len(cache.cache), cache.cache.total_bytes, cache.kept) == (0, 0, "")

    run(scenario)


def test_a_wait_ends_when_more_is_durable_or_time_is_up() -> None:
    async def scenario(world: World) -> None:
        entry = entry_of("a")
        seen = entry.change
        entry.wake()
        await entry.changed_since(seen, 60.0)
        assert world.loop.time() == 0.0
        await entry.changed_since(entry.change, 3.0)
        assert world.loop.time() == 3.0
        assert entry.is_idle

    run(scenario)


def test_who_waits_for_an_end_is_not_woken_by_other_changes() -> None:
    async def scenario(world: World) -> None:
        entry = entry_of("a")
        watched = next(iter(entry.runs.values()))
        waiting = asyncio.create_task(entry.ended(watched.key.run_id, 60.0))
        await settle()
        assert not entry.is_idle
        entry.wake()
        await settle()
        assert not waiting.done()
        watched.state.status = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
        entry.wake()
        await waiting
        assert world.loop.time() == 0.0
        assert entry.is_idle

    run(scenario)


def test_the_wait_for_an_end_is_over_when_the_run_is_not_in_memory() -> None:
    async def scenario(world: World) -> None:
        cache = Cache(5)
        cache.add("a")
        entry = cache.entries["a"]
        (run_id,) = entry.runs
        waiting = asyncio.create_task(entry.ended(run_id, 60.0))
        await settle()
        cache.cache.drop(entry)
        await waiting
        await entry.ended(run_id, 60.0)
        await entry_of("b").ended("another run", 60.0)
        assert world.loop.time() == 0.0

    run(scenario)


def test_the_wait_for_an_end_is_bounded() -> None:
    async def scenario(world: World) -> None:
        entry = entry_of("a")
        await entry.ended(next(iter(entry.runs)), 3.0)
        assert world.loop.time() == 3.0

    run(scenario)


def test_what_no_commit_is_under_way_for_is_settled() -> None:
    async def scenario(world: World) -> None:
        assert await entry_of("a").settled()

    run(scenario)


@pytest.mark.parametrize("early", [True, False], ids=["ended", "in flight"])
@pytest.mark.parametrize(
    ("outcome", "dropped", "settled"),
    [(COMMITTED, False, True), (REFUSED, False, False), (COMMITTED, True, False)],
    ids=["committed", "refused", "dropped"],
)
def test_settled_tells_whether_the_newest_commit_is_durable(
    outcome: Outcome, dropped: bool, settled: bool, early: bool
) -> None:
    async def scenario(world: World) -> None:
        cache = Cache(3)
        cache.add("a")
        entry = cache.entries["a"]
        entry.last_commit = world.loop.create_future()
        if early:
            entry.last_commit.set_result(outcome)
        asking = asyncio.create_task(entry.settled())
        if not early:
            await settle()
            assert not asking.done()
            if dropped:
                cache.cache.drop(entry)
            entry.last_commit.set_result(outcome)
        elif dropped:
            cache.cache.drop(entry)
        assert await asking == settled

    run(scenario)


def test_settled_raises_what_the_commit_was_lost_with() -> None:
    async def scenario(world: World) -> None:
        entry = entry_of("a")
        entry.last_commit = world.loop.create_future()
        entry.last_commit.set_exception(CommitLost(unknown=True))
        with pytest.raises(CommitLost):
            await entry.settled()

    run(scenario)


def test_a_reader_that_goes_away_does_not_cancel_the_commit() -> None:
    async def scenario(world: World) -> None:
        entry = entry_of("a")
        entry.last_commit = world.loop.create_future()
        first, second = (asyncio.create_task(entry.settled()) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        assert first.cancelled()
        entry.last_commit.set_result(COMMITTED)
        assert await second

    run(scenario)


def test_what_leaves_memory_as_soon_as_it_is_loaded_is_loaded_again() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        slot = slot_of(NAMESPACE.id, "a")
        reading = asyncio.Event()
        loads = [0]

        async def read(name: str) -> None:
            loads[0] += name == "load_current"
            reading.set()

        async def evict_and_look() -> None:
            # It runs between the end of the load and whatever that sets off.
            await reading.wait()
            server.history.lost([SlotRange(slot, slot)])
            await server.describe("a")

        server.history.lost([SlotRange(slot, slot)])
        await settle()
        world.faults.before_read = read
        evicting = asyncio.create_task(evict_and_look())
        await settle()
        await server.describe("a")
        await evicting
        assert loads[0] == 2

    run(scenario)
