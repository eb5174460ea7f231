"""The partitions in memory, and their leaving it.

Rules that hold here: a queue comes into memory with its first poll, query or hint, and leaves when
for a while none came. One timer looks at all of them; it runs only while there are some.
"""

import asyncio
from collections.abc import Callable, Iterator

from perdure.core.commit import TaskQueueKey, TaskType
from perdure.matching.forwarding import QueueTasks
from perdure.matching.observer import MatchingObserver
from perdure.matching.partition import Partition
from perdure.matching.reader import QueueRows
from perdure.matching.settings import MatchingSettings
from perdure.runtime.tasks import TaskSet

_LOOKS_PER_RATE_WINDOW = 3


class Partitions:
    """Partitions by queue.

    Attributes:
        on_load: Told of each partition that comes into memory.
        queue_tasks: How a partition that is loaded from now on reaches the others of its queue.
    """

    __slots__ = (
        "_closed",
        "_jitter",
        "_loaded",
        "_observer",
        "_rows",
        "_settings",
        "_tasks",
        "_timer",
        "on_load",
        "queue_tasks",
    )

    def __init__(
        self,
        *,
        settings: MatchingSettings,
        observer: MatchingObserver,
        rows: QueueRows,
        tasks: TaskSet,
        jitter: Callable[[], float],
        queue_tasks: QueueTasks,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._rows = rows
        self._tasks = tasks
        self._jitter = jitter
        self.queue_tasks = queue_tasks
        self.on_load: Callable[[Partition], None] | None = None
        self._loaded: dict[TaskQueueKey, Partition] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __iter__(self) -> Iterator[Partition]:
        """Goes through those in memory."""
        return iter(list(self._loaded.values()))

    def get(self, queue: TaskQueueKey) -> Partition | None:
        """Returns a partition that is in memory."""
        return self._loaded.get(queue)

    def load(self, queue: TaskQueueKey, sticky_of: str | None = None) -> Partition:
        """Returns a partition, with an empty memory if it was not loaded.

        `sticky_of` is the normal queue of a sticky one, "" where that is not known.
        """
        partition = self._loaded.get(queue)
        if partition is None:
            return self._new(queue, sticky_of)
        if sticky_of and partition.sticky_of != sticky_of:
            # A task had come before the first poll, and did not say.
            self._observer.queue_unloaded(queue)
            partition.sticky_of = sticky_of
            partition.observer = self._observer.queue_loaded(queue, sticky_of)
        return partition

    def named(self, namespace_id: str, name: str) -> list[Partition]:
        """Returns the loaded partitions of all task types of a name, as far as polls spread."""
        queues = [
            TaskQueueKey(namespace_id, name, task_type, number)
            for task_type in TaskType
            for number in range(self._settings.partitions)
        ]
        return [self._loaded[queue] for queue in queues if queue in self._loaded]

    def others(self, queue: TaskQueueKey) -> list[Partition]:
        """Returns the loaded partitions of a queue but one, the root first."""
        numbers = range(self._settings.partitions)
        queues = [queue._replace(partition=number) for number in numbers]
        return [self._loaded[other] for other in queues if other != queue and other in self._loaded]

    def release(self, moved: Callable[[TaskQueueKey], bool]) -> list[Partition]:
        """Unloads the partitions of some queues and ends their polls; returns them."""
        released = [each for each in self._loaded.values() if moved(each.queue)]
        for partition in released:
            self._unload(partition)
        return released

    def close(self) -> None:
        """Ends all polls; partitions that are loaded from now on end theirs at once."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for partition in self._loaded.values():
            partition.close()

    def _new(self, queue: TaskQueueKey, sticky_of: str | None) -> Partition:
        partition = Partition(
            queue=queue,
            sticky_of=sticky_of,
            settings=self._settings,
            observer=self._observer.queue_loaded(queue, sticky_of),
            rows=self._rows,
            tasks=self._tasks,
            jitter=self._jitter,
            queue_tasks=self.queue_tasks,
        )
        self._loaded[queue] = partition
        if self.on_load is not None:
            self.on_load(partition)
        if self._closed:
            partition.close()
        elif self._timer is None:
            self._look_later()
        return partition

    def _unload(self, partition: Partition) -> None:
        partition.close()
        del self._loaded[partition.queue]
        self._observer.queue_unloaded(partition.queue)

    def _look_later(self) -> None:
        pause = self._settings.rate_window / _LOOKS_PER_RATE_WINDOW
        self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        """Samples rates, and unloads what is idle."""
        now = asyncio.get_running_loop().time()
        idle = [each for each in self._loaded.values() if each.look(now)]
        for partition in idle:
            self._unload(partition)
        self._timer = None
        if self._loaded:
            self._look_later()
