"""The shard this process owns: its epoch, and how it recovers when commits are lost.

Rules that hold here: nothing is stepped while the epoch is being raised. Raising it waits in the
store behind whatever transaction is dying, so that what is loaded afterwards is the truth.
"""

import asyncio
import itertools
from collections.abc import Callable

from perdure.core.errors import UnavailableError
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.ports import MetadataStore, StoreError
from perdure.runtime.ports import Ids
from perdure.runtime.retry import Backoff
from perdure.runtime.tasks import TaskSet

TASK_IDS_PER_EPOCH = 1 << 40
# A store may be away for as long as it likes; only the pauses are bounded.
REACQUIRE = Backoff(maximum_seconds=1.0, total_seconds=float("inf"))


class ShardOwner:
    """Owns the whole range of slots.

    Attributes:
        epoch: The fence of every write; 0 while it is being acquired.
    """

    def __init__(
        self,
        *,
        metadata: MetadataStore,
        owner: str,
        ids: Ids,
        tasks: TaskSet,
        on_acquired: Callable[[], None],
    ) -> None:
        self._metadata = metadata
        self._owner = owner
        self._ids = ids
        self._tasks = tasks
        self._on_acquired = on_acquired
        self._ready = asyncio.Event()
        self._task_sequence = 0
        self._recovering = False
        self.epoch = 0

    async def acquire(self) -> None:
        """Takes over the slots with a new epoch.

        Raises:
            StoreError: The store cannot be reached.
        """
        shard = await self._metadata.acquire_shard(0, SLOT_COUNT - 1, self._owner)
        self.epoch = shard.epoch
        self._task_sequence = shard.epoch * TASK_IDS_PER_EPOCH
        self._ready.set()
        self._on_acquired()

    async def ready(self, timeout_seconds: float = 10.0) -> None:
        """Waits until steps may be taken.

        Raises:
            UnavailableError: The store has not come back in time.
        """
        if self._ready.is_set():
            return
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_seconds)
        except TimeoutError:
            raise UnavailableError("The store is not available; try again.") from None

    @property
    def is_ready(self) -> bool:
        """Whether steps may be taken."""
        return self._ready.is_set()

    def recover(self) -> None:
        """Stops steps at once, and acquires a new epoch in the background."""
        self._ready.clear()
        if not self._recovering:
            self._recovering = True
            self._tasks.spawn("acquire-shard", self._reacquire())

    async def _reacquire(self) -> None:
        try:
            for attempt in itertools.count(1):
                try:
                    await self.acquire()
                except StoreError:
                    await asyncio.sleep(REACQUIRE.pause_seconds(attempt, self._ids))
                else:
                    return
        finally:
            self._recovering = False

    def next_task_id(self) -> int:
        """Returns a number higher than every one that any owner has given out."""
        self._task_sequence += 1
        return self._task_sequence
