"""The supervisor as a process of its own, with real processes below it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from contract.cluster import MissingPostgres, PostgresCluster
from waiting import until_sync

PERDURE = Path(sys.executable).parent / "perdure"
SECONDS = 60


class Supervised:
    """A running supervisor; what it and its processes print goes to files."""

    def __init__(self, folder: Path, config: Path, **environment: str) -> None:
        self.folder = folder
        command = [str(PERDURE), "server", "start", "--config", str(config)]
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env=os.environ | environment
            )

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text("utf-8")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text("utf-8")

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The supervisor's log lines of a message."""
        found = []
        for line in self.err.splitlines():
            with suppress(json.JSONDecodeError):
                logged = json.loads(line)
                if logged.get("msg") == message and logged.get("component") == "supervisor":
                    found.append(logged)
        return found

    def until_ready(self, times: int) -> int:
        """Waits until a process has been ready so often; returns the last one's number."""
        until_sync(lambda: self._ready(times), SECONDS)
        return int(self.lines("process is ready")[-1]["pid"])

    def _ready(self, times: int) -> bool:
        assert self.process.poll() is None, self.err
        return len(self.lines("process is ready")) == times


@contextmanager
def supervised(folder: Path, config: Path, **environment: str) -> Iterator[Supervised]:
    running = Supervised(folder, config, **environment)
    try:
        yield running
    finally:
        # What it started ends with it: that is tested here.
        running.process.kill()
        running.process.wait()


ONE = "- {name: all, roles: [frontend, history, matching, worker]}"
SEVERAL = """
- {name: frontend, roles: [frontend], count: 2}
- {name: engine, roles: [history, matching]}
- {name: worker, roles: [worker]}
"""


def write(folder: Path, dsn: str, processes: str = ONE, grpc_port: int = 0) -> Path:
    path = folder / "perdure.yml"
    path.write_text(
        f"""
store: {{kind: postgres, dsn: "{dsn}"}}
listeners:
  grpc: {{port: {grpc_port}}}
  internode: {{port: 0}}
node: {{drain_seconds: 5}}
processes:
{processes}
""",
        "utf-8",
    )
    return path


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def cluster_status(config: Path) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer of `perdure cluster status`."""
    command = [str(PERDURE), "cluster", "status", "--config", str(config), "--output", "json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return done.returncode, answer


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    try:
        cluster = PostgresCluster.start()
    except MissingPostgres as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    yield cluster
    cluster.stop()


@pytest.fixture
def config(tmp_path: Path, cluster: PostgresCluster) -> Path:
    path = write(tmp_path, cluster.create_database())
    subprocess.run([PERDURE, "db", "setup", "--config", path], check=True)
    return path


def test_a_wrong_connection_string_ends_it(tmp_path: Path) -> None:
    config = write(tmp_path, f"postgresql:///perdure?host={tmp_path}")
    with supervised(tmp_path, config) as running:
        assert running.process.wait(SECONDS) == 1
        ends = [end["exit-code"] for end in running.lines("process has ended")]
        # A slow machine gives up earlier.
        assert ends in ([1], [1, 1], [1, 1, 1])
        assert len(running.lines("process has started")) == len(ends)
        assert running.err.count("Error: The PostgreSQL database") == len(ends)
        assert running.out == ""
        assert "Traceback" not in running.err


def test_an_unknown_setting_starts_nothing(tmp_path: Path) -> None:
    config = write(tmp_path, "postgresql:///perdure")
    config.write_text(config.read_text("utf-8") + "settings: {no.such: 1}\n", "utf-8")
    with supervised(tmp_path, config) as running:
        assert running.process.wait(SECONDS) == 1
        assert 'setting "no.such" has no effect here' in running.err
        assert running.lines("process has started") == []


@pytest.mark.postgres
def test_it_tells_systemd_restarts_and_stops(tmp_path: Path, config: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(SECONDS)
        with supervised(tmp_path, config, NOTIFY_SOCKET=str(tmp_path / "notify")) as running:
            first = running.until_ready(1)
            assert systemd.recv(100) == b"READY=1"
            assert "Processes: all-0\n" in running.out
            os.kill(first, signal.SIGKILL)
            assert running.until_ready(2) != first
            assert running.lines("process has ended")[0]["signal"] == "SIGKILL"
            assert "grpc" not in Path(f"/proc/{running.process.pid}/maps").read_text("utf-8")
            running.process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert running.process.wait(SECONDS) == 0
            assert running.lines("process has ended")[1]["exit-code"] == 0


@pytest.mark.postgres
def test_several_processes_are_a_cluster(tmp_path: Path, config: Path) -> None:
    dsn = yaml.safe_load(config.read_text("utf-8"))["store"]["dsn"]
    write(tmp_path, dsn, SEVERAL, free_port())
    with supervised(tmp_path, config) as running:
        running.until_ready(4)
        code, answer = cluster_status(config)
        assert (code, answer["problems"]) == (0, [])
        names = [node["name"].partition("/")[2] for node in answer["nodes"]]
        assert names == ["engine-0", "frontend-0", "frontend-1", "worker-0"]
        assert answer["shards_owned"] == answer["shards"] == answer["nodes"][0]["shards"] == 32
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SECONDS) == 0
    code, answer = cluster_status(config)
    assert (code, answer["nodes"], answer["shards_owned"]) == (3, [], 0)


@pytest.mark.postgres
def test_its_processes_end_when_it_is_killed(tmp_path: Path, config: Path) -> None:
    with supervised(tmp_path, config) as running:
        child = psutil.Process(running.until_ready(1))
        running.process.kill()
        running.process.wait()
        child.wait(SECONDS)
        assert "the supervisor is gone: stopping" in running.err
