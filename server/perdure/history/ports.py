"""What history is given: settings, what it must know of namespaces, and who watches it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from perdure.core.commit import Commit
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.settings import MEBIBYTE, WorkflowSettings


class NamespaceInfo(NamedTuple):
    """What history must know of a namespace; `retention` is in nanoseconds."""

    name: str
    retention: int
    search_attributes: Mapping[str, ValueType]


class NamespaceDirectory(Protocol):
    """Where history looks namespaces up; answered from memory."""

    def info(self, namespace_id: str) -> NamespaceInfo:
        """Returns what history must know of a namespace that exists."""
        ...

    def find(self, name: str) -> str:
        """Returns the id of a namespace; raises NamespaceNotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class MessageSettings:
    """Limits of sending messages between workflows.

    Attributes:
        rows_in_memory: Most messages that wait in memory.
        bytes_in_memory: Most bytes of them.
        page_rows: Messages read from the store at a time: few, since each may be of 2 MiB.
        concurrent: Messages being sent at a time.
        scan_seconds: How often the store is looked through for what memory does not know.
        sweep_seconds: How often expired receipts are deleted.
    """

    rows_in_memory: int = 10_000
    bytes_in_memory: int = 64 * MEBIBYTE
    page_rows: int = 50
    concurrent: int = 100
    scan_seconds: float = 60.0
    sweep_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Limits of the history role.

    Attributes:
        workflow: The core's own limits.
        cache_bytes: About how much memory the runs in memory may take.
        tail_bytes: How much of one run's newest history stays in memory.
        commit_batch: Most transitions in one store transaction.
        page_batches: Most batches of events in one page of history.
        page_bytes: About how large one page of history may be.
        timer_horizon: How far ahead timers are held in memory, in seconds.
        timer_batch: Timers read from the store at a time.
        concurrent_timers: Runs whose timers are being handled at a time.
        commit_retries: How often an operation is tried again on a state reloaded from the store.
        messages: Limits of sending messages.
    """

    workflow: WorkflowSettings = field(default_factory=WorkflowSettings)
    cache_bytes: int = 256 * MEBIBYTE
    tail_bytes: int = 128 * 1024
    commit_batch: int = 256
    page_batches: int = 256
    page_bytes: int = 2 * MEBIBYTE
    timer_horizon: float = 60.0
    timer_batch: int = 1000
    concurrent_timers: int = 100
    commit_retries: int = 5
    messages: MessageSettings = field(default_factory=MessageSettings)


class MessageObserver(Protocol):
    """Hears of messages to other workflows, for metrics: pre-bound and cheap."""

    def message_sent(self, taken: bool) -> None:
        """A message was answered: taken in, or refused for good."""
        ...

    def message_retried(self) -> None:
        """A message could not be sent, and is sent again later."""
        ...


class UpdateObserver(Protocol):
    """Hears of updates, for metrics: pre-bound and cheap."""

    def update_requested(self, namespace: str, *, completed: bool) -> None:
        """A client waits for an update: to be accepted, or to be completed."""
        ...

    def update_admitted(self, bytes_in_flight: int) -> None:
        """An update was taken in; the run's updates in flight have so many bytes."""
        ...

    def updates_sent(self, count: int) -> None:
        """A worker was sent so many updates."""
        ...

    def updates_answered(self, accepted: int, rejected: int, completed: int) -> None:
        """A worker has accepted, rejected and completed so many updates."""
        ...


class CommitObserver(Protocol):
    """Hears of what has become durable, for metrics: pre-bound and cheap."""

    def committed(self, commit: Commit) -> None:
        """A commit is durable. Closed runs are the visibility rows with a close time."""
        ...

    def commits_lost(self, unknown: bool) -> None:
        """The store did not say that commits are durable; memory was dropped."""
        ...


class ShardObserver(Protocol):
    """Hears of the shards that this process holds, for metrics: cheap, and must not raise."""

    def acquired(self, shards: int, seconds: float) -> None:
        """The epochs of so many shards were raised; the store took so long."""
        ...

    def gained(self, shards: int, held: int) -> None:
        """So many shards are held from now on; `held` of them altogether."""
        ...

    def lost(self, shards: int, held: int) -> None:
        """So many shards are not held any more; `held` of them are left."""
        ...

    def timer_fired(self, late_seconds: float) -> None:
        """A timer is handled from now on, so long after it was due."""
        ...


@dataclass(slots=True, frozen=True)
class HistoryStatistics:
    """What is in memory, and what has been counted since the process started.

    Attributes:
        cache_entries: Workflows in memory.
        cache_bytes: About how many bytes they take.
        cache_limit_bytes: About how many they may take.
        cache_requests: Look-ups of workflows.
        cache_misses: Look-ups that found nothing in memory.
        timers: Timers in memory.
        starts_undone: Starts of tasks that were undone.
        messages: Messages to other workflows in memory.
    """

    cache_entries: int
    cache_bytes: int
    cache_limit_bytes: int
    cache_requests: int
    cache_misses: int
    timers: int
    starts_undone: int
    messages: int


class SilentObserver:
    """A CommitObserver, ShardObserver, MessageObserver and UpdateObserver that does nothing."""

    def update_requested(self, namespace: str, *, completed: bool) -> None:
        """Does nothing."""

    def update_admitted(self, bytes_in_flight: int) -> None:
        """Does nothing."""

    def updates_sent(self, count: int) -> None:
        """Does nothing."""

    def updates_answered(self, accepted: int, rejected: int, completed: int) -> None:
        """Does nothing."""

    def committed(self, commit: Commit) -> None:
        """Does nothing."""

    def commits_lost(self, unknown: bool) -> None:
        """Does nothing."""

    def message_sent(self, taken: bool) -> None:
        """Does nothing."""

    def message_retried(self) -> None:
        """Does nothing."""

    def acquired(self, shards: int, seconds: float) -> None:
        """Does nothing."""

    def gained(self, shards: int, held: int) -> None:
        """Does nothing."""

    def lost(self, shards: int, held: int) -> None:
        """Does nothing."""

    def timer_fired(self, late_seconds: float) -> None:
        """Does nothing."""
