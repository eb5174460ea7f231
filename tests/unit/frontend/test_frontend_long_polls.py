"""Long polls of a frontend that stops: they are answered as when their time is up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.frontend.long_polls import LongPolls
from perdure.rpc.clients import Encoded
from unit.frontend.world import World, serving_frontend
from waiting import until

POLLS = {
    "PollWorkflowTaskQueue": "poll_workflow_task_queue",
    "PollActivityTaskQueue": "poll_activity_task_queue",
}
HISTORY = wf.GetWorkflowExecutionHistoryRequest(
    namespace="default", execution=WorkflowExecution(workflow_id="w"), wait_new_event=True
)
EMPTY_PAGE = wf.GetWorkflowExecutionHistoryResponse(next_page_token=b"more")


class Waits:
    """A role's method that answers when its time is up, which is never but for a timeout of 0."""

    def __init__(self, answer: Message) -> None:
        self.timeouts: list[float] = []
        self.cancelled = 0
        self._answer = Encoded(answer.SerializeToString())

    async def __call__(self, _namespace: Any, _request: Any, timeout: float) -> Encoded:
        self.timeouts.append(timeout)
        if timeout:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return self._answer


def poll_request(rpc: str) -> Any:
    return getattr(wf, f"{rpc}Request")(namespace="default", task_queue=TaskQueue(name="queue"))


def waiting_at(role: Any, method: str, answer: Message) -> Waits:
    waits = Waits(answer)
    setattr(role, method, waits)
    return waits


async def ended(world: World, waits: Waits, call: Callable[[], Awaitable[Any]]) -> Any:
    """Returns the answer to a call that waits until the frontend ends its long polls."""
    asked = asyncio.ensure_future(call())
    await until(lambda: bool(waits.timeouts))
    world.frontend.end_long_polls()
    return await asked


@pytest.mark.parametrize("rpc", POLLS)
async def test_a_poll_for_tasks_ends_empty(rpc: str) -> None:
    async with serving_frontend() as (world, client):
        response = getattr(wf, f"{rpc}Response")
        waits = waiting_at(world.matching, POLLS[rpc], response(task_token=b"never"))
        request = poll_request(rpc)
        assert await ended(world, waits, lambda: client.call(rpc, request)) == response()
        assert waits.cancelled == 1
        # One that was on its way meanwhile.
        assert await client.call(rpc, request) == response()
        assert len(waits.timeouts) == 1


async def test_a_wait_for_history_ends_with_the_page_of_one_whose_time_is_up() -> None:
    async with serving_frontend() as (world, client):
        waits = waiting_at(world.history, "get_workflow_execution_history", EMPTY_PAGE)
        rpc = "GetWorkflowExecutionHistory"
        assert await ended(world, waits, lambda: client.call(rpc, HISTORY)) == EMPTY_PAGE
        assert waits.timeouts[1:] == [0.0]
        assert await client.call(rpc, HISTORY) == EMPTY_PAGE
        assert waits.timeouts[2:] == [0.0]


@pytest.mark.parametrize("rpc", POLLS)
async def test_a_caller_that_goes_away_is_still_noticed(rpc: str) -> None:
    async with serving_frontend() as (world, client):
        waits = waiting_at(world.matching, POLLS[rpc], wf.PollWorkflowTaskQueueResponse())
        asked = asyncio.ensure_future(client.call(rpc, poll_request(rpc)))
        await until(lambda: bool(waits.timeouts))
        asked.cancel()
        await until(lambda: waits.cancelled == 1)
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await asked
        world.frontend.end_long_polls()


async def test_a_timeout_of_the_call_itself_is_its_own() -> None:
    async def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await LongPolls().ask(late)


async def test_what_was_answered_already_is_answered() -> None:
    polls = LongPolls()
    answers = [asyncio.get_running_loop().create_future()]

    async def ask() -> str:
        return str(await answers.pop())

    answer = answers[0]
    asked = asyncio.ensure_future(polls.ask(ask))
    await until(lambda: not answers)
    answer.set_result("a task")
    polls.end()
    assert await asked == "a task"


async def test_a_caller_that_goes_away_at_the_end_is_not_answered() -> None:
    polls = LongPolls()
    asked = asyncio.ensure_future(polls.ask(asyncio.Event().wait))
    await asyncio.sleep(0)
    asked.cancel()
    polls.end()
    with pytest.raises(asyncio.CancelledError):
        await asked
