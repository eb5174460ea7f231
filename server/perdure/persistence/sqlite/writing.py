"""Writes batches: the statements of one transaction, on the thread that calls.

Theory of operation: the hopeful way folds the whole batch and lets the statements themselves check
what was expected (rows affected, unique keys): no reads at all. When an expectation is broken or a
row refused, the transaction is rolled back and the batch is gone through carefully, one transition
at a time between savepoints, each checked by point reads first.

Rules that hold here: this is the only writer of the file, so epochs and run numbers are cached; a
cache never holds what was rolled back. Nothing here begins or ends a transaction but as it says.
"""

import sqlite3
from collections.abc import Sequence

from perdure.core.commit import Commit
from perdure.persistence.admission import EVENT_ID_BITS, refusal
from perdure.persistence.coalescing import COMMITTED, Plan, RunRow, fold
from perdure.persistence.ports import Outcome, Result
from perdure.persistence.sqlite.database import STATEMENTS
from perdure.persistence.sqlite.membership import read_shards
from perdure.persistence.visibility_rows import to_columns

REFUSALS = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What SQLite and its driver raise for rows that they cannot hold."""

NUMBERS_KEPT = 20_000
"""Runs whose numbers are cached: about 3 MB."""

_LAST_EVENT = (1 << EVENT_ID_BITS) - 1


class ExpectationBroken(Exception):
    """The database does not hold what a plan expected of it."""


class Writer:
    """The writing connection and what is known of the file that only it changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._numbers: dict[str, int] = {}
        self._added: list[str] = []
        (self._last_number,) = self._cursor.execute(STATEMENTS["last_run_number"]).fetchone()
        self.shards_changed()

    def close(self) -> None:
        """Closes the connection; nothing of it may linger, or SQLite keeps the log."""
        self._cursor.close()
        self._connection.close()

    def begin(self) -> None:
        """Begins a write transaction, ending one whose commit failed."""
        self.rollback()
        while len(self._numbers) > NUMBERS_KEPT:
            del self._numbers[next(iter(self._numbers))]
        self._cursor.execute("BEGIN IMMEDIATE")

    def committed(self) -> None:
        """Keeps what the transaction changed in the caches."""
        self._added.clear()

    def rollback(self) -> None:
        """Ends the transaction, if there is one, as if it had not been."""
        for run_id in self._added:
            self._numbers.pop(run_id, None)
        self._added.clear()
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def admit(self, commit: Commit) -> Outcome:
        """Returns COMMITTED, or why a transition cannot even be tried."""
        if reason := refusal(commit):
            return Outcome(Result.REJECTED, reason)
        holder = self._shards.get(commit.epoch)
        if holder is None or not holder.first_slot <= commit.slot <= holder.last_slot:
            detail = f"slot {commit.slot} is not held at {commit.epoch}"
            return Outcome(Result.FENCED, detail)
        return COMMITTED

    def write_hopefully(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Writes admitted transitions folded together.

        Raises ExpectationBroken or one of REFUSALS: then the caller must roll back.
        """
        plans, outcomes = fold(commits)
        for plan in plans:
            self._execute(plan)
        return outcomes

    def write_carefully(self, commit: Commit) -> Outcome:
        """Writes one admitted transition, or says why not and leaves no trace of it."""
        if (refused := self._examine(commit)) is not None:
            return refused
        self._cursor.execute("SAVEPOINT transition")
        added = len(self._added)
        try:
            self.write_hopefully([commit])
        except (ExpectationBroken, *REFUSALS) as error:
            for run_id in self._added[added:]:
                self._numbers.pop(run_id, None)
            self._cursor.execute("ROLLBACK TO transition")
            self._cursor.execute("RELEASE transition")
            return Outcome(Result.REJECTED, f"the database refuses a row: {error}")
        self._cursor.execute("RELEASE transition")
        return COMMITTED

    def shards_changed(self) -> None:
        """Reads the shards again, once they are durable."""
        self._shards = {shard.epoch: shard for shard in read_shards(self._connection)}

    def _examine(self, commit: Commit) -> Outcome | None:
        if commit.current is not None:
            name = (commit.namespace_id, commit.workflow_id)
            row = self._cursor.execute(STATEMENTS["find_current"], name).fetchone()
            found = row[0] if row is not None else ""
            if found != commit.current.expected_run_id:
                return Outcome(Result.CURRENT_MISMATCH, f"the current run is {found!r}")
        for write in commit.runs:
            row = self._cursor.execute(STATEMENTS["find_run"], (write.run_id,)).fetchone()
            version = row[1] if row is not None else 0
            if version != write.expected_version:
                detail = f"run {write.run_id} has version {version}"
                return Outcome(Result.VERSION_MISMATCH, detail)
        return None

    def _execute(self, plan: Plan) -> None:
        if plan.runs:
            self._write_runs(plan)
        if plan.current:
            self._write_current(plan)
        if plan.tasks_deleted:
            self._many("delete_task", [(*key.queue, *key[1:]) for key in plan.tasks_deleted])
        if plan.tasks:
            self._write_tasks(plan)
        if plan.timers_deleted:
            rows = [(timer.due, timer.slot, *timer.run) for timer in plan.timers_deleted]
            self._many("delete_timer", rows)
        if plan.timers:
            rows = [(timer.due, timer.slot, *timer.run) for timer in plan.timers]
            self._many("put_timer", rows)
        self._write_messages(plan)
        if plan.visibility:
            self._many("put_visibility", [to_columns(row) for row in plan.visibility.values()])
        if plan.runs_deleted:
            self._delete_runs(plan)

    def _write_runs(self, plan: Plan) -> None:
        inserts, updates = [], []
        for run_id, row in plan.runs.items():
            if row.expected_version:
                number = self._number(run_id)
                updates.append((row.version, row.state, number, row.expected_version))
            else:
                inserts.append(self._new_run(run_id, row))
        if inserts:
            self._many("insert_run", inserts)
        if updates:
            self._checked("update_run", updates)
        if plan.history:
            numbers = self._numbers
            self._many(
                "insert_history",
                [
                    (
                        numbers[run_id] << EVENT_ID_BITS | batch.first_event_id,
                        batch.last_event_id,
                        batch.blob,
                    )
                    for run_id, batch in plan.history
                ],
            )
        if plan.items:
            self._write_items(plan)

    def _new_run(self, run_id: str, row: RunRow) -> tuple[object, ...]:
        self._last_number += 1
        self._numbers[run_id] = self._last_number
        self._added.append(run_id)
        name = (row.namespace_id, row.workflow_id)
        return (self._last_number, run_id, *name, row.version, row.start, row.state)

    def _number(self, run_id: str) -> int:
        number = self._numbers.get(run_id)
        if number is None:
            row = self._cursor.execute(STATEMENTS["find_run"], (run_id,)).fetchone()
            if row is None:
                raise ExpectationBroken(f"run {run_id} does not exist")
            number = int(row[0])
            self._numbers[run_id] = number
        return number

    def _write_items(self, plan: Plan) -> None:
        puts, deletes = [], []
        for (run_id, kind, key), data in plan.items.items():
            if data is not None:
                puts.append((self._numbers[run_id], kind, key, data))
            elif plan.runs[run_id].expected_version:
                deletes.append((self._numbers[run_id], kind, key))
        if deletes:
            self._many("delete_item", deletes)
        if puts:
            self._many("put_item", puts)

    def _write_current(self, plan: Plan) -> None:
        inserts, updates = [], []
        for name, row in plan.current.items():
            if row.expected_run_id:
                updates.append((row.run_id, *name, row.expected_run_id))
            else:
                inserts.append((*name, row.run_id))
        if inserts:
            self._many("insert_current", inserts)
        if updates:
            self._checked("update_current", updates)

    def _write_tasks(self, plan: Plan) -> None:
        rows = []
        for key, task in plan.tasks.items():
            rest = (task.scheduled_event_id, task.attempt, task.scheduled_time, task.expiry)
            rows.append((*key.queue, *key[1:], task.slot, *task.run, *rest, task.sticky))
        self._many("put_task", rows)

    def _write_messages(self, plan: Plan) -> None:
        if plan.messages_deleted:
            self._many("delete_message", list(plan.messages_deleted))
        if plan.messages:
            rows = [(*key, *message.run, message.data) for key, message in plan.messages.items()]
            self._many("insert_message", rows)
        if plan.receipts:
            receipts = [
                (*key, receipt.slot, receipt.expiry, receipt.data)
                for key, receipt in plan.receipts.items()
            ]
            self._many("insert_receipt", receipts)

    def _delete_runs(self, plan: Plan) -> None:
        for run_id, (namespace_id, workflow_id, version) in plan.runs_deleted.items():
            number = self._number(run_id)
            self._checked("delete_run", [(number, version)])
            base = number << EVENT_ID_BITS
            self._cursor.execute(STATEMENTS["delete_history"], (base, base | _LAST_EVENT))
            self._cursor.execute(STATEMENTS["delete_items"], (number,))
            self._cursor.execute(STATEMENTS["delete_visibility"], (run_id,))
            name = (namespace_id, workflow_id, run_id)
            self._cursor.execute(STATEMENTS["delete_current"], name)
            del self._numbers[run_id]

    def _many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._cursor.executemany(STATEMENTS[statement], rows)

    def _checked(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._cursor.executemany(STATEMENTS[statement], rows)
        if self._cursor.rowcount != len(rows):
            raise ExpectationBroken(f"{statement} did not find its row")


def delete_expired_receipts(
    connection: sqlite3.Connection,
    first_slot: int,
    last_slot: int,
    expired_before: int,
    limit: int,
) -> int:
    """Deletes receipts of a range of slots, the oldest first; returns how many."""
    parameters = (expired_before, first_slot, last_slot, limit)
    return connection.execute(STATEMENTS["delete_expired_receipts"], parameters).rowcount
