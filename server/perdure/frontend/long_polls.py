"""Long polls, and their end when the frontend stops.

A client whose long poll ends without anything asks again, at another frontend by then; one whose
connection breaks under a long poll logs an error first. So those under way are answered, as when
their time is up.

What a poll gets from another node at the very moment at which it is ended goes the way of what is
sent to a worker whose connection breaks: it is undone there, or times out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class LongPolls:
    """The long polls of a frontend."""

    def __init__(self) -> None:
        self._bounds: set[asyncio.Timeout] = set()
        self._ended = False

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Returns what a call answers; None as soon as long polls have ended.

        Args:
            ask: Makes the call; cancelled when long polls end, and not called afterwards.
        """
        if self._ended:
            return None
        bound = asyncio.timeout(None)
        try:
            async with bound:
                self._bounds.add(bound)
                return await ask()
        except TimeoutError:
            if bound.expired():
                return None
            raise
        finally:
            self._bounds.discard(bound)

    def end(self) -> None:
        """Ends those under way, and every later one at once."""
        self._ended = True
        now = asyncio.get_running_loop().time()
        for bound in self._bounds:
            bound.reschedule(now)
        self._bounds.clear()
