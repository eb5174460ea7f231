"""The load generator process: `python -m bench.generator`, started by the runner.

It runs one scenario against one server (warm-up, one at a time, many in flight) and prints JSON
objects, one a line: progress, at most four a second, and at the end a measurement or an error.
"""

import asyncio
import gc
import json
import sys
import time
import uuid
from dataclasses import asdict, dataclass, replace

import click
import grpc
import grpc.aio
import psutil
import psycopg
import uvloop
from temporalio.api.workflowservice.v1.request_response_pb2 import DescribeNamespaceRequest

from bench.client import Client
from bench.commits import CommitCounter
from bench.errors import BenchError
from bench.measurement import START, DatabaseUse, Measurement
from bench.rpcs import NotServing, Rpcs, Traffic
from bench.scenarios import BY_NAME, Scenario
from bench.targets import NAMESPACE
from bench.usage import Meter, Usage, resident_bytes
from bench.worker import Worker

READY_TIMEOUT_S = 60.0
READY_INTERVAL_S = 0.1
SETTLE_S = 0.3
PROGRESS_INTERVAL_S = 0.25
GC_THRESHOLDS = (50_000, 50, 1000)
FAILURES = (BaseExceptionGroup, BenchError, grpc.aio.AioRpcError, psutil.Error, psycopg.Error)


class Progress:
    """Prints how far a phase has come, seldom enough to cost nothing."""

    def __init__(self) -> None:
        """Start without a phase."""
        self._phase = ""
        self._done = 0
        self._total = 0
        self._printed_s = 0.0

    def begin(self, phase: str, total: int) -> None:
        """Enter a phase of `total` workflows."""
        self._phase, self._done, self._total = phase, 0, total
        self._print(time.perf_counter())

    def advance(self) -> None:
        """Count one workflow."""
        self._done += 1
        now_s = time.perf_counter()
        if now_s - self._printed_s >= PROGRESS_INTERVAL_S:
            self._print(now_s)

    def _print(self, now_s: float) -> None:
        self._printed_s = now_s
        emit({"phase": self._phase, "done": self._done, "total": self._total})


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the generator: which server with which database, if any, and which load."""

    address: str
    server_pid: int
    scenario: Scenario
    in_flight: int
    database_pid: int | None = None
    dsn: str = ""


def emit(line: dict[str, object]) -> None:
    """Print one JSON line for the runner."""
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


async def wait_until_ready(rpcs: Rpcs, server_pid: int, *, needs_health: bool = False) -> None:
    """Wait until the server knows the namespace.

    Args:
        rpcs: Calls of the server.
        server_pid: Its process.
        needs_health: Whether its health must say, too, that it serves: in a cluster a frontend
            answers before every part of history has an owner.

    Raises:
        BenchError: The server process ended, or was not ready in time.
    """
    request = DescribeNamespaceRequest(namespace=NAMESPACE).SerializeToString()
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        if has_ended(server_pid):
            msg = "the server process ended before it served"
            raise BenchError(msg)
        try:
            await rpcs.describe_namespace(request)
            if needs_health:
                await rpcs.check_serving()
        except (grpc.aio.AioRpcError, NotServing) as error:
            if time.monotonic() > deadline_s:
                msg = f"the server was not ready within {READY_TIMEOUT_S:.0f} s: {_reason(error)}"
                raise BenchError(msg) from error
            await asyncio.sleep(READY_INTERVAL_S)
        else:
            return


def _reason(error: grpc.aio.AioRpcError | NotServing) -> str:
    return str(error) if isinstance(error, NotServing) else str(error.details())


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note of its end."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Phases:
    """The phases of a measurement, with a worker already polling."""

    def __init__(self, plan: Plan, rpcs: Rpcs, client: Client, progress: Progress) -> None:
        """Start before the first phase."""
        self._plan = plan
        self._scenario = plan.scenario
        self._rpcs = rpcs
        self._client = client
        self._progress = progress

    async def warm_up(self) -> None:
        """Run workflows that are not measured."""
        self._progress.begin("warm-up", self._scenario.warm_up)
        await self._client.run_many(self._scenario.warm_up, in_flight=self._plan.in_flight)

    async def run_one(self) -> None:
        """Run one workflow that is not measured, alone."""
        await self._client.run_many(1, in_flight=1)

    async def alone(self) -> list[float]:
        """Run workflows one at a time; return their latencies in seconds."""
        self._progress.begin("alone", self._scenario.alone)
        return await self._client.run_many(self._scenario.alone, in_flight=1)

    async def loaded(self) -> Measurement:
        """Run workflows with many in flight; the measurement lacks those that ran alone."""
        plan, workflows = self._plan, self._scenario.loaded
        gc.collect()
        self._progress.begin(f"{plan.in_flight} in flight", workflows)
        meter, before = Meter(plan.server_pid, plan.database_pid), self._rpcs.traffic()
        loaded_s = await self._client.run_many(workflows, in_flight=plan.in_flight)
        usage, traffic = meter.read(), self._rpcs.traffic().since(before)
        await asyncio.sleep(SETTLE_S)
        return _measurement(plan, loaded_s, during=usage, settled=meter.read(), traffic=traffic)


async def measure(phases: Phases) -> Measurement:
    """Measure a server that has no database beside it."""
    await phases.warm_up()
    alone_s = await phases.alone()
    return replace(await phases.loaded(), alone_s=tuple(alone_s))


async def measure_with_database(phases: Phases, counter: CommitCounter) -> Measurement:
    """Measure a server, and count what its database commits."""
    await phases.warm_up()
    await counter.measure_background()
    marks = [await counter.mark()]
    alone_s = await phases.alone()
    marks.append(await counter.mark())
    measurement = await phases.loaded()
    marks.append(await counter.mark())
    assert measurement.database is not None
    counted = counter.between(*marks[:2])
    alone = counted.commits / (len(alone_s) + 1)
    loaded = (counter.between(*marks[1:]).commits - alone) / measurement.workflows
    database = replace(
        measurement.database,
        alone_commits=alone,
        loaded_commits=max(0.0, loaded),
        alone_error=counted.error / (len(alone_s) + 1),
    )
    return replace(measurement, alone_s=tuple(alone_s), database=database)


def _measurement(
    plan: Plan, loaded_s: list[float], *, during: Usage, settled: Usage, traffic: Traffic
) -> Measurement:
    database = DatabaseUse(settled.database_cpu_s, 0.0, 0.0, 0.0)
    return Measurement(
        workflows=len(loaded_s),
        wall_s=during.wall_s,
        server_cpu_s=settled.server_cpu_s,
        generator_cpu_s=during.generator_cpu_s,
        other_cpu_s=during.other_cpu_s,
        rpcs=traffic.rpcs,
        sent_bytes=traffic.sent_bytes,
        received_bytes=traffic.received_bytes,
        resident_bytes=resident_bytes(plan.server_pid),
        alone_s=(),
        loaded_s=tuple(loaded_s),
        database=None if plan.database_pid is None else database,
    )


async def generate(plan: Plan) -> Measurement:
    """Connect, start the worker, measure, stop the worker."""
    progress = Progress()
    progress.begin(START, 0)
    async with grpc.aio.insecure_channel(plan.address) as channel:
        rpcs = Rpcs(channel)
        needs_health = plan.database_pid is not None
        await wait_until_ready(rpcs, plan.server_pid, needs_health=needs_health)
        client = Client(
            scenario=plan.scenario,
            rpcs=rpcs,
            prefix=f"bench-{plan.scenario.name}-{uuid.uuid4()}",
            on_done=progress.advance,
        )
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(scenario=plan.scenario, rpcs=rpcs, tasks=tasks)
            pollers = worker.start()
            measurement = await _measure(plan, Phases(plan, rpcs, client, progress))
            for poller in pollers:
                poller.cancel()
    return measurement


async def _measure(plan: Plan, phases: Phases) -> Measurement:
    if plan.database_pid is None:
        return await measure(phases)
    async with CommitCounter.connected(plan.dsn, phases.run_one) as counter:
        return await measure_with_database(phases, counter)


def explain(error: BaseException) -> str:
    """One sentence for the first cause in a tree of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, grpc.aio.AioRpcError):
        return f"an RPC failed with {error.code().name}: {error.details()}"
    return str(error) or type(error).__name__


@click.command()
@click.option("--address", required=True, help="Server to load, as host:port.")
@click.option("--server-pid", required=True, type=int, help="Process whose usage is measured.")
@click.option("--scenario", required=True, type=click.Choice(sorted(BY_NAME)))
@click.option("--alone", required=True, type=int, help="Workflows run one at a time.")
@click.option("--loaded", required=True, type=int, help="Workflows run with many in flight.")
@click.option("--in-flight", required=True, type=int, help="Workflows in flight at most.")
@click.option("--database-pid", type=int, help="First process of the server's database.")
@click.option("--dsn", default="", help="Connection string of that database.")
def main(
    *,
    address: str,
    server_pid: int,
    scenario: str,
    alone: int,
    loaded: int,
    in_flight: int,
    database_pid: int | None,
    dsn: str,
) -> None:
    """Load one server with one scenario and print the measurement."""
    sized = replace(BY_NAME[scenario], alone=alone, loaded=loaded)
    plan = Plan(
        address=address,
        server_pid=server_pid,
        scenario=sized,
        in_flight=in_flight,
        database_pid=database_pid,
        dsn=dsn,
    )
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        measurement = uvloop.run(generate(plan))
    except FAILURES as error:
        emit({"error": explain(error)})
        sys.exit(1)
    emit({"measurement": asdict(measurement)})


if __name__ == "__main__":
    main()
