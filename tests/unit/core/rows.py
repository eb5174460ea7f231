"""The rows of one workflow id: the smallest store that keeps a store's promises, strictly.

A real store forgives the deletion of a row that is not there, and an addition of one that is. This
one does not, since either shows that the core has lost count.
"""

from dataclasses import dataclass, field

from temporalio.api.history.v1 import message_pb2 as history

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
    TimerRow,
    VisibilityRow,
)
from perdure.core.workflow.state import Run, load_run


@dataclass(slots=True)
class RunRows:
    """What is stored of one run."""

    version: int
    start: bytes
    state: bytes
    items: dict[ItemKey, bytes] = field(default_factory=dict)
    batches: list[HistoryBatch] = field(default_factory=list)
    events: list[history.HistoryEvent] = field(default_factory=list)


class Rows:
    """All that is stored."""

    def __init__(self, namespace_id: str, workflow_id: str) -> None:
        self.namespace_id = namespace_id
        self.workflow_id = workflow_id
        self.current_run_id = ""
        self.runs: dict[str, RunRows] = {}
        self.tasks: dict[DispatchKey, DispatchTask] = {}
        self.timers: set[TimerRow] = set()
        self.messages: dict[MessageKey, MessageRow] = {}
        self.receipts: dict[ReceiptKey, ReceiptRow] = {}
        self.visibility: dict[str, VisibilityRow] = {}

    def apply(self, commit: Commit) -> None:
        """Applies a commit, every expectation of which must hold."""
        assert (commit.namespace_id, commit.workflow_id) == (self.namespace_id, self.workflow_id)
        if commit.current is not None:
            assert commit.current.expected_run_id == self.current_run_id
            self.current_run_id = commit.current.run_id
        for write in commit.runs:
            self._write(write)
        for key in commit.tasks_deleted:
            assert key in self.tasks, f"no such task: {key}"
            del self.tasks[key]
        for task in commit.tasks_added:
            assert task.key not in self.tasks, f"added twice: {task.key}"
            self.tasks[task.key] = task
        for row in commit.timers_deleted:
            assert row in self.timers, f"no such timer: {row}"
            self.timers.remove(row)
        for row in commit.timers_added:
            assert row not in self.timers, f"added twice: {row}"
            self.timers.add(row)
        self._apply_messages(commit)
        for visible in commit.visibility:
            self.visibility[visible.run_id] = visible

    def _apply_messages(self, commit: Commit) -> None:
        for key in commit.messages_deleted:
            assert key in self.messages, f"no such message: {key}"
            del self.messages[key]
        for message in commit.messages_added:
            assert message.key not in self.messages, f"added twice: {message.key}"
            self.messages[message.key] = message
        for receipt in commit.receipts_added:
            assert receipt.key not in self.receipts, f"added twice: {receipt.key}"
            self.receipts[receipt.key] = receipt

    def _write(self, write: RunWrite) -> None:
        if write.start is not None:
            assert write.expected_version == 0
            assert write.run_id not in self.runs
            self.runs[write.run_id] = RunRows(0, write.start, b"")
        rows = self.runs[write.run_id]
        assert rows.version == write.expected_version
        assert write.version > write.expected_version
        rows.version, rows.state = write.version, write.state
        assert not write.items_put.keys() & write.items_deleted
        rows.items.update(write.items_put)
        for item in write.items_deleted:
            rows.items.pop(item, None)
        rows.batches += write.history
        for batch in write.history:
            rows.events += history.History.FromString(batch.blob).events

    def load(self, run_id: str) -> Run:
        """Returns a run as a restarted server would see it.

        A store has an order of its own, which is nobody's to rely on: here the items come by their
        keys' text, the last one first.
        """
        rows = self.runs[run_id]
        key = RunKey(self.namespace_id, self.workflow_id, run_id)
        items = dict(sorted(rows.items.items(), reverse=True))
        return load_run(key, rows.version, rows.start, rows.state, items)

    def history(self, run_id: str) -> list[history.HistoryEvent]:
        """Returns a run's events."""
        return self.runs[run_id].events
