"""A store as a process sees it: slow, sometimes gone, sometimes silent about what it did.

Theory of operation: `SimulatedDatabase` is the durable half. It keeps a real store (the memory
store) and the transactions whose outcome nobody knows: they may still be applied, at any moment
until somebody takes the shard over, which waits behind them. `StoreSession` is one process's
connection, and dies with it: a commit in flight becomes such a transaction.

Checked here: after an unknown outcome a process commits nothing more with the epochs of that
batch, while they hold: it takes those shards over first. A shard is released with nothing of it in
flight.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

from perdure.core.commit import Commit
from perdure.persistence.ports import Outcome, Shard, Store, StoreUnavailable, UnknownOutcome
from simulation.faults import FaultPlan
from simulation.loop import Process
from simulation.trace import Trace

T = TypeVar("T")

TYPICAL_SECONDS = 0.001
SLOWEST_SECONDS = 2.0


@dataclass(eq=False)
class _Transaction:
    """A batch that was sent and has no outcome yet.

    `doomed` is tossed when its connection dies: it will never be applied.
    """

    batch: Sequence[Commit]
    settled: bool = False
    doomed: bool = False


class SimulatedDatabase:
    """What survives the crash of a process.

    Attributes:
        inner: The real store; what it holds is durable.
        outage: While True every operation fails.
        commits: How many batches were applied.
    """

    def __init__(
        self, *, inner: Store, faults: FaultPlan, generator: random.Random, trace: Trace
    ) -> None:
        self.inner = inner
        self.faults = faults
        self.generator = generator
        self.trace = trace
        self.outage = False
        self.commits = 0
        self._dying: list[_Transaction] = []

    def session(self, process: Process) -> "StoreSession":
        """Connects a process."""
        return StoreSession(self, process)

    def chance(self, probability: float) -> bool:
        """Tosses a coin."""
        return probability > 0 and self.generator.random() < probability

    async def delay(self) -> None:
        """Lets the time of one round trip pass."""
        slow = self.chance(self.faults.slow_store)
        mean = SLOWEST_SECONDS / 2 if slow else TYPICAL_SECONDS
        await asyncio.sleep(min(self.generator.expovariate(1 / mean), SLOWEST_SECONDS))

    async def apply(self, transaction: _Transaction) -> Sequence[Outcome]:
        """Applies a batch, once."""
        assert not transaction.settled
        transaction.settled = True
        self.commits += 1
        outcomes = await self.inner.commit(transaction.batch)
        for commit, outcome in zip(transaction.batch, outcomes, strict=True):
            self.trace.note("store", f"{_summary(commit)}: {outcome.result.value}")
        return outcomes

    def abandon(self, transaction: _Transaction) -> None:
        """Takes over a transaction whose connection has died."""
        if transaction.settled:
            return
        transaction.doomed = self.chance(0.5)
        self._dying.append(transaction)
        if self.chance(0.5):
            loop = asyncio.get_running_loop()
            # The database does this by itself: it belongs to no process.
            loop.call_later(self.generator.expovariate(1), self._settle_soon, context=Context())

    async def settle(self) -> None:
        """Brings every dying transaction to its end, as taking over a shard does."""
        while self._dying:
            transaction = self._dying.pop(0)
            if transaction.settled:
                continue
            if transaction.doomed:
                transaction.settled = True
            else:
                await self.apply(transaction)
            fate = "rolled back" if transaction.doomed else "committed"
            self.trace.note("store", f"dying transaction of {len(transaction.batch)} {fate}")

    def _settle_soon(self) -> None:
        asyncio.get_running_loop().create_task(self.settle(), name="dying transactions")


class StoreSession:
    """The `Store` that a process uses. All but commits are passed on, with delays and failures."""

    def __init__(self, database: SimulatedDatabase, process: Process) -> None:
        self._database = database
        self._process = process
        self._in_flight: list[_Transaction] = []
        self._unsure: set[int] = set()

    def die(self) -> None:
        """Loses the connection, because the process was killed."""
        for transaction in self._in_flight:
            self._database.abandon(transaction)
        self._in_flight.clear()

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions, or does not, or does not say."""
        database, faults = self._database, self._database.faults
        if self._unsure:
            await self._check_epochs(batch)
        transaction = _Transaction(list(batch))
        self._in_flight.append(transaction)
        await database.delay()
        if database.outage or database.chance(faults.store_unavailable):
            self._in_flight.remove(transaction)
            raise StoreUnavailable("simulated: the database cannot be reached")
        if database.chance(faults.unknown_outcome):
            return await self._lose(transaction)
        outcomes = await database.apply(transaction)
        await database.delay()
        self._in_flight.remove(transaction)
        return outcomes

    async def _check_epochs(self, batch: Sequence[Commit]) -> None:
        cluster = await self._database.inner.read_cluster()
        unsure = self._unsure.intersection(shard.epoch for shard in cluster.shards)
        if not unsure.isdisjoint(commit.epoch for commit in batch):
            self._database.trace.violation("commit after an unknown outcome without a new epoch")

    async def _lose(self, transaction: _Transaction) -> Sequence[Outcome]:
        database = self._database
        applied = database.chance(0.4)
        if applied:
            await database.apply(transaction)
        self._in_flight.remove(transaction)
        database.abandon(transaction)
        self._unsure |= {commit.epoch for commit in transaction.batch}
        database.trace.note(
            "store",
            f"outcome unknown of {len(transaction.batch)} ({'applied' if applied else 'open'})",
        )
        raise UnknownOutcome("simulated: the connection died during a commit")

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots, behind whatever still holds it."""
        await self._gate()
        await self._database.settle()
        shard = await self._database.inner.acquire_shard(first_slot, last_slot, owner)
        await self._database.delay()
        return shard

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over shards that still have the epochs named, behind whatever holds them."""
        await self._gate()
        await self._database.settle()
        taken = await self._database.inner.take_shards(shards, owner)
        await self._database.delay()
        return taken

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's."""
        if any(commit.epoch == shard.epoch for each in self._in_flight for commit in each.batch):
            self._database.trace.violation("a shard is released with a commit in flight")
        released: bool = await self._read(self._database.inner.release_shard, (shard,), {})
        return released

    async def close(self) -> None:
        """Disconnects."""

    async def _gate(self) -> None:
        database = self._database
        await database.delay()
        if database.outage or database.chance(database.faults.store_unavailable):
            raise StoreUnavailable("simulated: the database cannot be reached")

    async def _read(self, call: Callable[..., Awaitable[T]], arguments: Any, keywords: Any) -> T:
        await self._gate()
        result = await call(*arguments, **keywords)
        await self._database.delay()
        return result

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Returns the inner store's method, behind the gate."""
        call = getattr(self._database.inner, name)

        def read(*arguments: Any, **keywords: Any) -> Awaitable[Any]:
            return self._read(call, arguments, keywords)

        return read


def _summary(commit: Commit) -> str:
    """Says in a few words what a transition changes."""
    runs = []
    for write in commit.runs:
        events = "".join(f" +{each.first_event_id}-{each.last_event_id}" for each in write.history)
        runs.append(f"{write.run_id[-6:]} v{write.version}{events}")
    tasks = f", tasks +{len(commit.tasks_added)} -{len(commit.tasks_deleted)}"
    timers = f", timers +{len(commit.timers_added)} -{len(commit.timers_deleted)}"
    messages = f", messages +{len(commit.messages_added)} -{len(commit.messages_deleted)}"
    receipts = f", receipts +{len(commit.receipts_added)}"
    return f"{commit.workflow_id} {' '.join(runs)}{tasks}{timers}{messages}{receipts}"
