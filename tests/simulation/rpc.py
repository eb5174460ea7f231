"""How simulated clients and workers call the server: with deadlines, and again when that is safe.

Rules that hold here: as an SDK does, only errors that a client may retry are retried, with a pause
and the same request. A client is connected to one frontend at a time, and goes to another one when
that does not answer.
"""

import asyncio
import functools
import random
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from google.protobuf.message import Message

from perdure.core.errors import (
    Code,
    DeadlineExceededError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)
from perdure.rpc.clients import Namespace
from perdure.rpc.history_client import HistoryClient
from simulation.loop import Process
from simulation.network import Network
from simulation.trace import Trace

T = TypeVar("T")

RPC_SECONDS = 10.0
RETRYABLE = (UnavailableError, DeadlineExceededError, ResourceExhaustedError)
RETRYABLE_CODES = frozenset(error.code for error in RETRYABLE)
"""Also of errors of no such class: of an update that has failed together with a start."""

REPEATABLE = frozenset(
    {
        "signal_workflow_execution",
        "signal_with_start_workflow_execution",
        "request_cancel_workflow_execution",
        "update_workflow_execution",
    }
)
"""What carries an id by which the server knows it again."""


class PublicServer(Protocol):
    """What listens where clients call."""

    @property
    def process(self) -> Process:
        """What it dies with."""
        ...

    def handler(self, role: str, method: str) -> Callable[..., Any]:
        """Returns what answers an RPC."""
        ...


class Connection:
    """A client's way to the server: to one of its frontends, until that does not answer."""

    def __init__(
        self,
        *,
        network: Network,
        host: str,
        frontends: Sequence[str],
        generator: random.Random,
        trace: Trace,
    ) -> None:
        """Makes a connection.

        Args:
            network: What calls go over.
            host: The client's.
            frontends: Addresses.
            generator: Chooses among them.
            trace: The journal.
        """
        self._network = network
        self._host = host
        self._frontends = frontends
        self._generator = generator
        self._trace = trace
        self._address = generator.choice(frontends)

    async def call(self, role: str, method: str, *arguments: object) -> Any:
        """Makes an RPC, once.

        Raises:
            ServiceError: The server's answer, or UnavailableError when there is none.
        """
        serve = functools.partial(self._serve, role=role, method=method, arguments=arguments)
        name = f"{role}.{method}"
        repeatable = method in REPEATABLE
        try:
            return await self._network.call(
                self._host, self._address, serve, name=name, repeatable=repeatable
            )
        except (UnavailableError, asyncio.CancelledError):
            self._address = self._generator.choice(self._frontends)
            raise

    async def _serve(
        self, server: PublicServer, *, role: str, method: str, arguments: tuple[object, ...]
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


class Remote:
    """Stands for a role of the server: each of its methods is an RPC."""

    def __init__(self, connection: Connection, role: str) -> None:
        self._connection = connection
        self._role = role

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        """Returns the RPC of that name."""
        return functools.partial(self._connection.call, self._role, method)


class Frontend:
    """What a client or worker sees of the server.

    Attributes:
        namespace: The namespace that everything happens in.
        generator: Where an actor's randomness comes from.
        trace: The journal.
        history: The RPCs that history answers.
        front: The RPCs that the frontend answers by itself, or through matching.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        namespace: Namespace,
        generator: random.Random,
        trace: Trace,
    ) -> None:
        self.namespace = namespace
        self.generator = generator
        self.trace = trace
        self.history = cast(HistoryClient, Remote(connection, "history"))
        self.front = Remote(connection, "frontend")

    async def once(self, call: Callable[[], Awaitable[T]], *, seconds: float = RPC_SECONDS) -> T:
        """Calls with a deadline.

        Raises:
            ServiceError: The server's answer; DeadlineExceededError after `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                return await call()
        except TimeoutError as error:
            raise DeadlineExceededError("simulated: the caller's time is up") from error

    async def insist(self, call: Callable[[], Awaitable[T]], *, seconds: float = RPC_SECONDS) -> T:
        """Calls until there is an answer that counts.

        Raises:
            ServiceError: An answer that no client retries.
        """
        pause = 0.05
        while True:
            try:
                return await self.once(call, seconds=seconds)
            except ServiceError as error:
                if error.code not in RETRYABLE_CODES:
                    raise
                await asyncio.sleep(pause * self.generator.uniform(0.5, 1.0))
                pause = min(pause * 2, 5.0)

    async def ask(
        self,
        actor: str,
        what: str,
        call: Callable[[], Awaitable[T]],
        *,
        accept: Sequence[Code],
        seconds: float = RPC_SECONDS,
    ) -> T | None:
        """Calls until there is an answer that counts, as a client that tells a story does.

        Returns:
            The answer; None when the server says one of the `accept` codes. Any other refusal is a
            violation.
        """
        try:
            answer = await self.insist(call, seconds=seconds)
        except ServiceError as error:
            text = f"{what} refused: {error.code.name} {error.message}"
            if error.code in accept:
                self.trace.note(actor, text)
            else:
                self.trace.violation(f"{actor}: {text}")
            return None
        self.trace.note(actor, f"{what} acknowledged")
        return answer

    async def attempt(
        self, actor: str, what: str, call: Callable[[], Awaitable[T]], *, tries: int = 5
    ) -> T | None:
        """Calls as a worker reports: a few times, and then never mind.

        Returns:
            The answer; None when the server refused, or gave none.
        """
        for number in range(tries):
            try:
                return await self.once(call)
            except RETRYABLE:
                await asyncio.sleep(0.05 * 2**number * self.generator.uniform(0.5, 1.0))
            except ServiceError as error:
                self.trace.note(actor, f"{what} refused: {error.code.name} {error.message}")
                return None
        self.trace.note(actor, f"{what} given up")
        return None


def _copy(argument: object) -> object:
    """Copies what crosses the wire, so that nobody changes another machine's memory."""
    if isinstance(argument, Message):
        copy = type(argument)()
        copy.CopyFrom(argument)
        return copy
    return argument
