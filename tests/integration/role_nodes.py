"""A cluster of four nodes, each of one role, in this process; and a workflow for it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from contract.cluster import MissingPostgres, PostgresCluster
from perdure.app.node import Node, start_node
from perdure.config.settings import Values
from perdure.config.static import (
    ALL_ROLES,
    InternodeListener,
    Listener,
    Listeners,
    Metrics,
    ServerConfig,
    Store,
)
from perdure.config.static import Node as NodeConfig
from perdure.persistence.postgres.administration import setup
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

LIMIT = timedelta(seconds=30)
QUEUE = "greetings"


@activity.defn
async def greet() -> str:
    return "hello"


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.01)
        return await workflow.execute_activity(greet, start_to_close_timeout=LIMIT)


@contextmanager
def database_server() -> Iterator[PostgresCluster]:
    """Runs a PostgreSQL; skips the test where there is none."""
    try:
        server = PostgresCluster.start()
    except MissingPostgres as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def role_nodes(
    server: PostgresCluster,
    *,
    values: Values | None = None,
    namespaces: Sequence[str] = ("default",),
) -> AsyncIterator[dict[str, Node]]:
    """Runs a node of each role on a database of its own; yields them when they are ready."""
    dsn = server.create_database()
    await setup(dsn, ids=SystemIds(clock=SystemClock()), say=lambda _: None)
    listeners = Listeners(grpc=Listener(port=0), internode=InternodeListener(port=0))
    async with AsyncExitStack() as parts:
        started: dict[str, Node] = {}
        for role in ALL_ROLES:
            config = ServerConfig(
                listeners=listeners,
                roles=[role],
                node=NodeConfig(name=role, drain_seconds=0.0),
                store=Store(kind="postgres", dsn=dsn),
                metrics=Metrics(),
                namespaces=list(namespaces),
            )
            started[role] = await start_node(config, values or Values(), parts)
        async with asyncio.timeout(LIMIT.seconds):
            for node in started.values():
                await node.ready()
        yield started


@asynccontextmanager
async def worker(node: Node) -> AsyncIterator[Client]:
    """Runs a worker for greetings."""
    client = await Client.connect(node.places["gRPC"])
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Greeting],
        activities=[greet],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield client


async def greeting(node: Node) -> None:
    """Runs a workflow with a timer and an activity to its end."""
    async with worker(node) as client:
        await client.execute_workflow(Greeting.run, id="greeting-1", task_queue=QUEUE)
