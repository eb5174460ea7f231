"""What matching tells metrics of a queue's tasks and polls."""

import asyncio
import random

from perdure.core.commit import TaskQueueKey
from perdure.matching.engine import MatchingEngine
from perdure.matching.observer import QueueObserver
from perdure.matching.settings import MatchingSettings
from perdure.runtime.deterministic import SeededIds
from unit.matching.world import WORKFLOWS, World, run, settle, task_of


class Told:
    """A `MatchingObserver`, and of every queue its `QueueObserver`: it remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def queue_loaded(self, queue: TaskQueueKey, sticky_of: str | None) -> QueueObserver:
        return self

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        self.events.append(("unloaded",))

    def task_matched(self) -> None:
        self.events.append(("matched",))

    def task_held(self, unpolled: bool) -> None:
        self.events.append(("held", unpolled))

    def poll_succeeded(self, sync: bool, waited: float) -> None:
        self.events.append(("succeeded", sync, waited))

    def poll_timed_out(self, waited: float) -> None:
        self.events.append(("timed out", waited))

    def task_dispatched(self, latency: float, sync: bool, forwarded: bool = False) -> None:
        self.events.append(("dispatched", sync))

    def task_forwarded(self) -> None:
        self.events.append(("forwarded",))

    def task_throttled(self) -> None:
        self.events.append(("throttled",))


def observed(world: World) -> Told:
    """Gives a world an engine that is observed."""
    told = Told()
    world.engine = MatchingEngine(
        store=world.rows,
        clock=world.clock,
        ids=SeededIds(generator=random.Random(1), clock=world.clock),
        settings=MatchingSettings(),
        incarnation="incarnation",
        on_error=lambda name, error: world.errors.append((name, error)),
        observer=told,
    )
    world.engine.attach_history(world.history)
    return told


def test_a_task_that_meets_a_poller_is_matched() -> None:
    async def scenario(world: World) -> None:
        told = observed(world)
        poll = await world.waiting_poll()
        await asyncio.sleep(3.0)
        world.commit(task_of(1))
        await poll
        assert told.events == [("matched",), ("succeeded", True, 3.0), ("dispatched", True)]

    run(scenario)


def test_a_task_is_without_pollers_when_nobody_has_polled_for_two_minutes() -> None:
    async def scenario(world: World) -> None:
        told = observed(world)
        world.commit(task_of(1))
        await world.poll()
        world.commit(task_of(2))
        await asyncio.sleep(119.0)
        world.commit(task_of(3))
        await asyncio.sleep(2.0)
        world.commit(task_of(4))
        held = [event for event in told.events if event[0] == "held"]
        assert held == [("held", True), ("held", False), ("held", False), ("held", True)]
        assert ("dispatched", False) in told.events

    run(scenario)


def test_a_poll_that_gets_nothing_tells_how_long_it_waited() -> None:
    async def scenario(world: World) -> None:
        told = observed(world)
        await world.poll(WORKFLOWS, seconds=30.0)
        await settle()
        assert told.events == [("timed out", 30.0)]

    run(scenario)
