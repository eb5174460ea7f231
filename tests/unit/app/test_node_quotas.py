"""A whole node whose limits come from a file that changes."""

import asyncio
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from conformance.driver import until
from perdure.app.node import Node, start_node
from perdure.config.errors import ConfigError
from perdure.config.settings import Values
from perdure.config.static import DynamicSettings, Listener, Listeners, Metrics, ServerConfig
from perdure.telemetry import catalogue


def config(path: Path) -> ServerConfig:
    return ServerConfig(
        listeners=Listeners(grpc=Listener(port=0)),
        metrics=Metrics(),
        namespaces=["default"],
        dynamic_settings=DynamicSettings(path=str(path), poll_seconds=0.1),
    )


async def code(stub: WorkflowServiceStub) -> grpc.StatusCode:
    """Returns how a request ends; without a limit the workflow is not found."""
    request = wf.DescribeWorkflowExecutionRequest(namespace="default")
    request.execution.workflow_id = "nobody"
    call = stub.DescribeWorkflowExecution(request)
    found: grpc.StatusCode = await call.code()
    return found


def samples(node: Node, name: str) -> list[tuple[dict[str, str], float]]:
    with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
        text = str(response.read(), "utf-8")
    families = text_string_to_metric_families(text)
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name.removesuffix("_total") == name
    ]


async def test_limits_follow_their_file_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "settings.yml"
    path.write_text("frontend.namespaceRPS: 1\nfrontend.namespaceBurstRatio: 1\n")
    async with AsyncExitStack() as parts:
        node = await start_node(config(path), Values(), parts)
        channel = await parts.enter_async_context(grpc.aio.insecure_channel(node.places["gRPC"]))
        stub = WorkflowServiceStub(channel)
        codes = [await code(stub) for _ in range(20)]
        assert codes[0] is grpc.StatusCode.NOT_FOUND
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
        limit = await asyncio.to_thread(samples, node, catalogue.NAMESPACE_HOST_RPS_LIMIT.name)
        assert [value for _, value in limit] == [1.0]
        ((labels, refused),) = await asyncio.to_thread(
            samples, node, catalogue.SERVICE_ERRORS_RESOURCE_EXHAUSTED.name
        )
        assert refused == codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert labels["resource_exhausted_cause"] == "RpsLimit"
        assert labels["resource_exhausted_scope"] == "Namespace"
        path.write_text("frontend.namespaceRPS: 0\n# no limit\n")

        async def unlimited() -> bool:
            codes = [await code(stub) for _ in range(5)]
            return grpc.StatusCode.RESOURCE_EXHAUSTED not in codes

        await until(unlimited, what="requests without a limit")


async def test_a_file_with_a_mistake_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "settings.yml"
    path.write_text("frontend.rsp: 1\n")
    async with AsyncExitStack() as parts:
        with pytest.raises(ConfigError, match="did you mean"):
            await start_node(config(path), Values(), parts)
