"""`PostgresStore`: the store contract on a PostgreSQL database."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    MessageKey,
    MessageRow,
    ReceiptKey,
    RunKey,
    SearchValue,
    TaskQueueKey,
    TimerRow,
    VisibilityRow,
)
from perdure.core.visibility.query import Attribute, VisibilityFilter
from perdure.persistence.admission import EVENT_ID_BITS, refusal, storable
from perdure.persistence.coalescing import COMMITTED
from perdure.persistence.observation import Meter, StoreObserver, StoreStatistics
from perdure.persistence.ports import (
    ClusterRows,
    NamespaceRow,
    NodeRow,
    NodeState,
    Outcome,
    Result,
    Shard,
    StoredRun,
    StoreUnavailable,
    VisibilityCursor,
)
from perdure.persistence.postgres import reading
from perdure.persistence.postgres.administration import prepare
from perdure.persistence.postgres.committing import Committer
from perdure.persistence.postgres.connecting import Address, parse
from perdure.persistence.postgres.membership import Membership
from perdure.persistence.postgres.readers import Parameters, Readers, Rows
from perdure.persistence.postgres.statements import STATEMENTS
from perdure.persistence.postgres.visibility import READER
from perdure.persistence.settling import settled
from perdure.persistence.visibility_reading import Steps
from perdure.runtime.clock import stopwatch
from perdure.runtime.ports import Ids

READERS = 4
"""Connections for reads; a process holds three more: commits, heartbeats, takeovers."""

TIMEOUT_SECONDS = 10.0
"""How long a call waits for the database before the store counts as unavailable."""

T = TypeVar("T")

_END_EVENT = 1 << EVENT_ID_BITS


class PostgresStore:
    """A store in a database. Make one with `PostgresStore.open`."""

    def __init__(
        self,
        address: Address,
        names: tuple[str, str],
        *,
        readers: int,
        observer: StoreObserver | None,
    ) -> None:
        self._committer = Committer(address)
        self._membership = Membership(address)
        self._readers = Readers(address, count=readers)
        self._cluster_id, self._incarnation = names
        self._meter = Meter(observer)
        self._meter.statistics.connections = address.connections
        self._lock = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        ids: Ids,
        observer: StoreObserver | None = None,
        create: bool = False,
        readers: int = READERS,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Self:
        """Opens a database.

        Args:
            dsn: The connection string, as libpq reads it.
            ids: Makes the names of a new store.
            observer: Told of every call of the store.
            create: Whether a schema that is missing or old is made and brought up to date; else
                it is refused.
            readers: Connections for reads.
            timeout_seconds: How long a call waits for the database.

        Raises:
            StartupError: The database must not or cannot be used; the sentence says the fix.
        """
        address = parse(dsn, timeout_seconds=timeout_seconds)
        names = await prepare(address, ids=ids, create=create)
        store = cls(address, names, readers=readers, observer=observer)
        # Nothing but speed depends on it, and the next start does it again.
        with suppress(StoreUnavailable):
            await store._change("fold_counters", ())
        return store

    def statistics(self) -> StoreStatistics:
        """Returns the sums since the store was opened."""
        self._meter.statistics.careful_commits = self._committer.careful
        return self._meter.statistics

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions in order and makes them durable together.

        Raises StoreUnavailable (nothing was written) or UnknownOutcome.
        """
        started = stopwatch()
        async with self._lock:
            try:
                outcomes = await self._commit(batch)
            except BaseException as error:
                self._meter.commit_failed(stopwatch() - started, error)
                raise
        self._meter.committed(len(batch), stopwatch() - started)
        return outcomes

    async def load_current(self, namespace_id: str, workflow_id: str) -> StoredRun | None:
        """Returns the workflow id's current run."""
        parameters = reading.place(namespace_id, workflow_id)
        return reading.stored_run(await self._read("load_current", parameters))

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        return reading.stored_run(await self._read("load_run", reading.place(*key)))

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
        events = {"first": min(first_event_id, _END_EVENT), "end": min(end_event_id, _END_EVENT)}
        parameters = {**reading.place(*key), **events, "limit": max_batches}
        return [HistoryBatch(*row) for row in await self._read("read_history", parameters)]

    async def read_history_reverse(
        self, key: RunKey, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the last batches that hold events with an id < end_event_id, descending."""
        end = min(end_event_id, _END_EVENT)
        parameters = {**reading.place(*key), "end": end, "limit": max_batches}
        return [HistoryBatch(*row) for row in await self._read("read_history_reverse", parameters)]

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        first = reading.FIRST_IN_QUEUE if after is None else after[1:]
        rows = await self._read("read_queue", (*queue, *first, limit))
        return [reading.dispatch_task(row) for row in rows]

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        """Returns the first partition of a queue after a given one that has tasks, if any."""
        rows = await self._read("next_partition", tuple(queue))
        return rows[0][0] if rows else None

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchTask | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots by slot, then task id, whatever their queue."""
        first = reading.FIRST_TASK if after is None else reading.place_of_task(after)
        rows = await self._read("read_tasks", (*first, first_slot, last_slot, limit))
        return [reading.dispatch_task(row) for row in rows]

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        first = reading.FIRST_TIMER if after is None else (after.due, after.slot, *after.run)
        parameters = (*first, due_before, first_slot, last_slot, limit)
        return [reading.timer_row(row) for row in await self._read("read_timers", parameters)]

    async def read_messages(
        self, first_slot: int, last_slot: int, due_before: int, after: MessageKey | None, limit: int
    ) -> list[MessageRow]:
        """Returns the messages of a range of slots due earlier than `due_before`, in key order."""
        first = reading.FIRST_MESSAGE if after is None else after
        parameters = (*first, due_before, first_slot, last_slot, limit)
        return [reading.message_row(row) for row in await self._read("read_messages", parameters)]

    async def load_receipt(self, key: ReceiptKey) -> bytes | None:
        """Returns the data of a receipt, None when there is none."""
        slot = reading.slot(key.namespace_id, key.workflow_id)
        rows = await self._read("load_receipt", (slot, *key))
        return bytes(rows[0][0]) if rows else None

    async def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts of a range of slots, the oldest first; returns how many."""
        parameters = (first_slot, last_slot, expired_before, limit)
        return await self._change("delete_expired_receipts", parameters)

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first."""
        steps = READER.list_runs(namespace_id, where, after, limit)
        return await self._carry_out("list_workflows", [], steps)

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        steps = READER.count_runs(namespace_id, where)
        return await self._carry_out("count_workflows", 0, steps)

    async def count_workflows_by(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute
    ) -> dict[SearchValue | None, int]:
        """Returns the number of runs that match, by an attribute's values."""
        steps = READER.count_groups(namespace_id, where, group_by)
        return await self._carry_out("count_workflows_by", {}, steps)

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        return await self._change("create_namespace", row) == 1

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
        parameters = (row.name, row.version, row.data, row.id, row.version - 1)
        return await self._change("update_namespace", parameters) == 1

    async def delete_namespace(self, namespace_id: str, version: int) -> bool:
        """Deletes a namespace; False when it does not have that version."""
        return await self._change("delete_namespace", (namespace_id, version)) == 1

    async def list_namespaces(self) -> list[NamespaceRow]:
        """Returns all namespaces, by name."""
        return [NamespaceRow(*row) for row in await self._read("list_namespaces", ())]

    async def get_document(self, name: str) -> tuple[int, bytes] | None:
        """Returns version and data of a named cluster-wide document."""
        rows = await self._read("get_document", (name,))
        return (rows[0][0], rows[0][1]) if rows else None

    async def put_document(self, name: str, version: int, data: bytes) -> bool:
        """Writes `version`, replacing `version - 1` (0 = absent); False when it is not stored."""
        if version == 1:
            return await self._change("create_document", (version, data, name)) == 1
        return await self._change("update_document", (version, data, name, version - 1)) == 1

    async def incarnation(self) -> str:
        """Returns the random id that this store got when created, restored or promoted."""
        return self._incarnation

    async def cluster_id(self) -> str:
        """Returns the cluster's random id, made when the store was created."""
        return self._cluster_id

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        """Adds a node; returns the live node that has the name, and adds nothing then."""
        return await self._measured("register_node", self._membership.register_node(node))

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive and reads the cluster; None when it is not registered."""
        return await self._measured("renew_node", self._membership.renew_node(node_id, state))

    async def remove_node(self, node_id: str) -> None:
        """Removes a node, and its name from its shards."""
        await self._measured("remove_node", self._membership.remove_node(node_id))

    async def remove_expired_nodes(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        work = self._membership.remove_expired_nodes(expired_for)
        return await self._measured("remove_expired_nodes", work)

    async def read_cluster(self) -> ClusterRows:
        """Reads nodes and shards in one snapshot."""
        return await self._measured("read_cluster", self._membership.read_cluster())

    async def create_shards(self, count: int) -> bool:
        """Divides all slots into shards that nobody owns; False when some exist."""
        return await self._measured("create_shards", self._membership.create_shards(count))

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch."""
        work = self._membership.acquire_shard(first_slot, last_slot, owner)
        return await self._measured("acquire_shard", work)

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over those of the given shards that still have the epoch named."""
        return await self._measured("take_shards", self._membership.take_shards(shards, owner))

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's; False when it has another epoch now."""
        return await self._measured("release_shard", self._membership.release_shard(shard))

    async def close(self) -> None:
        """Finishes what is in flight and closes the connections."""
        async with self._lock:
            if not self._closed:
                self._closed = True
                await self._committer.close()
                await self._membership.close()
                await self._readers.close()

    async def _commit(self, batch: Sequence[Commit]) -> list[Outcome]:
        self._check_open()
        outcomes = [
            Outcome(Result.REJECTED, reason) if (reason := refusal(commit)) else COMMITTED
            for commit in batch
        ]
        admitted = [index for index, outcome in enumerate(outcomes) if outcome is COMMITTED]
        if admitted:
            work = self._committer.commit([batch[index] for index in admitted])
            written = await settled(asyncio.ensure_future(work))
            for index, outcome in zip(admitted, written, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _read(self, operation: str, parameters: Parameters) -> Rows:
        return await self._query(operation, STATEMENTS[operation], parameters)

    async def _query(self, operation: str, sql: str, parameters: Parameters) -> Rows:
        if not _sendable(parameters):
            return []
        return await self._measured(operation, self._readers.read(sql, parameters))

    async def _carry_out(self, operation: str, nothing: T, steps: Steps[T]) -> T:
        """Runs the statements of a plan; `nothing` is what comes of values that no row has."""
        return await self._measured(operation, self._steps(nothing, steps))

    async def _steps(self, nothing: T, steps: Steps[T]) -> T:
        try:
            statement = next(steps)
            while True:
                if not _sendable(statement.parameters):
                    return nothing
                rows = await self._readers.read(statement.text, statement.parameters)
                statement = steps.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _change(self, operation: str, parameters: Sequence[Any]) -> int:
        work = self._readers.change(STATEMENTS[operation], parameters)
        return await self._measured(operation, work)

    async def _measured(self, operation: str, work: Coroutine[Any, Any, T]) -> T:
        with self._meter.reading(operation):
            if self._closed:
                work.close()
            self._check_open()
            return await work

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def _sendable(parameters: Parameters) -> bool:
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    return storable(*(value for value in values if isinstance(value, str)))
