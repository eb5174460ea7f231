"""How many polls of this process wait at each partition of each queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perdure.core.commit import TaskQueueKey


class OutstandingPolls:
    """Counts polls, and says where the next one should go."""

    def __init__(self, *, partitions: int, random: Callable[[], float]) -> None:
        """Starts without polls.

        Args:
            partitions: How many each queue has.
            random: Returns a number in [0, 1).
        """
        self._partitions = partitions
        self._random = random
        self._counts: dict[TaskQueueKey, list[int]] = {}

    def __len__(self) -> int:
        """Returns of how many queues something is known."""
        return len(self._counts)

    def pick(self, queue: TaskQueueKey) -> int:
        """Returns a partition of a queue with the fewest polls; among equals any is as likely."""
        counts = self._counts.get(queue)
        first = int(self._random() * self._partitions)
        if counts is None:
            return first
        fewest = min(counts)
        places = range(first, first + self._partitions)
        equals = (place % self._partitions for place in places)
        return next(partition for partition in equals if counts[partition] == fewest)

    @contextmanager
    def at(self, queue: TaskQueueKey, partition: int) -> Iterator[None]:
        """Counts a poll at a partition while it is there."""
        counts = self._counts.setdefault(queue, [0] * self._partitions)
        counts[partition] += 1
        try:
            yield
        finally:
            counts[partition] -= 1
            if not any(counts):
                del self._counts[queue]
