"""What history gets of a start: defaults filled in, policies settled, types named."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflow.v1.message_pb2 import VersioningOverride
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code
from unit.frontend.world import Client, World, serving_frontend

ALLOW, REJECT, TERMINATE = 1, 3, 4
FAIL, USE_EXISTING, TERMINATE_EXISTING = 1, 2, 3
HUNDRED_YEARS = 100 * 365 * 86_400


def start(**fields: Any) -> wf.StartWorkflowExecutionRequest:
    return wf.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="workflow",
        workflow_type=common.WorkflowType(name="type"),
        task_queue=TaskQueue(name="queue"),
        **fields,
    )


def signal_with_start(**fields: Any) -> wf.SignalWithStartWorkflowExecutionRequest:
    return wf.SignalWithStartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="workflow",
        workflow_type=common.WorkflowType(name="type"),
        task_queue=TaskQueue(name="queue"),
        signal_name="signal",
        **fields,
    )


async def started(world: World, client: Client, **fields: Any) -> Any:
    """Returns the request that history gets."""
    await client.call("StartWorkflowExecution", start(**fields))
    namespace, request = world.history.last
    assert namespace == world.default
    return request


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


@pytest.mark.parametrize(
    ("execution", "run", "task", "expected"),
    [
        (None, None, None, (0, 0, 10)),
        (20, None, None, (20, 20, 10)),
        (20, 30, None, (20, 20, 10)),
        (None, 5, None, (0, 5, 5)),
        (None, 5, 7, (0, 5, 5)),
        (None, None, 500, (0, 0, 120)),
        (None, 500, 130, (0, 500, 120)),
        (1 << 60, None, None, (HUNDRED_YEARS, HUNDRED_YEARS, 10)),
        (0, 0, 0, (0, 0, 10)),
    ],
)
async def test_timeouts_follow_from_each_other(
    execution: int | None,
    run: int | None,
    task: int | None,
    expected: tuple[int, int, int],
) -> None:
    given = {
        "workflow_execution_timeout": execution,
        "workflow_run_timeout": run,
        "workflow_task_timeout": task,
    }
    fields = {name: Duration(seconds=value) for name, value in given.items() if value is not None}
    async with serving_frontend() as (world, client):
        request = await started(world, client, **fields)
    assert tuple(seconds(getattr(request, name)) for name in given) == expected


async def test_a_request_id_is_made_where_there_is_none() -> None:
    async with serving_frontend() as (world, client):
        first = (await started(world, client)).request_id
        second = (await started(world, client)).request_id
        assert first
        assert first != second
        assert (await started(world, client, request_id="mine")).request_id == "mine"


@pytest.mark.parametrize(
    ("reuse", "conflict", "expected"),
    [
        (0, 0, (ALLOW, FAIL)),
        (REJECT, USE_EXISTING, (REJECT, USE_EXISTING)),
        (TERMINATE, 0, (ALLOW, TERMINATE_EXISTING)),
        (77, 88, (ALLOW, FAIL)),
    ],
)
async def test_policies_have_effective_values(
    reuse: int, conflict: int, expected: tuple[int, int]
) -> None:
    async with serving_frontend() as (world, client):
        request = await started(
            world, client, workflow_id_reuse_policy=reuse, workflow_id_conflict_policy=conflict
        )
    assert (request.workflow_id_reuse_policy, request.workflow_id_conflict_policy) == expected


async def test_a_signal_with_start_uses_what_runs() -> None:
    async with serving_frontend() as (world, client):
        await client.call("SignalWithStartWorkflowExecution", signal_with_start())
        _, request = world.history.last
    assert request.workflow_id_conflict_policy == USE_EXISTING
    assert request.request_id
    assert seconds(request.workflow_task_timeout) == 10


async def test_search_attributes_get_their_types() -> None:
    payload = common.Payload(metadata={"encoding": b"json/plain"}, data=b"5")
    attributes = common.SearchAttributes(indexed_fields={"MyInt": payload})
    async with serving_frontend() as (world, client):
        request = await started(world, client, search_attributes=attributes)
    kept = request.search_attributes.indexed_fields["MyInt"]
    assert kept.metadata["type"] == b"Int"
    assert kept.data == b"5"


async def test_what_does_not_exist_yet_is_refused_by_name() -> None:
    request = start(versioning_override=VersioningOverride(auto_upgrade=True))
    async with serving_frontend() as (world, client):
        answer = await client.refusal("StartWorkflowExecution", request)
        assert not world.history.calls
    assert answer.code is Code.UNIMPLEMENTED
    assert answer.message.startswith("versioning overrides")
