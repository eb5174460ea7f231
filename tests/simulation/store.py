"""A store as a process sees it: slow, sometimes gone, sometimes silent about what it did.

Theory of operation: `SimulatedDatabase` is the durable half. It keeps a real store (the memory
store) and the transactions whose outcome nobody knows: they may still be applied, at any moment
until somebody takes the shard over, which waits behind them. `StoreSession` is one process's
connection, and dies with it: a commit in flight becomes such a transaction. What is on its way is
the network's: it arrives though its process is stopped or waits no more.

Checked here: what is committed carries the epoch that its slot's shard has at that moment. After an
unknown outcome a process commits nothing more with the epochs of that batch, while they hold: it
takes those shards over first. A shard is released with nothing of it in flight. A workflow id has
one open run at most.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.commit import Commit
from perdure.persistence.ports import (
    Outcome,
    Result,
    Shard,
    Store,
    StoreUnavailable,
    UnknownOutcome,
)
from perdure.proto.stored_pb2 import RunState
from simulation.faults import FaultPlan
from simulation.loop import Process
from simulation.trace import Trace

T = TypeVar("T")

RUNNING = enums.WORKFLOW_EXECUTION_STATUS_RUNNING

TYPICAL_SECONDS = 0.001
SLOWEST_SECONDS = 2.0
SILENCE_SECONDS = 5.0
"""After which a connection to a store that does not answer is given up."""

CHANGES = frozenset({"register_node", "renew_node", "remove_node", "create_shards"})
"""What changes the store and is no commit: its outcome may be unknown too."""


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
        takeovers: How many shards were taken.
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
        self.takeovers = 0
        self._open: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
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
        shards = (await self.inner.read_cluster()).shards
        outcomes = await self.inner.commit(transaction.batch)
        for commit, outcome in zip(transaction.batch, outcomes, strict=True):
            self.trace.note("store", f"{_summary(commit)}: {outcome.result.value}")
            if outcome.result is not Result.COMMITTED:
                continue
            if not _is_fenced_in(commit, shards):
                self.trace.violation(
                    f"a transition of {commit.workflow_id} was committed under epoch"
                    f" {commit.epoch}, which its shard has not"
                )
            self._check_open_runs(commit)
        return outcomes

    def _check_open_runs(self, commit: Commit) -> None:
        open_runs = self._open[commit.namespace_id, commit.workflow_id]
        for write in commit.runs:
            open_runs.discard(write.run_id)
            if not write.deleted and RunState.FromString(write.state).status == RUNNING:
                open_runs.add(write.run_id)
        if len(open_runs) > 1:
            self.trace.violation(f"{commit.workflow_id} has open runs {sorted(open_runs)}")

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
    """The `Store` that a process uses. Everything is passed on, with delays and failures.

    Attributes:
        cut: While True nothing gets through in either direction.
    """

    def __init__(self, database: SimulatedDatabase, process: Process) -> None:
        self.cut = False
        self._database = database
        self._process = process
        self._in_flight: list[_Transaction] = []
        self._unsure: set[int] = set()

    def die(self) -> None:
        """Loses the connection, because the process was killed."""
        for transaction in self._in_flight:
            self._database.abandon(transaction)
        self._in_flight.clear()

    def _is_cut(self) -> bool:
        return self.cut

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions, or does not, or does not say."""
        if self._unsure:
            await self._check_epochs(batch)
        transaction = _Transaction(list(batch))
        self._in_flight.append(transaction)
        return await _outside(self._carry(transaction))

    async def _carry(self, transaction: _Transaction) -> Sequence[Outcome]:
        database, faults = self._database, self._database.faults
        await database.delay()
        if not self._process.alive:
            raise UnknownOutcome("simulated: nobody is told")
        if self._is_cut():
            await asyncio.sleep(database.generator.uniform(0.0, SILENCE_SECONDS))
            return await self._lose(transaction, applied=False)
        if database.outage or database.chance(faults.store_unavailable):
            self._in_flight.remove(transaction)
            raise StoreUnavailable("simulated: the database cannot be reached")
        if database.chance(faults.unknown_outcome):
            return await self._lose(transaction, applied=database.chance(0.4))
        outcomes = await database.apply(transaction)
        await database.delay()
        if self._is_cut():
            await asyncio.sleep(database.generator.uniform(0.0, SILENCE_SECONDS))
            return await self._lose(transaction, applied=True)
        if transaction in self._in_flight:
            self._in_flight.remove(transaction)
        return outcomes

    async def _check_epochs(self, batch: Sequence[Commit]) -> None:
        cluster = await self._database.inner.read_cluster()
        unsure = self._unsure.intersection(shard.epoch for shard in cluster.shards)
        if not unsure.isdisjoint(commit.epoch for commit in batch):
            self._database.trace.violation("commit after an unknown outcome without a new epoch")

    async def _lose(self, transaction: _Transaction, *, applied: bool) -> Sequence[Outcome]:
        database = self._database
        if applied and not transaction.settled:
            await database.apply(transaction)
        if transaction in self._in_flight:
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

        async def acquire() -> Shard:
            await self._database.settle()
            return await self._database.inner.acquire_shard(first_slot, last_slot, owner)

        return await _outside(self._pass(acquire, changes=True))

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over shards that still have the epochs named, behind whatever holds them."""

        async def take() -> list[Shard]:
            await self._database.settle()
            taken = await self._database.inner.take_shards(shards, owner)
            self._database.takeovers += len(taken)
            if taken:
                ranges = ", ".join(f"{each.first_slot}@{each.epoch}" for each in taken)
                self._database.trace.note("store", f"{self._process.name} takes {ranges}")
            return taken

        return await _outside(self._pass(take, changes=True))

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's."""
        if any(commit.epoch == shard.epoch for each in self._in_flight for commit in each.batch):
            self._database.trace.violation("a shard is released with a commit in flight")

        async def release() -> bool:
            released = await self._database.inner.release_shard(shard)
            text = f"{self._process.name} gives away {shard.first_slot}@{shard.epoch}: {released}"
            self._database.trace.note("store", text)
            return released

        return await _outside(self._pass(release, changes=True))

    async def close(self) -> None:
        """Disconnects."""

    async def _pass(self, call: Callable[[], Awaitable[T]], *, changes: bool) -> T:
        """Does something at the store.

        Raises:
            StoreUnavailable: It was not done, or nothing was to be changed.
            UnknownOutcome: It may have been done.
        """
        database = self._database
        await database.delay()
        if self._is_cut():
            await asyncio.sleep(database.generator.uniform(0.0, SILENCE_SECONDS))
        if self._is_cut() or database.outage or database.chance(database.faults.store_unavailable):
            raise StoreUnavailable("simulated: the database cannot be reached")
        result = await call()
        await database.delay()
        if self._is_cut() or (changes and database.chance(database.faults.unknown_change)):
            await asyncio.sleep(database.generator.uniform(0.0, SILENCE_SECONDS))
            kind = UnknownOutcome if changes else StoreUnavailable
            raise kind("simulated: the connection died while the database worked")
        return result

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Returns the inner store's method, on the far side of the connection."""
        call = getattr(self._database.inner, name)

        def pass_on(*arguments: Any, **keywords: Any) -> Awaitable[Any]:
            return _outside(
                self._pass(lambda: call(*arguments, **keywords), changes=name in CHANGES)
            )

        return pass_on


async def _outside(coroutine: Coroutine[Any, Any, T]) -> T:
    """Awaits what goes on outside of the caller's process, and goes on without the caller."""
    task = asyncio.get_running_loop().create_task(coroutine, context=Context())
    task.add_done_callback(_retrieve, context=Context())
    return await asyncio.shield(task)


def _retrieve(task: "asyncio.Task[T]") -> None:
    """Tells asyncio that an exception was seen: its process may have been killed."""
    if not task.cancelled():
        task.exception()


def _is_fenced_in(commit: Commit, shards: Sequence[Shard]) -> bool:
    return any(
        shard.epoch == commit.epoch and shard.first_slot <= commit.slot <= shard.last_slot
        for shard in shards
    )


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
