"""Turns rows as they are read into the store's objects."""

from collections.abc import Sequence
from typing import Any

from perdure.core.commit import (
    DispatchKey,
    DispatchTask,
    ItemKey,
    ItemKind,
    RunKey,
    TaskQueueKey,
    TaskType,
    TimerRow,
)
from perdure.persistence.ports import StoredRun

LOWEST = -(1 << 63)
FIRST_IN_QUEUE = ("", LOWEST, "", LOWEST)
"""The key parts before every key of a queue."""

FIRST_TASK = ("", "", 0, LOWEST, *FIRST_IN_QUEUE)
"""The key parts before every task."""

FIRST_TIMER = (LOWEST, -1, "", "", "")
"""The row before every timer."""

_TASK_TYPES = {int(task_type): task_type for task_type in TaskType}
_ITEM_KINDS = {int(kind): kind for kind in ItemKind}


def stored_run(rows: Sequence[tuple[Any, ...]]) -> StoredRun | None:
    """Returns a run from its own row, which is the first, and those of its items."""
    if not rows or rows[0][0] != 0:
        return None
    _, version, run_id, namespace_id, workflow_id, start, state = rows[0]
    items = {ItemKey(_ITEM_KINDS[row[0]], row[2]): row[6] for row in rows[1:]}
    return StoredRun(RunKey(namespace_id, workflow_id, run_id), version, start, state, items)


def dispatch_task(row: tuple[Any, ...]) -> DispatchTask:
    """Returns a task from its row."""
    queue = TaskQueueKey(row[0], row[1], _TASK_TYPES[row[2]], row[3])
    return DispatchTask(
        key=DispatchKey(queue, *row[4:8]),
        slot=row[8],
        run=RunKey(*row[9:12]),
        scheduled_event_id=row[12],
        attempt=row[13],
        scheduled_time=row[14],
        expiry=row[15],
        sticky=row[16],
    )


def timer_row(row: tuple[Any, ...]) -> TimerRow:
    """Returns a timer from its row."""
    return TimerRow(row[0], row[1], RunKey(*row[2:5]))
