"""How fast a partition hands tasks out: the rate that workers or an operator have set."""

import asyncio
from collections.abc import Callable

from perdure.core.matching.rate_limit import DispatchLimit

_SHORTEST_PAUSE = 0.001
"""Seconds."""


class RateGate:
    """Lets tasks through at a rate; without one, at once."""

    __slots__ = (
        "_by_operator",
        "_by_worker",
        "_limit",
        "_loop",
        "_open_again",
        "_throttled",
        "_timer",
    )

    def __init__(self, *, open_again: Callable[[], None], throttled: Callable[[], None]) -> None:
        """Makes a gate without a rate.

        Args:
            open_again: Called when a task may go that `take` refused.
            throttled: Called when `take` begins to refuse.
        """
        self._loop = asyncio.get_running_loop()
        self._open_again = open_again
        self._throttled = throttled
        self._by_worker: float | None = None
        self._by_operator: float | None = None
        self._limit: DispatchLimit | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def limited(self) -> bool:
        """Whether there is a rate."""
        return self._limit is not None

    def set_by_worker(self, tasks_per_second: float) -> None:
        """Sets the rate that holds while no operator has set one."""
        self._by_worker = tasks_per_second
        self._change()

    def set_by_operator(self, tasks_per_second: float | None) -> bool:
        """Sets the rate whatever workers say; None leaves it to them. Tells whether it changed."""
        if tasks_per_second == self._by_operator:
            return False
        self._by_operator = tasks_per_second
        self._change()
        return True

    def _change(self) -> None:
        now = self._loop.time()
        rate = self._by_worker if self._by_operator is None else self._by_operator
        if rate is None:
            self._limit = None
        elif self._limit is None:
            self._limit = DispatchLimit(rate=rate, now=now)
        else:
            self._limit.change(rate, now)

    def try_take(self) -> bool:
        """Tells whether a task may go now; nobody is told when one may."""
        return self._limit is None or self._limit.take(self._loop.time())

    def take(self) -> bool:
        """Tells whether a task may go now; if not, `open_again` is called when one may."""
        limit = self._limit
        if limit is None:
            return True
        now = self._loop.time()
        if limit.take(now):
            return True
        ready_at = limit.ready_at()
        if ready_at is not None and self._timer is None:
            # A loop may call a little early: then it must not be called for the same moment again.
            self._timer = self._loop.call_at(max(ready_at, now + _SHORTEST_PAUSE), self._on_timer)
            self._throttled()
        return False

    def give_back(self) -> None:
        """Takes back that a task went."""
        if self._limit is not None:
            self._limit.give_back()

    def close(self) -> None:
        """Has `open_again` not called any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._open_again()
