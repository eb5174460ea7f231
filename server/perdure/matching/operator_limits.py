"""The rates at which operators let queues hand out tasks, brought to the partitions in memory.

A partition gets what is known when it comes into memory. While there are partitions of activities,
what has been changed since, here or by another node, is read every few seconds.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.matching.partition import Partition
from perdure.persistence.ports import StoreError
from perdure.runtime.tasks import TaskSet


class QueueRates(Protocol):
    """What operators have said of queues."""

    def rate(self, queue: TaskQueueKey) -> float | None:
        """Returns a queue's rate in tasks per second, from memory; None where nobody said."""
        ...

    async def refresh(self, namespace_ids: Iterable[str]) -> None:
        """Brings what is in memory of some namespaces up to date. Raises StoreError."""
        ...


class OperatorLimits:
    """Sets the rates of partitions."""

    def __init__(
        self,
        *,
        rates: QueueRates,
        partitions: Iterable[Partition],
        shares: int,
        period_seconds: float,
        tasks: TaskSet,
    ) -> None:
        """Sets nothing yet.

        Args:
            rates: What operators say.
            partitions: Those in memory, whenever it is gone through.
            shares: Among how many partitions a queue's rate is divided.
            period_seconds: How often what operators say is read.
            tasks: Runs the reading.
        """
        self._rates = rates
        self._partitions = partitions
        self._shares = shares
        self._period_seconds = period_seconds
        self._tasks = tasks
        self._following = False
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Follows no changes any more."""
        self._closing.set()

    def loaded(self, partition: Partition) -> None:
        """Sets the rate of a partition that has come into memory, and follows its changes."""
        if not _is_limitable(partition):
            return
        self._set(partition)
        if not self._following and not self._closing.is_set():
            self._following = True
            self._tasks.spawn("follow-rate-limits", self._follow())

    async def _follow(self) -> None:
        while not self._closing.is_set() and (limitable := self._limitable()):
            # While the store does not answer, what was known holds.
            with suppress(StoreError):
                await self._rates.refresh({each.queue.namespace_id for each in limitable})
            for partition in self._limitable():
                self._set(partition)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period_seconds):
                    await self._closing.wait()
        self._following = False

    def _limitable(self) -> list[Partition]:
        return [each for each in self._partitions if _is_limitable(each)]

    def _set(self, partition: Partition) -> None:
        rate = self._rates.rate(partition.queue)
        partition.override_rate(None if rate is None else rate / self._shares)


def _is_limitable(partition: Partition) -> bool:
    return partition.queue.task_type is TaskType.ACTIVITY
