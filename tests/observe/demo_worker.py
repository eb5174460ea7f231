"""`python -m observe.demo_worker ADDRESS METRICS-ADDRESS`: a worker and its load, until SIGTERM.

The worker is an application's as the SDK makes it, with the SDK's own metrics on a port.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
)
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from observe.demo_workflows import QUEUE, Order, Plan, Report, pay, ship

READY = "ready"
_PERIOD_SECONDS = 1.0
"""Between two orders: enough to see, and nothing that warms the machine."""
_APPROVED_LATER = 2
"""By how many orders approvals are behind."""
_REPORT_EVERY = timedelta(seconds=10)


async def main(address: str, metrics_address: str) -> None:
    """Runs worker and load."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    metrics = PrometheusConfig(bind_address=metrics_address)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=metrics))
    client = await Client.connect(address, runtime=runtime)
    worker = Worker(client, task_queue=QUEUE, workflows=[Order, Report], activities=[pay, ship])
    async with worker:
        await _make_schedule(client)
        print(READY, flush=True)
        await _load(client, stopping)


async def _make_schedule(client: Client) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(Report.run, id="demo-report", task_queue=QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=_REPORT_EVERY)]),
    )
    # It is there already when the database is older than this process.
    with suppress(ScheduleAlreadyRunningError):
        await client.create_schedule("demo-report", schedule)


async def _load(client: Client, stopping: asyncio.Event) -> None:
    """Starts an order after the other; approves those that came a little before."""
    run = uuid4().hex[:8]
    number = 0
    while not stopping.is_set():
        await client.start_workflow(
            Order.run, Plan.of(number), id=f"order-{run}-{number}", task_queue=QUEUE
        )
        await _look_after(client, run, number - _APPROVED_LATER)
        number += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_PERIOD_SECONDS):
                await stopping.wait()


async def _look_after(client: Client, run: str, number: int) -> None:
    if number < 0 or Plan.of(number).forgotten:
        return
    order = client.get_workflow_handle(f"order-{run}-{number}")
    try:
        await order.signal(Order.approve)
    except RPCError as error:
        # A declined order has ended already.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
    # The SDK's runtime may crash an interpreter that is ending.
    os._exit(0)
