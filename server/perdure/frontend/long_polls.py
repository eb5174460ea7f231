"""Long polls, and their end when the frontend stops.

A client whose long poll ends without anything asks again, at another frontend by then; one whose
connection breaks under a long poll logs an error first. So those under way are answered, as when
their time is up.

What a poll gets from another node at the very moment at which it is ended goes the way of what is
sent to a worker whose connection breaks: it is undone there, or times out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class LongPolls:
    """The long polls of a frontend."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._interrupted: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Returns what a call answers; None as soon as long polls have ended.

        Args:
            ask: Makes the call; cancelled when long polls end, and not called afterwards.
        """
        if self._ended:
            return None
        task = asyncio.current_task()
        assert task is not None, "a call is answered in a task"
        self._under_way.add(task)
        try:
            return await ask()
        except asyncio.CancelledError:
            # A caller that has gone away, too, is no longer there to be answered.
            if task in self._interrupted and not task.cancelling() > 1:
                return None
            raise
        finally:
            self._under_way.discard(task)
            if task in self._interrupted:
                self._interrupted.discard(task)
                task.uncancel()

    def end(self) -> None:
        """Ends those under way, and every later one at once."""
        self._ended = True
        # What has been answered at this very moment is on its way out first.
        asyncio.get_running_loop().call_soon(self._interrupt)

    def _interrupt(self) -> None:
        for task in self._under_way:
            self._interrupted.add(task)
            task.cancel()
