"""Point and range reads on a connection: one statement each, so one snapshot each."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from perdure.core.commit import (
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
    ItemKind,
    MessageKey,
    MessageRow,
    ReceiptKey,
    RunKey,
    TaskQueueKey,
    TaskType,
    TimerRow,
)
from perdure.persistence.admission import EVENT_ID_BITS
from perdure.persistence.ports import StoredRun
from perdure.persistence.sqlite.database import STATEMENTS

_END_EVENT = 1 << EVENT_ID_BITS
_LOWEST = -(1 << 63)
_FIRST_IN_QUEUE = ("", _LOWEST, "", _LOWEST)
_FIRST_TIMER = (_LOWEST, -1, "", "", "")
_FIRST_MESSAGE = (_LOWEST, -1, "")
_TASK_TYPES = {int(task_type): task_type for task_type in TaskType}
_ITEM_KINDS = {int(kind): kind for kind in ItemKind}


def load_current(
    connection: sqlite3.Connection, namespace_id: str, workflow_id: str
) -> StoredRun | None:
    """Returns the workflow id's current run."""
    rows = connection.execute(STATEMENTS["load_current"], (namespace_id, workflow_id)).fetchall()
    return _stored(rows) if rows else None


def load_run(connection: sqlite3.Connection, key: RunKey) -> StoredRun | None:
    """Returns one run."""
    rows = connection.execute(STATEMENTS["load_run"], (key.run_id,)).fetchall()
    if not rows or rows[0][4] != key.namespace_id or rows[0][5] != key.workflow_id:
        return None
    return _stored(rows)


def read_history(
    connection: sqlite3.Connection,
    key: RunKey,
    first_event_id: int,
    end_event_id: int,
    max_batches: int,
) -> list[HistoryBatch]:
    """Returns the batches that hold events first_event_id ≤ id < end_event_id, ascending."""
    events = (max(first_event_id, 0), min(end_event_id, _END_EVENT))
    parameters = (*_run(key), *events, max_batches)
    rows = connection.execute(STATEMENTS["read_history"], parameters)
    return [HistoryBatch(*row) for row in rows]


def read_history_reverse(
    connection: sqlite3.Connection, key: RunKey, end_event_id: int, max_batches: int
) -> list[HistoryBatch]:
    """Returns the last batches that hold events with an id < end_event_id, descending."""
    parameters = (*_run(key), min(end_event_id, _END_EVENT), max_batches)
    rows = connection.execute(STATEMENTS["read_history_reverse"], parameters)
    return [HistoryBatch(*row) for row in rows]


def read_queue(
    connection: sqlite3.Connection, queue: TaskQueueKey, after: DispatchKey | None, limit: int
) -> list[DispatchTask]:
    """Returns a queue's tasks in dispatch order, those after a key."""
    first = _FIRST_IN_QUEUE if after is None else after[1:]
    rows = connection.execute(STATEMENTS["read_queue"], (*queue, *first, limit))
    return list(_tasks(rows))


def next_partition(connection: sqlite3.Connection, queue: TaskQueueKey) -> int | None:
    """Returns the first partition of a queue after a given one that has tasks, if any."""
    row: tuple[int] | None = connection.execute(STATEMENTS["next_partition"], queue).fetchone()
    return row[0] if row is not None else None


def read_tasks(
    connection: sqlite3.Connection,
    first_slot: int,
    last_slot: int,
    after: DispatchTask | None,
    limit: int,
) -> list[DispatchTask]:
    """Returns the tasks of a range of slots by slot, then task id."""
    first = (first_slot, _LOWEST)
    if after is not None:
        first = max(first, (after.slot, after.key.task_id))
    parameters = (*first, last_slot, limit)
    return list(_tasks(connection.execute(STATEMENTS["read_tasks"], parameters)))


def read_timers(  # noqa: PLR0917 - the shape of the contract's method
    connection: sqlite3.Connection,
    first_slot: int,
    last_slot: int,
    due_before: int,
    after: TimerRow | None,
    limit: int,
) -> list[TimerRow]:
    """Returns the timers of a range of slots due earlier than `due_before`, in row order."""
    first = _FIRST_TIMER if after is None else (after.due, after.slot, *after.run)
    parameters = (*first, due_before, first_slot, last_slot, limit)
    rows = connection.execute(STATEMENTS["read_timers"], parameters)
    return [TimerRow(due, slot, RunKey(*run)) for due, slot, *run in rows]


def read_messages(  # noqa: PLR0917 - the shape of the contract's method
    connection: sqlite3.Connection,
    first_slot: int,
    last_slot: int,
    due_before: int,
    after: MessageKey | None,
    limit: int,
) -> list[MessageRow]:
    """Returns the messages of a range of slots due earlier than `due_before`, in key order."""
    parameters = (*(after or _FIRST_MESSAGE), due_before, first_slot, last_slot, limit)
    rows = connection.execute(STATEMENTS["read_messages"], parameters)
    return [MessageRow(MessageKey(*row[:3]), RunKey(*row[3:6]), row[6]) for row in rows]


def load_receipt(connection: sqlite3.Connection, key: ReceiptKey) -> bytes | None:
    """Returns the data of a receipt, None when there is none."""
    row: tuple[bytes] | None = connection.execute(STATEMENTS["load_receipt"], key).fetchone()
    return row[0] if row is not None else None


def _run(key: RunKey) -> tuple[str, str, str]:
    return key.run_id, key.workflow_id, key.namespace_id


def _stored(rows: list[tuple[Any, ...]]) -> StoredRun:
    _, _, version, run_id, namespace_id, workflow_id, start, state = rows[0]
    items = {ItemKey(_ITEM_KINDS[row[0]], row[3]): row[7] for row in rows[1:]}
    return StoredRun(RunKey(namespace_id, workflow_id, run_id), version, start, state, items)


def _tasks(rows: sqlite3.Cursor) -> Iterator[DispatchTask]:
    for row in rows:
        queue = TaskQueueKey(row[0], row[1], _TASK_TYPES[row[2]], row[3])
        yield DispatchTask(
            key=DispatchKey(queue, *row[4:8]),
            slot=row[8],
            run=RunKey(*row[9:12]),
            scheduled_event_id=row[12],
            attempt=row[13],
            scheduled_time=row[14],
            expiry=row[15],
            sticky=bool(row[16]),
        )
