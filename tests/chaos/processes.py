"""Processes that the harness starts: Perdure's, each of its own, and the SDK workers.

All of them are killed by the kernel when the harness dies, whatever it died of.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from chaos.errors import ChaosError
from chaos.worker import READY
from waiting import until

PERDURE = Path(sys.executable).parent / "perdure"
START_SECONDS = 60.0
DRAIN_SECONDS = 15.0
STOP_SECONDS = DRAIN_SECONDS + 15.0
RESTART_SECONDS = 1.0
"""What the supervisor waits before it starts a process again."""
LEASE_SECONDS = 6.0
"""The default of node.lease_seconds."""


@dataclass(frozen=True, slots=True)
class Place:
    """What sets a process apart from the others.

    Attributes:
        roles: What it does.
        host: Where it listens.
        environment: Variables that only it has.
        prefix: A command that runs it, such as one that enters a namespace.
    """

    roles: tuple[str, ...]
    host: str = "127.0.0.1"
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()


class ServerProcess:
    """One process of Perdure, started and ended by the harness.

    Attributes:
        name: Its node's name.
        log_path: What it writes, over all of its starts.
        starts: How often it was started.
    """

    def __init__(self, name: str, place: Place, config: Path, folder: Path) -> None:
        self.name = name
        self.place = place
        self.log_path = folder / f"{name}.log"
        self.starts = 0
        self._config = config
        self._out = folder / f"{name}.out"
        self._process: Process | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it and waits until it serves."""
        await self.launch()
        await self.until_ready()

    async def launch(self) -> None:
        """Starts it, and does not wait."""
        assert not self.running
        self.starts += 1
        command = [str(PERDURE), "server", "start", "--config", str(self._config)]
        with self._out.open("w") as out, self.log_path.open("a") as log:
            self._process = await _spawn(
                [*self.place.prefix, *command],
                environment=self.place.environment,
                stdin=DEVNULL,
                stdout=out.fileno(),
                stderr=log.fileno(),
            )

    async def until_ready(self) -> None:
        """Waits until it says that it serves.

        Raises:
            ChaosError: It ended, or is not ready in time.
        """
        try:
            await until(lambda: self._out.stat().st_size > 0 or not self.running, START_SECONDS)
        except TimeoutError:
            raise ChaosError(f"{self.name} was not ready in time: see {self.log_path}") from None
        if not self.running:
            raise ChaosError(f"{self.name} ended: {_tail(self.log_path)}")

    async def kill(self) -> None:
        """Ends it with SIGKILL."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> None:
        """Tells it to stop and waits until it has.

        Raises:
            ChaosError: It did not stop in time, or not with exit code 0.
        """
        try:
            code = await self._end(signal.SIGTERM)
        except TimeoutError:
            raise ChaosError(f"{self.name} did not stop within {STOP_SECONDS:.0f} s") from None
        if code:
            raise ChaosError(f"{self.name} was told to stop and ended with exit code {code}")

    def suspend(self) -> None:
        """Stops its time."""
        self._send(signal.SIGSTOP)
        self._stopped = True

    def resume(self) -> None:
        """Lets it go on."""
        self._send(signal.SIGCONT)
        self._stopped = False

    async def destroy(self) -> None:
        """Ends it in whatever state it is."""
        if self.running:
            await self.kill()

    def log_lines(self, message: str) -> list[dict[str, Any]]:
        """The lines of its log with a message."""
        lines = []
        for line in self.log_path.read_text("utf-8").splitlines():
            if line.startswith("{"):
                logged = json.loads(line)
                if logged.get("msg") == message:
                    lines.append(logged)
        return lines

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._send(number)
        async with asyncio.timeout(STOP_SECONDS):
            return await self._process.wait()


class Workers:
    """The process of the SDK workers."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, address: str, folder: Path) -> "Workers":
        """Starts the workers and waits until they poll."""
        with (folder / "workers.log").open("w") as log:
            process = await _spawn(
                [sys.executable, "-m", "chaos.worker", address, str(folder)],
                environment={},
                stdin=PIPE,
                stdout=PIPE,
                stderr=log.fileno(),
            )
        workers = cls(process)
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            said = await process.stdout.readline()
        if said.decode().strip() != READY:
            raise ChaosError(f"the workers ended: {_tail(folder / 'workers.log')}")
        return workers

    async def stop(self) -> None:
        """Tells them to finish, and waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(STOP_SECONDS):
            code = await self._process.wait()
        if code:
            raise ChaosError(f"the workers ended with exit code {code}: see workers.log")

    async def destroy(self) -> None:
        """Ends them at once."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def write_config(path: Path, *, name: str, place: Place, dsn: str, grpc_port: int) -> None:
    """Writes the configuration of one process."""
    path.write_text(
        yaml.safe_dump(
            {
                "store": {"kind": "postgres", "dsn": dsn},
                "node": {"name": name, "drain_seconds": DRAIN_SECONDS},
                "roles": list(place.roles),
                "listeners": {
                    "grpc": {"host": place.host, "port": grpc_port, "shared": True},
                    "internode": {"host": place.host, "port": 0},
                },
                "namespaces": ["default"],
            }
        ),
        "utf-8",
    )


async def run(*command: object) -> str:
    """Runs a command and returns what it prints.

    Raises:
        ChaosError: It failed.
    """
    words = [str(word) for word in command]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=DEVNULL, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ChaosError(f"{' '.join(words)} failed: {output.decode().strip()}")
    return output.decode()


async def _spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stdin: int,
    stdout: int,
    stderr: int,
) -> Process:
    return await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL"),
        *command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **environment},
        # Ctrl-C in a terminal is for the harness, which ends the others in order.
        process_group=0,
    )


def _tail(path: Path) -> str:
    return " / ".join(path.read_text("utf-8").splitlines()[-3:])
