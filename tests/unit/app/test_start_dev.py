"""The server as a process: started by people and by SDKs, stopped by signals."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

PERDURE = Path(sys.executable).parent / "perdure"
SECONDS = 60


@workflow.defn
class Hello:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Hello, {name}!"


@contextmanager
def started(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [PERDURE, "server", "start-dev", "--port", "0", *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        yield process, places(process)
    finally:
        process.kill()
        process.communicate()


def places(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        name, colon, place = line.partition(":")
        if colon:
            found[name] = place.strip()
        if name == "Database":
            return found
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


def refused(*flags: str) -> str:
    command = [PERDURE, "server", "start-dev", *flags]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_things_are_and_stops_on_a_signal(number: signal.Signals) -> None:
    with started("--log-level", "error") as (process, found):
        assert found["gRPC"].startswith("127.0.0.1:")
        assert found["Database"] == "in-memory"
        with urllib.request.urlopen(found["Metrics"]) as response:  # noqa: S310 the scheme is http
            assert b'restarts{service_name="frontend"} 1.0' in response.read()
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")


def test_flags_without_effect_are_named() -> None:
    with started("--ui-port", "1", "--http-port", "2", "--headless=true") as (process, _):
        assert process.stdout is not None
        remark = process.stdout.readline()
    assert remark == "Not served yet: the HTTP API (--http-port), the Web UI (--ui-port).\n"


def test_an_unknown_setting_is_warned_of() -> None:
    with started("--dynamic-config-value", "limit.maxIDLenght=1") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
    assert "has no effect here (did you mean" in errors
    assert "limit.maxIDLength" in errors


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def test_a_busy_port(busy_port: int) -> None:
    sentence = refused("--port", str(busy_port))
    assert sentence.startswith(f"Error: cannot listen on 127.0.0.1:{busy_port}: the port is in use")


def test_a_busy_metrics_port(busy_port: int) -> None:
    assert refused("--port", "0", "--metrics-port", str(busy_port)) == (
        f"Error: metrics port {busy_port} on 127.0.0.1 is in use:"
        " stop what uses it or give another port\n"
    )


def test_a_database_that_another_server_has(tmp_path: Path) -> None:
    database = str(tmp_path / "perdure.db")
    with started("--db-filename", database) as (_, found):
        assert found["Database"] == database
        assert database in refused("--port", "0", "--db-filename", database)


async def test_an_sdk_starts_it_in_the_real_ones_place() -> None:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(PERDURE),
        dev_server_extra_args=["--dynamic-config-value", "system.enableEagerWorkflowStart=true"],
    ) as environment:
        client = environment.client
        async with Worker(
            client,
            task_queue="hello",
            workflows=[Hello],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            result = await client.execute_workflow(
                Hello.run, "you", id="hello-1", task_queue="hello"
            )
    assert result == "Hello, you!"
