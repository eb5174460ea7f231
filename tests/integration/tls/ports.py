"""A port with TLS whose files are a test's own, and clients of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from authority import Authority, Issued, replace
from perdure.app.tls_metrics import TlsMetrics
from perdure.config.tls import ServerTls, Tls
from perdure.rpc.handler import RequestContext
from perdure.rpc.server import RpcServer
from perdure.rpc.tls.following import TlsFiles
from perdure.rpc.tls.serving import node_security
from perdure.runtime.clock import SystemClock
from perdure.telemetry.collectors import Metrics

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
ANSWERED = SERVICE + "GetSystemInfo"
POLL = SERVICE + "PollWorkflowTaskQueue"
SECONDS = 20.0
"""How long a call may take: only a test that fails waits so long."""


@dataclass
class World:
    """A port, and what is needed to reach it.

    Attributes:
        folder: Where its files are.
        authority: Whose certificates it and its clients have.
        files: What it follows.
        port: Its number.
        polls: How many polls wait.
        metrics: What is told of certificates.
    """

    folder: Path
    authority: Authority
    files: TlsFiles
    metrics: Metrics
    port: int = 0
    polls: int = 0
    handlers: dict[str, Any] = field(default_factory=dict)

    async def reload(self) -> None:
        """Has changed files be read, as every second."""
        await self.files.look()

    def value(self, metric: Any, **labels: str) -> float:
        """Returns the sum of the metric's series that have these labels."""
        kind = metric.kind.value
        family = getattr(self.metrics, kind)(metric)
        found: list[float] = [
            series.current()
            for values, series in family.series()
            if labels.items() <= dict(zip(metric.labels, values, strict=True)).items()
        ]
        return sum(found)


def section(folder: Path, **server: object) -> dict[str, Any]:
    """Returns a port's section whose files are those of `write`, clients verified."""
    return {
        "certFile": str(folder / "certificate.pem"),
        "keyFile": str(folder / "key.pem"),
        "clientCaFiles": [str(folder / "trust.pem")],
        "requireClientAuth": True,
        **server,
    }


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    leaf: Issued | None = None,
    authority: Authority | None = None,
    server: Mapping[str, Any] | None = None,
    tls: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """Runs a port as frontends have it.

    Args:
        folder: Where the files are put.
        leaf: What it shows; one of the authority's, if it is None.
        authority: Whose clients are let in.
        server: What its section says besides.
        tls: What the section around that says besides.
    """
    authority = authority or Authority("root")
    replace(folder / "trust.pem", authority.pem)
    (leaf or authority.issue()).write(folder)
    given = {"frontend": {"server": section(folder, **(server or {}))}, **(tls or {})}
    metrics = Metrics().scoped(service_name="frontend")
    config = Tls.model_validate(given)
    observer = TlsMetrics(metrics, SystemClock(), config.expiration_checks)
    files = TlsFiles(config, ServerTls(), clock=SystemClock(), observer=observer)
    world = World(folder, authority, files, metrics)

    async def answer(_request: Message, _context: RequestContext) -> Message:
        return wf.GetSystemInfoResponse(server_version="1")

    async def poll(_request: Message, _context: RequestContext) -> Message:
        world.polls += 1
        try:
            await asyncio.Event().wait()
        finally:
            world.polls -= 1
        raise AssertionError

    served = RpcServer(
        handlers={ANSWERED: answer, POLL: poll},
        clock=SystemClock(),
        security=node_security(files).frontend,
    )
    world.port = await served.start("127.0.0.1", 0)
    try:
        yield world
    finally:
        await served.stop(0)


def channel(
    world: World, shown: Issued | None, *, trust: bytes | None = None, name: str = ""
) -> grpc.aio.Channel:
    """Returns a channel with connections of its own."""
    credentials = grpc.ssl_channel_credentials(
        world.authority.pem if trust is None else trust,
        None if shown is None else shown.key,
        None if shown is None else shown.chain,
    )
    options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
    if name:
        options.append(("grpc.ssl_target_name_override", name))
    return grpc.aio.secure_channel(f"127.0.0.1:{world.port}", credentials, options=options)


async def ask(over: grpc.aio.Channel, path: str = ANSWERED) -> grpc.StatusCode:
    """Makes a call; returns its status."""
    call: Any = over.unary_unary(path)
    try:
        await call(b"", timeout=SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def answer_to(
    world: World, shown: Issued | None, *, trust: bytes | None = None, name: str = ""
) -> grpc.StatusCode:
    """Makes a call over a new connection; returns its status."""
    async with channel(world, shown, trust=trust, name=name) as over:
        return await ask(over)
