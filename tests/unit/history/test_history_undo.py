"""A started task that its poller never got is pending again, also when the store is away."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import schedule_activity
from perdure.core.commit import DispatchTask, RunKey
from perdure.core.errors import UnavailableError
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import StoreUnavailable
from perdure.rpc.clients import Poller
from unit.history.world import NAMESPACE, QUEUE, Server, World, run, settle

TASK_TIMEOUT_SECONDS = 10.0


async def stored_task(world: World) -> DispatchTask:
    (task,) = await world.store.read_tasks(0, SLOT_COUNT - 1, None, 10)
    return task


def a_poller(request_id: str) -> Poller:
    return Poller(request_id, "worker", wf.PollWorkflowTaskQueueRequest())


async def started(world: World) -> tuple[Server, DispatchTask]:
    """Returns a server with a workflow task that the poll "poll" has got."""
    server = await world.serve()
    await server.start("a")
    task = await stored_task(world)
    await server.history.record_workflow_task_started(task, a_poller("poll"))
    return server, task


async def assert_taken_at_once(server: Server) -> None:
    """Checks that a worker gets the task before its timeout brings it back."""
    task = await server.take()
    assert task.workflow_execution.workflow_id == "a"
    assert server.world.loop.time() < TASK_TIMEOUT_SECONDS


def test_undoing_says_when_the_store_is_away() -> None:
    async def scenario(world: World) -> None:
        server, task = await started(world)
        world.faults.losses = [StoreUnavailable("away")]
        with pytest.raises(UnavailableError):
            await server.history.undo_task_started(task, "poll")
        await server.history.undo_task_started(task, "poll")
        assert (await stored_task(world)).run == task.run

    run(scenario)


def test_undoing_what_is_gone_does_nothing() -> None:
    async def scenario(world: World) -> None:
        server, task = await started(world)
        await server.history.undo_task_started(task, "another poll")
        for missing in (RunKey(NAMESPACE.id, "a", "no run"), RunKey(NAMESPACE.id, "none", "")):
            gone = DispatchTask(task.key, task.slot, missing, 2, 1, 0)
            await server.history.undo_task_started(gone, "poll")
        await server.terminate("a")
        await server.history.undo_task_started(task, "poll")
        last = (await server.read("a")).history.events[-1]
        assert last.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED

    run(scenario)


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_a_fused_start_whose_poller_left_is_undone(losses: int) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        poll = server.poll()
        await settle()
        world.faults.open.clear()
        starting = asyncio.create_task(server.start("a"))
        await settle()
        poll.cancel()
        await settle()

        async def lose_what_follows() -> None:
            await starting
            world.faults.losses = [StoreUnavailable("away") for _ in range(losses)]

        losing = asyncio.create_task(lose_what_follows())
        world.faults.open.set()
        await losing
        await assert_taken_at_once(server)
        assert not world.faults.losses, "the undo never met the store that was away"

    run(scenario)


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_a_start_whose_poller_left_while_it_was_recorded_is_undone(losses: int) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        await settle()
        world.faults.open.clear()
        poll = server.poll()
        await settle()
        poll.cancel()
        await settle()
        world.faults.open.set()
        await settle()
        world.faults.losses = [StoreUnavailable("away") for _ in range(losses)]
        await assert_taken_at_once(server)

    run(scenario)


def test_an_undo_that_comes_late_spares_a_later_start_for_the_same_poll() -> None:
    async def scenario(world: World) -> None:
        server, task = await started(world)
        await server.history.undo_task_started(task, "poll")
        later = await stored_task(world)
        await server.history.record_workflow_task_started(later, a_poller("poll"))
        await server.history.undo_task_started(task, "poll")
        assert await world.store.read_tasks(0, SLOT_COUNT - 1, None, 10) == []

    run(scenario)


def test_an_undo_that_comes_late_spares_a_later_attempt_for_the_same_poll() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        await server.complete(await server.take(), schedule_activity("activity", QUEUE))
        task = await stored_task(world)
        await server.history.record_activity_task_started(task, a_poller("poll"))
        await server.history.undo_task_started(task, "poll")
        later = await stored_task(world)
        await server.history.record_activity_task_started(later, a_poller("poll"))
        await server.history.undo_task_started(task, "poll")
        assert await world.store.read_tasks(0, SLOT_COUNT - 1, None, 10) == []

    run(scenario)


def test_an_undo_is_given_up_when_the_store_stays_away() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        poll = server.poll()
        await settle()
        world.faults.open.clear()
        starting = asyncio.create_task(server.start("a"))
        await settle()
        poll.cancel()
        world.faults.open.set()
        await starting
        world.faults.away = StoreUnavailable("away")
        await asyncio.sleep(600)
        assert "undo-start" not in world.tasks.names
        world.faults.away = None
        # Its own timeout is the last resort.
        task = await server.take()
        assert task.workflow_execution.workflow_id == "a"

    run(scenario)
