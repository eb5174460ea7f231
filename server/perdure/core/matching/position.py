"""Where a task stands in its queue."""

from perdure.core.commit import DispatchKey, DispatchTask, TaskQueueKey

Position = tuple[str, int, str, int]
"""A task's key within its queue: pinned version, priority, fairness key, id. Sorts in dispatch
order; a plain tuple, because its hash and comparisons are on the path of every task."""


def position_of(task: DispatchTask) -> Position:
    """Returns a task's position."""
    return task.key[1:]


def key_at(queue: TaskQueueKey, position: Position | None) -> DispatchKey | None:
    """Returns the key of a position, None for the beginning of the queue."""
    return None if position is None else DispatchKey(queue, *position)
