"""kill -9 of the server, while SDK workers work: everything goes on, nothing acknowledged is lost.

Workflows with timers, retries, and pending activities run on a SQLite file; the server is killed
again and again and started on the same file and port. What clients were told (starts, signals)
must be there in the end, once.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from conformance.driver import until
from conformance.targets import RunningServer, dev_server, perdure_command

QUEUE = "kill"
KILLS = 3
EACH = 5
"""How many workflows of a kind are open at each kill."""

SOON = timedelta(seconds=30)
RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=300), backoff_coefficient=1.0)


@activity.defn
async def needs_three_attempts(number: int) -> int:
    attempt = activity.info().attempt
    if attempt < 3:
        raise ApplicationError("again")
    return number


@activity.defn
async def takes_a_while(number: int) -> int:
    for beat in range(20):
        activity.heartbeat(beat)
        await asyncio.sleep(0.1)
    return number


@workflow.defn
class Sleeps:
    """Two timers, one after the other."""

    @workflow.run
    async def run(self, number: int) -> int:
        for _ in range(2):
            await workflow.sleep(timedelta(seconds=1))
        return number


@workflow.defn
class Retries:
    """An activity that fails twice."""

    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(
            needs_three_attempts, number, start_to_close_timeout=SOON, retry_policy=RETRY
        )


@workflow.defn
class Works:
    """An activity that runs across a kill."""

    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(
            takes_a_while,
            number,
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=3),
            retry_policy=RETRY,
        )


@workflow.defn
class Collects:
    """Collects the numbers that are signalled, until there is a last one."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    @workflow.run
    async def run(self, last: int) -> list[int]:
        await workflow.wait_condition(lambda: last in self._numbers)
        return self._numbers

    @workflow.signal
    def number(self, number: int) -> None:
        self._numbers.append(number)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with dev_server(perdure_command(), flags=[f"--db-filename={tmp_path / 'db.sqlite'}"]) as server:
        yield server


async def test_kill_9_loses_nothing(server: RunningServer) -> None:
    client = await Client.connect(server.address)
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[Sleeps, Retries, Works, Collects],
        activities=[needs_three_attempts, takes_a_while],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        collector = await client.start_workflow(Collects.run, -1, id="collector", task_queue=QUEUE)
        signaller = Signaller(collector)
        signalling = asyncio.create_task(signaller.run())
        handles: list[WorkflowHandle[Any, int]] = []
        for kill in range(KILLS):
            handles += await start_some(client, first=kill * EACH)
            await until(signaller.sent_more, what="acknowledged signals")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        results = [await handle.result() for handle in handles]
        signaller.stopped = True
        await signalling
        await collector.signal(Collects.number, -1)
        received = await collector.result()
    assert sorted(results) == sorted(list(range(KILLS * EACH)) * 3)
    assert set(signaller.acknowledged) <= set(received)
    assert len(received) == len(set(received)), "a signal was delivered twice"


async def start_some(client: Client, *, first: int) -> list[WorkflowHandle[Any, int]]:
    """Starts workflows of each kind; returning means that the server acknowledged them all."""
    return [
        await client.start_workflow(
            kind, number, id=f"{kind}-{number}", task_queue=QUEUE, result_type=int
        )
        for kind in ("Sleeps", "Retries", "Works")
        for number in range(first, first + EACH)
    ]


class Signaller:
    """Signals one number after the other and keeps those that were acknowledged."""

    def __init__(self, handle: WorkflowHandle[Any, Any]) -> None:
        self._handle = handle
        self._seen = 0
        self.acknowledged: list[int] = []
        self.stopped = False

    async def run(self) -> None:
        """Signals until it is stopped; a signal that fails may or may not have arrived."""
        number = 0
        while not self.stopped:
            number += 1
            try:
                await self._handle.signal(Collects.number, number)
            except RPCError:
                continue
            self.acknowledged.append(number)

    async def sent_more(self) -> bool:
        """Tells whether signals were acknowledged since the last time it said so."""
        if len(self.acknowledged) < self._seen + 5:
            return False
        self._seen = len(self.acknowledged)
        return True
