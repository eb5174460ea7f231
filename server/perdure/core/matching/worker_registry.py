"""The workers that have said lately that they are alive: in memory only, the newest ones."""

from bisect import insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from temporalio.api.enums.v1.common_pb2 import WORKER_STATUS_SHUTDOWN
from temporalio.api.worker.v1.message_pb2 import WorkerHeartbeat


class WorkerKey(NamedTuple):
    """Names a worker: one start of it."""

    namespace_id: str
    instance: str


class _Entry(NamedTuple):
    heartbeat: WorkerHeartbeat
    seen: float


class WorkerRegistry:
    """Heartbeats by worker.

    Attributes:
        added: How many workers have come.
        removed: How many have gone, by their own word or by silence, or because there were more.
    """

    __slots__ = ("_capacity", "_entries", "_instances", "_seconds", "added", "removed")

    def __init__(self, *, seconds: float, capacity: int) -> None:
        """Knows of none.

        Args:
            seconds: For how long a worker that is silent is remembered.
            capacity: How many are remembered; the one that has been silent longest goes first.
        """
        self._seconds = seconds
        self._capacity = capacity
        self._entries: OrderedDict[WorkerKey, _Entry] = OrderedDict()
        self._instances: dict[str, set[str]] = {}
        self.added = 0
        self.removed = 0

    def __len__(self) -> int:
        """Returns how many are remembered."""
        return len(self._entries)

    @property
    def capacity(self) -> int:
        """How many are remembered at most."""
        return self._capacity

    def record(self, namespace_id: str, heartbeats: Iterable[WorkerHeartbeat], now: float) -> None:
        """Takes heartbeats; a worker that says that it has shut down is forgotten.

        Args:
            namespace_id: Whose workers they are.
            heartbeats: What they say.
            now: Seconds.
        """
        self.expire(now)
        for heartbeat in heartbeats:
            key = WorkerKey(namespace_id, heartbeat.worker_instance_key)
            if heartbeat.status == WORKER_STATUS_SHUTDOWN:
                self._forget(key)
                continue
            if key not in self._entries:
                self.added += 1
                self._instances.setdefault(namespace_id, set()).add(key.instance)
            self._entries[key] = _Entry(heartbeat, now)
            self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._forget(next(iter(self._entries)))

    def expire(self, now: float) -> None:
        """Forgets the workers that have been silent for too long."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.seen + self._seconds > now:
                return
            self._forget(key)

    def _forget(self, key: WorkerKey) -> None:
        if self._entries.pop(key, None) is None:
            return
        self.removed += 1
        instances = self._instances[key.namespace_id]
        instances.discard(key.instance)
        if not instances:
            del self._instances[key.namespace_id]

    def find(self, namespace_id: str, instance: str, now: float) -> WorkerHeartbeat | None:
        """Returns what a worker said last, None when it is not known."""
        self.expire(now)
        entry = self._entries.get(WorkerKey(namespace_id, instance))
        return None if entry is None else entry.heartbeat

    def of_namespace(self, namespace_id: str, now: float) -> Iterator[WorkerHeartbeat]:
        """Yields what the workers of a namespace said last, in any order."""
        self.expire(now)
        for instance in self._instances.get(namespace_id, ()):
            yield self._entries[WorkerKey(namespace_id, instance)].heartbeat


def first_page(
    heartbeats: Iterable[WorkerHeartbeat], after: str | None, size: int
) -> tuple[list[WorkerHeartbeat], bool]:
    """Returns the workers that come next by instance key, and whether there are more.

    Args:
        heartbeats: Of all of them, in any order.
        after: The key that the page before ended with; None for the first page.
        size: How many a page holds.
    """
    page: list[WorkerHeartbeat] = []
    more = False
    for heartbeat in heartbeats:
        if after is not None and heartbeat.worker_instance_key <= after:
            continue
        insort(page, heartbeat, key=lambda each: each.worker_instance_key)
        if len(page) > size:
            page.pop()
            more = True
    return page, more
