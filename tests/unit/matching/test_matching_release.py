"""Queues that another node serves from now on."""

import asyncio

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.matching.polling import EMPTY
from perdure.rpc.clients import NotOwnerError
from unit.matching.world import ACTIVITIES, WORKFLOWS, World, response_to, run, settle, task_of

ANSWER = wf.RespondQueryTaskCompletedRequest(error_message="the answer")


def test_polls_of_a_queue_that_moved_end_and_others_go_on() -> None:
    async def scenario(world: World) -> None:
        moved, stays = await world.waiting_poll(), await world.waiting_poll(ACTIVITIES)
        assert world.engine.release_queues(lambda queue: queue == WORKFLOWS) == 1
        assert await moved == EMPTY
        assert world.loop.time() == 0
        assert [each.queue for each in world.engine.statistics()] == [ACTIVITIES]
        world.commit(task_of(1, queue=ACTIVITIES))
        assert await stays == response_to(task_of(1, queue=ACTIVITIES))
        assert world.engine.release_queues(lambda _: False) == 0

    run(scenario)


def test_a_queue_that_comes_back_is_served_from_its_rows() -> None:
    async def scenario(world: World) -> None:
        world.commit(task_of(1))
        world.engine.release_queues(lambda _: True)
        assert world.engine.statistics() == []
        assert await world.poll() == response_to(task_of(1))

    run(scenario)


def test_a_poller_that_is_reserved_ends_when_it_is_released() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        reservation = world.engine.reserve(WORKFLOWS)
        assert reservation is not None
        world.engine.release_queues(lambda _: True)
        await settle()
        assert not poll.done()
        reservation.release()
        assert await poll == EMPTY

    run(scenario)


def test_a_start_under_way_is_finished() -> None:
    async def scenario(world: World) -> None:
        reached, leave = asyncio.Event(), asyncio.Event()

        async def hold(_: object) -> None:
            reached.set()
            await leave.wait()

        world.history.before = hold
        poll = world.poll()
        world.commit(task_of(1))
        await reached.wait()
        world.engine.release_queues(lambda _: True)
        leave.set()
        assert await poll == response_to(task_of(1))

    run(scenario)


def test_queries_of_a_queue_that_moved_are_asked_elsewhere() -> None:
    async def scenario(world: World) -> None:
        with_worker = world.ask("with a worker")
        await settle()
        assert await world.poll() != EMPTY
        in_line = world.ask("in line")
        await settle()
        world.engine.release_queues(lambda _: True)
        for query in (with_worker, in_line):
            with pytest.raises(NotOwnerError):
                await query
        with pytest.raises(NotFoundError):
            await world.engine.respond_query_task_completed("with a worker", ANSWER)

    run(scenario)
