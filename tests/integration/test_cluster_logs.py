"""What a cluster writes to its log while nothing is wrong: no errors, and lines that parse."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from contract.cluster import PostgresCluster, free_port
from integration.node_processes import NodeProcess, NodeProcesses, new_cluster
from integration.role_nodes import LIMIT, QUEUE, Greeting, database_server, greet

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture
async def nodes(database: PostgresCluster, tmp_path: Path) -> AsyncIterator[NodeProcesses]:
    async with new_cluster(database, tmp_path) as processes:
        yield processes


def errors(node: NodeProcess) -> list[Any]:
    """Returns the lines that are errors, or are no lines of a log."""
    found: list[Any] = []
    for line in node.err.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if record["level"] == "error":
            found.append(record)
    return found


async def work(client: Client, until: asyncio.Event) -> int:
    """Runs one workflow after the other; returns how many."""
    done = 0
    while not (until.is_set() and done):
        name = f"greeting-{done}"
        handle = await client.start_workflow(Greeting.run, id=name, task_queue=QUEUE)
        assert await asyncio.wait_for(handle.result(), LIMIT.seconds) == "hello"
        done += 1
    return done


async def test_start_stop_and_a_rolling_restart_log_no_error(nodes: NodeProcesses) -> None:
    port = free_port()
    # Clients find whichever node is there at one address, as through a load balancer.
    shared = {"port": port, "shared": True}
    started = [nodes.start(name, grpc=shared) for name in ("a", "b")]
    for node in started:
        node.until_ready()
    client = await Client.connect(f"127.0.0.1:{port}")
    restarted = asyncio.Event()
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Greeting],
        activities=[greet],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        working = asyncio.create_task(work(client, restarted))
        for name, node in zip(("a", "b"), list(started), strict=True):
            await asyncio.to_thread(node.stop)
            again = nodes.start(name, grpc=shared)
            started.append(again)
            await asyncio.to_thread(again.until_ready)
        restarted.set()
        assert await working > 0
    for node in started[2:]:
        await asyncio.to_thread(node.stop)
    for node in started:
        assert node.logged("Perdure has started")
        assert errors(node) == []
