"""The memory store's rows, and how one transition changes them.

Rules that hold here: `check` decides and changes nothing; `apply` changes and cannot fail. Lists
that reads page through are kept sorted.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
    RunKey,
    RunWrite,
    TaskQueueKey,
    TimerRow,
    VisibilityRow,
)
from perdure.persistence.admission import refusal
from perdure.persistence.ports import Outcome, Result, Shard

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


class Tables:
    """All rows of workflows, shards and visibility."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []
        self.current: dict[tuple[str, str], str] = {}
        self.runs: dict[str, Run] = {}
        self.tasks: dict[DispatchKey, DispatchTask] = {}
        self.queues: defaultdict[TaskQueueKey, list[DispatchKey]] = defaultdict(list)
        self.timers: list[TimerRow] = []
        self.visibility: dict[str, VisibilityRow] = {}
        self.listing: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)

    def commit(self, commit: Commit) -> Outcome:
        """Applies one transition, or refuses it and changes nothing."""
        outcome = self._check(commit)
        if outcome.result is Result.COMMITTED:
            self._apply(commit)
        return outcome

    def replace_shards(self, shard: Shard) -> None:
        """Enters a shard in place of every shard that shares a slot with it."""
        kept = [
            other
            for other in self.shards
            if other.last_slot < shard.first_slot or other.first_slot > shard.last_slot
        ]
        self.shards = sorted([*kept, shard])

    def _check(self, commit: Commit) -> Outcome:
        if reason := refusal(commit):
            return Outcome(Result.REJECTED, reason)
        if not self._fence_holds(commit):
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
        return _COMMITTED

    def _fence_holds(self, commit: Commit) -> bool:
        return any(
            shard.first_slot <= commit.slot <= shard.last_slot and shard.epoch == commit.epoch
            for shard in self.shards
        )

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
            if task.key not in self.tasks:
                insort(self.queues[task.key.queue], task.key)
            self.tasks[task.key] = task
        for timer in commit.timers_deleted:
            _discard(self.timers, timer)
        for timer in commit.timers_added:
            _discard(self.timers, timer)
            insort(self.timers, timer)

    def _drop_task(self, key: DispatchKey) -> None:
        if self.tasks.pop(key, None) is None:
            return
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
