"""`SqliteStore`: the store contract on one SQLite file.

Theory of operation: rows are written on the event loop's thread, only the COMMIT with its sync
runs in the writer thread. A thread that made the dozens of short calls itself would ask for the
interpreter's lock at every one of them, and under a busy loop wait up to a switch interval (5 ms)
each time (docs/decisions/0003-sqlite-writer.md). For the same reason point reads
run on the loop's thread, on a connection of their own, and never wait for a commit; listings,
which may look at every run, go to a reader thread.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

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
    UnknownOutcome,
    VisibilityCursor,
)
from perdure.persistence.settling import settled
from perdure.persistence.sqlite import membership, metadata, reading, visibility, writing
from perdure.persistence.sqlite.checkpoints import Checkpointer
from perdure.persistence.sqlite.database import (
    STATEMENTS,
    FileLock,
    check_path,
    connect_reader,
    connect_writer,
    explained,
    spare_the_loop,
)
from perdure.persistence.sqlite.worker import Worker
from perdure.persistence.sqlite.writing import REFUSALS, ExpectationBroken, Writer
from perdure.runtime.clock import SystemClock, stopwatch
from perdure.runtime.ports import Clock, Ids

P = ParamSpec("P")
T = TypeVar("T")

TRANSITIONS_AT_ONCE = 64
"""Written before the loop may do other work: about 3 ms."""


class SqliteStore:
    """A store in a file. Make one with `SqliteStore.open`."""

    def __init__(
        self,
        database: Path,
        lock: FileLock,
        *,
        ids: Ids,
        clock: Clock,
        observer: StoreObserver | None,
    ) -> None:
        self._clock = clock
        self._file_lock = lock
        self._writing = connect_writer(database, ids)
        self._writer = Writer(self._writing)
        self._point_reads = connect_reader(database)
        self._scans = connect_reader(database)
        names = self._writing.execute(STATEMENTS["read_store"]).fetchone()
        self._cluster_id, self._incarnation = names[:2]
        spare_the_loop(self._writing)
        spare_the_loop(self._point_reads)
        self._meter = Meter(observer)
        self._lock = asyncio.Lock()
        self._closed = False
        self._commit_worker = Worker("sqlite-commit")
        self._scan_worker = Worker("sqlite-read")
        self._checkpointer = Checkpointer(database, pause=self._lock)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        ids: Ids,
        clock: Clock | None = None,
        observer: StoreObserver | None = None,
    ) -> Self:
        """Opens or creates a database file.

        `clock` tells the time that nodes go by: the machine's by default. Raises StartupError when
        the file must not or cannot be used.
        """
        database = check_path(path)
        lock = FileLock(database)
        try:
            with explained(database):
                return cls(database, lock, ids=ids, clock=clock or SystemClock(), observer=observer)
        except BaseException:
            lock.release()
            raise

    def statistics(self) -> StoreStatistics:
        """Returns the sums since the store was opened."""
        return self._meter.statistics

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions in order and makes them durable together.

        Raises StoreUnavailable (nothing was written) or UnknownOutcome (a sync failed).
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
        return self._point("load_current", None, reading.load_current, namespace_id, workflow_id)

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        return self._point("load_run", None, reading.load_run, key)

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
        events = (first_event_id, end_event_id, max_batches)
        return self._point("read_history", [], reading.read_history, key, *events)

    async def read_history_reverse(
        self, key: RunKey, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the last batches that hold events with an id < end_event_id, descending."""
        function = reading.read_history_reverse
        return self._point("read_history_reverse", [], function, key, end_event_id, max_batches)

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        return self._point("read_queue", [], reading.read_queue, queue, after, limit)

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        """Returns the first partition of a queue after a given one that has tasks, if any."""
        return self._point("next_partition", None, reading.next_partition, queue)

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchTask | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots by slot, then task id."""
        slots = (first_slot, last_slot)
        return await self._scan("read_tasks", [], reading.read_tasks, *slots, after, limit)

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        bounds = (first_slot, last_slot, due_before)
        return self._point("read_timers", [], reading.read_timers, *bounds, after, limit)

    async def read_messages(
        self, first_slot: int, last_slot: int, due_before: int, after: MessageKey | None, limit: int
    ) -> list[MessageRow]:
        """Returns the messages of a range of slots due earlier than `due_before`, in key order."""
        bounds = (first_slot, last_slot, due_before)
        return self._point("read_messages", [], reading.read_messages, *bounds, after, limit)

    async def load_receipt(self, key: ReceiptKey) -> bytes | None:
        """Returns the data of a receipt."""
        return self._point("load_receipt", None, reading.load_receipt, key)

    async def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts of a range of slots, the oldest first; returns how many."""
        function = writing.delete_expired_receipts
        bounds = (first_slot, last_slot, expired_before)
        return await self._change("delete_expired_receipts", function, *bounds, limit)

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first."""
        steps = visibility.READER.list_runs(namespace_id, where, after, limit)
        return await self._scan("list_workflows", [], visibility.carry_out, steps)

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        steps = visibility.READER.count_runs(namespace_id, where)
        return await self._scan("count_workflows", 0, visibility.carry_out, steps)

    async def count_workflows_by(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute
    ) -> dict[SearchValue | None, int]:
        """Returns the number of runs that match, by an attribute's values."""
        steps = visibility.READER.count_groups(namespace_id, where, group_by)
        return await self._scan("count_workflows_by", {}, visibility.carry_out, steps)

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        return await self._change("create_namespace", metadata.create_namespace, row)

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
        return await self._change("update_namespace", metadata.update_namespace, row)

    async def delete_namespace(self, namespace_id: str, version: int) -> bool:
        """Deletes a namespace; False when it does not have that version."""
        function = metadata.delete_namespace
        return await self._change("delete_namespace", function, namespace_id, version)

    async def list_namespaces(self) -> list[NamespaceRow]:
        """Returns all namespaces, by name."""
        return self._point("list_namespaces", [], metadata.list_namespaces)

    async def get_document(self, name: str) -> tuple[int, bytes] | None:
        """Returns version and data of a named document."""
        return self._point("get_document", None, metadata.get_document, name)

    async def put_document(self, name: str, version: int, data: bytes) -> bool:
        """Writes `version`, replacing `version - 1` (0 = absent); False when it is not stored."""
        return await self._change("put_document", metadata.put_document, name, version, data)

    async def incarnation(self) -> str:
        """Returns the random id that this store got when created or restored."""
        return str(self._incarnation)

    async def cluster_id(self) -> str:
        """Returns the cluster's random id, made when the store was created."""
        return str(self._cluster_id)

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        """Adds a node; returns the live node that has the name, and adds nothing then."""
        now = self._clock.now()
        return await self._change("register_node", membership.register_node, node, now)

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive and reads the cluster; None when it is not registered."""
        now = self._clock.now()
        return await self._change("renew_node", membership.renew_node, node_id, state, now)

    async def remove_node(self, node_id: str) -> None:
        """Removes a node, and its name from its shards."""
        await self._change("remove_node", membership.remove_node, node_id)

    async def remove_expired_nodes(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        function = membership.remove_expired_nodes
        return await self._change("remove_expired_nodes", function, expired_for, self._clock.now())

    async def read_cluster(self) -> ClusterRows:
        """Reads nodes and shards in one snapshot."""
        now = self._clock.now()
        nothing = ClusterRows(now, [], [])
        return self._point("read_cluster", nothing, membership.read_cluster, now)

    async def create_shards(self, count: int) -> bool:
        """Divides all slots into shards that nobody owns; False when some exist."""
        return await self._change("create_shards", membership.create_shards, count)

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch."""
        slots = (first_slot, last_slot)
        return await self._change("acquire_shard", membership.acquire_shard, *slots, owner)

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over those of the given shards that still have the epoch named."""
        return await self._change("take_shards", membership.take_shards, shards, owner)

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's; False when it has another epoch now."""
        return await self._change("release_shard", membership.release_shard, shard)

    async def close(self) -> None:
        """Finishes what is in flight, folds the log into the file and gives it up."""
        async with self._lock:
            if self._closed:
                return
            self._closed = True
        await self._checkpointer.close()
        self._scan_worker.close()
        self._commit_worker.close()
        self._point_reads.close()
        self._scans.close()
        self._writer.close()
        self._file_lock.release()

    async def _commit(self, batch: Sequence[Commit]) -> list[Outcome]:
        outcomes = [self._writer.admit(commit) for commit in batch]
        admitted = [
            position
            for position, outcome in enumerate(outcomes)
            if outcome.result is Result.COMMITTED
        ]
        if admitted:
            written = await self._transact([batch[position] for position in admitted])
            for position, outcome in zip(admitted, written, strict=True):
                outcomes[position] = outcome
        return outcomes

    async def _transact(self, commits: list[Commit]) -> list[Outcome]:
        try:
            try:
                outcomes = await self._write_hopefully(commits)
            except (ExpectationBroken, *REFUSALS):
                self._meter.statistics.careful_commits += 1
                outcomes = await self._write_carefully(commits)
        except BaseException as error:
            self._give_up(error)
            raise
        await self._finish(commits)
        return outcomes

    async def _write_hopefully(self, commits: list[Commit]) -> list[Outcome]:
        self._begin()
        outcomes: list[Outcome] = []
        for first in range(0, len(commits), TRANSITIONS_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            chunk = commits[first : first + TRANSITIONS_AT_ONCE]
            outcomes += self._writer.write_hopefully(chunk)
        return outcomes

    async def _write_carefully(self, commits: list[Commit]) -> list[Outcome]:
        self._begin()
        outcomes = []
        for position, commit in enumerate(commits, 1):
            outcomes.append(self._writer.write_carefully(commit))
            if position % TRANSITIONS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return outcomes

    def _begin(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        self._writer.begin()

    def _give_up(self, error: BaseException) -> None:
        if self._closed:
            return
        self._writer.rollback()
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(f"the database file cannot be written: {error}") from error

    async def _finish(self, commits: Sequence[Commit]) -> None:
        syncing = self._commit_worker.submit(self._writing.commit)
        try:
            await settled(syncing)
        except sqlite3.Error as error:
            self._writer.rollback()
            sentence = f"the database file could not be synced: {error}"
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise StoreUnavailable(sentence) from error
            raise UnknownOutcome(sentence) from error
        except asyncio.CancelledError:
            # What is durable counts though nobody waits for it: a takeover fences all the same.
            if syncing.exception() is None:
                self._keep(commits)
            raise
        self._keep(commits)

    def _keep(self, commits: Sequence[Commit]) -> None:
        self._writer.committed()
        self._checkpointer.committed(commits)
        if not commits:  # not transitions, then: perhaps a takeover
            self._writer.shards_changed()

    async def _change(
        self,
        operation: str,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        async with self._lock:
            with self._meter.reading(operation):
                try:
                    self._begin()
                    result = function(self._writing, *arguments, **keywords)
                except BaseException as error:
                    self._give_up(error)
                    raise
                await self._finish(())
                return result

    def _point(
        self,
        operation: str,
        nothing: T,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        with self._meter.reading(operation):
            return self._read(self._point_reads, nothing, function, *arguments, **keywords)

    async def _scan(
        self,
        operation: str,
        nothing: T,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        def read() -> T:
            return self._read(self._scans, nothing, function, *arguments, **keywords)

        with self._meter.reading(operation):
            return await settled(self._scan_worker.submit(read))

    def _read(
        self,
        connection: sqlite3.Connection,
        nothing: T,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            return function(connection, *arguments, **keywords)
        except UnicodeEncodeError:
            return nothing
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the database file cannot be read: {error}") from error
