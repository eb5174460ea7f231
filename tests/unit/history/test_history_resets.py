"""Resets read histories while the workflow goes on: nothing that happens meanwhile is lost."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import complete_workflow, continue_as_new, record_marker
from perdure.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from perdure.history.ports import HistorySettings
from perdure.history.resets import READINGS
from perdure.persistence.ports import StoreUnavailable
from unit.history.world import NAMESPACE, QUEUE, Server, World, execution, run


async def reset(server: Server, event_id: int, run_id: str = "", **fields: Any) -> str:
    request = wf.ResetWorkflowExecutionRequest(
        **{
            "workflow_execution": execution("a", run_id),
            "workflow_task_finish_event_id": event_id,
            "reason": "because",
            "request_id": server.world.ids.request_id(),
        }
        | fields
    )
    return (await server.history.reset_workflow_execution(NAMESPACE, request)).run_id


async def signals(server: Server) -> list[str]:
    events = (await server.read("a")).history.events
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]


def test_a_signal_that_comes_while_the_history_is_read_is_recorded_again() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        await server.complete(await server.take(), record_marker("one"))
        await server.signal("a", "before")
        sent: list[str] = []

        async def interfere(name: str) -> None:
            if name == "read_history" and not sent:
                sent.append("meanwhile")
                await server.signal("a", "meanwhile")

        world.faults.before_read = interfere
        await reset(server, 4)
        assert await signals(server) == ["before", "meanwhile"]

    run(scenario)


def test_a_workflow_that_never_rests_is_not_reset() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        await server.complete(await server.take())
        reads: list[str] = []

        async def interfere(name: str) -> None:
            if name == "read_history":
                reads.append(name)
                await server.signal("a", "again")

        world.faults.before_read = interfere
        with pytest.raises(UnavailableError, match="goes on while it is being reset"):
            await reset(server, 4)
        assert len(reads) == READINGS

    run(scenario)


def test_a_repeated_request_answers_with_the_run_that_it_has_made() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        first = await server.start("a")
        await server.complete(await server.take())
        made = await reset(server, 4, request_id="same")
        assert made != first
        assert await reset(server, 4, request_id="same") == made
        assert await reset(server, 4, first, request_id="same") == made
        assert await reset(server, 4, request_id="other") != made

    run(scenario)


def test_a_chain_is_followed_without_memory() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve(HistorySettings(cache_bytes=1, tail_bytes=0))
        first = await server.start("a")
        await server.signal("a", "one")
        await server.complete(await server.take(), continue_as_new(QUEUE))
        await server.signal("a", "two")
        await server.start("other")
        made = await reset(server, 4, first)
        task = await server.take()
        while task.workflow_execution.run_id != made:
            task = await server.take()
        assert [event.event_id for event in task.history.events] == list(
            range(1, len(task.history.events) + 1)
        )
        assert await signals(server) == ["one", "two"]
        await server.complete(task, complete_workflow())

    run(scenario)


def test_what_cannot_be_reset_is_refused() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        with pytest.raises(NotFoundError):
            await reset(server, 4)
        await server.start("a")
        for event_id in (-1, 0, 1, 3):
            with pytest.raises(InvalidArgumentError, match="finish ID must be"):
                await reset(server, event_id)
        await server.complete(await server.take(), record_marker("one"))

        async def refuse(name: str) -> None:
            if name == "read_history":
                raise StoreUnavailable("away")

        world.faults.before_read = refuse
        with pytest.raises(UnavailableError):
            await reset(server, 4)

    run(scenario)
