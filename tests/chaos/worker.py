"""`python -m chaos.worker ADDRESS FOLDER`: the SDK workers, until standard input closes.

They write the attempts that they run to FOLDER/attempts.jsonl, and at the end the raw statuses
that they saw to FOLDER/worker_statuses.json.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from chaos.statuses import Statuses
from chaos.workflows import QUEUE, Activities, Order

READY = "ready"
ATTEMPTS_FILE = "attempts.jsonl"
STATUSES_FILE = "worker_statuses.json"
_WORKERS = 2
"""Each has a connection, so that both frontends have one most of the time."""
_DRAIN_SECONDS = 0.5


async def main(address: str, folder: Path) -> None:
    """Runs the workers."""
    statuses = Statuses()
    activities = Activities(folder / ATTEMPTS_FILE)
    async with AsyncExitStack() as workers:
        for _ in range(_WORKERS):
            worker = Worker(
                await Client.connect(address, runtime=statuses.runtime),
                task_queue=QUEUE,
                workflows=[Order],
                activities=[activities.works, activities.fails_once],
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
            await workers.enter_async_context(worker)
        print(READY, flush=True)
        told = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        while not told.done():
            statuses.drain()
            await asyncio.wait([told], timeout=_DRAIN_SECONDS)
    statuses.drain()
    (folder / STATUSES_FILE).write_text(json.dumps(statuses.counts), "utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
