"""What matching tells metrics: counted per queue, through objects with their labels bound."""

from dataclasses import dataclass
from typing import Protocol

from perdure.core.commit import TaskQueueKey


class QueueObserver(Protocol):
    """Counts what happens on one queue. Called for every task, so it must be cheap."""

    def task_matched(self) -> None:
        """A task came, and a poller waited for it."""
        ...

    def task_held(self, unpolled: bool) -> None:
        """A task came and waits for a poller; `unpolled` when there was none for long."""
        ...

    def poll_succeeded(self, sync: bool, waited: float) -> None:
        """A poll got a task or a query, after `waited` seconds; `sync` when it came meanwhile."""
        ...

    def poll_timed_out(self, waited: float) -> None:
        """A poll ended with an empty response, after `waited` seconds."""
        ...

    def task_dispatched(self, latency: float, sync: bool, forwarded: bool = False) -> None:
        """A task was started `latency` seconds after it was scheduled.

        Args:
            latency: In seconds.
            sync: Whether the poller had waited for it.
            forwarded: Whether it is another partition's.
        """
        ...

    def task_forwarded(self) -> None:
        """A task was sent to the root partition."""
        ...

    def task_throttled(self) -> None:
        """A task has to wait, since the queue has a rate limit."""
        ...


class MatchingObserver(Protocol):
    """Hands out observers of queues. Gauges are taken from `MatchingEngine.statistics`."""

    def queue_loaded(self, queue: TaskQueueKey, sticky_of: str | None) -> QueueObserver:
        """A queue came into memory.

        Args:
            queue: Which one.
            sticky_of: For a sticky queue, the normal queue of its workers, "" where that is not
                known yet; None for a normal queue.
        """
        ...

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        """A queue was dropped from memory: so may its series be."""
        ...


@dataclass(slots=True, frozen=True)
class QueueStatistics:
    """The state of a loaded queue.

    Attributes:
        queue: Which one.
        pending_polls: Polls that have not been answered.
        backlog_count: About how many tasks wait.
        oldest_scheduled_time: About when the oldest of them was scheduled, nanoseconds since the
            epoch; 0 when none waits.
    """

    queue: TaskQueueKey
    pending_polls: int
    backlog_count: int
    oldest_scheduled_time: int


class SilentObserver:
    """Observes nothing: the observer of an engine without metrics, and of all its queues."""

    __slots__ = ()

    def queue_loaded(self, queue: TaskQueueKey, sticky_of: str | None) -> QueueObserver:
        """Returns itself."""
        del queue, sticky_of
        return self

    def queue_unloaded(self, queue: TaskQueueKey) -> None:
        """Does nothing."""

    def task_matched(self) -> None:
        """Does nothing."""

    def task_held(self, unpolled: bool) -> None:
        """Does nothing."""

    def poll_succeeded(self, sync: bool, waited: float) -> None:
        """Does nothing."""

    def poll_timed_out(self, waited: float) -> None:
        """Does nothing."""

    def task_dispatched(self, latency: float, sync: bool, forwarded: bool = False) -> None:
        """Does nothing."""

    def task_forwarded(self) -> None:
        """Does nothing."""

    def task_throttled(self) -> None:
        """Does nothing."""
