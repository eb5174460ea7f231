"""What answers to polls say of the backlog, and of how many polls to make."""

import asyncio

import pytest

from perdure.core.commit import DispatchTask
from perdure.core.matching.scaling import PollerScaling, QueueLoad, ScalingRules
from unit.matching.world import ACTIVITIES, WORKFLOWS, World, run, settle, task_of

RULES = ScalingRules(idle_wait=1.0, backlog_age=0.2, decisions_per_second=10.0)
STICKY = WORKFLOWS._replace(name="host-1")


@pytest.mark.parametrize(
    ("waited", "oldest_wait", "rates", "expected"),
    [
        (1.0, 0.0, (1.0, 1.0), -1),
        (1.0, 9.0, (9.0, 1.0), -1),
        (0.9, 0.0, (1.0, 1.0), 0),
        (0.0, 0.2, (1.0, 1.0), 0),
        (0.0, 0.21, (1.0, 1.0), 1),
        (0.0, 0.21, None, 1),
        (0.0, 0.0, (1.2, 1.0), 0),
        (0.0, 0.0, (1.3, 1.0), 1),
        (0.0, 0.0, (1.0, 0.0), 1),
        (0.0, 0.0, (0.0, 0.0), 0),
        (0.0, 0.0, None, 0),
    ],
)
def test_suggestions(
    waited: float, oldest_wait: float, rates: tuple[float, float] | None, expected: int
) -> None:
    scaling = PollerScaling(RULES, now=0.0)
    load = QueueLoad(oldest_wait, rates)
    assert scaling.suggest(load, waited=waited, polls=1, now=0.0) == expected


@pytest.mark.parametrize("polls", [1, 3, 7])
def test_more_polls_are_suggested_so_often_for_each_poll_and_fewer_always(polls: int) -> None:
    scaling = PollerScaling(RULES, now=0.0)
    late = QueueLoad(9.0, None)
    for now, allowed in ((0.0, 10), (0.1, 1), (0.2, 1), (9.0, 10)):
        suggested = [scaling.suggest(late, waited=0, polls=polls, now=now) for _ in range(99)]
        assert sum(suggested) == allowed * polls
    assert scaling.suggest(late, waited=1, polls=polls, now=9.0) == -1


def late(world: World, task_id: int) -> DispatchTask:
    """Returns a task that has been waiting for a second."""
    return task_of(task_id, scheduled_time=world.clock.now() - 1_000_000_000)


def test_an_answer_tells_how_many_tasks_are_left_and_that_more_polls_would_help() -> None:
    async def scenario(world: World) -> None:
        world.commit(*[late(world, number) for number in range(3)])
        answers = [await world.advised_poll() for _ in range(3)]
        assert answers == [(2, 1), (1, 1), (0, 1)]

    run(scenario)


def test_an_activity_has_no_count_but_a_suggestion() -> None:
    async def scenario(world: World) -> None:
        now = world.clock.now() - 1_000_000_000
        world.commit(*[task_of(each, queue=ACTIVITIES, scheduled_time=now) for each in (1, 2)])
        assert await world.advised_poll(ACTIVITIES) == (0, 1)

    run(scenario)


@pytest.mark.parametrize(("seconds", "delta"), [(0.5, 0), (1.5, -1)])
def test_a_poll_that_waited_long_is_one_too_many(seconds: float, delta: int) -> None:
    async def scenario(world: World) -> None:
        poll = world.loop.create_task(world.advised_poll(STICKY, sticky_of="queue"))
        await asyncio.sleep(seconds)
        world.commit(task_of(1, queue=STICKY, scheduled_time=world.clock.now()))
        assert await poll == (0, delta)

    run(scenario)


def test_a_sticky_queue_does_not_ask_for_polls_by_its_rates() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(1)
        for queue, sticky_of in ((STICKY, "queue"), (WORKFLOWS, "")):
            poll = world.loop.create_task(world.advised_poll(queue, sticky_of=sticky_of))
            await settle()
            now = world.clock.now()
            tasks = [task_of(each, queue=queue, scheduled_time=now) for each in range(4)]
            await asyncio.sleep(0.1)
            world.commit(*tasks)
            assert await poll == (3, int(queue is WORKFLOWS))

    run(scenario)
