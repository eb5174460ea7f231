"""Workers that have just said that they are going away.

A poll that goes on from a partition to the root is at neither for a moment. If its worker's polls
are ended just then, this one is ended when it arrives.
"""

import asyncio
from collections import OrderedDict
from typing import NamedTuple


class WorkerOfQueue(NamedTuple):
    """Names a worker's polls of a queue, of all types."""

    namespace_id: str
    task_queue: str
    worker_instance_key: str


class DepartedWorkers:
    """The workers that went away within the last moments."""

    __slots__ = ("_capacity", "_seconds", "_since")

    def __init__(self, seconds: float, capacity: int) -> None:
        """Knows of none.

        Args:
            seconds: For how long one is remembered.
            capacity: How many are.
        """
        self._seconds = seconds
        self._capacity = capacity
        self._since: OrderedDict[WorkerOfQueue, float] = OrderedDict()

    def __contains__(self, worker: WorkerOfQueue) -> bool:
        since = self._since.get(worker)
        return since is not None and asyncio.get_running_loop().time() - since < self._seconds

    def __len__(self) -> int:
        """Returns how many may be remembered still."""
        return len(self._since)

    def add(self, worker: WorkerOfQueue) -> None:
        """Notes that a worker goes away now."""
        self._since[worker] = asyncio.get_running_loop().time()
        self._since.move_to_end(worker)
        if len(self._since) > self._capacity:
            self._since.popitem(last=False)
