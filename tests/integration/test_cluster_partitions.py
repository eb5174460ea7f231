"""A busy queue of a cluster is served by several matching nodes, and workers notice nothing."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue, TaskQueueTypeInfo
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf
from temporalio.client import Client

from conformance.driver import until as eventually
from contract.cluster import PostgresCluster
from integration.role_nodes import LIMIT, QUEUE, Greeting, database_server, worker
from perdure.app.node import Node, start_node
from perdure.config.settings import resolve
from perdure.config.static import (
    InternodeListener,
    Listener,
    Listeners,
    Metrics,
    Role,
    ServerConfig,
    Store,
)
from perdure.config.static import Node as NodeConfig
from perdure.persistence.postgres.administration import setup
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from perdure.telemetry import catalogue

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
ROLES: dict[str, list[Role]] = {
    "front": ["frontend", "history"],
    "matching-1": ["matching"],
    "matching-2": ["matching"],
    "matching-3": ["matching"],
}
PARTITIONS = 16
"""So many that they never all belong to one node."""
WORKFLOWS = 60


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture
async def nodes(database: PostgresCluster) -> AsyncIterator[dict[str, Node]]:
    """Nodes whose task queues have many partitions."""
    dsn = database.create_database()
    await setup(dsn, ids=SystemIds(clock=SystemClock()), say=lambda _: None)
    values, problems = resolve(
        {
            "matching.numTaskqueueReadPartitions": PARTITIONS,
            "matching.numTaskqueueWritePartitions": PARTITIONS,
        }
    )
    assert not problems
    async with AsyncExitStack() as parts:
        started: dict[str, Node] = {}
        for name, roles in ROLES.items():
            config = ServerConfig(
                listeners=Listeners(grpc=Listener(port=0), internode=InternodeListener(port=0)),
                roles=roles,
                node=NodeConfig(name=name, drain_seconds=0.0),
                store=Store(kind="postgres", dsn=dsn),
                metrics=Metrics(),
                namespaces=["default"],
            )
            started[name] = await start_node(config, values, parts)
        async with asyncio.timeout(LIMIT.seconds):
            for node in started.values():
                await node.ready()
        yield started


def partitions_with_tasks(node: Node) -> set[str]:
    """Returns the partitions of the queue to which tasks came on a node."""
    with urllib.request.urlopen(node.places["Metrics"]) as response:  # noqa: S310 it is http
        text = str(response.read(), "utf-8")
    return {
        sample.labels["partition"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(catalogue.TASKS_ADDED.name)
        and sample.labels["taskqueue"] == QUEUE
        and sample.labels["partition"] != "__sticky__"
        and sample.value > 0
    }


async def described(client: Client) -> list[TaskQueueTypeInfo]:
    """Returns what the whole queue is like, for each type of task."""
    answer = await client.workflow_service.describe_task_queue(
        wf.DescribeTaskQueueRequest(
            namespace="default",
            task_queue=TaskQueue(name=QUEUE),
            api_mode=enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
            report_stats=True,
            report_pollers=True,
        )
    )
    return list(answer.versions_info[""].types_info.values())


async def drained(client: Client) -> list[TaskQueueTypeInfo] | None:
    infos = await described(client)
    waiting = sum(info.stats.approximate_backlog_count for info in infos)
    return None if waiting else infos


async def test_a_queue_is_served_by_several_nodes(nodes: dict[str, Node]) -> None:
    client = await Client.connect(nodes["front"].places["gRPC"])
    handles = [
        await client.start_workflow(Greeting.run, id=f"greeting-{number}", task_queue=QUEUE)
        for number in range(WORKFLOWS)
    ]
    async with worker(nodes["front"]):
        results = [await handle.result() for handle in handles]
        assert results == ["hello"] * WORKFLOWS
        # Partitions are told of what others have started a moment later.
        infos = await eventually(lambda: drained(client), what="a queue without a backlog")
        listed = await client.workflow_service.list_task_queue_partitions(
            wf.ListTaskQueuePartitionsRequest(namespace="default", task_queue=TaskQueue(name=QUEUE))
        )
    assert [len(info.pollers) for info in infos] == [1, 1]
    assert len(listed.workflow_task_queue_partitions) == PARTITIONS
    serving = [
        await asyncio.to_thread(partitions_with_tasks, nodes[name])
        for name in ROLES
        if name != "front"
    ]
    # Polls that find nothing gather at the root, whichever node has it, and tasks go there.
    assert sum(bool(partitions) for partitions in serving) >= 2
