"""What workers say: tokens, polls and their deadlines, and reports that are too large."""

from typing import Any

import pytest
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.deployment.v1.message_pb2 import WorkerDeploymentOptions
from temporalio.api.failure.v1.message_pb2 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, NotFoundError
from perdure.frontend.settings import FrontendSettings
from perdure.proto.stored_pb2 import TaskToken
from unit.frontend.world import World, serving_frontend

LARGE = common.Payloads(payloads=[common.Payload(data=b"a" * 2_000)])
SMALL_LIMITS = FrontendSettings(max_blob_bytes=1_000, truncated_failure_bytes=500)
POLLS = ("PollWorkflowTaskQueue", "PollActivityTaskQueue")
WORKFLOW_RPCS = ("RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed")
ACTIVITY_RPCS = (
    "RespondActivityTaskCompleted",
    "RespondActivityTaskFailed",
    "RespondActivityTaskCanceled",
    "RecordActivityTaskHeartbeat",
)
QUERY_RPC = "RespondQueryTaskCompleted"


def request_of(rpc: str, **fields: Any) -> Any:
    return getattr(wf, f"{rpc}Request")(**fields)


def token_of(world: World, kind: int, namespace_id: str = "") -> bytes:
    return TaskToken(
        kind=kind,  # type: ignore[arg-type]
        namespace_id=namespace_id or world.default.id,
        workflow_id="w",
        run_id="r",
        query_task_id="query",
    ).SerializeToString()


def kind_for(rpc: str) -> int:
    if rpc == QUERY_RPC:
        return TaskToken.KIND_QUERY
    return TaskToken.KIND_WORKFLOW if rpc in WORKFLOW_RPCS else TaskToken.KIND_ACTIVITY


@pytest.mark.parametrize("rpc", [*WORKFLOW_RPCS, *ACTIVITY_RPCS, QUERY_RPC])
async def test_a_token_belongs_to_its_namespace(rpc: str) -> None:
    async with serving_frontend() as (world, client):
        other = await world.namespaces.ensure("other", retention_seconds=86_400)
        token = token_of(world, kind_for(rpc))
        answer = await client.refusal(rpc, request_of(rpc, namespace="other", task_token=token))
        assert answer.code is Code.INVALID_ARGUMENT
        assert answer.message == "Operation requested with a token from a different namespace."
        await client.call(rpc, request_of(rpc, namespace="default", task_token=token))
        # A worker need not name the namespace beside its token.
        token = token_of(world, kind_for(rpc), other.id)
        await client.call(rpc, request_of(rpc, task_token=token))
        recorder = world.matching if rpc == QUERY_RPC else world.history
        assert len(recorder.calls) == 2


@pytest.mark.parametrize("rpc", [*WORKFLOW_RPCS, QUERY_RPC])
async def test_a_token_of_another_kind_names_no_task(rpc: str) -> None:
    async with serving_frontend() as (world, client):
        token = token_of(world, TaskToken.KIND_ACTIVITY)
        answer = await client.refusal(rpc, request_of(rpc, namespace="default", task_token=token))
        assert answer.code is Code.NOT_FOUND
        assert not world.history.calls
        assert not world.matching.calls


async def test_a_querys_answer_goes_to_whoever_asked() -> None:
    async with serving_frontend() as (world, client):
        token = token_of(world, TaskToken.KIND_QUERY)
        request = request_of(QUERY_RPC, namespace="default", task_token=token, error_message="no")
        await client.call(QUERY_RPC, request)
        name, (query_task_id, passed) = world.matching.calls[-1]
        assert (name, query_task_id) == ("respond_query_task_completed", "query")
        assert passed.error_message == "no"
        gone = NotFoundError("query task not found, or already expired")
        world.matching.answers[name] = gone
        answer = await client.refusal(QUERY_RPC, request)
        assert (answer.code, answer.message) == (Code.NOT_FOUND, gone.message)


@pytest.mark.parametrize("rpc", POLLS)
async def test_a_poll_needs_time_and_ends_before_its_caller_gives_up(rpc: str) -> None:
    request = request_of(rpc, namespace="default", task_queue=TaskQueue(name="queue"))
    async with serving_frontend() as (world, client):
        answer = await client.refusal(rpc, request, timeout=None)
        assert answer.code is Code.INVALID_ARGUMENT
        assert answer.message == "Context timeout is not set."
        answer = await client.refusal(rpc, request, timeout=1.5)
        assert answer.code is Code.FAILED_PRECONDITION
        assert answer.message == "Context timeout is too short."
        assert not world.matching.calls
        await client.call(rpc, request, timeout=30)
        await client.call(rpc, request, timeout=600)
        (_, (_, _, short)), (_, (_, _, full)) = world.matching.calls
    assert 20 < short < 29.5
    assert full == 60


@pytest.mark.parametrize("rpc", POLLS)
async def test_versioned_workers_are_refused_by_name(rpc: str) -> None:
    versioned = (
        {
            "deployment_options": WorkerDeploymentOptions(
                deployment_name="a", build_id="b", worker_versioning_mode=2
            )
        },
        {
            "worker_version_capabilities": common.WorkerVersionCapabilities(
                build_id="b", use_versioning=True
            )
        },
    )
    async with serving_frontend() as (world, client):
        for fields in versioned:
            queue = TaskQueue(name="queue")
            request = request_of(rpc, namespace="default", task_queue=queue, **fields)
            answer = await client.refusal(rpc, request)
            assert answer.code is Code.UNIMPLEMENTED
        assert not world.matching.calls


async def test_a_completion_in_pages_is_refused_by_name() -> None:
    rpc = "RespondWorkflowTaskCompleted"
    async with serving_frontend() as (world, client):
        token = token_of(world, TaskToken.KIND_WORKFLOW)
        request = request_of(rpc, namespace="default", task_token=token, intermediate_page=True)
        assert (await client.refusal(rpc, request)).code is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("rpc", "field", "message"),
    [
        ("RespondActivityTaskCompleted", "result", "Complete result exceeds size limit."),
        ("RespondActivityTaskCanceled", "details", "Cancel details exceed size limit."),
        ("RecordActivityTaskHeartbeat", "details", "Heartbeat details exceed size limit."),
    ],
)
@pytest.mark.parametrize("by_id", [False, True])
async def test_a_large_report_fails_its_activity(
    rpc: str, field: str, message: str, by_id: bool
) -> None:
    async with serving_frontend(settings=SMALL_LIMITS) as (world, client):
        if by_id:
            rpc += "ById"
            names: dict[str, Any] = {"workflow_id": "w", "run_id": "", "activity_id": "a"}
        else:
            names = {"task_token": token_of(world, TaskToken.KIND_ACTIVITY)}
        fields = {**names, "identity": "me"}
        request = request_of(rpc, namespace="default", **fields, **{field: LARGE})
        response = await client.call(rpc, request)
        ((called, (namespace, failed)),) = world.history.calls
    assert called == "respond_activity_task_failed" + ("_by_id" if by_id else "")
    assert namespace == world.default
    assert {name: getattr(failed, name) for name in fields} == fields
    assert failed.failure.message == message
    assert failed.failure.server_failure_info.non_retryable
    if field == "details" and "Heartbeat" in rpc:
        assert response.cancel_requested


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_large_failure_is_cut_and_the_worker_is_told(by_id: bool) -> None:
    failure = Failure(
        message="é" * 1_000,
        stack_trace="s" * 1_000,
        application_failure_info=ApplicationFailureInfo(
            type="Kind", non_retryable=True, details=LARGE
        ),
    )
    rpc = "RespondActivityTaskFailed" + ("ById" if by_id else "")
    async with serving_frontend(settings=SMALL_LIMITS) as (world, client):
        names: dict[str, Any] = (
            {"workflow_id": "w", "activity_id": "a"}
            if by_id
            else {"task_token": token_of(world, TaskToken.KIND_ACTIVITY)}
        )
        request = request_of(
            rpc, namespace="default", failure=failure, last_heartbeat_details=LARGE, **names
        )
        response = await client.call(rpc, request)
        _, passed = world.history.last
    assert [told.message for told in response.failures] == [
        "Heartbeat details exceed size limit.",
        "Failure exceeds size limit.",
    ]
    assert not passed.HasField("last_heartbeat_details")
    assert passed.failure == response.failures[1]
    cause = passed.failure.cause
    assert cause.ByteSize() <= 500
    assert set(cause.message) == {"é"}
    assert cause.application_failure_info.type == "Kind"
    assert cause.application_failure_info.non_retryable
    assert not cause.application_failure_info.HasField("details")


async def test_causes_of_a_large_failure_are_cut_too() -> None:
    failure = Failure(message="outer")
    innermost = failure
    for depth in range(40):
        innermost.cause.message = f"cause {depth} " + "x" * 40
        innermost = innermost.cause
    rpc = "RespondWorkflowTaskFailed"
    async with serving_frontend(settings=SMALL_LIMITS) as (world, client):
        token = token_of(world, TaskToken.KIND_WORKFLOW)
        request = request_of(rpc, namespace="default", task_token=token, failure=failure)
        await client.call(rpc, request)
        _, passed = world.history.last
    kept = passed.failure.cause
    assert passed.failure.message == "Failure exceeds size limit."
    assert kept.message == "outer"
    assert kept.cause.message.startswith("cause 0")
    assert kept.ByteSize() <= 500


async def test_an_activity_fails_with_an_application_failure() -> None:
    rpc = "RespondActivityTaskFailed"
    async with serving_frontend() as (world, client):
        token = token_of(world, TaskToken.KIND_ACTIVITY)
        request = request_of(
            rpc, namespace="default", task_token=token, failure=Failure(message="plain")
        )
        answer = await client.refusal(rpc, request)
        assert answer.message == "Failure must have ApplicationFailureInfo."
        await client.call(rpc, request_of(rpc, namespace="default", task_token=token))


async def test_a_worker_that_goes_away_takes_its_polls_along() -> None:
    async with serving_frontend() as (world, client):
        request = wf.ShutdownWorkerRequest(
            namespace="default",
            task_queue="queue",
            sticky_task_queue="sticky",
            worker_instance_key="worker",
        )
        await client.call("ShutdownWorker", request)
        assert world.matching.calls == [
            ("cancel_polls", (world.default.id, "queue", "worker")),
            ("cancel_polls", (world.default.id, "sticky", "worker")),
            ("abandon_queue", (world.default.id, "sticky")),
        ]
        await client.call("ShutdownWorker", wf.ShutdownWorkerRequest(namespace="default"))
        assert len(world.matching.calls) == 3
