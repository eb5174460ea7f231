"""How many polls the workers of a queue should make: what the answer to a poll suggests.

The rule is the real server's. A poll that waited long says that there are polls to spare. Tasks
that have waited long, or that come faster than they go, say that there are too few. Suggestions of
more are limited per poll, so that workers have time to follow one before they hear the next.
"""

from typing import NamedTuple

_ADDED_PER_DISPATCHED = 1.2
"""More tasks than this for each that is dispatched: the queue is growing."""


class ScalingRules(NamedTuple):
    """When something is suggested.

    Attributes:
        idle_wait: How long a poll waited, in seconds, for fewer to be suggested.
        backlog_age: For how long a task has waited, in seconds, for more to be suggested.
        decisions_per_second: How often more are suggested, for each poll.
    """

    idle_wait: float
    backlog_age: float
    decisions_per_second: float


class QueueLoad(NamedTuple):
    """What is known of a queue when a poll is answered.

    `oldest_wait` is for how many seconds its oldest task has waited, this poll's included; 0
    without tasks. Rates are tasks per second; None where the queue is sticky: workers come to it
    for their own runs only, so that its rates say little of how many polls there should be.
    """

    oldest_wait: float
    rates: tuple[float, float] | None


class PollerScaling:
    """Suggestions for one queue."""

    __slots__ = ("_due", "_rules")

    def __init__(self, rules: ScalingRules, *, now: float) -> None:
        """Starts with a second's worth of suggestions allowed.

        Args:
            rules: When something is suggested.
            now: Seconds.
        """
        self._rules = rules
        self._due = now

    def suggest(self, load: QueueLoad, *, waited: float, polls: int, now: float) -> int:
        """Returns by how many the workers should change their polls: -1, 0 or 1.

        Args:
            load: The queue's.
            waited: How long the poll that is answered has waited, in seconds.
            polls: How many polls there are, this one included.
            now: Seconds.
        """
        rules = self._rules
        if waited >= rules.idle_wait:
            return -1
        if load.oldest_wait <= rules.backlog_age and not _grows(load):
            return 0
        return 1 if self._allowed(max(1, polls), now) else 0

    def _allowed(self, polls: int, now: float) -> bool:
        # Virtual scheduling, as in `DispatchLimit`, with a burst of a second's worth.
        due = max(self._due, now) + 1.0 / (self._rules.decisions_per_second * polls)
        # A hair of room, or sums of parts would now and then come out above the whole.
        if due > now + 1.0 + 1e-6:
            return False
        self._due = due
        return True


def _grows(load: QueueLoad) -> bool:
    if load.rates is None:
        return False
    added, dispatched = load.rates
    return added > _ADDED_PER_DISPATCHED * dispatched
