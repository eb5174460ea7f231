"""The raw poller load: takes workflow tasks from a queue as fast as they come.

Run by `bench.backlog` as `python -m bench.drain`. It polls with a fixed number of pollers until it
has so many tasks, and only then completes every workflow that it got a task of: so the measured
stretch is dispatch and nothing else, and every task is shown to be that of a real workflow.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import click
import grpc.aio
import uvloop
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1.request_response_pb2 import PollWorkflowTaskQueueResponse

from bench import requests
from bench.errors import BenchError
from bench.generator import FAILURES, explain
from bench.rpcs import Rpcs
from bench.stats import percentile
from bench.usage import cpu_seconds

POLLERS = 20
WINDOWS = 10
"""The measured tasks are cut into so many stretches; the median rate counts, the first does not."""

LOST_AFTER_S = 60.0
"""No task for so long means that none is coming."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain found.

    Attributes:
        tasks: Tasks taken.
        per_s: Tasks taken each second, the median of the stretches.
        server_cpu_ms: Processor time of the server for each task.
        database_cpu_ms: Processor time of the database for each task.
        last_number: Highest number of a workflow whose task was taken.
    """

    tasks: int
    per_s: float
    server_cpu_ms: float
    database_cpu_ms: float
    last_number: int


@dataclass(slots=True)
class Taken:
    """The tasks so far: tokens, the workflows' numbers, and when each came."""

    wanted: int
    tokens: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    def add(self, response: bytes) -> None:
        """Note a task; an empty answer to a poll is none."""
        task = PollWorkflowTaskQueueResponse.FromString(response)
        if task.task_token:
            self.tokens.append(task.task_token)
            self.numbers.append(int(task.workflow_execution.workflow_id.rpartition("-")[2]))
            self.at_s.append(time.perf_counter())

    @property
    def is_enough(self) -> bool:
        """Whether all that are wanted are there."""
        return len(self.tokens) >= self.wanted

    def rates(self) -> Iterator[float]:
        """Tasks each second in each stretch but the first."""
        size = self.wanted // WINDOWS
        for end in range(2 * size, self.wanted + 1, size):
            yield size / (self.at_s[end - 1] - self.at_s[end - 1 - size])


async def drain(rpcs: Rpcs, queue: str, tasks: int, pids: tuple[int, int]) -> Drained:
    """Take so many tasks, then complete their workflows.

    Args:
        rpcs: Calls of the server.
        queue: Whose tasks.
        tasks: How many; the queue must hold more.
        pids: The server, and the first process of its database.

    Raises:
        BenchError: The tasks did not come.
        grpc.aio.AioRpcError: A workflow could not be completed.
    """
    taken = Taken(tasks)
    before = [cpu_seconds(pid) for pid in pids]
    await _poll(rpcs, queue, taken)
    server_s, database_s = (cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True))
    await _complete(rpcs, taken.tokens)
    count = len(taken.tokens)
    return Drained(
        tasks=count,
        per_s=percentile(list(taken.rates()), 50),
        server_cpu_ms=server_s * 1000 / count,
        database_cpu_ms=database_s * 1000 / count,
        last_number=max(taken.numbers),
    )


async def _poll(rpcs: Rpcs, queue: str, taken: Taken) -> None:
    request = requests.poll_workflow(TaskQueue(name=queue))

    async def lane() -> None:
        while not taken.is_enough:
            try:
                async with asyncio.timeout(LOST_AFTER_S):
                    taken.add(await rpcs.poll_workflow(request))
            except TimeoutError:
                msg = f"no task came for {LOST_AFTER_S:.0f} s, after {len(taken.tokens)}"
                raise BenchError(msg) from None

    async with asyncio.TaskGroup() as lanes:
        for _ in range(POLLERS):
            lanes.create_task(lane())


async def _complete(rpcs: Rpcs, tokens: list[bytes]) -> None:
    completion, left = requests.completion(), iter(tokens)

    async def lane() -> None:
        for token in left:
            await rpcs.complete_workflow_task(completion.fill(token))

    async with asyncio.TaskGroup() as lanes:
        for _ in range(POLLERS):
            lanes.create_task(lane())


async def _run(address: str, queue: str, tasks: int, pids: tuple[int, int]) -> Drained:
    async with grpc.aio.insecure_channel(address) as channel:
        return await drain(Rpcs(channel), queue, tasks, pids)


@click.command()
@click.option("--address", required=True, help="Server, as host:port.")
@click.option("--queue", required=True, help="Task queue.")
@click.option("--tasks", required=True, type=int, help="How many tasks to take.")
@click.option("--server-pid", required=True, type=int, help="Process whose usage is measured.")
@click.option("--database-pid", required=True, type=int, help="First process of the database.")
def main(*, address: str, queue: str, tasks: int, server_pid: int, database_pid: int) -> None:
    """Take tasks from a queue and print, as one line of JSON, what was found."""
    try:
        found = uvloop.run(_run(address, queue, tasks, (server_pid, database_pid)))
    except FAILURES as error:
        line: dict[str, object] = {"error": explain(error)}
        code = 1
    else:
        line, code = asdict(found), 0
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
