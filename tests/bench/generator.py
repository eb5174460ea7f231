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
import uvloop
from temporalio.api.workflowservice.v1.request_response_pb2 import DescribeNamespaceRequest

from bench import requests
from bench.client import Client
from bench.errors import BenchError
from bench.measurement import START, Measurement
from bench.rpcs import Rpcs
from bench.scenarios import BY_NAME, Scenario
from bench.usage import Meter, resident_bytes
from bench.worker import Worker

READY_TIMEOUT_S = 60.0
READY_INTERVAL_S = 0.1
SETTLE_S = 0.3
PROGRESS_INTERVAL_S = 0.25
GC_THRESHOLDS = (50_000, 50, 1000)


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
    """One run of the generator: which server, which load."""

    address: str
    server_pid: int
    scenario: Scenario
    in_flight: int


def emit(line: dict[str, object]) -> None:
    """Print one JSON line for the runner."""
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


async def wait_until_ready(rpcs: Rpcs, server_pid: int) -> None:
    """Wait until the server knows the namespace.

    Raises:
        BenchError: The server process ended, or was not ready in time.
    """
    request = DescribeNamespaceRequest(namespace=requests.NAMESPACE).SerializeToString()
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        if has_ended(server_pid):
            msg = "the server process ended before it served"
            raise BenchError(msg)
        try:
            await rpcs.describe_namespace(request)
        except grpc.aio.AioRpcError as error:
            if time.monotonic() > deadline_s:
                msg = f"the server was not ready within {READY_TIMEOUT_S:.0f} s: {error.details()}"
                raise BenchError(msg) from error
            await asyncio.sleep(READY_INTERVAL_S)
        else:
            return


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note of its end."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def measure(plan: Plan, rpcs: Rpcs, client: Client, progress: Progress) -> Measurement:
    """Run the three phases with a worker already polling."""
    scenario = plan.scenario
    progress.begin("warm-up", scenario.warm_up)
    await client.run_many(scenario.warm_up, in_flight=plan.in_flight)
    progress.begin("alone", scenario.alone)
    alone_s = await client.run_many(scenario.alone, in_flight=1)
    gc.collect()
    progress.begin(f"{plan.in_flight} in flight", scenario.loaded)
    meter, before = Meter(plan.server_pid), rpcs.traffic()
    loaded_s = await client.run_many(scenario.loaded, in_flight=plan.in_flight)
    usage, traffic = meter.read(), rpcs.traffic().since(before)
    await asyncio.sleep(SETTLE_S)
    return Measurement(
        workflows=scenario.loaded,
        wall_s=usage.wall_s,
        server_cpu_s=meter.read().server_cpu_s,
        generator_cpu_s=usage.generator_cpu_s,
        other_cpu_s=usage.other_cpu_s,
        rpcs=traffic.rpcs,
        sent_bytes=traffic.sent_bytes,
        received_bytes=traffic.received_bytes,
        resident_bytes=resident_bytes(plan.server_pid),
        alone_s=tuple(alone_s),
        loaded_s=tuple(loaded_s),
    )


async def generate(plan: Plan) -> Measurement:
    """Connect, start the worker, measure, stop the worker."""
    progress = Progress()
    progress.begin(START, 0)
    async with grpc.aio.insecure_channel(plan.address) as channel:
        rpcs = Rpcs(channel)
        await wait_until_ready(rpcs, plan.server_pid)
        client = Client(
            scenario=plan.scenario,
            rpcs=rpcs,
            prefix=f"bench-{plan.scenario.name}-{uuid.uuid4()}",
            on_done=progress.advance,
        )
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(scenario=plan.scenario, rpcs=rpcs, tasks=tasks)
            pollers = worker.start()
            measurement = await measure(plan, rpcs, client, progress)
            for poller in pollers:
                poller.cancel()
    return measurement


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
def main(
    *, address: str, server_pid: int, scenario: str, alone: int, loaded: int, in_flight: int
) -> None:
    """Load one server with one scenario and print the measurement."""
    sized = replace(BY_NAME[scenario], alone=alone, loaded=loaded)
    plan = Plan(address=address, server_pid=server_pid, scenario=sized, in_flight=in_flight)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        measurement = uvloop.run(generate(plan))
    except (BaseExceptionGroup, BenchError, grpc.aio.AioRpcError, psutil.Error) as error:
        emit({"error": explain(error)})
        sys.exit(1)
    emit({"measurement": asdict(measurement)})


if __name__ == "__main__":
    main()
