"""Reserved pollers: held back from other tasks, answered once, or put back."""

import asyncio

from perdure.matching.polling import EMPTY
from unit.matching.world import (
    ACTIVITIES,
    WORKFLOWS,
    World,
    response_to,
    response_with,
    run,
    settle,
    task_of,
)

FUSED = response_with("fused")


def test_without_a_waiting_poller_there_is_none_to_reserve() -> None:
    async def scenario(world: World) -> None:
        assert world.engine.reserve(WORKFLOWS) is None
        await world.waiting_poll(ACTIVITIES)
        assert world.engine.reserve(WORKFLOWS) is None

    run(scenario)


def test_a_reserved_poller_gets_the_response() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll(identity="me")
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        assert reservation.poller.identity == "me"
        assert reservation.poller.request_id
        assert world.engine.reserve(WORKFLOWS) is None
        assert reservation.deliver(FUSED, task_of(1))
        assert await poll == FUSED
        assert world.history.attempts == 0

    run(scenario)


def test_a_task_that_comes_meanwhile_waits_for_the_release() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        await asyncio.sleep(0.1)
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        world.commit(task_of(1))
        await settle()
        assert world.history.attempts == 0
        reservation.release()
        assert await poll == response_to(task_of(1))
        assert world.loop.time() == 0.1, "without waiting for rows to be read"

    run(scenario)


def test_released_pollers_come_back_to_their_places() -> None:
    async def scenario(world: World) -> None:
        polls = [await world.waiting_poll() for _ in range(3)]
        one, two = world.engine.reserve(WORKFLOWS), world.engine.reserve(WORKFLOWS)
        assert one is not None
        assert two is not None
        two.release()
        one.release()
        for number in (1, 2, 3):
            world.commit(task_of(number))
        expected = [response_to(task_of(number)) for number in (1, 2, 3)]
        assert await asyncio.gather(*polls) == expected

    run(scenario)


def test_a_poller_that_vanished_cannot_be_answered_and_its_release_does_nothing() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        poll.cancel()
        assert not reservation.deliver(FUSED)
        await settle()
        assert not reservation.deliver(FUSED)
        reservation.release()
        assert world.engine.reserve(WORKFLOWS) is None

    run(scenario)


def test_a_cancelled_poller_that_has_not_run_yet_is_not_reserved() -> None:
    async def scenario(world: World) -> None:
        gone, stays = await world.waiting_poll(), await world.waiting_poll()
        gone.cancel()
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        assert reservation.deliver(FUSED)
        assert await stays == FUSED

    run(scenario)


def test_a_poller_that_vanishes_right_after_the_delivery_has_its_start_undone() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        world.history.by_request[reservation.poller.request_id] = task_of(1)
        world.history.started.append("workflow-1")
        assert reservation.deliver(FUSED, task_of(1))
        poll.cancel()
        assert await world.poll() == response_to(task_of(1))
        assert world.history.undone == ["workflow-1"]

    run(scenario)


def test_a_poll_whose_time_is_up_while_it_is_reserved_is_still_answered() -> None:
    async def scenario(world: World) -> None:
        polls = [world.poll(seconds=1), world.poll(seconds=1)]
        await settle()
        one, two = world.engine.reserve(WORKFLOWS), world.engine.reserve(WORKFLOWS)
        assert one is not None
        assert two is not None
        await asyncio.sleep(2)
        assert one.deliver(FUSED)
        two.release()
        assert await asyncio.gather(*polls) == [FUSED, EMPTY]

    run(scenario)


def test_a_poller_released_after_closing_ends_empty() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        world.engine.stop_polls()
        reservation.release()
        assert await poll == EMPTY

    run(scenario)
