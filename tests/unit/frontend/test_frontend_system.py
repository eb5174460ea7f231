"""What the server says of itself, whom it takes, and what it has retired."""

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.errordetails.v1 import message_pb2 as details
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code
from unit.frontend.world import serving_frontend

INFO = wf.GetSystemInfoRequest()


async def test_only_what_works_is_announced() -> None:
    async with serving_frontend() as (_, client):
        info = await client.call("GetSystemInfo", INFO)
    assert info.server_version == "1.32.0"
    announced = {field.name for field, value in info.capabilities.ListFields() if value}
    assert announced == {
        "signal_and_query_header",
        "internal_error_differentiation",
        "activity_failure_include_heartbeat",
        "encoded_failure_attributes",
        "build_id_based_versioning",
        "upsert_memo",
        "supports_schedules",
        "sdk_metadata",
        "count_group_by_execution_status",
        "eager_workflow_start",
    }


async def test_the_cluster_describes_itself() -> None:
    async with serving_frontend() as (_, client):
        info = await client.call("GetClusterInfo", wf.GetClusterInfoRequest())
    described = MessageToDict(info, preserving_proto_field_name=True)
    assert described["cluster_id"] == "cluster"
    assert described["cluster_name"] == "active"
    assert described["supported_clients"]["temporal-ui"] == "<3.0.0"


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        (
            {"client-name": "temporal-go", "client-version": "9.0.0"},
            Code.FAILED_PRECONDITION,
            "Client version 9.0.0 is not supported. Server supports temporal-go versions: <2.0.0",
        ),
        (
            {"client-name": "temporal-go", "client-version": "x"},
            Code.INVALID_ARGUMENT,
            "Unable to parse client version: No Major.Minor.Patch elements found",
        ),
        (
            {"supported-server-versions": ">=2.0.0"},
            Code.FAILED_PRECONDITION,
            "Server version 1.32.0 is not supported. Client supports server versions: >=2.0.0",
        ),
        (
            {"supported-server-versions": "zz"},
            Code.INVALID_ARGUMENT,
            'Unable to parse supported server versions: Could not get version from string: "zz"',
        ),
        ({"client-name": "temporal-python", "client-version": "99"}, None, ""),
        ({"client-name": "temporal-go", "client-version": "1.30.0"}, None, ""),
        ({"supported-server-versions": ">=1.0.0 <2.0.0"}, None, ""),
        ({"supported-server-versions": "3.0.0 || !=1.31.0"}, None, ""),
    ],
)
async def test_clients_and_servers_that_do_not_go_together_part(
    headers: dict[str, str], code: Code | None, message: str
) -> None:
    async with serving_frontend() as (_, client):
        metadata = tuple(headers.items())
        if code is None:
            await client.call("GetSystemInfo", INFO, metadata=metadata)
            return
        answer = await client.refusal("GetSystemInfo", INFO, metadata=metadata)
    assert (answer.code, answer.message) == (code, message)
    if code is Code.INVALID_ARGUMENT:
        assert answer.status is None
    elif "client-name" in headers:
        assert answer.detail(details.ClientVersionNotSupportedFailure) == (
            details.ClientVersionNotSupportedFailure(
                client_version="9.0.0", client_name="temporal-go", supported_versions="<2.0.0"
            )
        )
    else:
        assert answer.detail(details.ServerVersionNotSupportedFailure) == (
            details.ServerVersionNotSupportedFailure(
                server_version="1.32.0", client_supported_server_versions=">=2.0.0"
            )
        )


@pytest.mark.parametrize(
    ("rpc", "code", "part"),
    [
        ("GetWorkerBuildIdCompatibility", Code.PERMISSION_DENIED, "v0.1"),
        ("GetWorkerVersioningRules", Code.PERMISSION_DENIED, "v0.2"),
        ("ListDeployments", Code.UNIMPLEMENTED, "Deployments are deprecated"),
        ("TriggerWorkflowRule", Code.UNIMPLEMENTED, "method TriggerWorkflowRule not supported"),
        ("FetchWorkerConfig", Code.UNIMPLEMENTED, "FetchWorkerConfig command is not enabled."),
    ],
)
async def test_what_is_retired_answers_as_the_real_server(rpc: str, code: Code, part: str) -> None:
    request = getattr(wf, f"{rpc}Request")
    async with serving_frontend() as (_, client):
        answer = await client.refusal(rpc, request(namespace="default"))
        missing = await client.refusal(rpc, request(namespace="nowhere"))
    assert answer.code is code
    assert part in answer.message
    denied = answer.detail(details.PermissionDeniedFailure) is not None
    assert denied == (code is Code.PERMISSION_DENIED)
    assert missing.code is Code.NOT_FOUND
