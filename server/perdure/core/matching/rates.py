"""How fast tasks come and go, from counters that are looked at now and then.

The path of a task only counts up; a periodic look keeps what the count was a window ago.
"""

from collections import deque


class RateWindow:
    """The rate of a counter over about the last window.

    Attributes:
        total: The counter; add to it.
    """

    __slots__ = ("_samples", "_window", "total")

    def __init__(self, *, now: float, window: float) -> None:
        """Starts at zero.

        Args:
            now: Seconds.
            window: How far back the rate looks, seconds.
        """
        self.total = 0
        self._window = window
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    @property
    def changed(self) -> bool:
        """Whether the counter has moved since the last look."""
        return self.total != self._samples[-1][1]

    def sample(self, now: float) -> None:
        """Looks at the counter; several times per window keeps the rate smooth."""
        self._samples.append((now, self.total))
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()

    def per_second(self, now: float) -> float:
        """Returns the rate since the oldest look that is kept."""
        began, total = self._samples[0]
        return (self.total - total) / (now - began) if now > began else 0.0
