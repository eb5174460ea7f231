"""The memory store's rows, and how one transition changes them.

Rules that hold here: `check` decides and changes nothing; `apply` changes and cannot fail. Lists
that reads page through are kept sorted.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
    MessageKey,
    MessageRow,
    ReceiptKey,
    ReceiptRow,
    RunKey,
    RunWrite,
    TaskQueueKey,
    TimerRow,
    VisibilityRow,
)
from perdure.persistence.admission import refusal
from perdure.persistence.memory.cluster import Cluster
from perdure.persistence.ports import Outcome, Result

STILL_OPEN = (1 << 63) - 1
"""Sorts open runs after every closed one."""

_COMMITTED = Outcome(Result.COMMITTED)


@dataclass(slots=True)
class Run:
    """One run with its history, in event order, and its pending items."""

    key: RunKey
    start: bytes
    version: int = 0
    state: bytes = b""
    history: list[HistoryBatch] = field(default_factory=list)
    items: dict[ItemKey, bytes] = field(default_factory=dict)


def visibility_key(row: VisibilityRow) -> tuple[int, int, str]:
    """Returns the key that listings sort by, last row first."""
    return (row.close_time or STILL_OPEN, row.start_time, row.run_id)


def slot_key(task: DispatchTask) -> tuple[int, int, DispatchKey]:
    """Returns the key that tasks of a range of slots are read by."""
    return (task.slot, task.key.task_id, task.key)


class Tables:
    """All rows of workflows and visibility; the cluster says who may write them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.current: dict[tuple[str, str], str] = {}
        self.runs: dict[str, Run] = {}
        self.tasks: dict[DispatchKey, DispatchTask] = {}
        self.queues: defaultdict[TaskQueueKey, list[DispatchKey]] = defaultdict(list)
        self.slots: list[tuple[int, int, DispatchKey]] = []
        self.timers: list[TimerRow] = []
        self.messages: dict[MessageKey, MessageRow] = {}
        self.message_keys: list[MessageKey] = []
        self.receipts: dict[ReceiptKey, ReceiptRow] = {}
        self.expiries: list[tuple[int, int, ReceiptKey]] = []
        self.visibility: dict[str, VisibilityRow] = {}
        self.listing: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)

    def commit(self, commit: Commit) -> Outcome:
        """Applies one transition, or refuses it and changes nothing."""
        outcome = self._check(commit)
        if outcome.result is Result.COMMITTED:
            self._apply(commit)
        return outcome

    def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts of a range of slots, the oldest first; returns how many."""
        expired = islice(self.expiries, bisect_left(self.expiries, (expired_before,)))
        found = list(islice((row for row in expired if first_slot <= row[1] <= last_slot), limit))
        for row in found:
            del self.receipts[row[2]]
            _discard(self.expiries, row)
        return len(found)

    def _check(self, commit: Commit) -> Outcome:
        if reason := refusal(commit):
            return Outcome(Result.REJECTED, reason)
        if not self._cluster.holds(commit.slot, commit.epoch):
            return Outcome(Result.FENCED, f"slot {commit.slot} is not held at {commit.epoch}")
        if commit.current is not None:
            found = self.current.get((commit.namespace_id, commit.workflow_id), "")
            if found != commit.current.expected_run_id:
                return Outcome(Result.CURRENT_MISMATCH, f"the current run is {found!r}")
        for write in commit.runs:
            run = self.runs.get(write.run_id)
            version = run.version if run is not None else 0
            if version != write.expected_version:
                detail = f"run {write.run_id} has version {version}"
                return Outcome(Result.VERSION_MISMATCH, detail)
            if _repeats_history(run, write):
                return Outcome(Result.REJECTED, f"run {write.run_id} has these events already")
        if repeated := self._repeated_messages(commit):
            return Outcome(Result.REJECTED, f"{repeated} exists already")
        return _COMMITTED

    def _repeated_messages(self, commit: Commit) -> str:
        """Names a message or receipt that would be added a second time; empty when none would."""
        for message in commit.messages_added:
            if message.key in self.messages and message.key not in commit.messages_deleted:
                return str(message.key)
        for receipt in commit.receipts_added:
            if receipt.key in self.receipts:
                return str(receipt.key)
        return ""

    def _apply(self, commit: Commit) -> None:
        name = (commit.namespace_id, commit.workflow_id)
        if commit.current is not None:
            self.current[name] = commit.current.run_id
        for row in commit.visibility:
            self._drop_visibility(row.run_id)
            self.visibility[row.run_id] = copy(row)
            insort(self.listing[row.namespace_id], visibility_key(row))
        for write in commit.runs:
            if write.deleted:
                self._delete(name, write.run_id)
            else:
                self._write(RunKey(*name, write.run_id), write)
        self._apply_outbox(commit)
        self._apply_messages(commit)

    def _write(self, key: RunKey, write: RunWrite) -> None:
        run = self.runs.get(key.run_id)
        if run is None:
            run = self.runs[key.run_id] = Run(key, write.start or b"")
        run.version = write.version
        run.state = write.state
        run.history.extend(write.history)
        for item in write.items_deleted:
            run.items.pop(item, None)
        run.items.update(write.items_put)

    def _delete(self, name: tuple[str, str], run_id: str) -> None:
        self.runs.pop(run_id, None)
        self._drop_visibility(run_id)
        if self.current.get(name) == run_id:
            del self.current[name]

    def _drop_visibility(self, run_id: str) -> None:
        row = self.visibility.pop(run_id, None)
        if row is not None:
            _discard(self.listing[row.namespace_id], visibility_key(row))

    def _apply_outbox(self, commit: Commit) -> None:
        for key in commit.tasks_deleted:
            self._drop_task(key)
        for task in commit.tasks_added:
            self._drop_task(task.key)
            insort(self.queues[task.key.queue], task.key)
            insort(self.slots, slot_key(task))
            self.tasks[task.key] = task
        for timer in commit.timers_deleted:
            _discard(self.timers, timer)
        for timer in commit.timers_added:
            _discard(self.timers, timer)
            insort(self.timers, timer)

    def _apply_messages(self, commit: Commit) -> None:
        for key in commit.messages_deleted:
            if self.messages.pop(key, None) is not None:
                _discard(self.message_keys, key)
        for message in commit.messages_added:
            insort(self.message_keys, message.key)
            self.messages[message.key] = message
        for receipt in commit.receipts_added:
            insort(self.expiries, (receipt.expiry, receipt.slot, receipt.key))
            self.receipts[receipt.key] = receipt

    def _drop_task(self, key: DispatchKey) -> None:
        task = self.tasks.pop(key, None)
        if task is None:
            return
        _discard(self.slots, slot_key(task))
        keys = self.queues[key.queue]
        _discard(keys, key)
        if not keys:
            del self.queues[key.queue]


def _repeats_history(run: Run | None, write: RunWrite) -> bool:
    last = run.history[-1].last_event_id if run is not None and run.history else 0
    for batch in write.history:
        if batch.first_event_id <= last:
            return True
        last = batch.last_event_id
    return False


def _discard(rows: list[Any], row: Any) -> None:
    position = bisect_left(rows, row)
    if position < len(rows) and rows[position] == row:
        rows.pop(position)
