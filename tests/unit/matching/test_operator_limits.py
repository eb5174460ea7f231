"""Rates that operators set: over those of workers, and followed while queues are in memory."""

import asyncio
from collections.abc import Iterable

from perdure.core.commit import TaskQueueKey
from perdure.matching.settings import MatchingSettings
from perdure.persistence.ports import StoreError
from unit.matching.world import ACTIVITIES, World, run, settle, task_of


class Rates:
    """A `QueueRates` whose refresh brings what a test has put into `stored`."""

    def __init__(self, rate: float | None = None) -> None:
        self.stored = rate
        self.known = rate
        self.fails = False

    def rate(self, queue: TaskQueueKey) -> float | None:
        return self.known if queue.name == ACTIVITIES.name else None

    async def refresh(self, namespace_ids: Iterable[str]) -> None:
        assert set(namespace_ids) == {ACTIVITIES.namespace_id}
        if self.fails:
            raise StoreError("away")
        self.known = self.stored


def test_a_queue_that_is_stopped_goes_on_when_its_limit_is_removed() -> None:
    rates = Rates(0.0)

    async def scenario(world: World) -> None:
        poll = world.poll(ACTIVITIES)
        world.commit(task_of(1, queue=ACTIVITIES))
        await asyncio.sleep(10)
        assert world.history.attempts == 0
        rates.stored = None
        assert await poll
        assert world.loop.time() < 10 + 2 * MatchingSettings().config_refresh

    run(scenario, rates=rates)


def test_an_operators_rate_is_over_the_workers_until_it_is_removed() -> None:
    rates = Rates(1_000.0)

    async def scenario(world: World) -> None:
        poll = world.poll(ACTIVITIES, tasks_per_second=0)
        await settle()
        world.commit(task_of(1, queue=ACTIVITIES))
        assert await poll
        rates.stored = None
        await asyncio.sleep(2 * MatchingSettings().config_refresh)
        stopped = world.poll(ACTIVITIES, tasks_per_second=0, seconds=5)
        await settle()
        world.commit(task_of(2, queue=ACTIVITIES))
        assert not await stopped

    run(scenario, rates=rates)


def test_what_was_known_holds_while_the_store_is_away() -> None:
    rates = Rates(0.0)

    async def scenario(world: World) -> None:
        rates.fails, rates.stored = True, None
        poll = world.poll(ACTIVITIES, seconds=30)
        world.commit(task_of(1, queue=ACTIVITIES))
        await asyncio.sleep(10)
        assert world.history.attempts == 0
        rates.fails = False
        assert await poll

    run(scenario, rates=rates)
