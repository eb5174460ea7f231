"""The load: a bounded number of orders in flight, each started, signalled, queried and awaited.

A call that fails is written down and made anew, until the load is given up, so that every order
can be checked in the end.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import TemporalError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from chaos.ledger import Call, Ledger, OrderEntry
from chaos.statuses import Statuses
from chaos.workflows import QUEUE, SIGNALS, Number, Order

T = TypeVar("T")

CONNECTIONS = 4
"""Each lands on some frontend."""
IN_FLIGHT = 24
_PAUSE_SECONDS = 0.5
"""Before a call that failed is made anew."""
_SEED = 7
"""Of the pauses between an order's calls."""


class Load:
    """Runs orders until it is stopped.

    Attributes:
        ledger: What it was promised.
    """

    def __init__(self, clients: list[Client], ledger: Ledger, statuses: Statuses) -> None:
        self.ledger = ledger
        self._clients = clients
        self._statuses = statuses
        self._random = random.Random(_SEED)
        self._numbers = count()
        self._stopping = False
        self._run = uuid4().hex[:8]
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def connect(cls, address: str, ledger: Ledger) -> "Load":
        """Returns a load on a server; it does nothing yet."""
        statuses = Statuses()
        clients = [
            await Client.connect(address, runtime=statuses.runtime) for _ in range(CONNECTIONS)
        ]
        return cls(clients, ledger, statuses)

    @property
    def client(self) -> Client:
        """A connection, for looking at what happened."""
        return self._clients[0]

    def start(self) -> None:
        """Begins."""
        self._tasks = [asyncio.create_task(self._keep_ordering()) for _ in range(IN_FLIGHT)]
        self._tasks.append(asyncio.create_task(self._drain()))

    async def finish(self, seconds: float) -> None:
        """Starts no more orders, and waits so long for those that are open."""
        self._stopping = True
        await asyncio.wait(self._tasks, timeout=seconds)
        await self.cancel()

    async def cancel(self) -> None:
        """Gives up whatever is in flight; raises what ended a part of the load."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    def raw_statuses(self) -> dict[str, int]:
        """Failures of single calls, the SDK's retries included."""
        self._statuses.drain()
        return dict(self._statuses.counts)

    async def _drain(self) -> None:
        while not self._stopping:
            self._statuses.drain()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _keep_ordering(self) -> None:
        await asyncio.sleep(self._random.random())
        while not self._stopping:
            number = next(self._numbers)
            await self._order(number, self._clients[number % CONNECTIONS])

    async def _order(self, number: int, client: Client) -> None:
        workflow_id = f"order-{self._run}-{number}"
        now = asyncio.get_running_loop().time()
        self.ledger.orders[workflow_id] = OrderEntry(number, began=now)
        await self._start(client, workflow_id, number)
        handle: WorkflowHandle[Any, int] = client.get_workflow_handle_for(Order.run, workflow_id)
        result = asyncio.create_task(self._repeat("result", workflow_id, handle.result))
        try:
            for signal in range(SIGNALS):
                await asyncio.sleep(self._random.uniform(0.2, 0.8))
                await self._signal(handle, signal)
                await self._query(handle, at_least=signal + 1)
            value = await result
        finally:
            result.cancel()
        self.ledger.completed(workflow_id, value, asyncio.get_running_loop().time())

    async def _start(self, client: Client, workflow_id: str, number: int) -> None:
        async def start() -> None:
            try:
                handle = await client.start_workflow(
                    Order.run, number, id=workflow_id, task_queue=QUEUE
                )
            except WorkflowAlreadyStartedError:
                # A start that failed before has taken effect.
                return
            self.ledger.started(workflow_id, str(handle.first_execution_run_id))

        await self._repeat("start", workflow_id, start)

    async def _signal(self, handle: WorkflowHandle[Any, int], number: int) -> None:
        sendings = count()

        async def send() -> None:
            sending = next(sendings)
            try:
                await handle.signal(Order.number, Number(number, sending))
            except RPCError as error:
                if sending and error.status is RPCStatusCode.NOT_FOUND:
                    # Orders end when they have every signal: one that failed has taken effect.
                    return
                raise
            self.ledger.signalled(handle.id, f"{number}.{sending}")

        await self._repeat("signal", handle.id, send)

    async def _query(self, handle: WorkflowHandle[Any, int], *, at_least: int) -> None:
        seen = await self._repeat("query", handle.id, lambda: handle.query(Order.numbers))
        if seen < at_least:
            self.ledger.stale.append(f"{handle.id} was answered {seen} after {at_least} signals")

    async def _repeat(self, kind: str, workflow_id: str, call: Callable[[], Awaitable[T]]) -> T:
        """Makes a call until it succeeds, and writes each one down."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                returned = await call()
            except TemporalError as error:
                said = f"{type(error).__name__}: {error}"
                self.ledger.called(Call(kind, began, loop.time(), said), workflow_id)
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self.ledger.called(Call(kind, began, loop.time()), workflow_id)
                return returned
