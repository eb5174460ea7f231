"""The official SDK and CLI with tokens: a worker that may only work, a client that may write."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from conformance.driver import until
from conformance.sdk_workflows import ACTIVITIES, KEYWORD, WORKFLOWS, Hello, Medium
from perdure.app.node import start_node
from perdure.config.settings import Values
from perdure.config.static import ServerConfig
from unit.access.issuing import Issuer

QUEUE = "queue"
FOREVER = 4_000_000_000
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def address(tmp_path: Path, issuer: Issuer) -> AsyncIterator[str]:
    keys = tmp_path / "keys.json"
    keys.write_bytes(issuer.published)
    config = ServerConfig.model_validate(
        {
            "listeners": {"grpc": {"port": 0}},
            "namespaces": ["default", "other"],
            "search_attributes": {KEYWORD.name: "Keyword"},
            "global": {
                "authorization": {
                    "authorizer": "default",
                    "claimMapper": "default",
                    "jwtKeyProvider": {"keySourceURIs": [keys.as_uri()]},
                }
            },
        }
    )
    async with AsyncExitStack() as parts:
        yield (await start_node(config, Values(), parts)).places["gRPC"]


async def connected(address: str, issuer: Issuer, *permissions: str, lazy: bool = False) -> Client:
    token = issuer.token(permissions, exp=FOREVER)
    return await Client.connect(address, api_key=token, tls=False, lazy=lazy)


async def test_a_worker_that_may_only_work(address: str, issuer: Issuer) -> None:
    workers = await connected(address, issuer, "default:worker")
    header = issuer.header(["default:write"], exp=FOREVER)
    client = await Client.connect(address, rpc_metadata={"authorization": header})
    # Without a cache of workflows, it reads histories by itself.
    worker = Worker(
        workers,
        task_queue=QUEUE,
        workflows=WORKFLOWS,
        activities=ACTIVITIES,
        max_cached_workflows=0,
        max_concurrent_workflow_task_polls=1,
    )
    async with worker:
        assert await client.execute_workflow(Hello.run, "World", id="a", task_queue=QUEUE) == (
            "Hello, World!"
        )
        handle = await client.start_workflow(Medium.run, "World", id="b", task_queue=QUEUE)

        async def waiting() -> bool:
            return await handle.query(Medium.stage) == "waiting"

        await until(waiting, what="the last stage")
        await handle.signal(Medium.finish, "bye")
        assert (await handle.result())[-1] == "bye"
        for forbidden in (
            workers.start_workflow(Hello.run, "World", id="c", task_queue=QUEUE),
            workers.get_workflow_handle("a").describe(),
        ):
            with pytest.raises(RPCError, match="Request unauthorized") as refused:
                await forbidden
            assert refused.value.status is RPCStatusCode.PERMISSION_DENIED


async def test_a_worker_of_another_namespace_does_not_start(address: str, issuer: Issuer) -> None:
    client = await connected(address, issuer, "other:worker")
    with pytest.raises(RuntimeError, match="Request unauthorized"):
        await Worker(client, task_queue=QUEUE, workflows=[Hello]).run()


@pytest.mark.parametrize("by", ["api-key", "grpc-meta"])
async def test_the_cli(address: str, issuer: Issuer, by: str) -> None:
    workers = await connected(address, issuer, "default:worker")
    token = issuer.token(["default:write"], exp=FOREVER)
    shown = (
        ["--api-key", token, "--tls=false"]
        if by == "api-key"
        else ["--grpc-meta", f"authorization=Bearer {token}"]
    )
    command = [
        *(str(BIN / "temporal"), "workflow", "execute", "--address", address, "--type", "Hello"),
        *("--task-queue", QUEUE, "--workflow-id", "a", "--input", '"World"'),
    ]
    async with Worker(workers, task_queue=QUEUE, workflows=[Hello], activities=ACTIVITIES):
        done, refused = await run([*command, *shown]), await run(command)
    assert "Hello, World!" in done.stdout, done.stderr
    assert "Request unauthorized." in refused.stderr


async def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        subprocess.run, command, check=False, capture_output=True, text=True, timeout=60
    )
