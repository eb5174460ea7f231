"""Where history's requests go: to the owner, wherever it is, and when they are sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError, UnavailableError
from perdure.core.slots import slot_of
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import NotOwnerError
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode.errors import PeerUnreachableError
from perdure.rpc.internode.peers import Peers
from perdure.rpc.internode.routing import REPEATABLE, Node, Router, routed_history
from perdure.rpc.internode.settings import InternodeSettings
from unit.rpc.internode_world import (
    IMPATIENT,
    NAMESPACE,
    OWN,
    PATIENT,
    QUICK,
    WORKFLOW_ID,
    Address,
    Forever,
    View,
    arguments_of,
    connected,
    history_stand_in,
    ids,
    methods_of,
    serving_node,
    task_of,
)

START = wf.StartWorkflowExecutionRequest(workflow_id="workflow", request_id="request")
START_WITHOUT_ID = wf.StartWorkflowExecutionRequest(workflow_id="workflow")
TERMINATE = wf.TerminateWorkflowExecutionRequest()
HISTORY = wf.GetWorkflowExecutionHistoryRequest()
NOBODY = Address("gone", "127.0.0.1:1")


class Cluster:
    """This node's view, its own history, and the cluster's."""

    def __init__(self, peers: Peers, view: View, settings: InternodeSettings) -> None:
        self.view = view
        self.peers = peers
        self.own = history_stand_in()
        router = Router(directory=view, ids=ids(), settings=settings)
        self.client: HistoryClient = routed_history(router=router, peers=peers, local=self.own)
        self.without_role = routed_history(router=router, peers=peers)


@asynccontextmanager
async def cluster(*nodes: Node, settings: InternodeSettings = QUICK) -> AsyncIterator[Cluster]:
    async with connected(settings) as peers:
        yield Cluster(peers, View(OWN, *nodes), settings)


@pytest.mark.parametrize("name", list(methods_of(HistoryClient)))
async def test_every_request_goes_by_its_workflow(name: str) -> None:
    arguments = arguments_of(HistoryClient, name)
    expected = task_of().slot
    if arguments[0] == NAMESPACE:
        is_schedules = hasattr(arguments[1], "schedule_id")
        prefix = "temporal-sys-scheduler:" if is_schedules else ""
        expected = slot_of(NAMESPACE.id, prefix + WORKFLOW_ID)
    elif isinstance(arguments[0], stored.Message):
        message = arguments[0]
        expected = slot_of(message.namespace_id, message.target.workflow_id)
    asked: list[int] = []
    async with cluster() as world:

        def owner(slot: int) -> Node:
            asked.append(slot)
            return OWN

        world.view.history_owner = owner  # type: ignore[method-assign]
        await getattr(world.client, name)(*arguments)
        [(called, passed)] = world.own.calls
    assert asked == [expected]
    assert called == name
    assert passed[:2] == arguments[:2]


async def test_a_token_that_is_none_is_for_the_role_to_refuse() -> None:
    request = wf.RespondWorkflowTaskCompletedRequest(task_token=b"\xff")
    async with cluster() as world:
        world.view.history = OWN
        await world.client.respond_workflow_task_completed(NAMESPACE, request)
        assert world.own.called("respond_workflow_task_completed") == [(NAMESPACE, request)]


async def test_another_nodes_workflows_are_asked_of_it() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        world.view.history = server.node
        await world.client.start_workflow_execution(NAMESPACE, START)
        assert server.history.called("start_workflow_execution") == [(NAMESPACE, START)]
        server.history.answers["start_workflow_execution"] = NotFoundError("none")
        with pytest.raises(NotFoundError):
            await world.client.start_workflow_execution(NAMESPACE, START)
        assert len(server.history.calls) == 2
        assert not world.own.calls
        assert world.view.waits == 0


async def test_a_node_that_refuses_is_asked_again_when_the_view_has_changed() -> None:
    async with (
        serving_node("old") as old,
        serving_node("new") as new,
        cluster(old.node, new.node, settings=PATIENT) as world,
    ):
        old.history.answers["terminate_workflow_execution"] = NotOwnerError()
        world.view.history = old.node
        call = asyncio.ensure_future(
            world.client.terminate_workflow_execution(NAMESPACE, TERMINATE)
        )
        await world.view.refreshed.wait()
        assert not new.history.calls
        world.view.history = new.node
        world.view.change()
        await call
        assert len(old.history.calls) == len(new.history.calls) == 1


async def test_a_hint_is_followed_without_waiting() -> None:
    async with (
        serving_node("old") as old,
        serving_node("new") as new,
        cluster(old.node, new.node) as world,
    ):
        old.history.answers["terminate_workflow_execution"] = NotOwnerError("new")
        world.view.history = old.node
        await world.client.terminate_workflow_execution(NAMESPACE, TERMINATE)
        assert len(old.history.calls) == len(new.history.calls) == 1
        assert world.view.waits == 0


async def test_hints_that_lead_in_circles_end() -> None:
    async with (
        serving_node("old") as old,
        serving_node("new") as new,
        cluster(old.node, new.node, settings=IMPATIENT) as world,
    ):
        old.history.answers["terminate_workflow_execution"] = NotOwnerError("new")
        new.history.answers["terminate_workflow_execution"] = NotOwnerError("old")
        world.view.history = old.node
        with pytest.raises(UnavailableError, match="no node serves this right now"):
            await world.client.terminate_workflow_execution(NAMESPACE, TERMINATE)
        asked = len(old.history.calls) + len(new.history.calls)
        assert asked <= 2 * (world.view.waits + 1)


async def test_this_node_may_refuse_as_well() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        world.view.history = OWN
        world.own.answers["terminate_workflow_execution"] = NotOwnerError(server.node.id)
        await world.client.terminate_workflow_execution(NAMESPACE, TERMINATE)
        assert len(server.history.calls) == len(world.own.calls) == 1


@pytest.mark.parametrize("owner", [None, NOBODY, OWN])
async def test_without_an_owner_the_client_is_told_to_come_back(owner: Node | None) -> None:
    async with cluster(settings=IMPATIENT) as world:
        world.view.history = owner
        with pytest.raises(UnavailableError, match="no node serves this right now"):
            await world.without_role.terminate_workflow_execution(NAMESPACE, TERMINATE)
        assert world.view.refreshed.is_set()


async def test_an_owner_that_is_down_is_asked_when_it_is_up_again() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        world.view.history = server.node
        await world.client.start_workflow_execution(NAMESPACE, START)
        await server.stop()
        call = asyncio.ensure_future(world.client.start_workflow_execution(NAMESPACE, START))
        await world.view.refreshed.wait()
        await server.restart()
        await call
        assert len(server.history.calls) == 2


async def lose_the_connection(world: Cluster, server: Any, name: str, call: Any) -> Any:
    """Makes a call whose node dies while it is being carried out, and returns its task."""
    forever = Forever()
    server.history.answers[name] = forever
    world.view.history = server.node
    task = asyncio.ensure_future(call)
    await forever.reached.wait()
    world.view.history = OWN
    await server.stop()
    return task


async def test_what_may_have_been_carried_out_is_not_sent_again() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        for name, request in (
            ("terminate_workflow_execution", TERMINATE),
            ("start_workflow_execution", START_WITHOUT_ID),
            (
                "respond_activity_task_completed_by_id",
                wf.RespondActivityTaskCompletedByIdRequest(),
            ),
        ):
            call = getattr(world.client, name)(NAMESPACE, request)
            task = await lose_the_connection(world, server, name, call)
            with pytest.raises(PeerUnreachableError) as caught:
                await task
            assert caught.value.maybe_sent
            await server.restart()
        assert not world.own.calls


async def test_what_is_told_apart_by_an_id_is_sent_again() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        call = world.client.start_workflow_execution(NAMESPACE, START)
        task = await lose_the_connection(world, server, "start_workflow_execution", call)
        await task
        assert world.own.called("start_workflow_execution") == [(NAMESPACE, START)]


async def test_a_wait_that_goes_on_elsewhere_has_only_the_time_that_is_left() -> None:
    async with serving_node() as server, cluster(server.node) as world:
        name = "get_workflow_execution_history"
        call = world.client.get_workflow_execution_history(NAMESPACE, HISTORY, 30.0)
        task = await lose_the_connection(world, server, name, call)
        await task
        [(_, _, first)], [(_, _, second)] = server.history.called(name), world.own.called(name)
        assert 0 < second < first <= 30.0


async def test_a_caller_that_goes_away_ends_the_search() -> None:
    async with cluster(settings=PATIENT) as world:
        task = asyncio.ensure_future(world.client.start_workflow_execution(NAMESPACE, START))
        await world.view.refreshed.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_what_may_be_sent_again_exists() -> None:
    assert set(REPEATABLE) <= set(methods_of(HistoryClient))
