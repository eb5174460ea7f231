"""Nodes as processes over PostgreSQL: what they refuse, what they survive, and how they end."""

import asyncio
import os
import socket
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from temporalio import workflow
from temporalio.api.common.v1.message_pb2 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1.task_queue_pb2 import TaskQueueType
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from contract.cluster import MissingPostgres, PostgresCluster, free_port
from integration.node_processes import (
    HISTORY,
    MATCHING,
    NOT_SERVING,
    PUBLIC,
    SECONDS,
    SERVING,
    Health,
    NodeProcess,
    NodeProcesses,
    cluster_status,
    node_processes,
)
from perdure.config.static import Cluster
from perdure.persistence.postgres.administration import setup
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds
from waiting import until

pytestmark = pytest.mark.postgres

QUEUE = "queue"
PASSWORD = "open-sesame"  # noqa: S105 - nobody uses it but these tests
OTHER_ROLES = ("history", "matching", "worker")
SHARDS = Cluster().shards


@workflow.defn
class Waiting:
    """Ends when it is told to, with what it is told."""

    def __init__(self) -> None:
        self.told = ""

    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.01)
        await workflow.wait_condition(lambda: bool(self.told))
        return self.told

    @workflow.signal
    def end(self, told: str) -> None:
        self.told = told


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    try:
        server = PostgresCluster.start(passwords=True)
    except MissingPostgres as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    yield server
    server.stop()


@pytest.fixture
def empty(postgres: PostgresCluster) -> str:
    """A database without a schema."""
    return postgres.create_database()


@pytest.fixture
async def dsn(empty: str) -> str:
    """A database that a cluster can use."""
    await setup(empty, ids=SystemIds(clock=SystemClock()), say=lambda _: None)
    return empty


@pytest.fixture
def nodes(tmp_path: Path, dsn: str) -> Iterator[NodeProcesses]:
    with node_processes(tmp_path, dsn) as processes:
        yield processes


@pytest.fixture
async def reserved(postgres: PostgresCluster, empty: str) -> str:
    """A database by TCP, for a user who gives the wrong password."""
    async with await psycopg.AsyncConnection.connect(empty, autocommit=True) as connection:
        await connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'".encode())
    return postgres.by_tcp(str(conninfo_to_dict(empty)["dbname"]), user="guest:wrong")


@pytest.fixture
async def too_new(dsn: str) -> str:
    """A database that a later release has migrated."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("UPDATE perdure_schema SET version = 9999, oldest_compatible = 99")
    return dsn


@asynccontextmanager
async def working(address: str) -> AsyncIterator[Client]:
    """Runs a worker; yields its client."""
    client = await Client.connect(address)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=QUEUE, workflows=[Waiting], workflow_runner=runner):
        yield client


async def run_one(client: Client, name: str) -> None:
    """Runs a workflow to its end."""
    handle = await client.start_workflow(Waiting.run, id=name, task_queue=QUEUE)
    await handle.signal(Waiting.end, name)
    assert await asyncio.wait_for(handle.result(), SECONDS) == name


def address_of(node: NodeProcess) -> str:
    return node.places["gRPC"]


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("host=there password='open", "cannot be read: write it as postgresql://"),
        ("postgresql://guest@perdure.invalid/d", "host is unknown: correct the host"),
        ("postgresql://guest@127.0.0.1:1/d", "nobody listens there: start it, or correct host"),
    ],
)
def test_a_connection_string_that_leads_nowhere(tmp_path: Path, dsn: str, said: str) -> None:
    with node_processes(tmp_path, dsn) as nodes:
        assert said in nodes.start().refusal()


def test_a_wrong_password(tmp_path: Path, reserved: str) -> None:
    with node_processes(tmp_path, reserved) as nodes:
        assert "user or password is wrong: correct them" in nodes.start().refusal()


def test_a_missing_database(tmp_path: Path, postgres: PostgresCluster) -> None:
    with node_processes(tmp_path, postgres.conninfo("missing")) as nodes:
        assert "there is no such database: create it" in nodes.start().refusal()


def test_a_missing_schema(tmp_path: Path, empty: str) -> None:
    with node_processes(tmp_path, empty) as nodes:
        assert "run `perdure db setup`" in nodes.start().refusal()


def test_a_schema_of_a_later_release(tmp_path: Path, too_new: str) -> None:
    with node_processes(tmp_path, too_new) as nodes:
        assert "start a newer release" in nodes.start().refusal()


def test_an_advertised_address_that_leads_nowhere(nodes: NodeProcesses) -> None:
    advertised = f"127.0.0.1:{free_port()}"
    node = nodes.start(internode={"advertised": advertised})
    said = node.refusal()
    assert f"cannot be reached at {advertised}" in said
    assert "set listeners.internode.advertised to one that leads here" in said
    assert cluster_status(node.config)["nodes"] == []


def test_an_advertised_address_that_leads_to_another_node(nodes: NodeProcesses) -> None:
    first = nodes.start("first").until_ready()
    advertised = first.places["Nodes"]
    said = nodes.start("second", internode={"advertised": advertised}).refusal()
    assert f"another node answers at {advertised}" in said
    assert [row["name"] for row in cluster_status(first.config)["nodes"]] == ["first"]


@pytest.mark.parametrize("listener", ["grpc", "internode", "metrics"])
def test_a_port_that_is_in_use(nodes: NodeProcesses, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sections: dict[str, Any] = {listener: {"port": port}}
        node = nodes.start(**sections)
        said = node.refusal()
    assert str(port) in said
    assert "in use" in said
    assert "stop what uses it or" in said
    assert node.logged("took shards") == []
    assert cluster_status(node.config)["nodes"] == []


async def test_frontends_that_share_a_port(nodes: NodeProcesses) -> None:
    port = free_port()
    shared = {"port": port, "shared": True}
    first = nodes.start("first", grpc=shared).until_ready()
    second = nodes.start("second", grpc=shared).until_ready()
    assert address_of(first) == address_of(second) == f"127.0.0.1:{port}"
    first.stop()
    async with working(address_of(second)) as client:
        await run_one(client, "alone")


async def test_of_two_nodes_with_one_name_the_first_goes_on(nodes: NodeProcesses) -> None:
    first = nodes.start("twin").until_ready()
    said = nodes.start("twin").refusal()
    assert f"the node at {first.places['Nodes']} is alive under the name 'twin'" in said
    assert "give this node a name of its own, or stop the other one" in said
    async with working(address_of(first)) as client:
        await run_one(client, "after-the-twin")


async def test_a_name_comes_back_after_a_kill(nodes: NodeProcesses) -> None:
    nodes.start("phoenix").until_ready().kill()
    again = nodes.start("phoenix").until_ready()
    (row,) = cluster_status(again.config)["nodes"]
    assert (row["name"], row["address"]) == ("phoenix", again.places["Nodes"])
    async with working(address_of(again)) as client:
        await run_one(client, "risen")


async def test_a_database_that_goes_away_and_comes_back(
    nodes: NodeProcesses, postgres: PostgresCluster
) -> None:
    started = [nodes.start("front", roles=["frontend", "matching"])]
    started.append(nodes.start("back", roles=["history", "worker"]))
    front, back = (node.until_ready() for node in started)
    async with (
        working(address_of(front)) as client,
        grpc.aio.insecure_channel(address_of(front)) as outer,
        grpc.aio.insecure_channel(back.places["Nodes"]) as inner,
    ):
        handle = await client.start_workflow(Waiting.run, id="patient", task_queue=QUEUE)
        await asyncio.to_thread(postgres.halt)
        try:
            await Health(outer).until(PUBLIC, NOT_SERVING)
            await Health(inner).until(HISTORY, NOT_SERVING)
        finally:
            await asyncio.to_thread(postgres.resume)
        await Health(outer).until(PUBLIC, SERVING)
        await Health(inner).until(HISTORY, SERVING)
        await handle.signal(Waiting.end, "so long")
        assert await asyncio.wait_for(handle.result(), SECONDS) == "so long"
        await run_one(client, "next")
    for node in (front, back):
        node.stop()


async def test_health_says_whether_a_node_can_serve(nodes: NodeProcesses) -> None:
    port, inner_port = free_port(), free_port()
    front = nodes.start("front", roles=["frontend"], grpc={"port": port})
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        public = Health(channel)
        assert await public.of(PUBLIC) == NOT_SERVING
        assert await public.of("") == NOT_SERVING
        assert await public.of(HISTORY) is grpc.StatusCode.NOT_FOUND
        back = nodes.start("back", roles=OTHER_ROLES[:2], internode={"port": inner_port})
        await public.until(PUBLIC, SERVING)
        front.until_ready()
        back.until_ready()
        async with grpc.aio.insecure_channel(back.places["Nodes"]) as inner_channel:
            inner = Health(inner_channel)
            assert await inner.of(HISTORY) == await inner.of(MATCHING) == SERVING
            assert await inner.of(PUBLIC) is grpc.StatusCode.NOT_FOUND
            leaving = [await inner.watch(HISTORY), await inner.watch(MATCHING)]
            left = await public.watch(PUBLIC)
            back.tell_to_stop()
            for watch in (*leaving, left):
                await watch.until(NOT_SERVING)
        back.until_stopped()


async def test_ipv6(nodes: NodeProcesses) -> None:
    port = free_port()
    advertised = {"port": port, "advertised": f"[::1]:{port}"}
    metrics = {"host": "::1"}
    front = nodes.start("front", roles=["frontend", "matching"], host="::1", metrics=metrics)
    back = nodes.start("back", roles=["history"], host="::1", internode=advertised, metrics=metrics)
    for node in (front, back):
        node.until_ready()
        for name in node.places.keys() - {"Database"}:
            assert "[::1]:" in node.places[name]
        with await asyncio.to_thread(urllib.request.urlopen, node.places["Metrics"]) as page:
            assert page.status == 200
    rows = cluster_status(front.config)["nodes"]
    assert {row["name"]: row["address"] for row in rows} == {
        "back": f"[::1]:{port}",
        "front": front.places["Nodes"],
    }
    async with working(address_of(front)) as client:
        await run_one(client, "six")


def service_at(channel: grpc.aio.Channel) -> Any:
    """Returns what calls RPCs by their names, once each."""
    return WorkflowServiceStub(channel)  # type: ignore[arg-type]


class Signals:
    """A small load without retries: what is refused to it is refused to a client."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._service = service_at(channel)
        self.sent: Counter[str] = Counter()

    async def start(self, name: str) -> None:
        """Starts a workflow that no worker works on."""
        request = wf.StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=name,
            workflow_type=WorkflowType(name="Idle"),
            task_queue=TaskQueue(name="idle"),
            request_id=name,
        )
        await self._service.StartWorkflowExecution(request, timeout=SECONDS)

    async def send(self, name: str, stop: asyncio.Event) -> None:
        """Signals a workflow again and again."""
        request = wf.SignalWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=name),
            signal_name="signal",
        )
        while not stop.is_set():
            request.request_id = f"{name}-{self.sent[name]}"
            await self._service.SignalWorkflowExecution(request, timeout=SECONDS)
            self.sent[name] += 1

    async def received(self, name: str) -> int:
        """Returns how many signals the history of a workflow has."""
        request = wf.GetWorkflowExecutionHistoryRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=name)
        )
        events = 0
        while True:
            page = await self._service.GetWorkflowExecutionHistory(request, timeout=SECONDS)
            events += sum(
                event.HasField("workflow_execution_signaled_event_attributes")
                for event in page.history.events
            )
            if not page.next_page_token:
                return int(events)
            request.next_page_token = page.next_page_token


async def test_a_history_node_drains_under_load(nodes: NodeProcesses) -> None:
    front = nodes.start("front", roles=["frontend", "matching"])
    pair = [nodes.start(name, roles=["history"]) for name in ("stays", "leaves")]
    for node in (front, *pair):
        node.until_ready()
    stays, leaves = pair
    names = [f"busy-{number}" for number in range(4)]
    stop = asyncio.Event()
    async with grpc.aio.insecure_channel(address_of(front)) as channel:
        signals = Signals(channel)
        for name in names:
            await signals.start(name)
        async with asyncio.TaskGroup() as senders:
            for name in names:
                senders.create_task(signals.send(name, stop))
            await until(lambda: min(signals.sent[name] for name in names) > 0)
            await until(lambda: is_shared(shards_by_node(stays)))
            leaves.tell_to_stop()
            await asyncio.to_thread(leaves.until_stopped)
            assert shards_by_node(stays) == {"stays": SHARDS, "front": 0}
            before = dict(signals.sent)
            await until(lambda: all(signals.sent[name] > before[name] for name in names))
            stop.set()
        assert {name: await signals.received(name) for name in names} == signals.sent
    assert leaves.logged("not all shards were given away in time; others will take them") == []
    # No load balancer takes the frontend away because of shards that move.
    assert front.logged("not ready to serve any more") == []


def is_shared(shards: dict[str, int]) -> bool:
    """Tells whether both history nodes own some, and none are on their way between them."""
    return shards["leaves"] > 0 and sum(shards.values()) == SHARDS


def shards_by_node(node: NodeProcess) -> dict[str, int]:
    """Returns how many shards each node has."""
    return {row["name"]: row["shards"] for row in cluster_status(node.config)["nodes"]}


async def test_long_polls_of_a_frontend_that_stops_are_answered(nodes: NodeProcesses) -> None:
    front = nodes.start("front", roles=["frontend"])
    back = nodes.start("back", roles=OTHER_ROLES)
    for node in (front, back):
        node.until_ready()
    async with grpc.aio.insecure_channel(address_of(front)) as channel:
        await Signals(channel).start("watched")
        service = service_at(channel)
        history = wf.GetWorkflowExecutionHistoryRequest(
            namespace="default",
            execution=WorkflowExecution(workflow_id="watched"),
            wait_new_event=True,
        )
        page = await service.GetWorkflowExecutionHistory(history, timeout=SECONDS)
        history.next_page_token = page.next_page_token
        tasks = wf.PollWorkflowTaskQueueRequest(namespace="default", task_queue=TaskQueue(name="q"))
        activities = wf.PollActivityTaskQueueRequest(
            namespace="default", task_queue=TaskQueue(name="q")
        )
        calls = (
            service.GetWorkflowExecutionHistory(history, timeout=SECONDS),
            service.PollWorkflowTaskQueue(tasks, timeout=SECONDS),
            service.PollActivityTaskQueue(activities, timeout=SECONDS),
        )
        for kind in (
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        ):
            await polled(service, kind)
        front.tell_to_stop()
        waited, task, activity = await asyncio.gather(*calls)
    assert waited.next_page_token
    assert not waited.history.events
    assert task == wf.PollWorkflowTaskQueueResponse()
    assert activity == wf.PollActivityTaskQueueResponse()
    front.until_stopped()


async def polled(service: Any, kind: TaskQueueType.ValueType) -> None:
    """Waits until somebody polls the queue."""
    request = wf.DescribeTaskQueueRequest(
        namespace="default", task_queue=TaskQueue(name="q"), task_queue_type=kind
    )
    async with asyncio.timeout(SECONDS):
        while not (await service.DescribeTaskQueue(request, timeout=SECONDS)).pollers:
            pass
