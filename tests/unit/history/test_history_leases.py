"""Answers that rest on memory, or on the memory that something is not there."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.history.ports import HistorySettings
from perdure.history.shards import SoleOwner
from perdure.persistence.ports import StoredRun
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import NotOwnerError
from unit.history.world import NAMESPACE, Server, World, run


class Leaseholder(SoleOwner):
    """An owner whose lease may run out.

    Attributes:
        valid: Whether it is valid.
    """

    valid = True

    def lease_valid(self) -> bool:
        """Tells whether nobody else can have taken over."""
        return self.valid


def _run(
    scenario: Callable[[World, Server, Leaseholder], Awaitable[None]],
    settings: HistorySettings | None = None,
) -> None:
    async def main(world: World) -> None:
        owner = Leaseholder(store=world.store, node_id="node")
        await scenario(world, await world.serve(settings, owner=owner), owner)

    run(main)


def test_a_workflow_that_a_message_did_not_find_is_not_missing_without_a_lease() -> None:
    async def scenario(_: World, server: Server, owner: Leaseholder) -> None:
        message = stored.Message(id="message", namespace_id=NAMESPACE.id)
        message.sender.workflow_id, message.sender.run_id = "sender", "run"
        message.target.workflow_id = "absent"
        message.signal.SetInParent()
        await server.history.deliver_message(message)
        with pytest.raises(NotFoundError):
            await server.describe("absent")
        owner.valid = False
        with pytest.raises(NotOwnerError):
            await server.describe("absent")

    _run(scenario)


def test_a_workflow_that_was_not_there_is_looked_for_again_when_its_shard_is_lost() -> None:
    async def scenario(world: World, server: Server, _: Leaseholder) -> None:
        async def lose_after(name: str) -> None:
            if name == "load_current":
                world.loop.call_soon(server.history.shards.adopt, [])

        world.faults.before_read = lose_after
        with pytest.raises(NotOwnerError):
            await server.describe("absent")

    _run(scenario)


def test_memory_answers_with_a_lease_only() -> None:
    async def scenario(_: World, server: Server, owner: Leaseholder) -> None:
        await server.start("w")
        await server.describe("w")
        owner.valid = False
        with pytest.raises(NotOwnerError):
            await server.describe("w")

    _run(scenario)


def test_what_a_look_refuses_is_refused_with_a_lease_only() -> None:
    async def scenario(_: World, server: Server, owner: Leaseholder) -> None:
        await server.start("w")
        poll = wf.PollWorkflowExecutionUpdateRequest()
        poll.update_ref.workflow_execution.workflow_id = "w"
        poll.update_ref.update_id = "unknown"
        with pytest.raises(NotFoundError, match="not found"):
            await server.history.poll_workflow_execution_update(NAMESPACE, poll, 1.0)
        owner.valid = False
        with pytest.raises(NotOwnerError):
            await server.history.poll_workflow_execution_update(NAMESPACE, poll, 1.0)

    _run(scenario)


def test_a_workflow_that_was_begun_while_it_was_looked_for_is_there() -> None:
    async def scenario(world: World, server: Server, _: Leaseholder) -> None:
        answered = asyncio.Event()
        load_current = world.store.load_current

        async def late(namespace_id: str, workflow_id: str) -> StoredRun | None:
            stored_run = await load_current(namespace_id, workflow_id)
            await answered.wait()
            return stored_run

        world.store.load_current = late  # type: ignore[method-assign]
        first = asyncio.ensure_future(server.describe("w"))
        await asyncio.sleep(0.01)
        run_id = await server.start("w")
        # It makes the other one leave memory.
        await server.start("another")
        # It joins the search that is under way, which has read already that there is nothing.
        second = asyncio.ensure_future(server.describe("w"))
        await asyncio.sleep(0.01)
        answered.set()
        described = await second
        assert described.workflow_execution_info.execution.run_id == run_id
        await asyncio.wait([first])

    _run(scenario, HistorySettings(cache_bytes=1))
