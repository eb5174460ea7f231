"""Trying again, after growing pauses with jitter.

Rules that hold here: every retry is bounded, by attempts or by time; the last error is raised as it
was; only errors that the caller names are retried.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from perdure.runtime.ports import Ids

T = TypeVar("T")


@dataclass(slots=True, frozen=True, kw_only=True)
class Backoff:
    """How long to pause between attempts, and when to give up.

    Attributes:
        initial_seconds: The longest pause after the first attempt.
        factor: How much the longest pause grows from one attempt to the next.
        maximum_seconds: The longest pause of all.
        attempts: How often to try; 0 means that only time bounds it.
        total_seconds: After how long no further attempt is begun; 0 means no bound.
    """

    initial_seconds: float = 0.05
    factor: float = 2.0
    maximum_seconds: float = 5.0
    attempts: int = 0
    total_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Checks that the retry ends and that pauses do not shrink."""
        assert self.attempts > 0 or self.total_seconds > 0, "a retry must be bounded"
        assert self.factor >= 1.0
        assert 0.0 < self.initial_seconds <= self.maximum_seconds

    def pause_seconds(self, attempt: int, ids: Ids) -> float:
        """Returns the pause after the given attempt (1 is the first): half of it is jitter."""
        assert attempt >= 1
        # Beyond a thousand doublings a float overflows; the maximum is reached long before.
        growth = self.factor ** min(attempt - 1, 100)
        longest = min(self.initial_seconds * growth, self.maximum_seconds)
        return longest * (0.5 + 0.5 * ids.random())


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    backoff: Backoff,
    ids: Ids,
    retryable: tuple[type[Exception], ...],
    on_retry: Callable[[int, Exception], None] | None = None,
) -> T:
    """Calls until it succeeds, fails for good, or the bound is reached.

    Args:
        call: Makes one attempt.
        backoff: The pauses and the bound.
        ids: Where jitter comes from.
        retryable: The errors after which to try again; all others are raised at once.
        on_retry: Told the number of a failed attempt and its error, before the pause.

    Raises:
        Exception: The error of the last attempt.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + backoff.total_seconds if backoff.total_seconds else None
    attempt = 0
    while True:
        attempt += 1
        try:
            return await call()
        except retryable as error:
            pause = backoff.pause_seconds(attempt, ids)
            if attempt == backoff.attempts or (deadline and loop.time() + pause > deadline):
                raise
            if on_retry is not None:
                on_retry(attempt, error)
        await asyncio.sleep(pause)
