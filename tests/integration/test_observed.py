"""`./dev up --observe`, as a process of its own, asked through Prometheus' HTTP interface."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from integration.prometheus import Prometheus
from waiting import until_sync
from workbench.paths import TESTS

SECONDS = 120.0
MUST_FIRE = {"Watchdog"}
"""What fires when all is well, where there is such a rule."""
PARTS = 4
"""Server, worker, Alertmanager, Prometheus."""

until = partial(until_sync, seconds=SECONDS, pause_seconds=0.1)

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not all(map(shutil.which, ("prometheus", "prometheus-alertmanager"))),
        reason="apt-get install prometheus prometheus-alertmanager",
    ),
]


class Observed:
    """A running `./dev up --observe`."""

    def __init__(self, folder: Path, flags: Sequence[str]) -> None:
        self._log = folder / "log"
        self._scratch = folder / "scratch"
        self._scratch.mkdir()
        path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workbench", "up", "--observe", *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(self._scratch)},
            )

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._log.read_text("utf-8")

    @property
    def left(self) -> list[str]:
        """What is in the folder for what ends with it."""
        return [path.name for path in self._scratch.iterdir()]

    def until_ready(self) -> dict[str, str]:
        """Waits until it serves; returns where things are."""
        until(lambda: "Ctrl-C" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        lines = self.said.splitlines()[2:]
        return {name: place.strip() for name, _, place in (line.partition(":") for line in lines)}

    def children(self) -> list[psutil.Process]:
        """Returns its parts that run."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def child(self, word: str) -> psutil.Process:
        """Returns the part whose command line has a word."""
        (found,) = [child for child in self.children() if word in child.cmdline()]
        return found


@contextmanager
def observed(folder: Path, *flags: str) -> Iterator[Observed]:
    running = Observed(folder, flags)
    try:
        yield running
    finally:
        # Its parts end with it, however it ends: that is tested here.
        running.process.kill()
        running.process.wait()


def alerts_known_to(alertmanager: str) -> set[str]:
    """Returns the names of the alerts that an Alertmanager was sent."""
    url = f"{alertmanager}/api/v2/alerts"
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 it is http
        alerts: list[dict[str, Any]] = json.load(answer)
    return {alert["labels"]["alertname"] for alert in alerts}


def test_everything_is_seen_and_ends(tmp_path: Path) -> None:
    with observed(tmp_path, "--in-memory", "--port", "0") as running:
        places = running.until_ready()
        server = Prometheus(places["Prometheus"])
        jobs = {"perdure", "demo-worker", "prometheus"}
        until(lambda: server.health() == {job: {"up"} for job in jobs})
        until(lambda: load_is_seen(server))
        rules = {rule["name"]: rule for rule in server.rules()}
        assert {"ClusterAbsent", "FrontendErrors"} <= rules.keys()
        until(lambda: all(r["health"] == "ok" for r in server.rules()))
        expected = MUST_FIRE & rules.keys()
        until(lambda: server.firing() >= expected)
        assert server.firing() == expected
        (known,) = server.get("alertmanagers")["activeAlertmanagers"]
        assert known["url"].startswith(places["Alertmanager"])
        until(lambda: alerts_known_to(places["Alertmanager"]) >= expected)
        with urllib.request.urlopen(places["Alerts"], timeout=SECONDS) as page:  # noqa: S310 it is http
            assert page.status == 200
        parts = running.children()
        assert len(parts) == PARTS
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SECONDS) == 0, running.said
        assert running.left == []
        assert [part for part in parts if part.is_running()] == []


def load_is_seen(server: Prometheus) -> bool:
    """Tells whether the demo's outcomes are there, on both sides."""
    expressions = (
        'sum(workflow_success{workflowType="Order"}) > 0',
        'sum(workflow_success{workflowType="Report"}) > 0',
        'sum(workflow_failed{workflowType="Order"}) > 0',
        "sum(activity_task_fail) > 0",
        "sum(schedule_action_success) > 0",
        'sum(temporal_workflow_completed{job="demo-worker"}) > 0',
        'sum(temporal_workflow_failed{job="demo-worker"}) > 0',
        'sum(temporal_activity_execution_latency_count{job="demo-worker"}) > 0',
        'sum(temporal_worker_task_slots_available{job="demo-worker"}) > 0',
    )
    return all(map(server.values, expressions))


def test_a_part_that_dies_is_reported_by_name(tmp_path: Path) -> None:
    with observed(tmp_path, "--db", str(tmp_path / "perdure.db"), "--port", "0") as running:
        running.until_ready()
        parts = running.children()
        running.child("observe.demo_worker").kill()
        assert running.process.wait(SECONDS) == 1
        assert "Error: The demo worker ended with SIGKILL. Its log ends so:" in running.said
        assert "Traceback" not in running.said
        assert running.left == []
        assert [part for part in parts if part.is_running()] == []


def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    with observed(tmp_path, "--in-memory", "--namespace-that-is-none") as running:
        assert running.process.wait(SECONDS) == 1
        assert "Error: The server ended with exit code 2" in running.said
        assert "namespace-that-is-none" in running.said


def test_its_parts_end_when_it_is_killed(tmp_path: Path) -> None:
    with observed(tmp_path, "--in-memory", "--port", "0") as running:
        running.until_ready()
        parts = running.children()
        running.process.kill()
        running.process.wait()
        gone, alive = psutil.wait_procs(parts, SECONDS)
        assert (len(gone), alive) == (PARTS, [])
