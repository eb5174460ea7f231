"""Group commit: who shares a transaction, in what order, and what a lost one takes with it."""

import asyncio

import pytest

from contract.rows import start, step, transition, whole_shard
from perdure.core.commit import Commit
from perdure.history.committer import GATHER_SECONDS, CommitLost, Committer, is_committed
from perdure.persistence.ports import (
    Outcome,
    Result,
    Shard,
    StoreError,
    StoreUnavailable,
    UnknownOutcome,
)
from unit.history.world import World, run, settle


class Setup:
    """A committer, and what it told of."""

    def __init__(self, world: World, shard: Shard, max_batch: int) -> None:
        self.told: list[str] = []
        self.shard = shard
        self.committer = Committer(
            store=world.store,
            tasks=world.tasks,
            max_batch=max_batch,
            on_lost=lambda unknown: self.told.append(f"lost, unknown: {unknown}"),
        )

    def begin(self, name: str) -> Commit:
        return start(self.shard, f"run of {name}", name)

    def submit(self, name: str) -> asyncio.Future[Outcome]:
        future = self.committer.submit(self.begin(name))
        future.add_done_callback(lambda ended: self.told.append(f"{name}: {_ending(ended)}"))
        return future


def _ending(future: asyncio.Future[Outcome]) -> str:
    if future.cancelled():
        return "cancelled"
    error = future.exception()
    return str(error) if error is not None else future.result().result.value


async def make(world: World, max_batch: int = 100) -> Setup:
    return Setup(world, await whole_shard(world.store), max_batch)


def test_what_comes_while_a_transaction_is_in_flight_shares_the_next_one() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        world.faults.open.clear()
        first = [setup.submit(name) for name in "ab"]
        await settle()
        later = [setup.submit(name) for name in "cde"]
        await settle()
        world.faults.open.set()
        outcomes = await asyncio.gather(*first, *later)
        assert all(is_committed(outcome) for outcome in outcomes)
        assert world.faults.batches == [["a", "b"], ["c", "d", "e"]]
        assert world.faults.most_in_flight == 1
        assert setup.told == [f"{name}: committed" for name in "abcde"]

    run(scenario)


def test_as_many_as_shared_the_last_one_are_waited_for() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        await asyncio.gather(*(setup.submit(name) for name in "ab"))
        third = setup.submit("c")
        await settle()
        assert not third.done()
        await asyncio.gather(third, setup.submit("d"))
        assert world.faults.batches == [["a", "b"], ["c", "d"]]

    run(scenario)


def test_who_does_not_come_is_not_waited_for_long() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        await asyncio.gather(*(setup.submit(name) for name in "ab"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await setup.submit("c")
        assert loop.time() - began == pytest.approx(GATHER_SECONDS)
        began = loop.time()
        await setup.submit("d")
        assert loop.time() == began
        assert world.faults.batches == [["a", "b"], ["c"], ["d"]]

    run(scenario)


def test_what_still_waits_for_others_fails_when_the_process_ends() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        await asyncio.gather(*(setup.submit(name) for name in "ab"))
        third = setup.submit("c")
        await settle()
        await world.tasks.close()
        with pytest.raises(CommitLost) as lost:
            await third
        assert not lost.value.unknown

    run(scenario)


def test_a_transaction_holds_no_more_than_it_may() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world, max_batch=2)
        await asyncio.gather(*(setup.submit(name) for name in "abcde"))
        assert world.faults.batches == [["a", "b"], ["c", "d"], ["e"]]

    run(scenario)


def test_a_later_transition_sees_what_an_earlier_one_of_its_transaction_wrote() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        begun = setup.begin("a")
        version = begun.runs[0].version
        begin = setup.committer.submit(begun)
        go_on = setup.committer.submit(
            transition(setup.shard, step("run of a", version), workflow_id="a")
        )
        assert [(await each).result for each in (begin, go_on)] == [Result.COMMITTED] * 2
        assert world.faults.batches == [["a", "a"]]

    run(scenario)


def test_one_that_is_refused_leaves_the_others_alone() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        stale = transition(setup.shard, step("run of b", 7), workflow_id="b")
        futures = [
            setup.submit("a"),
            setup.committer.submit(stale),
            setup.submit("c"),
        ]
        outcomes = [(await each).result for each in futures]
        assert outcomes == [Result.COMMITTED, Result.VERSION_MISMATCH, Result.COMMITTED]
        assert not setup.told[0].startswith("lost")

    run(scenario)


@pytest.mark.parametrize(
    ("error", "unknown"),
    [(StoreUnavailable("away"), False), (UnknownOutcome("silent"), True), (StoreError(), False)],
    ids=["unavailable", "unknown", "other"],
)
def test_a_lost_transaction_takes_all_that_wait_with_it(error: StoreError, unknown: bool) -> None:
    async def scenario(world: World) -> None:
        setup = await make(world, max_batch=1)
        world.faults.losses = [error]
        futures = [setup.submit(name) for name in "abc"]
        endings = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(each, CommitLost) for each in endings)
        assert [each.unknown for each in endings if isinstance(each, CommitLost)] == [unknown] * 3
        assert world.faults.batches == [["a"]], "what may have stepped on lost state was sent"
        text = "outcome unknown" if unknown else "store unavailable"
        # Memory is dropped before anybody acts on the loss.
        assert setup.told == [f"lost, unknown: {unknown}", *(f"{name}: {text}" for name in "abc")]

    run(scenario)


def test_it_goes_on_after_a_loss() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        world.faults.losses = [StoreUnavailable("away")]
        with pytest.raises(CommitLost):
            await setup.submit("a")
        assert is_committed(await setup.submit("b"))
        assert is_committed(await setup.submit("a"))

    run(scenario)


def test_a_fault_of_ours_counts_as_unknown_and_is_reported() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        world.faults.losses = [ValueError("a bug")]
        with pytest.raises(CommitLost, match="unknown"):
            await setup.submit("a")
        assert setup.told[0] == "lost, unknown: True"
        await settle()
        assert [name for name, _ in world.errors] == ["group-commit"]
        assert is_committed(await setup.submit("b"))

    run(scenario, failures=1)


def test_a_waiter_that_is_cancelled_changes_nothing_for_anybody() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        world.faults.open.clear()
        futures = {name: setup.submit(name) for name in "abc"}

        async def wait(name: str) -> Outcome:
            return await asyncio.shield(futures[name])

        waiters = {name: asyncio.create_task(wait(name)) for name in "abc"}
        await settle()
        waiters["b"].cancel()
        await settle()
        assert waiters["b"].cancelled()
        world.faults.open.set()
        assert is_committed(await waiters["a"])
        assert is_committed(await waiters["c"])
        assert is_committed(await futures["b"])

    run(scenario)


def test_an_answer_that_nobody_wants_any_more_stops_nobody_else() -> None:
    async def scenario(world: World) -> None:
        setup = await make(world)
        world.faults.open.clear()
        first, second = setup.submit("a"), setup.submit("b")
        await settle()
        first.cancel()
        world.faults.open.set()
        assert is_committed(await second)
        begun = setup.begin("a")
        assert await world.store.load_current(begun.namespace_id, "a") is not None

    run(scenario)
