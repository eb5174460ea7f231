"""Nodes of a cluster as operators run them: `perdure server start`, one process each, on loopback.

Leases and heartbeats are short, because tests wait for both.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from contract.cluster import PostgresCluster
from perdure.config.static import ALL_ROLES
from perdure.persistence.postgres.administration import setup
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from waiting import until_sync

PERDURE = Path(sys.executable).parent / "perdure"
SECONDS = 30.0
"""How long anything may take: only a test that fails waits so long."""
LEASE_SECONDS = 3.0
HEARTBEAT_SECONDS = 0.2

PUBLIC = "temporal.api.workflowservice.v1.WorkflowService"
HISTORY = "perdure.internode.v1.HistoryService"
MATCHING = "perdure.internode.v1.MatchingService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class NodeProcess:
    """A process that was started; what it prints goes to files."""

    def __init__(
        self, folder: Path, config: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.config = config
        self._out, self._err = folder / "out", folder / "err"
        command = [str(PERDURE), "server", "start", "--config", str(config)]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )

    @property
    def err(self) -> str:
        """Everything on stderr."""
        return self._err.read_text("utf-8")

    @property
    def places(self) -> dict[str, str]:
        """Where it says that things are; empty before it is ready."""
        lines = self._out.read_text("utf-8").splitlines()[2:]
        return {name: place.strip() for name, _, place in (line.partition(":") for line in lines)}

    def until_ready(self) -> "NodeProcess":
        """Waits until it serves."""
        until_sync(lambda: "Database" in self.places or not self.running, SECONDS)
        assert self.running, self.err
        return self

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Returns the lines of its log that have a message."""
        found = []
        for line in self.err.splitlines():
            with suppress(json.JSONDecodeError):
                record = json.loads(line)
                if record.get("msg") == message:
                    found.append(record)
        return found

    def refusal(self) -> str:
        """Waits for its end, which must be that of a process that cannot run as it is told to.

        Returns:
            The sentence that it ends with.
        """
        assert self.process.wait(SECONDS) == 1, self.err
        assert "Traceback" not in self.err, self.err
        (sentence,) = [line for line in self.err.splitlines() if not line.startswith("{")]
        assert sentence.startswith("Error: "), self.err
        assert self.places == {}
        return sentence

    def tell_to_stop(self) -> None:
        """Sends SIGTERM; a second one would end it at once."""
        self.process.send_signal(signal.SIGTERM)

    def until_stopped(self) -> None:
        """Waits until it has ended, as one that was told to."""
        assert self.process.wait(SECONDS) == 0, self.err

    def stop(self) -> None:
        """Tells it to stop, and waits until it has."""
        self.tell_to_stop()
        self.until_stopped()

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self.process.kill()
        self.process.wait()


class NodeProcesses:
    """The processes of one cluster. Make them with `node_processes`."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.dsn = dsn
        self._folder = folder
        self._started: list[NodeProcess] = []

    def start(
        self,
        name: str = "node",
        *,
        roles: Sequence[str] = ALL_ROLES,
        host: str = "127.0.0.1",
        grpc: Mapping[str, Any] | None = None,
        internode: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        sections: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> NodeProcess:
        """Starts a process.

        Args:
            name: The node's.
            roles: What it does.
            host: Where it listens.
            grpc: What `listeners.grpc` says besides; a free port, unless it says so.
            internode: The same of `listeners.internode`.
            metrics: The section of this name; none, unless it is given.
            sections: Others, by name.
            environment: Variables beside this process's own.
        """
        folder = self._folder / str(len(self._started))
        folder.mkdir()
        config = folder / "perdure.yaml"
        told = {
            "store": {"kind": "postgres", "dsn": self.dsn},
            "roles": list(roles),
            "node": {
                "name": name,
                "lease_seconds": LEASE_SECONDS,
                "heartbeat_seconds": HEARTBEAT_SECONDS,
            },
            "listeners": {
                "grpc": {"host": host, "port": 0, **(grpc or {})},
                "internode": {"host": host, "port": 0, **(internode or {})},
            },
            "namespaces": ["default"],
            **({} if metrics is None else {"metrics": dict(metrics)}),
            **(sections or {}),
        }
        config.write_text(yaml.safe_dump(told), "utf-8")
        started = NodeProcess(folder, config, environment)
        self._started.append(started)
        return started

    def kill(self) -> None:
        """Ends them all at once."""
        for started in self._started:
            started.kill()


@contextmanager
def node_processes(folder: Path, dsn: str) -> Iterator[NodeProcesses]:
    """Yields a cluster without nodes; those that are started end with the block."""
    nodes = NodeProcesses(folder, dsn)
    try:
        yield nodes
    finally:
        nodes.kill()


@asynccontextmanager
async def new_cluster(database: PostgresCluster, folder: Path) -> AsyncIterator[NodeProcesses]:
    """Yields a cluster without nodes, over a database of its own that is ready for it."""
    dsn = database.create_database()
    await setup(dsn, ids=SystemIds(clock=SystemClock()), say=lambda _: None)
    with node_processes(folder, dsn) as processes:
        yield processes


def cluster_status(config: Path) -> dict[str, Any]:
    """Returns what `perdure cluster status` says."""
    command = [str(PERDURE), "cluster", "status", "--config", str(config), "--output", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=SECONDS)
    status: dict[str, Any] = json.loads(done.stdout)
    return status


class Health:
    """What a server says of its services."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        self._check, self._watch = stub.Check, stub.Watch

    async def of(self, service: str) -> int | grpc.StatusCode:
        """Returns a service's status; why not, when there is none."""
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = await self._check(request, wait_for_ready=True, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return int(answer.status)

    async def watch(self, service: str) -> "Watch":
        """Returns what follows a service's status from now on."""
        request = health_pb2.HealthCheckRequest(service=service)
        call = self._watch(request, wait_for_ready=True, timeout=SECONDS)
        first = await call.read()
        return Watch(call, int(first.status))

    async def until(self, service: str, status: int) -> None:
        """Waits until a service has a status."""
        await (await self.watch(service)).until(status)


class Watch:
    """Follows the status of a service."""

    def __init__(self, call: Any, status: int) -> None:
        self._call = call
        self._status = status

    async def until(self, status: int) -> None:
        """Waits until the service has a status, and ends the watch."""
        while self._status != status:
            answer = await self._call.read()
            assert answer is not grpc.aio.EOF, f"the watch ended before the status was {status}"
            self._status = answer.status
        self._call.cancel()
