"""Waits for conditions: the only place where tests let time pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable

DEADLINE_SECONDS = 30.0
"""Generous: it is only ever reached by a test that fails."""
_PAUSE_SECONDS = 0.005


async def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Lets the event loop run until the condition holds; TimeoutError when it never does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 a condition has no event to wait for
            await asyncio.sleep(_PAUSE_SECONDS)


async def until_asked(
    condition: Callable[[], Awaitable[object]],
    seconds: float = DEADLINE_SECONDS,
    *,
    pause_seconds: float = _PAUSE_SECONDS,
) -> None:
    """Asks again and again, until the answer is true; TimeoutError when it never is.

    Args:
        condition: What to ask.
        seconds: How long.
        pause_seconds: Between two questions; longer where one costs others much.
    """
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 what is asked has no event to wait for
            await asyncio.sleep(pause_seconds)


def until_sync(
    condition: Callable[[], bool],
    seconds: float = DEADLINE_SECONDS,
    *,
    pause_seconds: float = _PAUSE_SECONDS,
) -> None:
    """Waits for something outside this process, such as a server that starts.

    Args:
        condition: What to wait for.
        seconds: How long, before TimeoutError.
        pause_seconds: Between two looks; longer where a look costs others much.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {seconds} s")
        time.sleep(pause_seconds)
