"""Queries that ride along with workflow tasks see whatever was acknowledged before them."""

import asyncio

from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.slots import SLOT_COUNT
from perdure.rpc.clients import Poller
from unit.history.world import NAMESPACE, Server, World, execution, run, settle


def queried(server: Server) -> asyncio.Task[wf.QueryWorkflowResponse]:
    request = wf.QueryWorkflowRequest(
        namespace=NAMESPACE.name,
        execution=execution("a"),
        query=WorkflowQuery(query_type="number"),
    )
    return asyncio.create_task(server.history.query_workflow(NAMESPACE, request, 60.0))


def test_a_start_that_is_answered_again_takes_no_query_past_a_signal() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        (task,) = await world.store.read_tasks(0, SLOT_COUNT - 1, None, 10)
        poller = Poller("poll", "worker", wf.PollWorkflowTaskQueueRequest())
        await server.history.record_workflow_task_started(task, poller)
        await server.signal("a")
        query = queried(server)
        await settle()
        again = await server.history.record_workflow_task_started(task, poller)
        first = wf.PollWorkflowTaskQueueResponse.FromString(bytes(again))
        assert not first.queries
        await server.complete(first)
        second = await server.take()
        assert len(second.queries) == 1
        assert second.history.events[-1].event_id > first.history.events[-1].event_id
        query.cancel()

    run(scenario)


def test_a_start_that_is_answered_again_takes_a_query_along() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await server.start("a")
        (task,) = await world.store.read_tasks(0, SLOT_COUNT - 1, None, 10)
        poller = Poller("poll", "worker", wf.PollWorkflowTaskQueueRequest())
        await server.history.record_workflow_task_started(task, poller)
        query = queried(server)
        await settle()
        again = await server.history.record_workflow_task_started(task, poller)
        response = wf.PollWorkflowTaskQueueResponse.FromString(bytes(again))
        assert len(response.queries) == 1
        query.cancel()

    run(scenario)
