"""Errors and warnings that repeat themselves: a few lines of each kind, then how many there were.

A kind is a component with a level and a sentence. Of each kind so many lines are written in a
while; the rest is left out, and the first line after that says how many were. What is remembered is
bounded: the kind that was silent longest goes first.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST: Final = 5
"""Lines of a kind in a while: who looks sees that it goes on."""
WINDOW_SECONDS: Final = 60.0
MOST_KINDS: Final = 1_000


class _Kind:
    __slots__ = ("began", "left_out", "written")

    def __init__(self, began: float) -> None:
        self.began = began
        self.written = 0
        self.left_out = 0


class RepeatLimiter:
    """Decides which lines are written. Any thread may ask."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        burst: int = BURST,
        window_seconds: float = WINDOW_SECONDS,
        most_kinds: int = MOST_KINDS,
    ) -> None:
        """Makes a limiter that has seen nothing.

        Args:
            monotonic: Returns seconds that never go back.
            burst: Most lines of a kind in a while.
            window_seconds: How long a while is.
            most_kinds: Most kinds that are remembered.
        """
        self._monotonic = monotonic
        self._burst = burst
        self._window_seconds = window_seconds
        self._most_kinds = most_kinds
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Returns how many kinds are remembered."""
        return len(self._kinds)

    def admit(self, *kind: str) -> int | None:
        """Returns how many lines like this one were left out before it; None leaves it out too."""
        now = self._monotonic()
        with self._lock:
            known = self._kinds.get(kind)
            if known is None:
                known = self._kinds[kind] = _Kind(now)
                if len(self._kinds) > self._most_kinds:
                    self._kinds.popitem(last=False)
            self._kinds.move_to_end(kind)
            if now - known.began >= self._window_seconds:
                known.began = now
                known.written = 0
            if known.written >= self._burst:
                known.left_out += 1
                return None
            known.written += 1
            left_out, known.left_out = known.left_out, 0
            return left_out
