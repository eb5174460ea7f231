"""Every panel of every board, asked of a real Prometheus that scrapes a cluster under load."""

import asyncio
import json
import math
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client
from temporalio.service import RPCError

from integration.role_nodes import (
    LIMIT,
    QUEUE,
    Greeting,
    database_server,
    role_nodes,
    worker,
)
from perdure.app.node import Node
from perdure_alerts.rendering import RULES
from perdure_dashboards.rendering import files
from workbench.paths import ROOT

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
VARIABLES = {
    "$__rate_interval": "10s",
    "$percentile": "0.99",
    "$cluster": ".*",
    "$instance": ".*",
    "$namespace": ".*",
}
WITHOUT_DATA = {
    "Failed calls to history": "a node that cannot be reached",
    "Failed calls to matching": "a node that cannot be reached",
    "Errors by type and operation": "requests that history or matching refuse",
    "Acquisition of shards": "shards that have just moved",
    "Activities": "activities that fail, time out and are cancelled",
    "Workflows started and closed": "workflows that fail, time out, are cancelled, go on anew",
    "Matched at once, and after waiting": "tasks that wait for a worker, and none that do not",
    "Refused by a limit": "requests above a limit",
}
"""Panels of which some series only have data after what stands beside them."""


def queries() -> Iterator[tuple[str, str, str]]:
    """Yields board, panel and expression."""
    for name, text in files().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets") or ():
                expression = target["expr"]
                for variable, value in VARIABLES.items():
                    expression = expression.replace(variable, value)
                yield name, panel["title"], expression


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **arguments: str) -> Any:
        url = f"{self._address}/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url) as response:  # noqa: S310 it is http
            return json.load(response)["data"]

    def values(self, expression: str) -> list[float]:
        """Returns what an expression comes to, without what is not a number."""
        found = self.get("query", query=expression)["result"]
        values = [float(each["value"][1]) for each in found]
        return [value for value in values if not math.isnan(value)]


@contextmanager
def prometheus(nodes: dict[str, Node], folder: Path) -> Iterator[Prometheus]:
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    targets = [urllib.parse.urlsplit(node.places["Metrics"]).netloc for node in nodes.values()]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "alerts" / "generated" / RULES)],
        "scrape_configs": [{"job_name": "perdure", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
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
        process.wait(LIMIT.seconds)


async def load(client: Client, done: asyncio.Event) -> None:
    """Starts workflows, one after the other, and asks for one that is not there."""
    number = 0
    while not done.is_set():
        number += 1
        await client.execute_workflow(Greeting.run, id=f"greeting-{number}", task_queue=QUEUE)
        await client.start_workflow(Greeting.run, id=f"lonely-{number}", task_queue="nobody")
        with suppress(RPCError):
            await client.get_workflow_handle("nothing").describe()


async def asked(server: Prometheus, expression: str) -> list[float]:
    return await asyncio.to_thread(server.values, expression)


async def test_every_panel_has_data(tmp_path: Path) -> None:
    with database_server() as database:
        async with role_nodes(database) as nodes, worker(nodes["frontend"]) as client:
            with prometheus(nodes, tmp_path) as server:
                done = asyncio.Event()
                loading = asyncio.create_task(load(client, done))
                await _scraped(server)
                empty = await _empty(server)
                groups = (await asyncio.to_thread(server.get, "rules"))["groups"]
                done.set()
                await loading
    assert {panel for _, panel in empty} <= WITHOUT_DATA.keys(), empty
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    assert firing == set()


async def _scraped(server: Prometheus) -> None:
    """Waits until each process has been scraped often enough for rates."""

    def ready() -> bool:
        with suppress(OSError):
            counts = server.values("count_over_time(restarts[1m])")
            return len(counts) == 4 and min(counts) > 15
        return False

    async with asyncio.timeout(LIMIT.seconds * 2):
        while not await asyncio.to_thread(ready):  # noqa: ASYNC110 another process has no event
            await asyncio.sleep(0.2)


async def _empty(server: Prometheus) -> list[tuple[str, str]]:
    return [
        (board, panel)
        for board, panel, expression in queries()
        if not await asked(server, expression)
    ]
