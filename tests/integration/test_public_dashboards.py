"""What public dashboards of Temporal ask of Prometheus is answered from Perdure's metrics.

A server under the load of the conformance suite is scraped by a real Prometheus; the expressions
have the forms that the boards of Temporal and of its community have.
"""

import asyncio
import json
import math
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.metrics import load
from conformance.targets import dev_server, free_port, perdure_command
from waiting import until_sync

pytestmark = pytest.mark.slow
READY_SECONDS = 60.0
SCRAPES = 5
RATES = (
    "sum by (operation) (rate(service_requests[1m]))",
    'sum(rate(service_requests{service_name="frontend"}[1m]))',
    'sum(rate(service_error_with_type{service_name="frontend"}[1m])) by (error_type)',
    'sum(rate(persistence_requests{service_name="history"}[1m])) by (operation)',
    "sum(rate(state_transition_count_count[1m]))",
    "sum(rate(poll_success_sync[1m])) / sum(rate(poll_success[1m]))",
    "sum by (namespace) (rate(workflow_success[1m]))",
    "sum by (action_type) (rate(action[1m]))",
    "sum by (commandType) (rate(command[1m]))",
    'sum(rate(cache_requests{cache_type="mutablestate"}[1m]))',
    "sum(increase(restarts[1m]))",
    "sum by (taskqueue, task_type) (approximate_backlog_count)",
    "max by (taskqueue) (approximate_backlog_age_seconds)",
    "sum(service_pending_requests) by (operation)",
    "sum(numshards_gauge)",
    "memory_allocated",
)
QUANTILES = (
    "service_latency",
    "service_latency_nouserlatency",
    "persistence_latency",
    "workflow_schedule_to_close_latency",
    "activity_schedule_to_close_latency",
    "activity_start_to_close_latency",
    "task_schedule_to_start_latency",
    "task_dispatch_latency",
    "syncmatch_latency",
    "history_size",
    "history_count",
    "mutable_state_size",
    "workflow_task_attempt",
)
LABEL_VALUES = {
    ("service_requests", "service_name"): {"frontend"},
    ("state_transition_count_count", "service_name"): {"history"},
    ("poll_success", "service_name"): {"matching"},
    ("service_requests", "namespace"): {"default"},
    ("service_requests", "operation"): {"StartWorkflowExecution", "RespondWorkflowTaskCompleted"},
    ("approximate_backlog_count", "taskqueue"): {"metrics_load"},
    ("approximate_backlog_count", "task_type"): {"Workflow", "Activity"},
    ("workflow_success", "workflowType"): {"Greets", "Parent"},
}


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **arguments: str) -> Any:
        """Returns the data of an answer."""
        url = f"{self._address}/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url) as response:  # noqa: S310 it is http
            return json.load(response)["data"]

    def values(self, expression: str) -> list[float]:
        """Returns what an expression comes to, without what is not a number."""
        found = self.get("query", query=expression)["result"]
        values = [float(each["value"][1]) for each in found]
        return [value for value in values if not math.isnan(value)]

    def label_values(self, metric: str, label: str) -> set[str]:
        """Returns what `label_values(metric, label)` of a board gives."""
        return set(self.get(f"label/{label}/values", **{"match[]": metric}))


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    scrape = {"job_name": "temporal", "static_configs": [{"targets": [target]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    port = free_port()
    process = subprocess.Popen(
        [
            command,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Prometheus(port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_SECONDS)


def wait_for_scrapes(prometheus: Prometheus, wanted: int) -> None:
    def scraped() -> bool:
        with suppress(OSError):
            counts = prometheus.values("count_over_time(sum(restarts)[10m:1s])")
            return bool(counts) and min(counts) >= wanted
        return False

    until_sync(scraped, READY_SECONDS, pause_seconds=0.2)


def test_rates_quantiles_and_label_values_are_answered(tmp_path: Path) -> None:
    metrics = free_port()
    with (
        dev_server(perdure_command(), flags=[f"--metrics-port={metrics}"]) as server,
        scraping(f"127.0.0.1:{metrics}", tmp_path) as prometheus,
    ):
        wait_for_scrapes(prometheus, 1)
        # Series that begin with the load have a rate once they have been seen to rise.
        asyncio.run(load.run(server.address))
        seen = int(prometheus.values("count_over_time(sum(restarts)[10m:1s])")[0])
        wait_for_scrapes(prometheus, seen + SCRAPES)
        empty = [expression for expression in RATES if not prometheus.values(expression)]
        quantiles = {
            name: prometheus.values(
                f"histogram_quantile(0.95, sum(rate({name}_bucket[1m])) by (operation, le))"
            )
            for name in QUANTILES
        }
        found = {key: prometheus.label_values(*key) for key in LABEL_VALUES}
        assert prometheus.values("up") == [1.0]
    assert empty == []
    assert [name for name, values in quantiles.items() if not values] == []
    missing = {key: wanted - found[key] for key, wanted in LABEL_VALUES.items()}
    assert not any(missing.values()), missing
