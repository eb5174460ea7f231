"""A whole node, and what it tells: metrics by their catalogue, spans by OpenTelemetry."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from perdure.app.node import Node, start_node
from perdure.config.settings import Values
from perdure.config.static import Listener, Listeners, Metrics, ServerConfig, Store
from perdure.telemetry import catalogue, otlp
from perdure.telemetry.metric import Kind

LIMIT = timedelta(seconds=30)
TRACE_ID, PARENT_ID = "ab" * 16, "cd" * 8
CONFIG = ServerConfig(
    listeners=Listeners(grpc=Listener(port=0)), metrics=Metrics(), namespaces=["default"]
)


@activity.defn
async def greet() -> str:
    return "hello"


@activity.defn
async def fail() -> None:
    raise RuntimeError("no")


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self) -> str:
        once = RetryPolicy(maximum_attempts=1)
        with suppress(ActivityError):
            await workflow.execute_activity(fail, start_to_close_timeout=LIMIT, retry_policy=once)
        return await workflow.execute_activity(greet, start_to_close_timeout=LIMIT)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with AsyncExitStack() as parts:
        yield await start_node(CONFIG, Values(), parts)


async def greeting(node: Node) -> None:
    """Runs a workflow with two activities to its end."""
    client = await Client.connect(node.places["gRPC"])
    async with Worker(
        client,
        task_queue="greetings",
        workflows=[Greeting],
        activities=[greet, fail],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await client.execute_workflow(Greeting.run, id="greeting-1", task_queue="greetings")


def scrape(node: Node) -> str:
    with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
        return str(response.read(), "utf-8")


async def test_a_node_exports_nothing_that_is_not_in_the_catalogue(node: Node) -> None:
    await greeting(node)
    declared = {metric.name: metric for metric in catalogue.CATALOGUE}
    text = await asyncio.to_thread(scrape, node)
    seen = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(("process_", "python_")):
            continue
        seen[family.name] = family
        metric = declared[family.name]
        assert family.type == metric.kind.value
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample
    assert {"activity_success", "activity_fail", "activity_task_fail"} <= seen.keys()
    assert {"workflow_success", "task_schedule_to_start_latency", "poll_success"} <= seen.keys()
    assert declared["activity_success"].kind is Kind.COUNTER


async def test_sticky_queues_are_one_partition_of_their_workers_queue(node: Node) -> None:
    await greeting(node)
    text = await asyncio.to_thread(scrape, node)
    polls = [line for line in text.splitlines() if line.startswith("poll_success{")]
    sticky = [line for line in polls if 'partition="__sticky__"' in line]
    assert sticky
    assert all('taskqueue="greetings"' in line for line in polls)


@pytest.fixture(params=["memory", "sqlite"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> ServerConfig:
    store = Store(kind=request.param, path=str(tmp_path / "perdure.db"))
    return CONFIG.model_copy(update={"store": store})


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    result = InMemorySpanExporter()
    monkeypatch.setattr(otlp, "_grpc_exporter", lambda endpoint: result)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    return result


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def contexts(span: ReadableSpan) -> tuple[str, str, str]:
    """Returns trace id, span id and the parent's span id."""
    assert span.context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent is not None else ""
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


async def traced_start(config: ServerConfig, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Starts a workflow, and looks for another one; returns all spans that the node made."""
    async with AsyncExitStack() as parts:
        node = await start_node(config, Values(), parts)
        client = await Client.connect(node.places["gRPC"])
        metadata = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
        await client.start_workflow(
            "Greeting", id="greeting-1", task_queue="greetings", rpc_metadata=metadata
        )
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle("nobody").describe(rpc_metadata=metadata)
    return list(exporter.get_finished_spans())


async def test_a_commit_is_a_span_below_the_rpc_that_it_was_for(
    config: ServerConfig, exporter: InMemorySpanExporter
) -> None:
    spans = await traced_start(config, exporter)
    (rpc,) = [span for span in spans if span.name.endswith("/StartWorkflowExecution")]
    trace_id, rpc_id, parent = contexts(rpc)
    assert (trace_id, parent) == (TRACE_ID, PARENT_ID)
    assert attribute(rpc, "temporalNamespace") == "default"
    assert attribute(rpc, "temporalWorkflowID") == "greeting-1"
    (commit,) = [
        span
        for span in spans
        if span.name == "store.commit" and contexts(span)[::2] == (trace_id, rpc_id)
    ]
    assert attribute(commit, "db.operation.batch.size") == 1
    assert attribute(commit, "temporalWorkflowID") == "greeting-1"
    assert attribute(commit, "temporalRunID") == attribute(rpc, "temporalRunID") != ""
    assert rpc.start_time is not None
    assert commit.start_time is not None
    assert commit.end_time is not None
    assert rpc.start_time <= commit.start_time <= commit.end_time


async def test_reads_are_spans_below_their_rpc(
    config: ServerConfig, exporter: InMemorySpanExporter
) -> None:
    spans = await traced_start(config, exporter)
    (rpc,) = [span for span in spans if attribute(span, "temporalWorkflowID") == "nobody"]
    (read,) = [span for span in spans if span.name == "store.load_current"]
    assert contexts(read)[::2] == contexts(rpc)[:2]
    assert attribute(read, "db.system.name") == config.store.kind
    assert all(contexts(span)[2] for span in spans if span.name.startswith("store."))


async def test_an_endpoint_may_be_disabled_by_the_environment(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert await traced_start(CONFIG, exporter) == []
