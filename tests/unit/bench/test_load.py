"""The load generator against the floor: every scenario, with the RPCs that a real server needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from bench.client import Client
from bench.errors import BenchError
from bench.floor import Floor, handlers
from bench.rpcs import Rpcs
from bench.scenarios import BY_NAME, SCENARIOS, Scenario
from bench.worker import Worker

WORKFLOWS = 3


@asynccontextmanager
async def floor(scenario: Scenario) -> AsyncIterator[Rpcs]:
    """A floor in this process, and a connection to it."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(Floor(scenario)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Rpcs(channel)
    await server.stop(grace=None)


async def run_workflows(scenario: Scenario, rpcs: Rpcs) -> int:
    """Run some workflows to their end; return how many completions were reported."""
    done: list[None] = []
    client = Client(scenario=scenario, rpcs=rpcs, prefix="test", on_done=lambda: done.append(None))
    async with asyncio.TaskGroup() as tasks:
        pollers = Worker(scenario=scenario, rpcs=rpcs, tasks=tasks).start()
        latencies_s = await client.run_many(WORKFLOWS, in_flight=2)
        for poller in pollers:
            poller.cancel()
    assert len(latencies_s) == WORKFLOWS
    return len(done)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_every_workflow_completes(scenario: Scenario) -> None:
    async with floor(scenario) as rpcs:
        assert await run_workflows(scenario, rpcs) == WORKFLOWS


@pytest.mark.parametrize(
    ("name", "rpcs_each"), [("empty", 4), ("activity", 8), ("in-turn", 44), ("timer", 6)]
)
async def test_one_outcome_at_a_time_takes_a_fixed_number_of_rpcs(
    name: str, rpcs_each: int
) -> None:
    async with floor(BY_NAME[name]) as rpcs:
        await run_workflows(BY_NAME[name], rpcs)
        assert rpcs.traffic().rpcs == WORKFLOWS * rpcs_each


async def test_outcomes_that_come_together_share_workflow_tasks() -> None:
    scenario = BY_NAME["at-once"]
    apart = 4 + 4 * scenario.outcomes
    together = 6 + 2 * scenario.outcomes
    async with floor(scenario) as rpcs:
        await run_workflows(scenario, rpcs)
        assert WORKFLOWS * together <= rpcs.traffic().rpcs < WORKFLOWS * apart


async def test_a_failing_server_ends_the_run() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(ExceptionGroup) as caught:
            await run_workflows(BY_NAME["empty"], Rpcs(channel))
    await server.stop(grace=None)
    assert caught.group_contains(grpc.aio.AioRpcError)
    assert not caught.group_contains(BenchError)
