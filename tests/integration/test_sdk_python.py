"""The official Python SDK works against Perdure, and its test environment starts Perdure."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from conformance.driver import until
from conformance.scenario import IDENTITY
from conformance.sdk_workflows import ACTIVITIES, KEYWORD, WORKFLOWS, Hello, Medium
from conformance.targets import dev_server, perdure_command, perdure_executable

FOUR_PARTITIONS = [
    f"--dynamic-config-value=matching.numTaskqueue{kind}Partitions=4" for kind in ("Read", "Write")
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param([], id="one-partition"),
        pytest.param(FOUR_PARTITIONS, id="four-partitions", marks=pytest.mark.slow),
    ],
)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with dev_server(perdure_command(), flags=request.param) as server:
        yield server.address


@pytest.fixture
async def client(address: str) -> Client:
    return await Client.connect(address, identity=IDENTITY)


@pytest.fixture
def queue() -> str:
    return f"queue-{secrets.token_hex(4)}"


@pytest.fixture
async def worker(client: Client, queue: str) -> AsyncIterator[Worker]:
    """A worker with the SDK's defaults: sandbox, sticky cache, eager activities."""
    worker = Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES)
    async with worker:
        yield worker


async def test_hello_world(client: Client, queue: str, worker: Worker) -> None:
    result = await client.execute_workflow(Hello.run, "World", id=queue, task_queue=queue)
    assert result == "Hello, World!"


async def test_many_at_once(client: Client, queue: str, worker: Worker) -> None:
    handles = [
        await client.start_workflow(
            Hello.run, str(number), id=f"{queue}-{number}", task_queue=queue
        )
        for number in range(50)
    ]
    results = [await handle.result() for handle in handles]
    assert results == [f"Hello, {number}!" for number in range(50)]


async def test_medium_workflow(client: Client, queue: str, worker: Worker) -> None:
    handle = await client.start_workflow(Medium.run, "World", id=queue, task_queue=queue)

    async def waiting() -> bool:
        return await handle.query(Medium.stage) == "waiting"

    await until(waiting, what="the last stage")
    await handle.signal(Medium.finish, "bye")
    assert await handle.result() == ["Hello, World!", "attempt 3", "LOUD", "Hello, local!", "bye"]
    description = await handle.describe()
    assert await description.memo() == {"stage": "waiting"}
    assert description.typed_search_attributes[KEYWORD] == "waiting"


async def test_start_local_starts_perdure() -> None:
    color = SearchAttributeKey.for_keyword("Color")
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(perdure_executable()), search_attributes=[color]
    )
    async with environment as env:
        queue = "queue"
        async with Worker(env.client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES):
            result = await env.client.execute_workflow(Hello.run, "you", id="wf", task_queue=queue)
        assert result == "Hello, you!"
        listed = [item.id async for item in env.client.list_workflows("WorkflowId = 'wf'")]
        assert listed == ["wf"]
