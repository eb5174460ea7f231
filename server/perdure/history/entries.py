"""Workflows in memory: one entry for each workflow id, with the runs that have been touched.

Rules that hold here: an entry may be ahead of the store by commits in flight (`last_commit`);
whoever answers from it waits until that is durable. An entry that lost a commit is dropped, never
repaired. Entries in use (a commit in flight, a reader waiting) are not evicted.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from perdure.core.workflow.state import Run
from perdure.history.committer import is_committed
from perdure.persistence.ports import Outcome

WorkflowKey = tuple[str, str]
"""Namespace id and workflow id."""

_ENTRY_OVERHEAD = 2048
_MOST_LOOKED_AT = 64
"""Entries that are tried at a time when one must make room: it bounds the cost of a step."""


class WorkflowEntry:
    """All that is in memory of one workflow id."""

    __slots__ = (
        "change",
        "current",
        "deletions",
        "dropped",
        "end_waiters",
        "in_flight",
        "key",
        "last_commit",
        "runs",
        "size",
        "slot",
        "waiters",
    )

    def __init__(self, key: WorkflowKey, slot: int, current: Run | None) -> None:
        self.key = key
        self.slot = slot
        self.current = current
        self.runs: dict[str, Run] = {}
        if current is not None:
            self.runs[current.key.run_id] = current
        self.last_commit: asyncio.Future[Outcome] | None = None
        self.in_flight = 0
        self.waiters: set[asyncio.Future[None]] = set()
        self.end_waiters: dict[asyncio.Future[None], Run] = {}
        self.dropped = False
        self.deletions = 0
        self.change = 0
        self.size = 0

    async def settled(self) -> bool:
        """Waits until the newest commit has ended; returns whether it is durable.

        Raises:
            CommitLost: The store did not say.
        """
        last = self.last_commit
        if last is None:
            return True
        outcome = last.result() if last.done() else await asyncio.shield(last)
        # Runs have versions of their own: the newest commit may have landed, on one run, after an
        # earlier one, of another, was refused. That has dropped the entry.
        return is_committed(outcome) and not self.dropped

    async def changed_since(self, change: int, timeout_seconds: float) -> None:
        """Waits until more has become durable than at a `change`, or the entry is dropped.

        Args:
            change: What `self.change` was.
            timeout_seconds: The longest wait.
        """
        if self.change != change or self.dropped:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.add(waiter)
        try:
            await _woken(waiter, timeout_seconds)
        finally:
            self.waiters.discard(waiter)

    async def ended(self, run_id: str, timeout_seconds: float) -> None:
        """Waits until a run of this entry has ended, which need not be durable yet.

        Whoever wants a run's end only is not disturbed by its other changes.

        Args:
            run_id: The run. The wait is over, too, when it is not in memory any more.
            timeout_seconds: The longest wait.
        """
        run = self.runs.get(run_id)
        if run is None or not run.is_running or self.dropped:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end_waiters[waiter] = run
        try:
            await _woken(waiter, timeout_seconds)
        finally:
            del self.end_waiters[waiter]

    def wake(self) -> None:
        """Notes that more is durable, and ends all waits for that."""
        self.change += 1
        for waiter in self.waiters:
            _wake(waiter)
        for waiter, run in self.end_waiters.items():
            if self.dropped or not run.is_running:
                _wake(waiter)

    def measure(self) -> int:
        """Returns about how many bytes the entry holds."""
        size = _ENTRY_OVERHEAD
        for run in self.runs.values():
            pending = len(run.activities) + len(run.timers) + len(run.children)
            pending += len(run.external_signals) + len(run.external_cancels)
            size += run.tail_bytes + run.state.history_size_bytes // 64 + 512 * pending
            size += 256 * len(run.buffered) + 64 * len(run.signal_requests)
            size += 128 * len(run.completed_updates)
            if run.schedule is not None:
                size += run.schedule.size_bytes
            for update in run.updates.values():
                size += 512 + update.size_bytes
        return size

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be disturbed if the entry were dropped."""
        return not (
            self.in_flight
            or self.waiters
            or self.end_waiters
            or any(run.speculative for run in self.runs.values())
        )


async def _woken(waiter: asyncio.Future[None], timeout_seconds: float) -> None:
    handle = asyncio.get_running_loop().call_later(timeout_seconds, _wake, waiter)
    try:
        await waiter
    finally:
        handle.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class EntryCache:
    """The entries, least recently used first, bounded in bytes.

    Attributes:
        budget: About how many bytes the entries may take.
        total_bytes: About how many they take.
        requests: How often somebody looked for a workflow.
        misses: How often it was not in memory.
    """

    def __init__(self, *, budget_bytes: int, on_evict: Callable[[WorkflowEntry], None]) -> None:
        self._entries: OrderedDict[WorkflowKey, WorkflowEntry] = OrderedDict()
        self.budget = budget_bytes
        self.requests = 0
        self.misses = 0
        self._on_evict = on_evict
        self.total_bytes = 0

    def __len__(self) -> int:
        """Returns how many entries there are."""
        return len(self._entries)

    def get(self, key: WorkflowKey) -> WorkflowEntry | None:
        """Returns an entry, and notes that it is used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def holds(self, entry: WorkflowEntry) -> bool:
        """Tells whether an entry is kept."""
        return self._entries.get(entry.key) is entry

    def add(self, entry: WorkflowEntry) -> None:
        """Keeps an entry; older ones that are idle make room."""
        self._entries[entry.key] = entry
        self.resize(entry)

    def resize(self, entry: WorkflowEntry) -> None:
        """Counts what an entry holds now."""
        if entry.dropped:
            return
        size = entry.measure()
        self.total_bytes += size - entry.size
        entry.size = size
        if self.total_bytes > self.budget:
            self._make_room(entry)

    def _make_room(self, keep: WorkflowEntry) -> None:
        for entry in list(islice(self._entries.values(), _MOST_LOOKED_AT)):
            if self.total_bytes <= self.budget:
                return
            if entry.is_idle and entry is not keep:
                self.drop(entry)
            else:
                # It is in use now; left where it is, it would hide what can be dropped.
                self._entries.move_to_end(entry.key)

    def drop(self, entry: WorkflowEntry) -> None:
        """Forgets an entry; whoever waits on it looks again."""
        if entry.dropped:
            return
        entry.dropped = True
        self.total_bytes -= entry.size
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
        entry.wake()
        self._on_evict(entry)

    def drop_all(self) -> None:
        """Forgets everything: what is in memory may be ahead of a store that lost it."""
        for entry in list(self._entries.values()):
            self.drop(entry)

    def drop_slots(self, first: int, last: int) -> None:
        """Forgets the workflows of slots that are not this process's any more."""
        for entry in [held for held in self._entries.values() if first <= held.slot <= last]:
            self.drop(entry)
