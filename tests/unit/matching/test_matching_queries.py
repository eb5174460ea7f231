"""Queries: matched like tasks, answered once, and never lost to a poller that vanished."""

import asyncio

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, QueryOutcome
from unit.matching.world import NAMESPACE, World, response_to, run, settle, task_of

ANSWER = wf.RespondQueryTaskCompletedRequest(error_message="the answer")


def token_of(response: Encoded) -> stored.TaskToken:
    decoded = wf.PollWorkflowTaskQueueResponse.FromString(response)
    assert decoded.attempt == 1, "the head that history made"
    return stored.TaskToken.FromString(decoded.task_token)


def test_a_waiting_poller_gets_a_query_and_its_answer_is_passed_on() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        query = world.ask()
        token = token_of(await poll)
        assert token == stored.TaskToken(
            kind=stored.TaskToken.KIND_QUERY,
            namespace_id=NAMESPACE.id,
            workflow_id="workflow",
            run_id="run",
            store_incarnation="incarnation",
            task_queue="queue",
            query_task_id="query",
        )
        await world.engine.respond_query_task_completed("query", ANSWER)
        assert await query == QueryOutcome(ANSWER)
        with pytest.raises(NotFoundError, match="query task not found, or already expired"):
            await world.engine.respond_query_task_completed("query", ANSWER)

    run(scenario)


def test_a_query_waits_for_a_poller_and_goes_before_tasks() -> None:
    async def scenario(world: World) -> None:
        query = world.ask()
        await settle()
        world.commit(task_of(1))
        assert token_of(await world.poll()).query_task_id == "query"
        assert await world.poll() == response_to(task_of(1))
        await world.engine.respond_query_task_completed("query", ANSWER)
        await query

    run(scenario)


def test_a_query_of_a_poller_that_vanished_goes_to_another() -> None:
    async def scenario(world: World) -> None:
        gone, stays = await world.waiting_poll(), await world.waiting_poll()
        query = world.ask()
        await asyncio.sleep(0)
        gone.cancel()
        assert token_of(await stays).query_task_id == "query"
        await world.engine.respond_query_task_completed("query", ANSWER)
        await query

    run(scenario)


def test_without_workers_a_query_says_so_when_its_time_is_up() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(FailedPreconditionError, match="no poller seen for task queue recently"):
            await world.ask(seconds=5)
        assert world.loop.time() == 5

    run(scenario)


def test_a_query_that_a_worker_does_not_answer_in_time_is_late() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        query = world.ask(seconds=5)
        await poll
        with pytest.raises(DeadlineExceededError):
            await query
        with pytest.raises(NotFoundError):
            await world.engine.respond_query_task_completed("query", ANSWER)

    run(scenario)


def test_a_query_whose_caller_is_gone_is_not_passed_on() -> None:
    async def scenario(world: World) -> None:
        query = world.ask()
        await settle()
        query.cancel()
        world.commit(task_of(1))
        assert await world.poll() == response_to(task_of(1))
        with pytest.raises(NotFoundError):
            await world.engine.respond_query_task_completed("query", ANSWER)

    run(scenario)


def test_closing_ends_queries() -> None:
    async def scenario(world: World) -> None:
        query = world.ask()
        await settle()
        await world.engine.close()
        with pytest.raises(UnavailableError):
            await query
        with pytest.raises(UnavailableError):
            await world.ask()

    run(scenario)
