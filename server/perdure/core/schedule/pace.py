"""How fast something may follow: reservations, as many a second as the rate and as many at once.

Theory of operation: each reservation moves the time of the next one by an interval. One that comes
before its time, by more than what may come at once, is told how long to wait; then it may go
without asking again. Nothing runs between reservations.
"""

from math import ceil


class Pace:
    """Hands out reservations.

    Attributes:
        rate: Reservations per second; 0 for no limit.
    """

    __slots__ = ("_due", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._due = 0.0

    def reserve(self, now: float) -> float:
        """Takes the next place; returns for how many seconds it must be waited for.

        Args:
            now: Seconds on a monotonic clock.
        """
        if self.rate <= 0:
            return 0.0
        interval = 1.0 / self.rate
        ahead = (max(1, ceil(self.rate)) - 1) * interval
        pause = max(0.0, self._due - ahead - now)
        self._due = max(self._due, now) + interval
        return pause
