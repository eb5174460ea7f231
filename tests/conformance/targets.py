"""Starts the servers that scenarios run against: the real dev server (the oracle) and Perdure.

Both take the command line of `temporal server start-dev` and are started the same way, so that no
scenario can know which one it talks to.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeNamespaceResponse,
)

from conformance.recording import Recording
from conformance.rpc import call
from conformance.scenario import NAMESPACE, SEARCH_ATTRIBUTES, Scenario, environment, run

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_BIN = Path(sys.executable).parent


@dataclass(slots=True)
class RunningServer:
    """A server process that listens; `log` is a file with all that it printed."""

    command: Sequence[str]
    address: str
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Starts the process and waits until it serves; AssertionError with its log otherwise."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        deadline = time.monotonic() + START_SECONDS
        while not asyncio.run(serves(self.address)):
            running = self.process.poll() is None and time.monotonic() < deadline
            assert running, f"{self.command[0]} does not serve:\n{self.log.read_text()[-4000:]}"

    def kill(self) -> None:
        """Kills the process as kill -9 does, and waits for its end."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Asks the process to end, and kills it when it does not within `STOP_SECONDS`."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def oracle_command() -> list[str]:
    """Returns how the real server's executable is called."""
    return [str(_BIN / "temporal")]


def perdure_command() -> list[str]:
    """Returns how Perdure is called."""
    return [str(perdure_executable())]


def perdure_executable() -> Path:
    """Returns the console script of this environment, or what PERDURE_EXECUTABLE names."""
    path = Path(os.environ.get("PERDURE_EXECUTABLE", _BIN / "perdure"))
    assert path.exists(), f"{path} is missing: run ./dev up, which installs the project"
    return path


def run_sync(chosen: Scenario, address: str) -> Recording:
    """Runs one scenario against the server at `address`, in an event loop of its own."""
    return asyncio.run(run(chosen, address))


@contextmanager
def dev_server(
    command: Sequence[str], *, flags: Sequence[str] = (), port: int | None = None
) -> Iterator[RunningServer]:
    """Runs `COMMAND server start-dev` on a free port until the context ends."""
    port = port or free_port()
    attributes = [f"--search-attribute={name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]
    arguments = ["server", "start-dev", "--headless", "--ip=127.0.0.1", f"--port={port}"]
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        server = RunningServer(
            [*command, *arguments, "--log-level=warn", *attributes, *flags],
            f"127.0.0.1:{port}",
            Path(folder) / "server.log",
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


class Servers:
    """The dev servers of one kind that scenarios need, each started when it is first asked for."""

    def __init__(self, command: Sequence[str], default: str | None, parts: ExitStack) -> None:
        """Starts nothing.

        Args:
            command: How the server's executable is called.
            default: A server (host:port) that runs already, for scenarios without settings.
            parts: Ends what is started here.
        """
        self._command = command
        self._parts = parts
        self._addresses: dict[tuple[str, ...], str] = {} if default is None else {(): default}

    def address(self, chosen: Scenario) -> str:
        """Returns where the server is that a scenario needs."""
        if chosen.settings not in self._addresses:
            flags = [f"--dynamic-config-value={setting}" for setting in chosen.settings]
            server = self._parts.enter_context(dev_server(self._command, flags=flags))
            self._addresses[chosen.settings] = server.address
        return self._addresses[chosen.settings]


def oracle_version() -> str:
    """Returns the version of the real server, such as "1.32.0"."""
    command = [*oracle_command(), "--version"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Server ([\d.]+)", text)
    assert found is not None, f"no server version in {text!r}"
    return found.group(1)


def free_port() -> int:
    """Returns a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def serves(address: str) -> bool:
    """Tells whether the server answers and has its default namespace."""
    async with environment(address) as env:
        request = DescribeNamespaceRequest(namespace=NAMESPACE)
        try:
            await call(env, request, DescribeNamespaceResponse, timeout=0.5)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)
            return False
        return True
