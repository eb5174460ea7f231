"""The store contract: what a store promises, whatever database is behind it.

Batch-shaped: the committer hands over many transitions at once, and each has an outcome of its
own. Rules that hold here:

- A transition is applied whole or not at all, and in the order given: a later transition of the
  same batch sees an earlier one's rows. One whose fence, current-run expectation or version does
  not hold is refused with `Conflict`, alone.
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
    RunKey,
    TaskQueueKey,
    TimerRow,
    VisibilityRow,
)
from perdure.core.visibility.query import VisibilityFilter


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
    """A contiguous range of slots, `first_slot` to `last_slot` inclusive, and who may write it."""

    first_slot: int
    last_slot: int
    owner: str
    epoch: int


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

    async def read_tasks(
        self, first_slot: int, last_slot: int, after: DispatchKey | None, limit: int
    ) -> list[DispatchTask]:
        """Returns the tasks of a range of slots in key order, whatever queue they are on."""
        ...

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
        ...


class VisibilityStore(Protocol):
    """List and Count."""

    async def list_workflows(
        self, namespace_id: str, where: VisibilityFilter, after: VisibilityCursor | None, limit: int
    ) -> list[VisibilityRow]:
        """Returns runs: open ones first, then by close time, then start time, newest first."""
        ...

    async def count_workflows(self, namespace_id: str, where: VisibilityFilter) -> int:
        """Returns the number of runs that match."""
        ...

    async def count_workflows_by_status(
        self, namespace_id: str, where: VisibilityFilter
    ) -> dict[int, int]:
        """Returns the number of runs that match, by execution status (GROUP BY)."""
        ...


class MetadataStore(Protocol):
    """What lives outside shards: compare-and-set by version."""

    async def create_namespace(self, row: NamespaceRow) -> bool:
        """Creates a namespace; False when its name or id is taken."""
        ...

    async def update_namespace(self, row: NamespaceRow) -> bool:
        """Replaces version `row.version - 1`; False when that is not the stored version."""
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

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots with a new, higher epoch, fencing every earlier owner.

        Waits behind transactions in flight that hold the range's epoch.
        """
        ...


class Store(WorkflowStore, VisibilityStore, MetadataStore, Protocol):
    """A whole store."""

    async def close(self) -> None:
        """Finishes what is in flight and releases the database."""
        ...
