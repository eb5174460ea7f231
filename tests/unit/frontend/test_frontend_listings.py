"""Listing and counting workflows over a store with rows in it."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.filter.v1.message_pb2 import (
    StartTimeFilter,
    StatusFilter,
    WorkflowExecutionFilter,
    WorkflowTypeFilter,
)
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import Commit, CurrentWrite, RunWrite, VisibilityRow
from perdure.core.errors import Code
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.persistence.ports import Result
from unit.frontend.world import Client, World, serving_frontend

SECOND = 1_000_000_000
RUNNING, COMPLETED, FAILED = 1, 2, 3
MEMO = common.Memo(fields={"note": common.Payload(data=b"n")})
ATTRIBUTES = common.SearchAttributes(indexed_fields={"MyKeyword": common.Payload(data=b'"k"')})


def row(world: World, number: int, status: int) -> VisibilityRow:
    return VisibilityRow(
        namespace_id=world.default.id,
        run_id=f"run-{number}",
        workflow_id=f"workflow-{number}",
        workflow_type="even" if number % 2 == 0 else "odd",
        task_queue="queue",
        status=status,
        start_time=(100 + number) * SECOND,
        execution_time=(100 + number) * SECOND,
        close_time=0 if status == RUNNING else (200 + number) * SECOND,
        history_length=0 if status == RUNNING else 11,
        history_size_bytes=0 if status == RUNNING else 1_000,
        state_transition_count=0 if status == RUNNING else 7,
        memo=MEMO.SerializeToString(),
        search_attributes=ATTRIBUTES.SerializeToString(),
        search_values={"MyKeyword": "k", "MyInt": number},
        parent_workflow_id="parent" if number == 0 else "",
        parent_run_id="parent-run" if number == 0 else "",
    )


async def fill(world: World, statuses: list[int], *, division: str = "") -> None:
    """Commits a run for each status, in a division of the namespace if one is given."""
    shard = await world.store.acquire_shard(0, SLOT_COUNT - 1, "test")
    commits = []
    for number, status in enumerate(statuses):
        shown = row(world, number, status)
        if division:
            values = {**shown.search_values, "TemporalNamespaceDivision": division}
            shown = replace(shown, search_values=values)
        commits.append(
            Commit(
                namespace_id=world.default.id,
                workflow_id=shown.workflow_id,
                slot=slot_of(world.default.id, shown.workflow_id),
                epoch=shard.epoch,
                current=CurrentWrite("", shown.run_id),
                runs=[RunWrite(shown.run_id, 0, b"state", start=b"start")],
                visibility=[shown],
            )
        )
    outcomes = await world.store.commit(commits)
    assert {outcome.result for outcome in outcomes} == {Result.COMMITTED}


async def ids(client: Client, rpc: str = "ListWorkflowExecutions", **fields: Any) -> list[str]:
    request = getattr(wf, f"{rpc}Request")(namespace="default", **fields)
    response = await client.call(rpc, request)
    return [info.execution.workflow_id for info in response.executions]


async def test_runs_are_shown_with_what_is_known_of_them() -> None:
    async with serving_frontend() as (world, client):
        await fill(world, [COMPLETED, RUNNING])
        request = wf.ListWorkflowExecutionsRequest(namespace="default")
        response = await client.call("ListWorkflowExecutions", request)
    running, closed = response.executions
    assert running.execution.run_id == "run-1"
    assert running.type.name == "odd"
    assert running.status == RUNNING
    assert running.start_time.seconds == 101
    assert not running.HasField("close_time")
    assert not running.HasField("parent_execution")
    assert running.root_execution == running.execution
    assert running.memo == MEMO
    assert running.search_attributes == ATTRIBUTES
    assert closed.close_time.seconds == 200
    assert closed.execution_duration.seconds == 100
    assert (closed.history_length, closed.state_transition_count) == (11, 7)
    assert closed.parent_execution == common.WorkflowExecution(
        workflow_id="parent", run_id="parent-run"
    )


@pytest.mark.parametrize("rpc", ["ListWorkflowExecutions", "ScanWorkflowExecutions"])
async def test_listings_come_in_pages(rpc: str) -> None:
    async with serving_frontend() as (world, client):
        await fill(world, [RUNNING, COMPLETED, RUNNING, FAILED, COMPLETED])
        seen, token, pages = [], b"", 0
        while token or not pages:
            request = getattr(wf, f"{rpc}Request")(
                namespace="default", page_size=2, next_page_token=token
            )
            response = await client.call(rpc, request)
            seen += [info.execution.workflow_id for info in response.executions]
            token = response.next_page_token
            pages += 1
        assert pages == 3
        assert seen == [f"workflow-{number}" for number in (2, 0, 4, 3, 1)]
        assert await ids(client, rpc, page_size=5_000) == seen
        assert await ids(client, rpc, page_size=-1) == seen


async def test_a_page_token_of_another_kind_is_refused() -> None:
    request = wf.ListWorkflowExecutionsRequest(namespace="default", next_page_token=b"zz")
    async with serving_frontend() as (_, client):
        answer = await client.refusal("ListWorkflowExecutions", request)
    assert answer.code is Code.UNKNOWN
    assert answer.message.startswith("something went wrong, please retry (")


async def test_queries_choose_what_is_listed_and_counted() -> None:
    query = "ExecutionStatus != 'Running' AND MyInt >= 1"
    async with serving_frontend() as (world, client):
        await fill(world, [COMPLETED, RUNNING, FAILED])
        assert await ids(client, query=query) == ["workflow-2"]
        # List takes a query with GROUP BY, and ignores that part.
        grouped = f"{query} GROUP BY ExecutionStatus"
        assert await ids(client, query=grouped) == ["workflow-2"]
        request = wf.CountWorkflowExecutionsRequest(namespace="default", query=query)
        assert (await client.call("CountWorkflowExecutions", request)).count == 1


async def test_counts_by_status() -> None:
    async with serving_frontend() as (world, client):
        await fill(world, [COMPLETED, RUNNING, FAILED, COMPLETED])
        request = wf.CountWorkflowExecutionsRequest(
            namespace="default", query="GROUP BY ExecutionStatus"
        )
        response = await client.call("CountWorkflowExecutions", request)
    assert response.count == 4
    groups = {group.group_values[0].data: group.count for group in response.groups}
    assert groups == {b'"Running"': 1, b'"Completed"': 2, b'"Failed"': 1}
    assert dict(response.groups[0].group_values[0].metadata) == {
        "encoding": b"json/plain",
        "type": b"Keyword",
    }


@pytest.mark.parametrize(
    ("rpc", "fields", "expected"),
    [
        ("ListOpenWorkflowExecutions", {}, [3, 1]),
        ("ListClosedWorkflowExecutions", {}, [2, 0]),
        ("ListOpenWorkflowExecutions", {"maximum_page_size": 1}, [3]),
        (
            "ListOpenWorkflowExecutions",
            {"execution_filter": WorkflowExecutionFilter(workflow_id="workflow-1")},
            [1],
        ),
        (
            "ListOpenWorkflowExecutions",
            {"execution_filter": WorkflowExecutionFilter(workflow_id="workflow-1", run_id="x")},
            [1],
        ),
        ("ListOpenWorkflowExecutions", {"type_filter": WorkflowTypeFilter(name="even")}, []),
        ("ListClosedWorkflowExecutions", {"type_filter": WorkflowTypeFilter(name="even")}, [2, 0]),
        ("ListClosedWorkflowExecutions", {"status_filter": StatusFilter(status=FAILED)}, [2]),
        (
            "ListClosedWorkflowExecutions",
            {
                "start_time_filter": StartTimeFilter(
                    earliest_time=Timestamp(seconds=99), latest_time=Timestamp(seconds=101)
                )
            },
            [0],
        ),
        (
            "ListClosedWorkflowExecutions",
            {"start_time_filter": StartTimeFilter(earliest_time=Timestamp(seconds=101))},
            [2],
        ),
        (
            "ListClosedWorkflowExecutions",
            {"start_time_filter": StartTimeFilter(latest_time=Timestamp(seconds=2**62))},
            [2, 0],
        ),
    ],
)
async def test_old_listings_filter_by_fields(
    rpc: str, fields: dict[str, Any], expected: list[int]
) -> None:
    async with serving_frontend() as (world, client):
        await fill(world, [COMPLETED, RUNNING, FAILED, RUNNING])
        found = await ids(client, rpc, **fields)
    assert found == [f"workflow-{number}" for number in expected]


async def test_runs_of_a_division_are_listed_only_where_it_is_named() -> None:
    async with serving_frontend() as (world, client):
        await fill(world, [RUNNING, COMPLETED], division="Mine")
        assert await ids(client) == []
        assert await ids(client, query="WorkflowId = 'workflow-0'") == []
        assert await ids(client, "ListOpenWorkflowExecutions") == []
        assert await ids(client, "ListClosedWorkflowExecutions") == []
        named = "TemporalNamespaceDivision = 'Mine'"
        assert await ids(client, query=named) == ["workflow-0", "workflow-1"]
        counts = [
            (await client.call("CountWorkflowExecutions", request)).count
            for request in (
                wf.CountWorkflowExecutionsRequest(namespace="default"),
                wf.CountWorkflowExecutionsRequest(namespace="default", query=named),
            )
        ]
    assert counts == [0, 2]
