"""`MemoryStore`: the store contract on Python containers."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import islice

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
from perdure.persistence.memory.cluster import Cluster
from perdure.persistence.memory.evaluation import matches, value_of
from perdure.persistence.memory.faults import CommitFaults
from perdure.persistence.memory.tables import STILL_OPEN, Run, Tables, slot_key
from perdure.persistence.observation import Meter, StoreObserver, StoreStatistics
from perdure.persistence.ports import (
    ClusterRows,
    NamespaceRow,
    NodeRow,
    NodeState,
    Outcome,
    Shard,
    StoredRun,
    StoreUnavailable,
    VisibilityCursor,
)
from perdure.runtime.clock import SystemClock, stopwatch
from perdure.runtime.ports import Clock, Ids


class MemoryStore:
    """A store whose durability ends with the process.

    Args:
        ids: Makes the cluster's id and the incarnation.
        clock: Tells the time that nodes go by; the machine's by default.
        faults: What goes wrong around commits; nothing by default.
        observer: Told of every call.
    """

    def __init__(
        self,
        *,
        ids: Ids,
        clock: Clock | None = None,
        faults: CommitFaults | None = None,
        observer: StoreObserver | None = None,
    ) -> None:
        self._cluster_id = ids.request_id()
        self._incarnation = ids.request_id()
        self._faults = faults
        self._meter = Meter(observer)
        self._cluster = Cluster(clock=clock or SystemClock())
        self._tables = Tables(self._cluster)
        self._namespaces: dict[str, NamespaceRow] = {}
        self._documents: dict[str, tuple[int, bytes]] = {}
        self._lock = asyncio.Lock()
        self._closed = False

    def statistics(self) -> StoreStatistics:
        """Returns the sums since the store was made."""
        return self._meter.statistics

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions in order.

        Raises StoreUnavailable or UnknownOutcome as the faults say, and when closed.
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

    async def _commit(self, batch: Sequence[Commit]) -> list[Outcome]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._faults is not None:
            await self._faults.before_commit(batch)
        outcomes = [self._tables.commit(commit) for commit in batch]
        if self._faults is not None:
            await self._faults.after_commit(batch, outcomes)
        return outcomes

    async def load_current(self, namespace_id: str, workflow_id: str) -> StoredRun | None:
        """Returns the workflow id's current run."""
        with self._meter.reading("load_current"):
            run_id = self._tables.current.get((namespace_id, workflow_id), "")
            return _stored(self._tables.runs.get(run_id))

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        with self._meter.reading("load_run"):
            return _stored(self._run(key))

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
        with self._meter.reading("read_history"):
            run = self._run(key)
            found = [
                batch
                for batch in (run.history if run is not None else ())
                if batch.last_event_id >= first_event_id and batch.first_event_id < end_event_id
            ]
            return found[:max_batches]

    async def read_history_reverse(
        self, key: RunKey, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the last batches that hold events with an id < end_event_id, descending."""
        with self._meter.reading("read_history_reverse"):
            run = self._run(key)
            history = run.history if run is not None else []
            found = [batch for batch in history if batch.first_event_id < end_event_id]
            return found[::-1][:max_batches]

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        with self._meter.reading("read_queue"):
            keys = self._tables.queues.get(queue, [])
            first = bisect_right(keys, after) if after is not None else 0
            return [self._tables.tasks[key] for key in keys[first : first + limit]]

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        """Returns the first partition of a queue after a given one that has tasks, if any."""
        with self._meter.reading("next_partition"):
            found = (
                each.partition
                for each in self._tables.queues
                if each[:3] == queue[:3] and each.partition > queue.partition
            )
            return min(found, default=None)

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchTask | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots by slot, then task id."""
        with self._meter.reading("read_tasks"):
            keys = self._tables.slots
            first = bisect_left(keys, (first_slot,))
            if after is not None:
                first = max(first, bisect_right(keys, slot_key(after)))
            end = min(first + limit, bisect_left(keys, (last_slot + 1,)))
            return [self._tables.tasks[key] for _, _, key in keys[first:end]]

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        with self._meter.reading("read_timers"):
            timers = self._tables.timers
            first = bisect_right(timers, after) if after is not None else 0
            found: list[TimerRow] = []
            for position in range(first, len(timers)):
                timer = timers[position]
                if timer.due >= due_before or len(found) == limit:
                    break
                if first_slot <= timer.slot <= last_slot:
                    found.append(timer)
            return found

    async def read_messages(
        self, first_slot: int, last_slot: int, due_before: int, after: MessageKey | None, limit: int
    ) -> list[MessageRow]:
        """Returns the messages of a range of slots due earlier than `due_before`, in key order."""
        with self._meter.reading("read_messages"):
            keys = self._tables.message_keys
            first = bisect_right(keys, after) if after is not None else 0
            due = islice(keys, first, bisect_left(keys, (due_before,)))
            inside = (key for key in due if first_slot <= key.slot <= last_slot)
            return [self._tables.messages[key] for key in islice(inside, limit)]

    async def load_receipt(self, key: ReceiptKey) -> bytes | None:
        """Returns the data of a receipt."""
        with self._meter.reading("load_receipt"):
            receipt = self._tables.receipts.get(key)
            return receipt.data if receipt is not None else None

    async def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts of a range of slots, the oldest first; returns how many."""
        with self._meter.reading("delete_expired_receipts"):
            bounds = (first_slot, last_slot, expired_before)
            return self._tables.delete_expired_receipts(*bounds, limit)

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first."""
        with self._meter.reading("list_workflows"):
            found: list[VisibilityRow] = []
            for row in self._rows(namespace_id, after):
                if len(found) == limit:
                    break
                if matches(where, row):
                    found.append(copy(row))
            return found

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        with self._meter.reading("count_workflows"):
            return sum(matches(where, row) for row in self._rows(namespace_id, None))

    async def count_workflows_by(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute
    ) -> dict[SearchValue | None, int]:
        """Returns the number of runs that match, by an attribute's values."""
        with self._meter.reading("count_workflows_by"):
            rows = [row for row in self._rows(namespace_id, None) if matches(where, row)]
            return dict(Counter(value_of(group_by, row) for row in rows))

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        with self._meter.reading("create_namespace"):
            if row.id in self._namespaces or self._name_taken(row):
                return False
            self._namespaces[row.id] = row
            return True

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
        with self._meter.reading("update_namespace"):
            stored = self._namespaces.get(row.id)
            if stored is None or stored.version != row.version - 1 or self._name_taken(row):
                return False
            self._namespaces[row.id] = row
            return True

    async def delete_namespace(self, namespace_id: str, version: int) -> bool:
        """Deletes a namespace; False when it does not have that version."""
        with self._meter.reading("delete_namespace"):
            stored = self._namespaces.get(namespace_id)
            if stored is None or stored.version != version:
                return False
            del self._namespaces[namespace_id]
            return True

    async def list_namespaces(self) -> list[NamespaceRow]:
        """Returns all namespaces, by name."""
        with self._meter.reading("list_namespaces"):
            return sorted(self._namespaces.values(), key=lambda row: row.name)

    async def get_document(self, name: str) -> tuple[int, bytes] | None:
        """Returns version and data of a named document."""
        with self._meter.reading("get_document"):
            return self._documents.get(name)

    async def put_document(self, name: str, version: int, data: bytes) -> bool:
        """Writes `version`, replacing `version - 1` (0 = absent); False when it is not stored."""
        with self._meter.reading("put_document"):
            stored, _ = self._documents.get(name, (0, b""))
            if stored != version - 1:
                return False
            self._documents[name] = (version, data)
            return True

    async def incarnation(self) -> str:
        """Returns the random id that this store got when it was made."""
        return self._incarnation

    async def cluster_id(self) -> str:
        """Returns the cluster's random id."""
        return self._cluster_id

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        """Adds a node; returns the live node that has the name, and adds nothing then."""
        with self._meter.reading("register_node"):
            return self._cluster.register(node)

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive and reads the cluster; None when it is not registered."""
        with self._meter.reading("renew_node"):
            return self._cluster.renew(node_id, state)

    async def remove_node(self, node_id: str) -> None:
        """Removes a node, and its name from its shards."""
        with self._meter.reading("remove_node"):
            self._cluster.remove(node_id)

    async def remove_expired_nodes(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        with self._meter.reading("remove_expired_nodes"):
            return self._cluster.remove_expired(expired_for)

    async def read_cluster(self) -> ClusterRows:
        """Reads nodes and shards."""
        with self._meter.reading("read_cluster"):
            return self._cluster.read()

    async def create_shards(self, count: int) -> bool:
        """Divides all slots into shards that nobody owns; False when some exist."""
        with self._meter.reading("create_shards"):
            return self._cluster.create_shards(count)

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch."""
        async with self._lock:
            with self._meter.reading("acquire_shard"):
                return self._cluster.acquire(first_slot, last_slot, owner)

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over those of the given shards that still have the epoch named."""
        async with self._lock:
            with self._meter.reading("take_shards"):
                return self._cluster.take(shards, owner)

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's; False when it has another epoch now."""
        with self._meter.reading("release_shard"):
            return self._cluster.release(shard)

    async def close(self) -> None:
        """Waits for the commit in flight; later ones are refused."""
        async with self._lock:
            self._closed = True

    def _run(self, key: RunKey) -> Run | None:
        run = self._tables.runs.get(key.run_id)
        return run if run is not None and run.key == key else None

    def _name_taken(self, row: NamespaceRow) -> bool:
        return any(
            other.name == row.name and other.id != row.id for other in self._namespaces.values()
        )

    def _rows(self, namespace_id: str, after: VisibilityCursor | None) -> Iterator[VisibilityRow]:
        keys = self._tables.listing.get(namespace_id, [])
        end = len(keys)
        if after is not None:
            close_time, start_time, run_id = after
            end = bisect_left(keys, (close_time or STILL_OPEN, start_time, run_id))
        return (self._tables.visibility[key[2]] for key in reversed(keys[:end]))


def _stored(run: Run | None) -> StoredRun | None:
    if run is None:
        return None
    return StoredRun(run.key, run.version, run.start, run.state, dict(run.items))
