"""How simulated clients and workers call the server: with deadlines, and again when that is safe.

Rules that hold here: as an SDK does, only errors that a client may retry are retried, with a pause
and the same request.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from perdure.core.errors import (
    DeadlineExceededError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)
from perdure.rpc.clients import HistoryClient, Namespace
from simulation.network import Network, Remote
from simulation.trace import Trace

T = TypeVar("T")

RPC_SECONDS = 10.0
RETRYABLE = (UnavailableError, DeadlineExceededError, ResourceExhaustedError)


class Frontend:
    """What clients and workers see of the server.

    Attributes:
        namespace: The namespace that everything happens in.
        generator: Where an actor's randomness comes from.
        trace: The journal.
        history: The RPCs that history answers.
        front: The RPCs that the frontend answers by itself, or through matching.
    """

    def __init__(
        self, *, network: Network, namespace: Namespace, generator: random.Random, trace: Trace
    ) -> None:
        self.namespace = namespace
        self.generator = generator
        self.trace = trace
        self.history = cast(HistoryClient, Remote(network, "history"))
        self.front = Remote(network, "frontend")

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
            except RETRYABLE:
                await asyncio.sleep(pause * self.generator.uniform(0.5, 1.0))
                pause = min(pause * 2, 5.0)

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
