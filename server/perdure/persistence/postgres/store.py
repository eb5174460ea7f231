"""`PostgresStore`: the store contract on a PostgreSQL database."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import psycopg
import psycopg_pool

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    RunKey,
    TaskQueueKey,
    TimerRow,
    VisibilityRow,
)
from perdure.core.visibility.query import VisibilityFilter
from perdure.persistence.admission import EVENT_ID_BITS, refusal, storable
from perdure.persistence.coalescing import COMMITTED
from perdure.persistence.observation import Meter, StoreObserver, StoreStatistics
from perdure.persistence.ports import (
    NamespaceRow,
    Outcome,
    Result,
    Shard,
    StoredRun,
    StoreUnavailable,
    VisibilityCursor,
)
from perdure.persistence.postgres import reading
from perdure.persistence.postgres.committing import Committer
from perdure.persistence.postgres.database import STATEMENTS, Connection, complete, prepare_database
from perdure.persistence.postgres.visibility import filtered
from perdure.persistence.settling import settled
from perdure.persistence.visibility_rows import cursor_columns, from_columns
from perdure.runtime.clock import stopwatch
from perdure.runtime.ports import Ids

READERS = 4
"""Connections for reads; with the one for commits, what a process holds in all."""

POOL_TIMEOUT_SECONDS = 10.0
"""How long a read waits for a connection before the store counts as unavailable."""

_END_EVENT = 1 << EVENT_ID_BITS
_Rows = list[tuple[Any, ...]]
_Parameters = Sequence[Any] | Mapping[str, Any]


class PostgresStore:
    """A store in a database. Make one with `PostgresStore.open`."""

    def __init__(
        self,
        dsn: str,
        pool: psycopg_pool.AsyncConnectionPool[Connection],
        names: tuple[str, str],
        observer: StoreObserver | None,
    ) -> None:
        self._committer = Committer(dsn)
        self._pool = pool
        self._cluster_id, self._incarnation = names
        self._meter = Meter(observer)
        self._lock = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        ids: Ids,
        observer: StoreObserver | None = None,
        migrate: bool = True,
        readers: int = READERS,
    ) -> Self:
        """Opens a database, and creates or upgrades its schema if `migrate`.

        Raises StartupError when the database must not or cannot be used.
        """
        dsn = complete(dsn)
        names = await prepare_database(dsn, ids=ids, migrate=migrate)
        pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            dsn,
            min_size=readers,
            max_size=readers,
            open=False,
            timeout=POOL_TIMEOUT_SECONDS,
            kwargs={"autocommit": True},
        )
        await pool.open()
        return cls(dsn, pool, names, observer)

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
        parameters = {"namespace_id": namespace_id, "workflow_id": workflow_id}
        return reading.stored_run(await self._read("load_current", parameters))

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        return reading.stored_run(await self._read("load_run", key._asdict()))

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
        events = {"first": min(first_event_id, _END_EVENT), "end": min(end_event_id, _END_EVENT)}
        parameters = {**key._asdict(), **events, "limit": max_batches}
        return [HistoryBatch(*row) for row in await self._read("read_history", parameters)]

    async def read_history_reverse(
        self, key: RunKey, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the last batches that hold events with an id < end_event_id, descending."""
        end = min(end_event_id, _END_EVENT)
        parameters = {**key._asdict(), "end": end, "limit": max_batches}
        return [HistoryBatch(*row) for row in await self._read("read_history_reverse", parameters)]

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        first = reading.FIRST_IN_QUEUE if after is None else after[1:]
        rows = await self._read("read_queue", (*queue, *first, limit))
        return [reading.dispatch_task(row) for row in rows]

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots in key order, whatever queue they are on."""
        first = reading.FIRST_TASK if after is None else (*after.queue, *after[1:])
        rows = await self._read("read_tasks", (*first, first_slot, last_slot, limit))
        return [reading.dispatch_task(row) for row in rows]

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        first = reading.FIRST_TIMER if after is None else (after.due, after.slot, *after.run)
        parameters = (*first, due_before, first_slot, last_slot, limit)
        return [reading.timer_row(row) for row in await self._read("read_timers", parameters)]

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first."""
        first = () if after is None else cursor_columns(after)
        name = "list_all_workflows" if after is None else "list_workflows"
        sql, operands = filtered(name, where)
        rows = await self._query("list_workflows", sql, (namespace_id, *first, *operands, limit))
        return [from_columns(row) for row in rows]

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        sql, operands = filtered("count_workflows", where)
        rows = await self._query("count_workflows", sql, (namespace_id, *operands))
        return int(rows[0][0]) if rows else 0

    async def count_workflows_by_status(
        self, namespace_id: str, where: VisibilityFilter
    ) -> dict[int, int]:
        """Returns the number of runs that match, by execution status (GROUP BY)."""
        sql, operands = filtered("count_workflows_by_status", where)
        rows = await self._query("count_workflows_by_status", sql, (namespace_id, *operands))
        return dict(rows)

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        return await self._change("create_namespace", row)

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
        parameters = (row.name, row.version, row.data, row.id, row.version - 1)
        return await self._change("update_namespace", parameters)

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
            return await self._change("create_document", (version, data, name))
        return await self._change("update_document", (version, data, name, version - 1))

    async def incarnation(self) -> str:
        """Returns the random id that this store got when created, restored or promoted."""
        return self._incarnation

    async def cluster_id(self) -> str:
        """Returns the cluster's random id, made when the store was created."""
        return self._cluster_id

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch."""
        async with self._lock:
            with self._meter.reading("acquire_shard"):
                self._check_open()
                work = self._committer.acquire_shard(first_slot, last_slot, owner)
                return await settled(asyncio.ensure_future(work))

    async def close(self) -> None:
        """Finishes what is in flight and closes the connections."""
        async with self._lock:
            if not self._closed:
                self._closed = True
                await self._committer.close()
                await self._pool.close()

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

    async def _read(self, operation: str, parameters: _Parameters) -> _Rows:
        return await self._query(operation, STATEMENTS[operation], parameters)

    async def _query(self, operation: str, sql: str, parameters: _Parameters) -> _Rows:
        if not _sendable(parameters):
            return []
        with self._meter.reading(operation):
            self._check_open()
            try:
                async with self._pool.connection() as connection:
                    cursor = connection.cursor(binary=True)
                    await cursor.execute(sql.encode(), parameters)
                    return await cursor.fetchall()
            except psycopg.Error as error:
                raise StoreUnavailable(f"the database cannot be read: {error}") from error

    async def _change(self, operation: str, parameters: Sequence[Any]) -> bool:
        with self._meter.reading(operation):
            self._check_open()
            try:
                async with self._pool.connection() as connection:
                    cursor = await connection.execute(STATEMENTS[operation], parameters)
                    return cursor.rowcount == 1
            except psycopg.errors.UniqueViolation:
                return False
            except psycopg.Error as error:
                raise StoreUnavailable(f"the database cannot be written: {error}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")


def _sendable(parameters: _Parameters) -> bool:
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    return storable(*(value for value in values if isinstance(value, str)))
