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


class CommitObserver(Protocol):
    """Hears of what has become durable, for metrics: pre-bound and cheap."""

    def committed(self, commit: Commit) -> None:
        """A commit is durable. Closed runs are the visibility rows with a close time."""
        ...

    def commits_lost(self, unknown: bool) -> None:
        """The store did not say that commits are durable; memory was dropped."""
        ...


class SilentObserver:
    """A CommitObserver that does nothing."""

    def committed(self, commit: Commit) -> None:
        """Does nothing."""

    def commits_lost(self, unknown: bool) -> None:
        """Does nothing."""
