"""Deleted runs: nothing is left of them, and their ids can be used again."""

import asyncio

import pytest
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError, UnavailableError
from perdure.persistence.ports import UnknownOutcome
from unit.history.world import NAMESPACE, Server, World, execution, run, settle


async def _delete(server: Server, workflow_id: str, run_id: str = "") -> None:
    request = wf.DeleteWorkflowExecutionRequest(workflow_execution=execution(workflow_id, run_id))
    await server.history.delete_workflow_execution(NAMESPACE, request)


def _assert_nothing_left(world: World, run_id: str) -> None:
    tables = world.store._tables
    assert run_id not in tables.runs
    assert run_id not in tables.visibility
    assert run_id not in tables.current.values()
    assert all(timer.run.run_id != run_id for timer in tables.timers)
    assert all(task.run.run_id != run_id for task in tables.tasks.values())


async def _assert_unknown(server: Server, workflow_id: str) -> None:
    with pytest.raises(NotFoundError):
        await server.describe(workflow_id)
    with pytest.raises(NotFoundError):
        await server.read(workflow_id)


def test_a_closed_run_is_gone_at_once() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        run_id = await server.start("workflow", workflow_run_timeout={"seconds": 60})
        await server.terminate("workflow")
        await _delete(server, "workflow")
        _assert_nothing_left(world, run_id)
        await _assert_unknown(server, "workflow")
        with pytest.raises(NotFoundError):
            await _delete(server, "workflow", run_id)

    run(scenario)


def test_who_waits_for_an_open_run_sees_its_end() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        run_id = await server.start("workflow", workflow_run_timeout={"seconds": 60})
        waiting = asyncio.create_task(
            server.read(
                "workflow",
                wait_new_event=True,
                history_event_filter_type=enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
            )
        )
        await settle()
        await _delete(server, "workflow")
        event = (await waiting).history.events[-1]
        assert event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
        await asyncio.sleep(1.0)
        _assert_nothing_left(world, run_id)
        await _assert_unknown(server, "workflow")

    run(scenario)


def test_an_open_run_is_deleted_though_its_node_dies_in_between() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        run_id = await server.start("workflow")
        world.faults.open.clear()
        deleting = asyncio.create_task(_delete(server, "workflow"))
        await settle()
        server.history.stop()
        world.faults.open.set()
        await deleting
        assert run_id in world.store._tables.runs
        await world.serve()
        await asyncio.sleep(1.0)
        _assert_nothing_left(world, run_id)

    run(scenario)


def test_the_id_can_be_used_while_the_deletion_is_under_way() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        old = await server.start("workflow")
        await server.terminate("workflow")
        world.faults.open.clear()
        deleting = asyncio.create_task(_delete(server, "workflow"))
        await settle()
        reject = enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        starting = asyncio.create_task(server.start("workflow", workflow_id_reuse_policy=reject))
        reading = asyncio.create_task(server.read("workflow", run_id=old))
        await settle()
        world.faults.open.set()
        await deleting
        new = await starting
        with pytest.raises(NotFoundError):
            await reading
        _assert_nothing_left(world, old)
        assert (await server.describe("workflow")).workflow_execution_info.first_run_id == new

    run(scenario)


def test_an_earlier_run_goes_and_the_current_one_stays() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        old = await server.start("workflow")
        await server.terminate("workflow")
        new = await server.start("workflow")
        await _delete(server, "workflow", old)
        _assert_nothing_left(world, old)
        with pytest.raises(NotFoundError):
            await server.read("workflow", run_id=old)
        await server.signal("workflow")
        assert (await server.describe("workflow")).workflow_execution_info.first_run_id == new

    run(scenario)


def test_an_earlier_run_can_be_named_when_the_current_one_is_gone() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        old = await server.start("workflow")
        await server.terminate("workflow")
        await server.start("workflow")
        await server.terminate("workflow")
        await _delete(server, "workflow")
        with pytest.raises(NotFoundError):
            await server.describe("workflow")
        assert (await server.read("workflow", run_id=old)).history.events
        new = await server.start("workflow")
        await _delete(server, "workflow", old)
        _assert_nothing_left(world, old)
        assert (await server.describe("workflow")).workflow_execution_info.first_run_id == new

    run(scenario)


def test_a_lost_deletion_leaves_the_run_whole() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        run_id = await server.start("workflow")
        await server.terminate("workflow")
        world.faults.losses.append(UnknownOutcome("lost"))
        with pytest.raises(UnavailableError):
            await _delete(server, "workflow")
        assert (await server.read("workflow", run_id=run_id)).history.events
        await _delete(server, "workflow")
        _assert_nothing_left(world, run_id)

    run(scenario)
