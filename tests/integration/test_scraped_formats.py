"""Both formats of metrics, scraped by a real Prometheus: it asks for OpenMetrics by itself.

The text format reaches it by a server in between, which asks for nothing.
"""

import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from temporalio.client import Client

from integration.prometheus import Prometheus, prometheus, until_seen
from perdure.app.node import Node, start_node
from perdure.config.settings import Values
from perdure.config.static import Listener, Listeners, Metrics, ServerConfig

CONFIG = ServerConfig(
    listeners=Listeners(grpc=Listener(port=0)), metrics=Metrics(), namespaces=["default"]
)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with AsyncExitStack() as parts:
        yield await start_node(CONFIG, Values(), parts)


@contextmanager
def as_text(url: str) -> Iterator[str]:
    """Serves what a URL answers to those who ask for nothing; yields the address."""

    class Between(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(url) as answer:  # noqa: S310 it is http
                body = answer.read()
                self.send_response(200)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
            """Scrapes are not logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def names(server: Prometheus, job: str) -> set[str]:
    """Returns the names of the series that a job has now."""
    found = server.series(f'count by (__name__) ({{job="{job}"}})')
    return {each["metric"]["__name__"] for each in found}


def kinds(server: Prometheus, job: str) -> dict[str, str]:
    """Returns what Prometheus takes a job's metrics for."""
    found = server.get("targets/metadata", match_target=f'{{job="{job}"}}')
    return {each["metric"]: each["type"] for each in found}


async def test_both_formats_are_scraped_alike(node: Node, tmp_path: Path) -> None:
    client = await Client.connect(node.places["gRPC"])
    await client.start_workflow("Any", id="any", task_queue="any")
    with as_text(node.places["Metrics"]) as text:
        jobs = {"text": [text], "open": [urlsplit(node.places["Metrics"]).netloc]}
        with prometheus(jobs, tmp_path) as server:
            await until_seen(lambda: server.health() == {"text": {"up"}, "open": {"up"}})
            await until_seen(lambda: names(server, "text") == names(server, "open") != set())
            as_open, as_text_ = kinds(server, "open"), kinds(server, "text")
            started = server.values('service_requests{operation="StartWorkflowExecution"}')
    assert started == [1, 1]
    assert as_open["service_requests"] == "unknown"
    assert as_text_["service_requests"] == "counter"
    for same in ("service_latency", "memory_allocated"):
        assert as_open[same] == as_text_[same] in {"histogram", "gauge"}
