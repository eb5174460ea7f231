"""The store contract: what a store promises, whatever database is behind it.

Batch-shaped: the committer hands over many transitions at once, and each has an outcome of its
own. Rules that hold here:

- A transition is applied whole or not at all, and in the order given: a later transition of the
  same batch sees an earlier one's rows. One whose fence, current-run expectation or version does
  not hold is refused, alone.
- Of several reasons the first is told: REJECTED, FENCED, CURRENT_MISMATCH, VERSION_MISMATCH. What
  only one database refuses, or is there already, is REJECTED when none of the others applies.
- Event ids are below 2**24.
- Deleting a run deletes its own rows: state, items, history, listing, and that it is the current
  one. Its tasks, timers and messages stay unless the same commit names them.
- When `commit` returns, what was `Committed` survives a crash of the process and of the machine.
- A store that cannot tell whether a batch was committed raises `UnknownOutcome`.
- Reads see everything committed before they began; a read never blocks a commit for long.
- Times are nanoseconds since the Unix epoch, 0 meaning "none".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
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
from perdure.persistence.observation import StoreStatistics


class StoreError(Exception):
    """The store could not do what it was asked; nothing was written."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or is shutting down; nothing was written."""


class UnknownOutcome(StoreError):
    """The connection died around a commit: the batch may or may not be durable.

    The owner must acquire its shards again (which waits behind the dying transaction) and reload
    before it writes or reads anything.
    """


class StartupError(StoreError):
    """The store must not be used as it is; the message is one sentence that says the fix."""


class Result(Enum):
    """How one transition ended."""

    COMMITTED = "committed"
    FENCED = "fenced"
    """The shard's epoch is not the one named: somebody else owns the slot now."""
    CURRENT_MISMATCH = "current_mismatch"
    """The workflow id's current run is not the expected one."""
    VERSION_MISMATCH = "version_mismatch"
    """A run's version is not the expected one."""
    REJECTED = "rejected"
    """The database refuses the rows themselves (a NUL in text, a number out of range …)."""


class Outcome(NamedTuple):
    """How one transition ended, with a sentence for logs when it did not commit."""

    result: Result
    detail: str = ""


@dataclass(slots=True)
class StoredRun:
    """A run as it was last committed."""

    key: RunKey
    version: int
    start: bytes
    state: bytes
    items: dict[ItemKey, bytes] = field(default_factory=dict)


class NamespaceRow(NamedTuple):
    """A namespace: `data` is the serialised public DescribeNamespaceResponse without failover."""

    id: str
    name: str
    version: int
    data: bytes


class VisibilityCursor(NamedTuple):
    """Position in a listing: the sort key of the last row returned."""

    close_time: int
    start_time: int
    run_id: str


class Shard(NamedTuple):
    """A contiguous range of slots, `first_slot` to `last_slot` inclusive, and who may write it.

    `owner` is the id of a node, empty when nobody owns the range. `epoch` is higher than that of
    every earlier owner of any of its slots, and unique in the store.
    """

    first_slot: int
    last_slot: int
    owner: str
    epoch: int


class NodeState(Enum):
    """What a node wants of the others."""

    UP = "up"
    DRAINING = "draining"
    """It gives away what it owns and takes no more."""


@dataclass(slots=True, frozen=True)
class NodeRow:
    """A process that is part of the cluster, as it last said.

    Attributes:
        id: Made anew whenever a process starts: what owns shards.
        name: Chosen by the operator, the same across restarts; unique among live nodes.
        roles: What it serves, comma-separated, sorted.
        address: `host:port` of its gRPC listener for other nodes.
        version: The release it runs.
        format: The newest stored and internode format that it reads.
        state: Whether it is leaving.
        lease: How long after `renewed` it may be taken for alive, in nanoseconds.
        started: When it registered, on the store's clock.
        renewed: When it last said that it is alive, on the store's clock.
    """

    id: str
    name: str
    roles: str
    address: str
    version: str
    format: int
    state: NodeState
    lease: int
    started: int = 0
    renewed: int = 0

    def expired(self, now: int) -> bool:
        """Tells whether the lease has run out at a time on the store's clock."""
        return self.renewed + self.lease < now


class ClusterRows(NamedTuple):
    """Everything that membership goes by, read at one moment (`now`: the store's clock)."""

    now: int
    nodes: list[NodeRow]
    shards: list[Shard]


class WorkflowStore(Protocol):
    """State, histories, tasks and timers."""

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Applies transitions in order and makes them durable together.

        Raises StoreUnavailable (nothing was written) or UnknownOutcome.
        """
        ...

    async def load_current(self, namespace_id: str, workflow_id: str) -> StoredRun | None:
        """Returns the workflow id's current run, open or closed."""
        ...

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        ...

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
        ...

    async def read_history_reverse(
        self, key: RunKey, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns the last batches that hold events with an id < end_event_id, descending."""
        ...

    async def read_queue(
        self, queue: TaskQueueKey, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns a queue's tasks in dispatch order, those after a key."""
        ...

    async def next_partition(self, queue: TaskQueueKey) -> int | None:
        """Returns the first partition of a queue after a given one that has tasks, if any.

        Costs the same whatever is in the partitions.
        """
        ...

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchTask | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots by slot, then task id, whatever their queue.

        Costs what it returns, not what waits on the queues.
        """
        ...

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        ...

    async def read_messages(
        self, first_slot: int, last_slot: int, due_before: int, after: MessageKey | None, limit: int
    ) -> list[MessageRow]:
        """Returns the messages of a range of slots due earlier than `due_before`, in key order."""
        ...

    async def load_receipt(self, key: ReceiptKey) -> bytes | None:
        """Returns the data of a receipt, None when there is none."""
        ...

    async def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts of a range of slots, the oldest first; returns how many."""
        ...


class VisibilityStore(Protocol):
    """List and Count.

    Rules that hold here: a search value counts only with its attribute's own type, so that of a
    Double must be a Python float, whole numbers too, and that of a Text the set of its words. `!=`
    and NOT IN on a Text or KeywordList also match runs that do not have the attribute; of the other
    types, a missing one is only IS NULL.
    """

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first.

        Runs that are alike in all of that are listed by run id, descending.
        """
        ...

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        ...

    async def count_workflows_by(
        self, namespace_id: str, where: VisibilityFilter, group_by: Attribute
    ) -> dict[SearchValue | None, int]:
        """Returns the number of runs that match, by an attribute's values (GROUP BY).

        Those that do not have the attribute are under None.
        """
        ...


class MetadataStore(Protocol):
    """What lives outside shards: compare-and-set by version."""

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        ...

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
        ...

    async def delete_namespace(self, namespace_id: str, version: int) -> bool:
        """Deletes a namespace; False when it does not have that version, or is not there."""
        ...

    async def list_namespaces(self) -> list[NamespaceRow]:
        """Returns all namespaces, by name."""
        ...

    async def get_document(self, name: str) -> tuple[int, bytes] | None:
        """Returns version and data of a named cluster-wide document (search attributes…)."""
        ...

    async def put_document(self, name: str, version: int, data: bytes) -> bool:
        """Writes `version`, replacing `version - 1` (0 = absent); False when it is not stored."""
        ...

    async def incarnation(self) -> str:
        """Returns the random id that this store got when created, restored or promoted."""
        ...

    async def cluster_id(self) -> str:
        """Returns the cluster's random id, made when the store was created."""
        ...


class MembershipStore(Protocol):
    """Who is alive and who owns what. Times are those of the store's own clock."""

    async def register_node(self, node: NodeRow) -> NodeRow | None:
        """Adds a node, with `started` and `renewed` being now.

        Returns the live node that has the name already, and adds nothing then. An expired node of
        the same name is replaced.
        """
        ...

    async def renew_node(self, node_id: str, state: NodeState) -> ClusterRows | None:
        """Says that a node is alive, and reads the cluster, in one round trip.

        None when the node is not registered (any more): it must stop, or register again.
        """
        ...

    async def remove_node(self, node_id: str) -> None:
        """Removes a node; the shards that still name it as their owner are nobody's then."""
        ...

    async def remove_expired_nodes(self, expired_for: int) -> int:
        """Removes nodes whose lease ran out longer ago than that; returns how many."""
        ...

    async def read_cluster(self) -> ClusterRows:
        """Reads nodes (by name, then id) and shards (by first slot) at one moment."""
        ...

    async def create_shards(self, count: int) -> bool:
        """Divides all slots into that many shards that nobody owns; False when some exist."""
        ...

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch, fencing every earlier owner.

        Every shard that shares a slot with the range is removed, with the slots that it has beyond
        the range: nobody can write those until they are acquired too.
        Waits behind transactions in flight that hold the range's epoch.
        """
        ...

    async def take_shards(self, shards: Sequence[Shard], owner: str) -> list[Shard]:
        """Takes over those of the given shards that still have the epoch named, in one go.

        Returns them as they are now, with new epochs. Otherwise as `acquire_shard`.
        """
        ...

    async def release_shard(self, shard: Shard) -> bool:
        """Makes a shard nobody's, its epoch unchanged; False when it has another epoch now.

        The owner calls it when nothing of the shard is in flight.
        """
        ...


class Store(WorkflowStore, VisibilityStore, MetadataStore, MembershipStore, Protocol):
    """A whole store."""

    def statistics(self) -> StoreStatistics:
        """Returns what the store has counted since it was opened."""
        ...

    async def close(self) -> None:
        """Finishes what is in flight and releases the database."""
        ...
