"""Calls between machines: they take time, get lost, and fail when the server dies.

Theory of operation: a caller's `await` never runs server code in its own task. A task of the
network carries the request, starts a task in the server's process, and carries its reply back. So
killing or stopping either machine, losing a message, cutting the line or giving up leave each side
in a state of its own, as a real network does.

A server listens at an address, `host:port`; lines are cut and slowed between hosts.
"""

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from perdure.core.errors import UnavailableError
from simulation.faults import FaultPlan
from simulation.loop import Process
from simulation.trace import Trace

TYPICAL_SECONDS = 0.000_3
SLOWEST_SECONDS = 1.0
KEEPALIVE_SECONDS = 5.0
"""After which a connection to a machine that does not answer is given up."""


class Server(Protocol):
    """What listens at an address."""

    @property
    def process(self) -> Process:
        """What it dies with."""
        ...


Serve = Callable[[Any], Coroutine[Any, Any, Any]]
"""Has the server that listens answer a request: runs in its process."""


class NoAnswerError(UnavailableError):
    """There is no answer; whether the server got the request is not known."""


@dataclass(eq=False, slots=True)
class _Call:
    """A call that waits for its reply.

    `task` is the server's.
    """

    source: str
    address: str
    reply: "asyncio.Future[Any]"
    task: "asyncio.Task[Any]"

    def touches(self, host: str) -> bool:
        return host in (self.source, host_of(self.address))

    def break_off(self, reason: str) -> None:
        if not self.reply.done():
            self.reply.set_exception(NoAnswerError(f"simulated: {reason}"))


def host_of(address: str) -> str:
    """Returns the host of `host:port`."""
    return address.partition(":")[0]


class Network:
    """The network.

    Attributes:
        calls: How many RPCs were made.
        cuts: Pairs of hosts that cannot reach each other.
        slow: Pairs of hosts whose messages take long.
    """

    def __init__(self, *, faults: FaultPlan, generator: random.Random, trace: Trace) -> None:
        self.calls = 0
        self.cuts: set[frozenset[str]] = set()
        self.slow: set[frozenset[str]] = set()
        self._faults = faults
        self._generator = generator
        self._trace = trace
        self._listening: dict[str, Server] = {}
        self._calls: dict[_Call, None] = {}
        self._wires: dict[asyncio.Task[Any], str] = {}
        self._watchers: list[asyncio.Future[None]] = []

    # Who listens

    def listen(self, address: str, server: Server) -> None:
        """Opens an address; an earlier server there is dead."""
        before = self._listening.get(address)
        assert before is None or not before.process.alive, f"{address} is in use"
        self._listening[address] = server
        self.wake()

    def listener(self, address: str) -> Server | None:
        """Returns who listens at an address."""
        return self._listening.get(address)

    async def changed(self) -> None:
        """Returns when somebody has begun or ceased to listen."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append(future)
        await future

    def wake(self) -> None:
        """Has those look who wait for a change."""
        watchers, self._watchers = self._watchers, []
        for future in watchers:
            if not future.done():
                future.set_result(None)

    async def close(self, address: str, grace_seconds: float) -> None:
        """Closes an address: calls under way may end within a grace period."""
        self._listening.pop(address, None)
        self.wake()
        tasks = [call.task for call in self._calls if call.address == address]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=grace_seconds)
            for task in pending:
                task.cancel()

    # What happens to hosts and lines

    def disconnect(self, host: str) -> None:
        """Breaks every connection of a host: it has died."""
        for address in [each for each in self._listening if host_of(each) == host]:
            del self._listening[address]
        self.wake()
        for wire in [wire for wire, source in self._wires.items() if source == host]:
            wire.cancel()
        for call in [call for call in self._calls if call.touches(host)]:
            call.break_off("connection reset")

    def cut(self, one: str, other: str) -> None:
        """Lets nothing through between two hosts; calls under way fail by and by."""
        pair = frozenset({one, other})
        self.cuts.add(pair)
        for call in self._calls:
            if frozenset({call.source, host_of(call.address)}) == pair:
                self._give_up_later(call, lambda: pair in self.cuts)

    def heal(self, one: str, other: str) -> None:
        """Lets everything through again."""
        self.cuts.discard(frozenset({one, other}))

    def is_cut(self, one: str, other: str) -> bool:
        """Tells whether two hosts cannot reach each other."""
        return frozenset({one, other}) in self.cuts

    def stalled(self, host: str, process: Process) -> None:
        """A host's process has been stopped: who waits for it gives up by and by."""
        loop = asyncio.get_running_loop()
        for call in self._calls:
            if host_of(call.address) == host:
                self._give_up_later(call, lambda: process.stopped_until > loop.time())

    def _give_up_later(self, call: _Call, still: Callable[[], bool]) -> None:
        def look() -> None:
            if still():
                call.break_off("no sign of life")

        seconds = self._generator.uniform(0.0, KEEPALIVE_SECONDS)
        asyncio.get_running_loop().call_later(seconds, look, context=Context())

    # Calls

    async def connect(self, source: str, address: str) -> Server | None:
        """Returns the server that listens at an address; None when it cannot be reached.

        It takes as long as it takes until a server that is stopped goes on.
        """
        await self._transit(source, host_of(address))
        if self.is_cut(source, host_of(address)):
            await asyncio.sleep(KEEPALIVE_SECONDS)
            return None
        server = self._listening.get(address)
        if server is not None:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, server.process.stopped_until - loop.time()))
        return server

    async def call(
        self,
        source: str,
        address: str,
        serve: Serve,
        *,
        name: str = "call",
        repeatable: bool = False,
        wires: "dict[asyncio.Task[Any], None] | None" = None,
    ) -> Any:
        """Makes an RPC, once.

        Args:
            source: The caller's host.
            address: Who is called.
            serve: What happens there.
            name: Of the RPC.
            repeatable: Whether the request may arrive twice.
            wires: Where the call is while it is under way: cancelling it there is closing the
                caller's connection.

        Raises:
            NoAnswerError: There is none. All else is what `serve` raised.
        """
        self.calls += 1
        wire = asyncio.get_running_loop().create_task(
            self._carry(source, address, serve, name, repeatable=repeatable),
            name=name,
            context=Context(),
        )
        self._wires[wire] = source
        if wires is not None:
            wires[wire] = None
        wire.add_done_callback(functools.partial(self._arrived, wires), context=Context())
        try:
            return await asyncio.shield(wire)
        except asyncio.CancelledError:
            wire.cancel()
            raise

    def _arrived(
        self, wires: "dict[asyncio.Task[Any], None] | None", wire: "asyncio.Task[Any]"
    ) -> None:
        del self._wires[wire]
        if wires is not None:
            wires.pop(wire, None)
        if not wire.cancelled():
            # The caller may have been killed: nobody else tells asyncio that this was seen.
            wire.exception()

    async def _carry(
        self, source: str, address: str, serve: Serve, name: str, *, repeatable: bool
    ) -> Any:
        await self._pass(source, host_of(address), self._faults.request_loss)
        server = self._listening.get(address)
        if server is None:
            raise NoAnswerError("simulated: connection refused")
        loop = asyncio.get_running_loop()
        task = self._serve(server, serve, name)
        call = _Call(source, address, loop.create_future(), task)
        self._calls[call] = None
        task.add_done_callback(functools.partial(_pass_on, call.reply), context=Context())
        if repeatable and self._chance(self._faults.duplicate_request):
            loop.call_later(
                self.transit_seconds(source, host_of(address)),
                self._serve,
                server,
                serve,
                f"{name} again",
                context=Context(),
            )
        try:
            result = await call.reply
        except asyncio.CancelledError:
            self._tell_gone(call)
            raise
        except NoAnswerError:
            self._tell_gone(call)
            raise
        finally:
            del self._calls[call]
        await self._pass(host_of(address), source, self._faults.reply_loss)
        return result

    def _serve(self, server: Server, serve: Serve, name: str) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(
            serve(server), name=name, context=server.process.context()
        )
        task.add_done_callback(_retrieve, context=Context())
        return task

    async def _pass(self, source: str, target: str, loss: float) -> None:
        """Lets a message travel.

        Raises:
            NoAnswerError: It was lost.
        """
        await self._transit(source, target)
        if self.is_cut(source, target):
            await asyncio.sleep(self._generator.uniform(0.0, KEEPALIVE_SECONDS))
            raise NoAnswerError("simulated: no sign of life")
        if not self._chance(loss):
            return
        if self._chance(self._faults.silent_loss):
            # The caller learns of it by its own deadline only; the bound is for callers without.
            await asyncio.sleep(120)
        raise NoAnswerError("simulated: connection lost")

    def _tell_gone(self, call: _Call) -> None:
        """Lets the server learn, some time later or never, that the caller has gone."""
        if call.task.done() or self._chance(self._faults.silent_loss):
            return
        host = host_of(call.address)
        seconds = self.transit_seconds(call.source, host)
        if self.is_cut(call.source, host):
            seconds += KEEPALIVE_SECONDS
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, call.task.cancel, context=Context())

    async def _transit(self, source: str, target: str) -> None:
        await asyncio.sleep(self.transit_seconds(source, target))

    def transit_seconds(self, source: str, target: str) -> float:
        """Returns how long a message takes."""
        slow = self._chance(self._faults.slow_message) or (
            bool(self.slow) and frozenset({source, target}) in self.slow
        )
        mean = SLOWEST_SECONDS / 2 if slow else TYPICAL_SECONDS
        return min(self._generator.expovariate(1 / mean), SLOWEST_SECONDS)

    # What may happen to a message of a stream

    def request_is_lost(self) -> bool:
        """Tells whether a message to a server is lost."""
        return self._chance(self._faults.request_loss)

    def reply_is_lost(self) -> bool:
        """Tells whether a message of a server is lost."""
        return self._chance(self._faults.reply_loss)

    def request_is_doubled(self) -> bool:
        """Tells whether a request that may be repeated is."""
        return self._chance(self._faults.duplicate_request)

    def silence_seconds(self) -> float:
        """Returns after how long a lost connection is noticed."""
        if self._chance(self._faults.silent_loss):
            return self._generator.uniform(0.0, KEEPALIVE_SECONDS)
        return 0.0

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._generator.random() < probability


def _pass_on(reply: "asyncio.Future[Any]", task: "asyncio.Task[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if reply.done():
        return
    if task.cancelled():
        reply.set_exception(NoAnswerError("simulated: the server cancelled the call"))
    elif error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(task.result())


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Tells asyncio that a task's exception was seen, whoever waits for it."""
    if not task.cancelled():
        task.exception()
