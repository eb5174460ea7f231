"""How fast a queue may hand out tasks, when its workers say so.

Virtual scheduling: each task moves the time at which the next one is due by one interval, and a
task may go ahead of its time by a burst of one second's worth of tasks, so that a queue that was
quiet catches up a little. Times are compared, never summed up from small parts, so a task that is
tried at the time that `ready_at` named goes through.
"""


class DispatchLimit:
    """A limit in tasks per second; 0 hands out nothing."""

    __slots__ = ("_ahead", "_due", "_interval", "_rate")

    def __init__(self, *, rate: float, now: float) -> None:
        """Starts with the whole burst.

        Args:
            rate: Tasks per second.
            now: Seconds.
        """
        self._due = now
        self._set(rate)

    def change(self, rate: float, now: float) -> None:
        """Sets another rate; what was used up of the burst stays used up, but no more than it."""
        if rate != self._rate:
            self._set(rate)
            self._due = min(self._due, now + self._ahead + self._interval)

    def take(self, now: float) -> bool:
        """Lets a task through, if it may go now."""
        if self._rate <= 0 or self._due - self._ahead > now:
            return False
        self._due = max(self._due, now) + self._interval
        return True

    def give_back(self) -> None:
        """Takes back what `take` let through: there was no task."""
        self._due -= self._interval

    def ready_at(self) -> float | None:
        """Returns when a task may go; None for never, unless the rate changes."""
        return None if self._rate <= 0 else self._due - self._ahead

    def _set(self, rate: float) -> None:
        self._rate = rate
        self._interval = 1.0 / rate if rate > 0 else 0.0
        self._ahead = max(0.0, 1.0 - self._interval)
