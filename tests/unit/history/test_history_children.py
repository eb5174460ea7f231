"""Parents and children on one server: each child runs once and reports once, whatever fails."""

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import complete_workflow, start_child
from conformance.driver import event_type
from perdure.core.errors import UnavailableError
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import StoreUnavailable, UnknownOutcome
from perdure.proto import stored_pb2 as stored
from simulation.storage import NEVER
from unit.history.test_history_messages import LONG, Post, history, key_of, outbox, quiet, send
from unit.history.world import NAMESPACE, QUEUE, Server, World, run

ABANDON = "PARENT_CLOSE_POLICY_ABANDON"


async def told(server: Server, workflow_id: str) -> list[str]:
    """Returns what a history says of children."""
    kinds = [event_type(event) for event in await history(server, workflow_id)]
    return [kind for kind in kinds if "CHILD" in kind]


async def end_of(server: Server, workflow_id: str) -> HistoryEvent:
    return (await history(server, workflow_id))[-1]


async def exists_in(world: World, workflow_id: str) -> bool:
    return await world.store.load_current(NAMESPACE.id, workflow_id) is not None


async def finish(server: Server, *workflow_ids: str) -> None:
    """Completes the first tasks of some workflows, however they come."""
    left = set(workflow_ids)
    while left:
        task = await server.take()
        done = task.workflow_execution.workflow_id in left
        left.discard(task.workflow_execution.workflow_id)
        await server.complete(task, *[complete_workflow()] * done)


def test_a_child_starts_runs_and_reports() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await send(server, "parent", start_child("child", QUEUE))
        await finish(server, "child")
        await quiet()
        assert await told(server, "parent") == [
            "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
            "CHILD_WORKFLOW_EXECUTION_STARTED",
            "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        ]
        assert await outbox(world) == 0

    run(scenario)


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_messages_and_answers_that_are_lost_change_nothing(lost: str, number: int) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        await server.start("parent")
        task = await server.take()
        losses: list[Exception] = [UnavailableError("lost")] * number
        (post.errors if lost == "before" else post.lost_answers).extend(losses)
        await server.complete(task, start_child("child", QUEUE))
        await finish(server, "child")
        await asyncio.sleep(LONG)
        assert await told(server, "parent") == [
            "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
            "CHILD_WORKFLOW_EXECUTION_STARTED",
            "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        ]
        assert len(await history(server, "child")) == 5
        assert await outbox(world) == 0

    run(scenario)


@pytest.mark.parametrize("loss", [StoreUnavailable("away"), UnknownOutcome("who knows")])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_commits_that_are_lost_on_the_way_do_no_harm(number: int, loss: Exception) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.held.clear()
        await send(server, "parent", start_child("child", QUEUE))
        if number == 1:
            # The commit that starts the child.
            world.faults.losses = [loss]
        await quiet()
        if number == 2:
            # The commit that records that it has started.
            world.faults.losses = [loss]
        post.held.set()
        await asyncio.sleep(LONG)
        post.held.clear()
        await finish(server, "child")
        if number == 3:
            # The commit that records the result.
            world.faults.losses = [loss]
        await quiet()
        if number == 4:
            # The commit that deletes the message with the result.
            world.faults.losses = [loss]
        post.held.set()
        await asyncio.sleep(LONG)
        assert await told(server, "parent") == [
            "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
            "CHILD_WORKFLOW_EXECUTION_STARTED",
            "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        ]
        assert await outbox(world) == 0

    run(scenario)


def test_a_restart_goes_on_with_starts_and_results() -> None:
    async def scenario(world: World) -> None:
        first = await world.serve()
        post = Post(first)
        post.errors = [UnavailableError("away")] * 1000
        await send(first, "parent", start_child("child", QUEUE))
        await quiet()
        assert await outbox(world) == 1
        first.history.stop()
        second = await world.serve()
        await finish(second, "child")
        await quiet()
        assert (await told(second, "parent"))[-1] == "CHILD_WORKFLOW_EXECUTION_COMPLETED"
        assert await outbox(world) == 0

    run(scenario)


def test_a_parent_that_closes_takes_its_child_with_it() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await send(server, "parent", start_child("child", QUEUE), start_child("other", QUEUE))
        await quiet()
        await server.terminate("parent")
        await quiet()
        for name in ("child", "other"):
            last = await end_of(server, name)
            assert last.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
        assert await outbox(world) == 0

    run(scenario)


@pytest.mark.parametrize("arrived", [False, True], ids=["not sent yet", "answer under way"])
@pytest.mark.parametrize("policy", ["", ABANDON], ids=["terminate", "abandon"])
def test_a_parent_that_closes_before_it_hears_of_its_child(arrived: bool, policy: str) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        await server.start("parent")
        task = await server.take()
        if arrived:
            post.held.clear()
        else:
            post.errors = [UnavailableError("lost")]
        fields: dict[str, Any] = {"parent_close_policy": policy} if policy else {}
        await server.complete(task, start_child("child", QUEUE, **fields))
        await quiet()
        await server.terminate("parent")
        post.held.set()
        await asyncio.sleep(LONG)
        exists = arrived or bool(policy)
        assert await exists_in(world, "child") is exists
        if exists:
            described = await server.describe("child")
            closed = described.workflow_execution_info.HasField("close_time")
            assert closed is not bool(policy)
        assert await outbox(world) == 0

    run(scenario)


def test_a_start_that_arrives_after_the_parents_close_is_refused() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        post = Post(server)
        post.errors = [UnavailableError("lost")]
        await send(server, "parent", start_child("child", QUEUE))
        [row] = await world.store.read_messages(0, SLOT_COUNT - 1, NEVER, None, 10)
        await server.terminate("parent")
        await asyncio.sleep(LONG)
        receipt = await server.history.deliver_message(stored.Message.FromString(row.data))
        assert receipt.outcome == stored.Receipt.OUTCOME_NOT_FOUND
        assert not await exists_in(world, "child")

    run(scenario)


def test_the_id_of_a_child_may_be_anybodys_afterwards() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await send(server, "parent", start_child("child", QUEUE))
        await quiet()
        first = await key_of(server, "child")
        await server.terminate("child")
        await quiet()
        await server.start("child")
        assert (await key_of(server, "child")).run_id != first.run_id
        await server.terminate("parent")
        await quiet()
        described = await server.describe("child")
        assert not described.workflow_execution_info.HasField("parent_execution")
        assert not described.workflow_execution_info.HasField("close_time")

    run(scenario)


def test_a_parent_may_be_of_an_earlier_run() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await send(server, "parent", start_child("child", QUEUE, parent_close_policy=ABANDON))
        await quiet()
        await server.terminate("parent")
        await server.start("parent")
        before = len(await history(server, "parent"))
        await server.terminate("child")
        await quiet()
        assert len(await history(server, "parent")) == before
        assert await outbox(world) == 0

    run(scenario)
