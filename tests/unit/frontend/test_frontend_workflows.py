"""What history gets of requests about workflows that exist."""

from typing import Any

import pytest
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.query.v1.message_pb2 import WorkflowQuery
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, NotFoundError
from perdure.frontend.settings import FrontendSettings
from unit.frontend.world import serving_frontend

RUN = common.WorkflowExecution(workflow_id="w", run_id="01a20bb2-3a33-7a6c-80df-778edbcdb527")


def history_request(**fields: Any) -> wf.GetWorkflowExecutionHistoryRequest:
    return wf.GetWorkflowExecutionHistoryRequest(namespace="default", execution=RUN, **fields)


@pytest.mark.parametrize(("asked", "passed"), [(0, 256), (-1, 256), (5, 5), (100_000, 256)])
async def test_pages_of_history_have_a_size(asked: int, passed: int) -> None:
    rpc = "GetWorkflowExecutionHistory"
    async with serving_frontend() as (world, client):
        await client.call(rpc, history_request(maximum_page_size=asked))
        _, request, _ = world.history.last
    assert request.maximum_page_size == passed


async def test_a_read_of_history_ends_before_its_caller_gives_up() -> None:
    rpc = "GetWorkflowExecutionHistory"
    async with serving_frontend() as (world, client):
        await client.call(rpc, history_request(wait_new_event=True), timeout=600)
        await client.call(rpc, history_request(wait_new_event=True), timeout=None)
        await client.call(rpc, history_request(wait_new_event=True), timeout=5)
        waits = [arguments[2] for _, arguments in world.history.calls]
    assert waits[:2] == [20, 20]
    assert 3 < waits[2] < 4.5


async def test_a_query_waits_as_long_as_its_caller() -> None:
    request = wf.QueryWorkflowRequest(
        namespace="default", execution=RUN, query=WorkflowQuery(query_type="q")
    )
    async with serving_frontend() as (world, client):
        await client.call("QueryWorkflow", request, timeout=None)
        await client.call("QueryWorkflow", request, timeout=100)
        (_, (_, _, forever)), (_, (_, _, limited)) = world.history.calls
    assert forever == 60
    assert 90 < limited < 110


@pytest.mark.parametrize(
    "run_id",
    [
        "01a20bb2-3a33-7a6c-80df-778edbcdb527",
        "01A20BB2-3A33-7A6C-80DF-778EDBCDB527",
        "01a20bb23a337a6c80df778edbcdb527",
        "{01a20bb2-3a33-7a6c-80df-778edbcdb527}",
        "urn:uuid:01a20bb2-3a33-7a6c-80df-778edbcdb527",
    ],
)
async def test_a_run_id_may_have_any_form_of_a_uuid(run_id: str) -> None:
    execution = common.WorkflowExecution(workflow_id="w", run_id=run_id)
    request = wf.DescribeWorkflowExecutionRequest(namespace="default", execution=execution)
    async with serving_frontend() as (world, client):
        await client.call("DescribeWorkflowExecution", request)
        assert world.history.last[1].execution.run_id == run_id


async def test_errors_of_history_reach_the_client() -> None:
    request = wf.DescribeWorkflowExecutionRequest(namespace="default", execution=RUN)
    async with serving_frontend() as (world, client):
        error = NotFoundError("workflow not found for ID: w")
        world.history.answers["describe_workflow_execution"] = error
        answer = await client.refusal("DescribeWorkflowExecution", request)
    assert (answer.code, answer.message) == (Code.NOT_FOUND, error.message)
    assert answer.status is not None


@pytest.mark.parametrize(
    ("count", "keys"), [(1, ["queue"]), (3, ["queue", "/_sys/queue/1", "/_sys/queue/2"])]
)
async def test_a_task_queue_has_as_many_partitions_as_tasks_spread_over(
    count: int, keys: list[str]
) -> None:
    request = wf.ListTaskQueuePartitionsRequest(
        namespace="default", task_queue=TaskQueue(name="queue")
    )
    settings = FrontendSettings(task_queue_partitions=count)
    async with serving_frontend(settings=settings) as (_, client):
        response = await client.call("ListTaskQueuePartitions", request)
    for partitions in (
        response.activity_task_queue_partitions,
        response.workflow_task_queue_partitions,
    ):
        assert [found.key for found in partitions] == keys
        assert {found.owner_host_name for found in partitions} == {"here:7233"}
