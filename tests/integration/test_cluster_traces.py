"""One request's traces through the processes of a cluster, as a collector gets them."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from contract.cluster import PostgresCluster, free_port
from integration.node_processes import NodeProcess, NodeProcesses, new_cluster
from integration.role_nodes import database_server
from otlp_collector import Collector, Received, collector, linked_traces, missing_parents
from perdure.config.static import ALL_ROLES
from workbench.paths import ROOT

LIMIT = timedelta(seconds=30)
QUEUE = "traced"
TRACE_ID, PARENT_ID = "ab" * 16, "cd" * 8
METADATA = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@activity.defn
async def greet() -> str:
    return "hello"


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> str:
        return "child"


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.01)
        await workflow.execute_activity(greet, start_to_close_timeout=LIMIT)
        return await workflow.execute_child_workflow(Child.run, id="child")


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture
async def nodes(database: PostgresCluster, tmp_path: Path) -> AsyncIterator[NodeProcesses]:
    async with new_cluster(database, tmp_path) as processes:
        yield processes


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as result:
        yield result


@asynccontextmanager
async def worker(address: str) -> AsyncIterator[Client]:
    client = await Client.connect(address)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Parent, Child],
        activities=[greet],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield client


async def run_parent(node: NodeProcess, *, traced: bool = True) -> None:
    """Runs a workflow with a timer, an activity and a child to its end."""
    async with worker(node.places["gRPC"]) as client:
        handle = await client.start_workflow(
            Parent.run, id="parent", task_queue=QUEUE, rpc_metadata=METADATA if traced else {}
        )
        assert await asyncio.wait_for(handle.result(), LIMIT.seconds) == "child"


def only(spans: list[Received]) -> Received:
    (span,) = spans
    return span


def check_whole(received: Collector) -> list[Received]:
    """Checks what belongs to the start's trace; returns all spans of all traces linked to it."""
    traces = linked_traces(received.spans, TRACE_ID)
    spans = [span for span in received.spans if span.trace_id in traces]
    assert missing_parents(spans, outside=[PARENT_ID]) == []
    known = {span.id for span in received.spans}
    assert {link for span in spans for link in span.links} <= known
    answers = [span for span in spans if span.name.endswith("Service/RespondWorkflowTaskCompleted")]
    assert len([span for span in answers if ".api." in span.name]) >= 4
    assert all(span.links for span in answers if ".api." in span.name)
    timer = only([span for span in spans if span.name == "history.timer"])
    assert timer.parent_id == ""
    (cause,) = timer.links
    causing = only([span for span in spans if span.id == cause])
    assert causing.name.endswith("Service/RespondWorkflowTaskCompleted")
    assert any(
        span.name == "store.commit" and span.parent_id == timer.span_id
        for span in spans
        if span.trace_id == timer.trace_id
    )
    told = {span.attributes["message"] for span in spans if span.name == "history.message"}
    assert told == {"child_start", "child_result"}
    return spans


async def test_a_requests_traces_go_through_all_processes(
    nodes: NodeProcesses, received: Collector
) -> None:
    by_grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.grpc_endpoint, **QUICKLY}
    by_http = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.http_endpoint,
        "OTEL_SERVICE_NAME": "io.temporal",
        **QUICKLY,
    }
    told = {"frontend": by_grpc, "history": by_grpc, "matching": by_http, "worker": by_http}
    started = [
        nodes.start(role, roles=[role], environment=told[role]) for role in reversed(ALL_ROLES)
    ]
    for node in started:
        node.until_ready()
    await run_parent(started[-1])
    for node in started:
        node.stop()
    spans = check_whole(received)
    begun = only(
        [
            span
            for span in spans
            if span.trace_id == TRACE_ID
            and span.service == "perdure.frontend"
            and span.parent_id == PARENT_ID
        ]
    )
    assert begun.name == "temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution"
    in_trace = [span for span in spans if span.trace_id == TRACE_ID]
    served = only(
        [s for s in in_trace if s.service == "perdure.history" and "Service/Start" in s.name]
    )
    called = only([s for s in in_trace if s.span_id == served.parent_id])
    assert (called.service, called.parent_id) == ("perdure.frontend", begun.span_id)
    commit = only([s for s in in_trace if s.name == "store.commit"])
    assert (commit.service, commit.parent_id) == ("perdure.history", served.span_id)
    dispatch = only([s for s in in_trace if s.name == "matching.dispatch"])
    assert (dispatch.service, dispatch.parent_id) == ("io.temporal.matching", served.span_id)
    recorded = [s for s in spans if s.name.endswith("/RecordWorkflowTaskStarted")]
    assert any(served.id in span.links for span in recorded if span.service == "perdure.history")
    assert {span.service for span in spans} == {
        "perdure.frontend",
        "perdure.history",
        "io.temporal.matching",
    }


def alone(folder: Path, environment: dict[str, str], **sections: object) -> NodeProcess:
    """Starts a process of all roles over SQLite."""
    config = folder / "perdure.yaml"
    told = {
        "store": {"kind": "sqlite", "path": str(folder / "perdure.db")},
        "listeners": {"grpc": {"port": 0}},
        "metrics": {},
        "namespaces": ["default"],
        **sections,
    }
    config.write_text(yaml.safe_dump(told), "utf-8")
    return NodeProcess(folder, config, environment)


@pytest.fixture
def stopped() -> Iterator[list[NodeProcess]]:
    """Processes that end with the test, if they have not ended."""
    processes: list[NodeProcess] = []
    yield processes
    for process in processes:
        if process.running:
            process.kill()


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "parentbased_always_off"])
async def test_one_process_over_sqlite(
    sampler: str, received: Collector, tmp_path: Path, stopped: list[NodeProcess]
) -> None:
    """A request that is sampled is so with all that follows from it, whatever begins by itself."""
    environment = {"OTEL_TRACES_SAMPLER": sampler, **QUICKLY}
    node = alone(tmp_path, environment, **documented(received))
    stopped.append(node)
    await run_parent(node.until_ready())
    node.stop()
    spans = check_whole(received)
    assert {span.service for span in spans} == {"perdure"}
    polls = [span for span in received.spans if "/Poll" in span.name]
    assert bool(polls) == (sampler == "parentbased_always_on")


async def test_a_task_that_is_read_from_the_store_keeps_its_trace(
    received: Collector, tmp_path: Path, stopped: list[NodeProcess]
) -> None:
    """The node that was to hint it ended: the next one finds the task's row alone."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.grpc_endpoint, **QUICKLY}
    first = alone(tmp_path, environment)
    stopped.append(first)
    client = await Client.connect(first.until_ready().places["gRPC"])
    await client.start_workflow(Child.run, id="child", task_queue=QUEUE, rpc_metadata=METADATA)
    first.stop()
    second = alone(tmp_path, environment)
    stopped.append(second)
    async with worker(second.until_ready().places["gRPC"]) as client:
        await asyncio.wait_for(client.get_workflow_handle("child").result(), LIMIT.seconds)
    second.stop()
    dispatch = only(received.named("matching.dispatch"))
    assert dispatch.trace_id == TRACE_ID
    cause = only([span for span in received.spans if span.span_id == dispatch.parent_id])
    assert cause.name.endswith("Service/StartWorkflowExecution")
    answers = received.named("WorkflowService/RespondWorkflowTaskCompleted")
    assert [cause.id in span.links for span in answers] == [True]


def documented(received: Collector) -> dict[str, object]:
    """Returns the sections of the page's example, for this collector."""
    page = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
    (example,) = [each for each in page.split("```yaml\n") if each.startswith("otel:")]
    example = example.partition("```")[0]
    written = example.replace("collector.example.com:4317", received.grpc_endpoint[7:])
    assert written != example
    sections: dict[str, object] = yaml.safe_load(written)
    return sections


async def test_nothing_is_made_or_stored_of_what_is_not_sampled(
    received: Collector, tmp_path: Path, stopped: list[NodeProcess]
) -> None:
    environment = {
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.grpc_endpoint,
        **QUICKLY,
    }
    node = alone(tmp_path, environment)
    stopped.append(node)
    await run_parent(node.until_ready())
    node.stop()
    assert received.spans == []


async def test_a_collector_that_is_away_is_in_nobodys_way(
    tmp_path: Path, stopped: list[NodeProcess]
) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "50",
        **QUICKLY,
    }
    node = alone(tmp_path, environment)
    stopped.append(node)
    await run_parent(node.until_ready())

    def lost() -> float:
        with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
            text = str(response.read(), "utf-8")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            if family.name == "spans_lost"
            for sample in family.samples
        )

    async with asyncio.timeout(LIMIT.seconds):
        while not await asyncio.to_thread(lost):
            await run_parent_again(node)
    node.stop()
    lines = [json.loads(line) for line in node.err.splitlines() if line.startswith("{")]
    said = [line for line in lines if line.get("component") == "tracing"]
    assert [line["msg"] for line in said] == [
        "traces cannot be sent, and are dropped until they can"
    ]
    assert [line for line in lines if line["level"] == "error"] == []


async def run_parent_again(node: NodeProcess) -> None:
    await run_parent(node, traced=False)
