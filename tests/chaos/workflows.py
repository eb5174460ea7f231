"""What the load runs: a workflow with activities, a timer, signals and queries.

Activities write their own attempts to a file, so that what ran is known without the server.
"""

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

QUEUE = "chaos"
SIGNALS = 3
"""How many numbers an order waits for."""

_TIMEOUT = timedelta(seconds=5)
_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=1)
)
_TIMER = timedelta(milliseconds=700)


@dataclass(frozen=True)
class Number:
    """A signal: `number` is what the order waits for, `sending` which try of the load it was."""

    number: int
    sending: int


class Activities:
    """Activities that note each attempt before they do anything."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @activity.defn
    async def works(self, order: int) -> int:
        """Takes a moment."""
        self._note()
        await asyncio.sleep(0.05)
        return order

    @activity.defn
    async def fails_once(self, order: int) -> int:
        """Fails at its first attempt."""
        self._note()
        if activity.info().attempt == 1:
            raise ApplicationError("the first attempt fails")
        return order

    def _note(self) -> None:
        info = activity.info()
        line = json.dumps(
            {
                "workflow": info.workflow_id,
                "run": info.workflow_run_id,
                "activity": info.activity_id,
                "attempt": info.attempt,
            }
        )
        os.write(self._file, f"{line}\n".encode())


@workflow.defn
class Order:
    """Ends once all of its numbers were signalled."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    @workflow.run
    async def run(self, order: int) -> int:
        first = await workflow.execute_activity_method(
            Activities.works, order, start_to_close_timeout=_TIMEOUT, retry_policy=_RETRY
        )
        await workflow.sleep(_TIMER)
        second = await workflow.execute_activity_method(
            Activities.fails_once, order, start_to_close_timeout=_TIMEOUT, retry_policy=_RETRY
        )
        await workflow.wait_condition(lambda: len(self._numbers) == SIGNALS)
        return first + second

    @workflow.signal
    def number(self, number: Number) -> None:
        self._numbers.add(number.number)

    @workflow.query
    def numbers(self) -> int:
        """How many different numbers were signalled."""
        return len(self._numbers)
