"""Folds the transitions of one batch into the fewest rows: what SQL stores write per table.

Theory of operation: transitions are added in order, each on the assumption that the earlier ones
and what it expects of the database hold. What can be checked inside the batch is checked here;
what the database must confirm (versions, current runs) is left in the net rows as expectations. A
store that finds one broken rolls back and goes through the batch carefully.

Rules that hold here: the last state of a run wins; a new run that is written again is still one
insert; a task or timer that is added and deleted is never written. What does not fit starts another
plan of the same transaction: a deletion of a run that the plan already touches, and a message or
receipt that it already holds, which the database refuses then. So does the deletion of a message
that it holds: whether the database takes the message must be seen before it is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    MessageKey,
    MessageRow,
    ReceiptKey,
    ReceiptRow,
    RunWrite,
    TimerRow,
    VisibilityRow,
)
from perdure.persistence.ports import Outcome, Result

COMMITTED = Outcome(Result.COMMITTED)


@dataclass(slots=True)
class RunRow:
    """Net write of a run: an insert when `expected_version` is 0, else an update."""

    namespace_id: str
    workflow_id: str
    slot: int
    expected_version: int
    version: int
    start: bytes
    state: bytes


@dataclass(slots=True)
class CurrentRow:
    """Net write of a workflow id's current run."""

    expected_run_id: str
    run_id: str
    slot: int


@dataclass(slots=True)
class Plan:
    """Net rows of the transitions added so far.

    `items` maps (run id, kind, key) to data, None when the item is deleted. `tasks_deleted`,
    `timers_deleted` and `messages_deleted` hold only rows that earlier batches may have written.
    `messages` and `receipts` are inserts: the database must not have them yet.
    """

    runs: dict[str, RunRow] = field(default_factory=dict)
    runs_deleted: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    current: dict[tuple[str, str], CurrentRow] = field(default_factory=dict)
    history: list[tuple[str, HistoryBatch]] = field(default_factory=list)
    items: dict[tuple[str, int, str], bytes | None] = field(default_factory=dict)
    tasks: dict[DispatchKey, DispatchTask] = field(default_factory=dict)
    tasks_deleted: set[DispatchKey] = field(default_factory=set)
    timers: dict[TimerRow, None] = field(default_factory=dict)
    timers_deleted: set[TimerRow] = field(default_factory=set)
    messages: dict[MessageKey, MessageRow] = field(default_factory=dict)
    messages_deleted: set[MessageKey] = field(default_factory=set)
    receipts: dict[ReceiptKey, ReceiptRow] = field(default_factory=dict)
    visibility: dict[str, VisibilityRow] = field(default_factory=dict)

    def fits(self, commit: Commit) -> bool:
        """Returns whether the transition may be folded in with the earlier ones."""
        if self.runs_deleted and self._follows_deletion(commit):
            return False
        if self.messages and not self.messages.keys().isdisjoint(commit.messages_deleted):
            return False
        for write in commit.runs:
            if write.deleted and self._touches(commit, write.run_id):
                return False
        return not self._repeats(commit)

    def add(self, commit: Commit) -> Outcome | None:
        """Folds a transition in; returns why not when an earlier one of the plan forbids it."""
        if (refused := self._contradiction(commit)) is not None:
            return refused
        if commit.current is not None:
            self._add_current((commit.namespace_id, commit.workflow_id), commit)
        for write in commit.runs:
            if write.deleted:
                name = (commit.namespace_id, commit.workflow_id)
                self.runs_deleted[write.run_id] = (*name, write.expected_version)
            else:
                self._add_run(commit, write)
        if commit.tasks_deleted or commit.tasks_added:
            self._add_tasks(commit)
        if commit.timers_deleted or commit.timers_added:
            self._add_timers(commit)
        if commit.messages_deleted or commit.messages_added or commit.receipts_added:
            self._add_messages(commit)
        for row in commit.visibility:
            if row.run_id not in self.runs_deleted:
                self.visibility[row.run_id] = row
        return None

    def _follows_deletion(self, commit: Commit) -> bool:
        name = (commit.namespace_id, commit.workflow_id)
        return any(deleted[:2] == name for deleted in self.runs_deleted.values())

    def _repeats(self, commit: Commit) -> bool:
        """Returns whether a message or receipt of the plan is added a second time."""
        for message in commit.messages_added:
            if message.key in self.messages:
                return True
        return any(receipt.key in self.receipts for receipt in commit.receipts_added)

    def _touches(self, commit: Commit, run_id: str) -> bool:
        name = (commit.namespace_id, commit.workflow_id)
        return run_id in self.runs or run_id in self.visibility or name in self.current

    def _contradiction(self, commit: Commit) -> Outcome | None:
        if commit.current is not None:
            current = self.current.get((commit.namespace_id, commit.workflow_id))
            if current is not None and current.run_id != commit.current.expected_run_id:
                return Outcome(Result.CURRENT_MISMATCH, f"the current run is {current.run_id!r}")
        for write in commit.runs:
            run = self.runs.get(write.run_id)
            if run is not None and run.version != write.expected_version:
                detail = f"run {write.run_id} has version {run.version}"
                return Outcome(Result.VERSION_MISMATCH, detail)
        return None

    def _add_current(self, name: tuple[str, str], commit: Commit) -> None:
        assert commit.current is not None
        row = self.current.get(name)
        if row is None:
            self.current[name] = CurrentRow(
                commit.current.expected_run_id, commit.current.run_id, commit.slot
            )
        else:
            row.run_id = commit.current.run_id

    def _add_run(self, commit: Commit, write: RunWrite) -> None:
        run_id = write.run_id
        row = self.runs.get(run_id)
        if row is None:
            self.runs[run_id] = RunRow(
                commit.namespace_id,
                commit.workflow_id,
                commit.slot,
                write.expected_version,
                write.version,
                write.start or b"",
                write.state,
            )
        else:
            row.version = write.version
            row.state = write.state
        for batch in write.history:
            self.history.append((run_id, batch))
        for item in write.items_deleted:
            self.items[run_id, item.kind, item.key] = None
        for item, data in write.items_put.items():
            self.items[run_id, item.kind, item.key] = data

    def _add_tasks(self, commit: Commit) -> None:
        for key in commit.tasks_deleted:
            if self.tasks.pop(key, None) is None:
                self.tasks_deleted.add(key)
        for task in commit.tasks_added:
            self.tasks[task.key] = task

    def _add_timers(self, commit: Commit) -> None:
        for timer in commit.timers_deleted:
            if timer in self.timers:
                del self.timers[timer]
            else:
                self.timers_deleted.add(timer)
        for timer in commit.timers_added:
            self.timers[timer] = None

    def _add_messages(self, commit: Commit) -> None:
        self.messages_deleted.update(commit.messages_deleted)
        for message in commit.messages_added:
            self.messages[message.key] = message
        for receipt in commit.receipts_added:
            self.receipts[receipt.key] = receipt


def fold(commits: Sequence[Commit]) -> tuple[list[Plan], list[Outcome]]:
    """Folds transitions into as few plans as possible, to be applied in order.

    Returns the plans, and per transition COMMITTED when it is in one, else why it is not.
    """
    plans = [Plan()]
    outcomes = []
    for commit in commits:
        if not plans[-1].fits(commit):
            plans.append(Plan())
        outcomes.append(plans[-1].add(commit) or COMMITTED)
    return plans, outcomes
