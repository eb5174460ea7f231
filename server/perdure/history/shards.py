"""The shards that this process owns: their epochs, and how it recovers when commits are lost.

Rules that hold here: a slot is stepped only under an epoch that is held; nothing is stepped while
epochs are being raised. Raising them waits in the store behind whatever transaction is dying, so
that what is loaded afterwards is the truth. What is in memory of a shard that was lost or given
away is dropped before anything else happens.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from perdure.core.errors import UnavailableError
from perdure.core.slots import SLOT_COUNT
from perdure.history.ports import ShardObserver, SilentObserver
from perdure.persistence.ports import MembershipStore, Shard, StoreError
from perdure.rpc.clients import NotOwnerError
from perdure.runtime.ports import Ids
from perdure.runtime.retry import Backoff
from perdure.runtime.tasks import TaskSet

TASK_IDS_PER_EPOCH = 1 << 40
# A store may be away for as long as it likes; only the pauses are bounded.
REACQUIRE = Backoff(maximum_seconds=1.0, total_seconds=float("inf"))
READY_SECONDS = 10.0


class SlotRange(NamedTuple):
    """Slots `first` to `last`, inclusive."""

    first: int
    last: int


class ShardAuthority(Protocol):
    """Who decides what this process owns: membership, or nobody but itself.

    It calls `ShardSet.adopt` with what the process owns, now and whenever that changes.
    """

    def lease_valid(self) -> bool:
        """Whether nobody else can have taken over yet. Cheap: every answer from memory asks."""
        ...

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Raises the epochs of shards, those that still have the epochs named.

        Raises:
            StoreError: It is not known what was taken.
        """
        ...

    async def release(self, shard: Shard) -> None:
        """Makes a shard nobody's. Nothing of it is in flight or in memory."""
        ...

    def takes_back(self) -> bool:
        """Whether a shard that has another epoch in the store is taken back: its owner is dead."""
        ...


class ShardListener(Protocol):
    """Hears of what the process comes to own and ceases to own."""

    def gained(self, ranges: Sequence[SlotRange]) -> None:
        """Slots may be stepped, under new epochs: go on with what is in the store."""
        ...

    def lost(self, ranges: Sequence[SlotRange]) -> None:
        """Slots are not this node's any more: forget what is in memory of them."""
        ...

    async def finish(self, slots: SlotRange) -> None:
        """Waits until nothing of a shard is in flight; no new step is taken meanwhile."""
        ...


class _State(Enum):
    HELD = "held"
    RAISING = "raising"
    """The epoch is being raised: commits were lost."""
    CLOSING = "closing"
    """It is being given away."""


class _Held:
    __slots__ = ("shard", "state")

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.state = _State.HELD

    @property
    def range(self) -> SlotRange:
        return SlotRange(self.shard.first_slot, self.shard.last_slot)


class ShardSet:
    """The shards of this process."""

    def __init__(
        self,
        *,
        authority: ShardAuthority,
        ids: Ids,
        tasks: TaskSet,
        listener: ShardListener,
        observer: ShardObserver | None = None,
    ) -> None:
        """Makes an empty set.

        Args:
            authority: Who decides what is owned.
            ids: Where jitter comes from.
            tasks: Where the background work runs.
            listener: Told of changes, at once.
            observer: Counts for metrics.
        """
        self._authority = authority
        self._ids = ids
        self._tasks = tasks
        self._listener = listener
        self._observer = observer or SilentObserver()
        self._held: dict[int, _Held] = {}
        self._ended: dict[int, int] = {}
        self._by_slot: list[_Held | None] = [None] * SLOT_COUNT
        self._changed = asyncio.Event()
        self._task_sequence = 0
        self._recovering = False

    # What steps ask

    def epoch(self, slot: int) -> int:
        """Returns the fence of writes to a slot; 0 when it may not be stepped now."""
        held = self._by_slot[slot]
        return held.shard.epoch if held is not None and held.state is _State.HELD else 0

    async def ready(self, slot: int, timeout_seconds: float = READY_SECONDS) -> None:
        """Waits until a slot may be stepped.

        Raises:
            NotOwnerError: The slot is another node's.
            UnavailableError: The store has not come back in time.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not self.epoch(slot):
            held = self._by_slot[slot]
            if held is None or held.state is _State.CLOSING:
                raise NotOwnerError
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                raise UnavailableError("The store is not available; try again.") from None

    def check_lease(self) -> None:
        """Checks that what is in memory is still the truth, before an answer is given from it.

        Raises:
            NotOwnerError: The lease has run out: somebody else may have changed it.
        """
        if not self._authority.lease_valid():
            raise NotOwnerError

    def next_task_id(self) -> int:
        """Returns a number higher than every one that any owner of a held slot has given out.

        Epochs rise with time over the whole store and the newest one of this process counts: who
        takes a shard over later has a higher one.
        """
        self._task_sequence += 1
        return self._task_sequence

    # Gaining and losing

    @property
    def held(self) -> list[Shard]:
        """The shards that are held, by first slot."""
        return [self._held[first].shard for first in sorted(self._held)]

    @property
    def ranges(self) -> list[SlotRange]:
        """The slots that are held, neighbouring shards being one range."""
        return merge(held.range for held in self._held.values())

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Has the authority raise the epochs of shards; returns those that it took.

        Raises:
            StoreError: It is not known what was taken.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        taken = await self._authority.take(shards)
        if taken:
            self._observer.acquired(len(taken), loop.time() - began)
        return taken

    def adopt(self, owned: Iterable[Shard]) -> None:
        """Takes in what the authority says is owned, all of it.

        What is held besides, or under an earlier epoch, is given up. A view may be older than the
        end of an epoch: such shards are not taken up again.
        """
        wanted = {
            shard.first_slot: shard
            for shard in owned
            if shard.epoch > self._ended.get(shard.first_slot, 0)
        }
        self._lose([held for first, held in self._held.items() if wanted.get(first) != held.shard])
        self._gain([shard for first, shard in wanted.items() if first not in self._held])

    async def release(self, shard: Shard) -> None:
        """Gives a shard away: finishes what is in flight, forgets it, and lets others take it."""
        held = self._held.get(shard.first_slot)
        if held is None or held.shard != shard or held.state is not _State.HELD:
            return
        held.state = _State.CLOSING
        self._wake()
        await self._listener.finish(held.range)
        if self._held.get(shard.first_slot) is held:
            self._lose([held])
            await self._authority.release(held.shard)

    def fenced(self, slot: int, epoch: int) -> None:
        """Gives up a shard whose write was refused: it has another epoch in the store."""
        held = self._by_slot[slot]
        if held is None or held.shard.epoch != epoch:
            return
        if self._authority.takes_back():
            self.recover()
        else:
            self._lose([held])

    def recover(self) -> None:
        """Stops steps at once, and raises the epochs of all shards in the background."""
        for held in self._held.values():
            if held.state is _State.HELD:
                held.state = _State.RAISING
        self._wake()
        # When everything ends, nothing is stepped any more: the next owner raises them.
        if not self._recovering and not self._tasks.closed:
            self._recovering = True
            self._tasks.spawn("raise-epochs", self._raise_epochs())

    async def _raise_epochs(self) -> None:
        try:
            for attempt in itertools.count(1):
                raising = [held for held in self._held.values() if held.state is _State.RAISING]
                if not raising:
                    return
                try:
                    taken = await self.take([held.shard for held in raising])
                except StoreError:
                    await asyncio.sleep(REACQUIRE.pause_seconds(attempt, self._ids))
                    continue
                still = [held for held in raising if self._held.get(held.range.first) is held]
                self._lose(still)
                self._gain([shard for shard in taken if shard.first_slot not in self._held])
        finally:
            self._recovering = False

    def _gain(self, shards: Sequence[Shard]) -> None:
        if not shards:
            return
        for shard in shards:
            held = _Held(shard)
            self._held[shard.first_slot] = held
            width = shard.last_slot - shard.first_slot + 1
            self._by_slot[shard.first_slot : shard.last_slot + 1] = [held] * width
            self._task_sequence = max(self._task_sequence, shard.epoch * TASK_IDS_PER_EPOCH)
        self._wake()
        self._observer.gained(len(shards), len(self._held))
        self._listener.gained(merge(map(_range, shards)))

    def _lose(self, gone: Sequence[_Held]) -> None:
        if not gone:
            return
        for held in gone:
            first, last = held.range
            del self._held[first]
            self._ended[first] = held.shard.epoch
            self._by_slot[first : last + 1] = [None] * (last - first + 1)
        self._wake()
        self._observer.lost(len(gone), len(self._held))
        self._listener.lost(merge(held.range for held in gone))

    def _wake(self) -> None:
        """Wakes whoever waits until a slot may be stepped."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def merge(ranges: Iterable[SlotRange]) -> list[SlotRange]:
    """Returns ranges by their first slot, neighbouring ones as one."""
    merged: list[SlotRange] = []
    for first, last in sorted(ranges):
        if merged and merged[-1].last + 1 == first:
            merged[-1] = SlotRange(merged[-1].first, last)
        else:
            merged.append(SlotRange(first, last))
    return merged


def _range(shard: Shard) -> SlotRange:
    return SlotRange(shard.first_slot, shard.last_slot)


class SoleOwner:
    """The `ShardAuthority` of a process that is alone on its store: it owns every slot."""

    def __init__(self, *, store: MembershipStore, node_id: str) -> None:
        self._store = store
        self._node_id = node_id

    def lease_valid(self) -> bool:
        """Returns that nobody else can take over."""
        return True

    async def begin(self, shards: ShardSet) -> None:
        """Takes over all slots from whoever had them, and has a set adopt them.

        Raises:
            StoreError: The store cannot be reached.
        """
        shards.adopt(await shards.take(()))

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Raises the epoch of all slots; whatever it is now, for nobody else raises it.

        Raises:
            StoreError: The store cannot be reached.
        """
        return [await self._store.acquire_shard(0, SLOT_COUNT - 1, self._node_id)]

    async def release(self, shard: Shard) -> None:
        """Makes a shard nobody's."""
        await self._store.release_shard(shard)

    def takes_back(self) -> bool:
        """Returns that only what a dead process had begun can have raised an epoch."""
        return True
