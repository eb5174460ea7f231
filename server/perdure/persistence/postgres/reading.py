"""Turns rows as they are read into the store's objects."""

from collections.abc import Sequence
from typing import Any

from perdure.core.commit import (
    DispatchKey,
    DispatchTask,
    ItemKey,
    ItemKind,
    MessageKey,
    MessageRow,
    RunKey,
    TaskQueueKey,
    TaskType,
    TimerRow,
)
from perdure.core.slots import slot_of
from perdure.persistence.admission import storable
from perdure.persistence.ports import StoredRun

LOWEST = -(1 << 63)
FIRST_IN_QUEUE = ("", LOWEST, "", LOWEST)
"""The key parts before every key of a queue."""

FIRST_TASK = (-1, LOWEST, "", "", 0, LOWEST, "", LOWEST, "")
"""The slot, task id and other key parts before every task."""

FIRST_TIMER = (LOWEST, -1, "", "", "")
"""The row before every timer."""

FIRST_MESSAGE = (LOWEST, -1, "")
"""The key before every message."""

_TASK_TYPES = {int(task_type): task_type for task_type in TaskType}
_ITEM_KINDS = {int(kind): kind for kind in ItemKind}


def slot(namespace_id: str, workflow_id: str) -> int:
    """Returns where a workflow id's rows are; -1, where none are, for text that has no slot."""
    return slot_of(namespace_id, workflow_id) if storable(namespace_id, workflow_id) else -1


def place(namespace_id: str, workflow_id: str, run_id: str = "") -> dict[str, str | int]:
    """Returns the parameters that name a run, and the slot by which it is found."""
    return {
        "slot": slot(namespace_id, workflow_id),
        "namespace_id": namespace_id,
        "workflow_id": workflow_id,
        "run_id": run_id,
    }


def stored_run(rows: Sequence[tuple[Any, ...]]) -> StoredRun | None:
    """Returns a run from its own row, which is the first, and those of its items."""
    if not rows or rows[0][0] != 0:
        return None
    _, version, run_id, namespace_id, workflow_id, start, state = rows[0]
    items = {ItemKey(_ITEM_KINDS[row[0]], row[2]): row[6] for row in rows[1:]}
    return StoredRun(RunKey(namespace_id, workflow_id, run_id), version, start, state, items)


def place_of_task(task: DispatchTask) -> tuple[Any, ...]:
    """Returns a task's slot, task id and other key parts."""
    key = task.key
    return (task.slot, key.task_id, *key.queue, *key[1:4])


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


def message_row(row: tuple[Any, ...]) -> MessageRow:
    """Returns a message from its row."""
    return MessageRow(MessageKey(*row[:3]), RunKey(*row[3:6]), row[6])
