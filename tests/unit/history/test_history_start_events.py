"""A step that needs a run's first event gets it, however short of memory the process is."""

import pytest
from temporalio.api.enums.v1 import EventType

from conformance.commands import fail_workflow
from conformance.driver import application_failure
from perdure.core.errors import UnavailableError
from perdure.history.ports import HistorySettings
from perdure.persistence.ports import StoreUnavailable
from unit.history.world import Server, World, run

NO_MEMORY = HistorySettings(cache_bytes=1, tail_bytes=0, commit_retries=1)


async def failing(world: World) -> Server:
    """Returns a server that evicts the workflow "a" whenever it reads that one's history."""
    server = await world.serve(NO_MEMORY)
    await server.start("a", retry_policy={"maximum_attempts": 2})
    await server.start("other")

    async def evict(name: str) -> None:
        if name == "read_history":
            await server.describe("other")

    world.faults.before_read = evict
    return server


def test_it_is_not_lost_with_the_run_that_leaves_memory() -> None:
    async def scenario(world: World) -> None:
        server = await failing(world)
        task = await server.take()
        assert task.workflow_execution.workflow_id == "a"
        await server.complete(task, fail_workflow(application_failure("broken")))
        world.faults.before_read = None
        events = (await server.read("a")).history.events
        started = events[0].workflow_execution_started_event_attributes
        assert started.attempt == 2
        assert started.continued_execution_run_id == task.workflow_execution.run_id

    run(scenario)


def test_a_run_that_times_out_under_pressure_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(NO_MEMORY)
        await server.start(
            "a", retry_policy={"maximum_attempts": 2}, workflow_run_timeout={"seconds": 5}
        )
        await server.start("other", workflow_run_timeout={"seconds": 500})
        first_run = (await server.describe("a")).workflow_execution_info.execution.run_id

        async def evict(name: str) -> None:
            if name == "read_history":
                await server.describe("other")

        world.faults.before_read = evict
        await server.read(
            "a",
            run_id=first_run,
            wait_new_event=True,
            history_event_filter_type="HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT",
        )
        world.faults.before_read = None
        (closed,) = (await server.read("a", run_id=first_run)).history.events[-1:]
        assert closed.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT
        assert closed.workflow_execution_timed_out_event_attributes.new_execution_run_id

    run(scenario)


def test_a_store_that_is_away_when_it_is_read_is_told() -> None:
    async def scenario(world: World) -> None:
        server = await failing(world)
        task = await server.take()

        async def refuse(name: str) -> None:
            if name == "read_history":
                raise StoreUnavailable("away")

        world.faults.before_read = refuse
        command = fail_workflow(application_failure("broken"))
        with pytest.raises(UnavailableError):
            await server.complete(task, command)
        world.faults.before_read = None
        await server.complete(task, command)

    run(scenario)
