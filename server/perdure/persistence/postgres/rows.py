"""Turns the net rows of a plan into statements with one array per column.

Rules that hold here: statements come in the order in which a transition's reasons to be refused
count (fence, current run, versions), and deletions of outbox rows before insertions.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from perdure.core.commit import Commit, TimerRow
from perdure.core.slots import slot_of
from perdure.persistence.coalescing import Plan
from perdure.persistence.visibility_rows import to_plain_columns

Statement = tuple[str, tuple[Any, ...]]
"""A named statement and its parameters."""


def expect_epochs(commits: Sequence[Commit]) -> Statement:
    """Returns the statement that holds the fence of all transitions at once."""
    slots: dict[int, tuple[int, int]] = {}
    for commit in commits:
        low, high = slots.get(commit.epoch, (commit.slot, commit.slot))
        slots[commit.epoch] = (min(low, commit.slot), max(high, commit.slot))
    lows, highs = zip(*slots.values(), strict=True)
    return "expect_epochs", (list(slots), list(lows), list(highs), len(slots))


def statements(plan: Plan) -> Iterator[Statement]:
    """Yields the statements that write a plan."""
    if plan.current:
        yield from _current(plan)
    if plan.runs:
        yield from _runs(plan)
    yield from _outbox(plan)
    if plan.receipts:
        receipts = plan.receipts.values()
        rows = [(row.slot, *row.key, row.expiry, row.data) for row in receipts]
        yield "insert_receipts", _columns(rows)
    if plan.visibility:
        rows = [to_plain_columns(row) for row in plan.visibility.values()]
        yield "put_visibility", _columns(rows)
    if plan.runs_deleted:
        yield from _deletions(plan)


def _outbox(plan: Plan) -> Iterator[Statement]:
    if plan.tasks_deleted:
        yield "delete_tasks", _columns([(*key.queue, *key[1:]) for key in plan.tasks_deleted])
    if plan.tasks:
        yield "put_tasks", _columns(_tasks(plan))
    if plan.timers_deleted:
        yield "delete_timers", _columns(_timers(plan.timers_deleted))
    if plan.timers:
        yield "put_timers", _columns(_timers(plan.timers))
    if plan.messages_deleted:
        yield "delete_messages", _columns(list(plan.messages_deleted))
    if plan.messages:
        rows = [(*row.key, *row.run, row.data) for row in plan.messages.values()]
        yield "insert_messages", _columns(rows)


def _columns(rows: Sequence[Sequence[Any]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _current(plan: Plan) -> Iterator[Statement]:
    inserts, updates = [], []
    for name, row in plan.current.items():
        if row.expected_run_id:
            updates.append((row.slot, *name, row.expected_run_id, row.run_id))
        else:
            inserts.append((row.slot, *name, row.run_id))
    if updates:
        yield "update_current", (*_columns(updates), len(updates))
    if inserts:
        yield "insert_current", _columns(inserts)


def _runs(plan: Plan) -> Iterator[Statement]:
    inserts, updates = [], []
    for run_id, row in plan.runs.items():
        if row.expected_version:
            updates.append((row.slot, run_id, row.expected_version, row.version, row.state))
        else:
            name = (row.slot, run_id, row.namespace_id, row.workflow_id)
            inserts.append((*name, row.version, row.start, row.state))
    if updates:
        yield "update_runs", (*_columns(updates), len(updates))
    if inserts:
        yield "insert_runs", _columns(inserts)
    if plan.history:
        rows = [
            (plan.runs[run_id].slot, run_id, batch.first_event_id, batch.last_event_id, batch.blob)
            for run_id, batch in plan.history
        ]
        yield "insert_history", _columns(rows)
    if plan.items:
        yield from _items(plan)


def _items(plan: Plan) -> Iterator[Statement]:
    puts, deletes = [], []
    for (run_id, kind, key), data in plan.items.items():
        row = plan.runs[run_id]
        if data is not None:
            puts.append((row.slot, run_id, kind, key, data))
        elif row.expected_version:
            deletes.append((row.slot, run_id, kind, key))
    if deletes:
        yield "delete_items", _columns(deletes)
    if puts:
        yield "put_items", _columns(puts)


def _tasks(plan: Plan) -> list[tuple[Any, ...]]:
    rows = []
    for key, task in plan.tasks.items():
        rest = (task.scheduled_event_id, task.attempt, task.scheduled_time, task.expiry)
        rows.append((*key.queue, *key[1:], task.slot, *task.run, *rest, task.sticky))
    return rows


def _timers(timers: Iterable[TimerRow]) -> list[tuple[Any, ...]]:
    return [(timer.due, timer.slot, *timer.run) for timer in timers]


def _deletions(plan: Plan) -> Iterator[Statement]:
    run_ids = list(plan.runs_deleted)
    rows = list(plan.runs_deleted.values())
    slots = [slot_of(namespace_id, workflow_id) for namespace_id, workflow_id, _ in rows]
    yield "delete_runs", (slots, run_ids, [row[2] for row in rows], len(rows))
    yield "delete_rows_of_runs", (slots, run_ids)
    names = ([row[0] for row in rows], [row[1] for row in rows])
    yield "delete_current", (slots, *names, run_ids)
