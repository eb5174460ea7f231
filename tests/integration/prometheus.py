"""A real Prometheus: what it is asked, and one that tests run."""

import asyncio
import json
import math
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure_alerts.rendering import RULES
from waiting import until_asked, until_sync
from workbench.paths import ROOT

SECONDS = 60.0
"""How long anything may take: only a test that fails waits so long."""
_PAUSE_SECONDS = 0.2


class Prometheus:
    """A running Prometheus, or an Alertmanager asked the same way."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str, **arguments: str) -> Any:
        """Returns what is at a path below /api/v1."""
        url = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=SECONDS) as response:  # noqa: S310 it is http
            return json.load(response)["data"]

    def series(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series that an expression has now, labels and values."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def values(self, expression: str) -> list[float]:
        """Returns what an expression comes to, without what is not a number."""
        values = [float(each["value"][1]) for each in self.series(expression)]
        return [value for value in values if not math.isnan(value)]

    def exemplars(self, metric: str) -> list[dict[str, Any]]:
        """Returns the exemplars of a metric's series of the last hour."""
        now = self.values("vector(time())")[0]
        found: list[dict[str, Any]] = self.get(
            "query_exemplars", query=metric, start=str(now - 3600), end=str(now + 60)
        )
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def health(self) -> dict[str, set[str]]:
        """Returns how the targets of every job are: up, down or unknown."""
        health: dict[str, set[str]] = {}
        for target in self.get("targets")["activeTargets"]:
            health.setdefault(target["labels"]["job"], set()).add(target["health"])
        return health

    def rules(self) -> list[dict[str, Any]]:
        """Returns every rule."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Returns the alerts that fire."""
        return {rule["name"] for rule in self.rules() if rule.get("state") == "firing"}

    @property
    def ready(self) -> bool:
        """Whether it says so."""
        try:
            with urllib.request.urlopen(f"{self._address}/-/ready", timeout=SECONDS):  # noqa: S310 it is http
                return True
        except OSError:
            return False


async def until_seen(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Asks in a thread until a condition holds; TimeoutError when it never does."""
    await until_asked(lambda: asyncio.to_thread(condition), seconds, pause_seconds=_PAUSE_SECONDS)


@contextmanager
def prometheus(jobs: Mapping[str, list[str]], folder: Path, *flags: str) -> Iterator[Prometheus]:
    """Runs a Prometheus with the alert rules until the block ends; skips where there is none.

    Args:
        jobs: The addresses to scrape, every second, by job.
        folder: Where its configuration and data go.
        flags: Further ones of its command line.
    """
    command = shutil.which("prometheus")
    if command is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "alerts" / "generated" / RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": targets}]}
            for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    process = subprocess.Popen(
        [
            command,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            *flags,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Prometheus(f"http://{address}")
    try:
        until_sync(lambda: server.ready or process.poll() is not None, SECONDS)
        assert process.poll() is None, "Prometheus ended"
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
