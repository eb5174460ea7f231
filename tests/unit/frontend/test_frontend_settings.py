"""Settings that operators give are what requests are checked against."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.query.v1.message_pb2 import WorkflowQuery
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.settings import FRONTEND
from perdure.config.settings import resolve
from perdure.core.errors import FailedPreconditionError
from perdure.frontend.deadlines import history_poll_timeout, task_poll_timeout
from perdure.frontend.settings import FrontendSettings
from unit.frontend.world import serving_frontend

LINK = common.Link(batch_job=common.Link.BatchJob(job_id="job"))
TWO_ATTRIBUTES = common.SearchAttributes(
    indexed_fields={
        name: common.Payload(metadata={"encoding": b"json/plain"}, data=b'"abc"')
        for name in ("MyKeyword", "MyText")
    }
)


def settings(**given: object) -> FrontendSettings:
    values, problems = resolve({key.replace("__", "."): value for key, value in given.items()})
    assert not problems
    return FRONTEND.build(values)


def start(**fields: Any) -> Message:
    return wf.StartWorkflowExecutionRequest(
        namespace="default",
        workflow_id="w",
        workflow_type=common.WorkflowType(name="t"),
        task_queue=TaskQueue(name="q"),
        **fields,
    )


def listing(query: str) -> Message:
    return wf.ListWorkflowExecutionsRequest(namespace="default", query=query)


@pytest.mark.parametrize(
    ("given", "request_", "message"),
    [
        (
            {"limit__maxIDLength": 3},
            start(request_id="long"),
            "RequestId length exceeds limit.",
        ),
        (
            {"limit__fairnessKeySize": 3},
            start(priority=common.Priority(fairness_key="long")),
            "fairness key length exceeds limit",
        ),
        (
            {"limit__memoSize__error": 1},
            start(memo=common.Memo(fields={"a": common.Payload()})),
            "Memo size exceeds limit.",
        ),
        (
            {"limit__blobSize__error": 1},
            start(input=common.Payloads(payloads=[common.Payload(data=b"long")])),
            "Blob data size exceeds limit.",
        ),
        (
            {"frontend__maxlinksPerRequest": 1},
            start(links=[LINK, LINK]),
            "cannot attach more than 1 links per request, got 2",
        ),
        (
            {"frontend__linkMaxSize": 3},
            start(links=[LINK]),
            f"link exceeds allowed size of 3, got {LINK.ByteSize()}",
        ),
        (
            {"frontend__searchAttributesNumberOfKeysLimit": 1},
            start(search_attributes=TWO_ATTRIBUTES),
            "number of search attributes 2 exceeds limit 1",
        ),
        (
            {"frontend__searchAttributesSizeOfValueLimit": 3},
            start(search_attributes=TWO_ATTRIBUTES),
            "search attribute MyKeyword value size 5 exceeds size limit 3",
        ),
        (
            {"frontend__searchAttributesTotalSizeLimit": 3},
            start(search_attributes=TWO_ATTRIBUTES),
            f"total size of search attributes {TWO_ATTRIBUTES.ByteSize()} exceeds size limit 3",
        ),
        (
            {"frontend__visibilityQueryMaxSize": 20},
            listing("WorkflowId = 'workflow-1'"),
            "invalid query: longer than 20 bytes",
        ),
        (
            {"frontend__visibilityQueryMaxTokens": 4},
            listing("WorkflowId IN ('a')"),
            "invalid query: more than 4 words, values and operators",
        ),
        (
            {"frontend__visibilityQueryMaxNesting": 2},
            listing("((RunId = 'a'))"),
            "invalid query: malformed SQL query: max nesting level reached at position 30",
        ),
        (
            {"frontend__visibilityQueryMaxAlternations": 1},
            listing("RunId = 'a' OR RunId = 'b' AND RunId = 'c'"),
            "invalid query: AND and OR alternate more than 1 times",
        ),
        (
            {"system__namespaceMinRetentionLocal": "2d"},
            wf.RegisterNamespaceRequest(
                namespace="n", workflow_execution_retention_period=Duration(seconds=86_400)
            ),
            "A valid retention period is not set on request.",
        ),
        (
            {"limit__workerBuildIdSize": 3},
            wf.PollWorkflowTaskQueueRequest(
                namespace="default",
                task_queue=TaskQueue(name="q"),
                worker_version_capabilities=common.WorkerVersionCapabilities(build_id="long"),
            ),
            "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.",
        ),
    ],
    ids=lambda value: next(iter(value)).replace("__", ".") if isinstance(value, dict) else "",
)
async def test_a_limit_refuses_what_its_default_lets_pass(
    given: dict[str, object], request_: Message, message: str
) -> None:
    rpc = request_.DESCRIPTOR.name.removesuffix("Request")
    async with serving_frontend() as (_, client):
        await client.call(rpc, request_)
    async with serving_frontend(settings=settings(**given)) as (_, client):
        assert (await client.refusal(rpc, request_)).message == message


async def test_a_task_timeout_is_cut_to_the_longest_one() -> None:
    given = settings(system__maxWorkflowTaskTimeout="30s")
    async with serving_frontend(settings=given) as (world, client):
        await client.call(
            "StartWorkflowExecution", start(workflow_task_timeout=Duration(seconds=60))
        )
    assert world.history.last[1].workflow_task_timeout.seconds == 30


async def test_a_query_without_a_deadline_waits_as_long_as_it_is_told() -> None:
    request = wf.QueryWorkflowRequest(
        namespace="default",
        execution=common.WorkflowExecution(workflow_id="w"),
        query=WorkflowQuery(query_type="q"),
    )
    async with serving_frontend(settings=settings(frontend__queryTimeout="7s")) as (world, client):
        await client.call("QueryWorkflow", request, timeout=None)
    assert 7.0 in world.history.last


class Waiting:
    """A call whose caller gives up in so many seconds."""

    metadata: Mapping[str, str | bytes] = {}
    peer = ""
    certificate = None

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


def test_a_poll_ends_the_margin_before_its_caller_gives_up() -> None:
    given = settings(frontend__minLongPollTimeout="40s", frontend__longPollMargin="5s")
    with pytest.raises(FailedPreconditionError, match="Context timeout is too short"):
        task_poll_timeout(Waiting(39.0), given)
    assert task_poll_timeout(Waiting(41.0), given) == 36.0
    assert history_poll_timeout(Waiting(20.0), given) == 15.0


def test_long_polls_end_by_themselves() -> None:
    given = settings(
        matching__longPollExpirationInterval="30s", history__longPollExpirationInterval="10s"
    )
    assert task_poll_timeout(Waiting(90.0), given) == 30.0
    assert history_poll_timeout(Waiting(None), given) == 10.0
