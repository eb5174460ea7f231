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

    __slots__ = ("_capacity", "_entries", "_seconds", "added", "removed")

    def __init__(self, *, seconds: float, capacity: int) -> None:
        """Knows of none.

        Args:
            seconds: For how long a worker that is silent is remembered.
            capacity: How many are remembered; the one that has been silent longest goes first.
        """
        self._seconds = seconds
        self._capacity = capacity
        self._entries: OrderedDict[WorkerKey, _Entry] = OrderedDict()
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
            known = self._entries.pop(key, None) is not None
            if heartbeat.status == WORKER_STATUS_SHUTDOWN:
                self.removed += known
                continue
            self._entries[key] = _Entry(heartbeat, now)
            self.added += not known
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
            self.removed += 1

    def expire(self, now: float) -> None:
        """Forgets the workers that have been silent for too long."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.seen + self._seconds > now:
                return
            del self._entries[key]
            self.removed += 1

    def find(self, namespace_id: str, instance: str, now: float) -> WorkerHeartbeat | None:
        """Returns what a worker said last, None when it is not known."""
        self.expire(now)
        entry = self._entries.get(WorkerKey(namespace_id, instance))
        return None if entry is None else entry.heartbeat

    def of_namespace(self, namespace_id: str, now: float) -> Iterator[WorkerHeartbeat]:
        """Yields what the workers of a namespace said last."""
        self.expire(now)
        for key, entry in self._entries.items():
            if key.namespace_id == namespace_id:
                yield entry.heartbeat


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
