"""How many requests a second are let through, the important ones first.

Theory of operation: each class of requests has a bucket of the whole rate. A request is let through
by the bucket of its own class, and is then taken from the buckets of all less important classes as
well. So a less important class gets what the more important ones leave, and the sum of all never
exceeds the rate, but for the burst.

Buckets are virtual schedules: each request moves the time at which the next one is due by one
interval, and a request may go ahead of its time by the burst. Nothing runs between requests.
"""

from collections.abc import Sequence

_ALMOST = 0.999


class _Bucket:
    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = 0.0


class PriorityLimit:
    """A limit in requests per second over classes of requests.

    Attributes:
        rate: Requests per second; 0 for no limit.
    """

    __slots__ = ("_ahead", "_buckets", "_interval", "rate")

    def __init__(self, *, rate: float, burst_ratio: float, classes: int) -> None:
        """Starts with the whole burst.

        Args:
            rate: Requests per second; 0 for no limit.
            burst_ratio: How many seconds' worth of requests may come at once, 1 or more.
            classes: How many classes there are, 0 being the most important.
        """
        self._buckets: Sequence[_Bucket] = [_Bucket() for _ in range(classes)]
        self.change(rate=rate, burst_ratio=burst_ratio)

    def change(self, *, rate: float, burst_ratio: float) -> None:
        """Sets another rate; what was used up of the burst stays used up."""
        self.rate = rate
        self._interval = 1.0 / rate if rate > 0 else 0.0
        # Sums of intervals are rounded: the last request of a burst must not fail for that.
        self._ahead = max(0.0, burst_ratio - self._interval * _ALMOST)

    def admits(self, priority: int, now: float) -> bool:
        """Tells whether a request of a class may go now.

        Args:
            priority: The class.
            now: Seconds on a monotonic clock.
        """
        return self.rate <= 0 or self._buckets[priority].due - self._ahead <= now

    def count(self, priority: int, now: float) -> None:
        """Takes a request that goes through from its class and all less important ones."""
        if self.rate <= 0:
            return
        for bucket in self._buckets[priority:]:
            due = max(now, bucket.due)
            bucket.due = due + self._interval
