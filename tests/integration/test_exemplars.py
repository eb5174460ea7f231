"""Exemplars of a whole node whose traces go to a collector, scraped by a real Prometheus."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from temporalio.client import Client
from temporalio.service import RPCError

from integration.prometheus import prometheus, until_seen
from otlp_collector import Collector, collector
from perdure.app.node import Node, start_node
from perdure.config.settings import Values
from perdure.config.static import Listener, Listeners, Metrics, ServerConfig
from waiting import until

CONFIG = ServerConfig(
    listeners=Listeners(grpc=Listener(port=0)), metrics=Metrics(), namespaces=["default"]
)
SAMPLED, UNSAMPLED = "ab" * 16, "cd" * 16
PARENT = "12" * 8
START = "/StartWorkflowExecution"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.grpc_endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield received


@pytest.fixture
async def node(spans: Collector) -> AsyncIterator[Node]:
    async with AsyncExitStack() as parts:
        yield await start_node(CONFIG, Values(), parts)


async def start_and_ask(node: Node) -> None:
    """Starts a workflow in each of two traces, and asks for one that is not there."""
    client = await Client.connect(node.places["gRPC"])
    for trace_id, flags in ((SAMPLED, "01"), (UNSAMPLED, "00")):
        metadata = {"traceparent": f"00-{trace_id}-{PARENT}-{flags}"}
        await client.start_workflow("Any", id=trace_id, task_queue="any", rpc_metadata=metadata)
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle("nobody").describe(rpc_metadata=metadata)


def scrape(node: Node) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Returns labels and exemplars of service_latency's buckets that have one."""
    request = urllib.request.Request(  # noqa: S310 it is http
        node.places["Metrics"], headers={"Accept": CONTENT_TYPE_LATEST}
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310 it is http
        text = str(response.read(), "utf-8")
    return [
        (sample.labels, sample.exemplar.labels)
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        if family.name in {"service_latency", "persistence_latency"}
        for sample in family.samples
        if sample.exemplar
    ]


async def test_latencies_name_the_span_of_a_sampled_request(node: Node, spans: Collector) -> None:
    await start_and_ask(node)
    found = await asyncio.to_thread(scrape, node)
    ids = {
        (labels["operation"], labels["service_name"]): (example["trace_id"], example["span_id"])
        for labels, example in found
        if example["trace_id"] == SAMPLED
    }
    await until(lambda: bool(spans.named(START)))
    assert [ids["StartWorkflowExecution", "frontend"]] == [span.id for span in spans.named(START)]
    assert ids["DescribeWorkflowExecution", "frontend"]  # though it was refused
    assert UNSAMPLED not in {example["trace_id"] for _, example in found}


async def test_what_no_request_waits_for_has_none(node: Node, spans: Collector) -> None:
    await start_and_ask(node)
    found = await asyncio.to_thread(scrape, node)
    assert found
    assert "commit" not in {labels["operation"] for labels, _ in found}


async def test_without_a_collector_there_are_none() -> None:
    async with AsyncExitStack() as parts:
        node = await start_node(CONFIG, Values(), parts)
        await start_and_ask(node)
        assert await asyncio.to_thread(scrape, node) == []


async def test_prometheus_keeps_them(node: Node, spans: Collector, tmp_path: Path) -> None:
    jobs = {"perdure": [urlsplit(node.places["Metrics"]).netloc]}
    with prometheus(jobs, tmp_path, "--enable-feature=exemplar-storage") as server:
        await start_and_ask(node)
        query = 'service_latency_bucket{operation="StartWorkflowExecution"}'
        await until_seen(lambda: bool(server.exemplars(query)))
        found = await asyncio.to_thread(server.exemplars, query)
    await until(lambda: bool(spans.named(START)))
    known = {span.id for span in spans.named(START)}
    assert {(each["labels"]["trace_id"], each["labels"]["span_id"]) for each in found} <= known
    assert all(float(each["value"]) > 0 for each in found)
