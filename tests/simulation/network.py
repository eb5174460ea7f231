"""Calls between machines: they take time, get lost, and fail when the server dies.

Theory of operation: a client's `await` never runs server code in its own task. The call starts a
task in the server's process and waits for a reply message, so that killing the server, losing the
reply or giving up leave each side in a state of its own, as a real network does.
"""

import asyncio
import functools
import random
import traceback
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Protocol

from google.protobuf.message import Message

from perdure.core.errors import ServiceError, UnavailableError
from simulation.faults import FaultPlan
from simulation.loop import Process
from simulation.trace import Trace

TYPICAL_SECONDS = 0.000_3
SLOWEST_SECONDS = 1.0

REPEATABLE = frozenset(
    {
        "signal_workflow_execution",
        "signal_with_start_workflow_execution",
        "request_cancel_workflow_execution",
    }
)
"""What carries a request id by which the server knows it again."""


class Server(Protocol):
    """A running server, as the network sees it."""

    @property
    def process(self) -> Process:
        """What it dies with."""
        ...

    def handler(self, role: str, method: str) -> Callable[..., Any]:
        """Returns what answers an RPC."""
        ...


class Network:
    """The network, and the address that clients know.

    Attributes:
        server: Who listens at the address now; None refuses connections.
        calls: How many RPCs were made.
    """

    def __init__(self, *, faults: FaultPlan, generator: random.Random, trace: Trace) -> None:
        self.server: Server | None = None
        self.calls = 0
        self._faults = faults
        self._generator = generator
        self._trace = trace
        self._waiting: dict[asyncio.Future[Any], None] = {}

    def disconnect(self) -> None:
        """Breaks every connection: the server has died."""
        self.server = None
        waiting, self._waiting = self._waiting, {}
        for reply in waiting:
            if not reply.done():
                reply.set_exception(UnavailableError("simulated: connection reset"))

    async def call(self, role: str, method: str, *arguments: object) -> Any:
        """Makes an RPC, once.

        Raises:
            ServiceError: The server's answer, or UnavailableError when there is none.
        """
        self.calls += 1
        await self._transit()
        if self._chance(self._faults.request_loss):
            await self._lost()
        server = self.server
        if server is None:
            raise UnavailableError("simulated: connection refused")
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._waiting[reply] = None
        task = loop.create_task(
            self._serve(server, role, method, arguments),
            name=f"{role}.{method}",
            context=server.process.context(),
        )
        task.add_done_callback(functools.partial(_pass_on, reply), context=Context())
        if method in REPEATABLE and self._chance(self._faults.duplicate_request):
            self._repeat(server, role, method, arguments)
        try:
            result = await reply
        except asyncio.CancelledError:
            self._tell_gone(task)
            raise
        finally:
            self._waiting.pop(reply, None)
        await self._transit()
        if self._chance(self._faults.reply_loss):
            await self._lost()
        return result

    async def _serve(
        self, server: Server, role: str, method: str, arguments: tuple[object, ...]
    ) -> Any:
        copies = [_copy(argument) for argument in arguments]
        try:
            result = server.handler(role, method)(*copies)
            return await result if isinstance(result, Awaitable) else result
        except ServiceError:
            raise
        except Exception as error:
            trace = "".join(traceback.format_exception(error)[-3:])
            self._trace.violation(
                f"{role}.{method} raised {type(error).__name__}: {error}\n{trace}"
            )
            raise UnavailableError("simulated: internal error") from error

    def _repeat(
        self, server: Server, role: str, method: str, arguments: tuple[object, ...]
    ) -> None:
        """Lets a request arrive a second time, a little later."""

        async def again() -> None:
            await self._transit()
            await self._serve(server, role, method, arguments)

        loop = asyncio.get_running_loop()
        task = loop.create_task(again(), name="duplicate", context=server.process.context())
        nobody: asyncio.Future[Any] = loop.create_future()
        nobody.cancel()
        task.add_done_callback(functools.partial(_pass_on, nobody), context=Context())

    def _tell_gone(self, task: asyncio.Task[Any]) -> None:
        """Lets the server learn, some time later or never, that the caller has given up."""
        if task.done() or self._chance(self._faults.silent_loss):
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self._transit_seconds(), task.cancel, context=Context())

    async def _lost(self) -> None:
        if self._chance(self._faults.silent_loss):
            # The caller learns of it by its own deadline only; the bound is for callers without.
            await asyncio.sleep(120)
        raise UnavailableError("simulated: connection lost")

    async def _transit(self) -> None:
        await asyncio.sleep(self._transit_seconds())

    def _transit_seconds(self) -> float:
        slow = self._chance(self._faults.slow_message)
        mean = SLOWEST_SECONDS / 2 if slow else TYPICAL_SECONDS
        return min(self._generator.expovariate(1 / mean), SLOWEST_SECONDS)

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._generator.random() < probability


class Remote:
    """Stands for a role of whoever listens: each of its methods is an RPC."""

    def __init__(self, network: Network, role: str) -> None:
        self._network = network
        self._role = role

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        """Returns the RPC of that name."""
        return functools.partial(self._network.call, self._role, method)


def _pass_on(reply: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
    # Retrieving the exception also tells asyncio that it was seen.
    error = None if task.cancelled() else task.exception()
    if reply.done():
        return
    if task.cancelled():
        reply.set_exception(UnavailableError("simulated: the server cancelled the call"))
    elif error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(task.result())


def _copy(argument: object) -> object:
    """Copies what crosses the wire, so that nobody changes another machine's memory."""
    if isinstance(argument, Message):
        copy = type(argument)()
        copy.CopyFrom(argument)
        return copy
    return argument
