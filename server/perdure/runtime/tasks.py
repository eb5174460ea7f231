"""Background tasks that nobody awaits, supervised.

Rules that hold here: a task is referenced until it ends (the loop alone would let it be collected);
an exception is never lost; nothing outlives `close`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

ErrorCallback = Callable[[str, BaseException], None]
"""Gets the name of a task and the exception that it died of."""

T = TypeVar("T")

_INSIST_SECONDS = 0.1


class TaskSet:
    """A group of named tasks with one owner, who closes it."""

    __slots__ = ("_closed", "_context", "_on_error", "_tasks")

    def __init__(self, *, on_error: ErrorCallback) -> None:
        """Makes an empty group.

        Args:
            on_error: Called from the loop, once for every task that ended with an exception.
        """
        self._on_error = on_error
        # A dictionary rather than a set: tasks are cancelled in the order they were started in.
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._closed = False
        self._context = copy_context()

    def __len__(self) -> int:
        """Returns how many tasks have not ended."""
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        """Whether `spawn` raises from now on."""
        return self._closed

    @property
    def names(self) -> list[str]:
        """The names of the tasks that have not ended, oldest first."""
        return [task.get_name() for task in self._tasks]

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts a task on the running loop, in the context that the group was made in.

        What it does is no part of the request that has brought it about: that may have ended.

        Raises:
            RuntimeError: The group is closed; the coroutine was never started.
        """
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"cannot start task {name!r}: its group is closed")
        task = asyncio.get_running_loop().create_task(
            coroutine, name=name, context=self._context.copy()
        )
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    async def close(self, *, drain_seconds: float = 0.0) -> None:
        """Gives the tasks time to end, then cancels those that have not, and waits for them.

        While tasks drain they may start others; from the cancellation on, `spawn` raises.
        A task that swallows its cancellation is cancelled again. A task of the group that closes
        it is spared.
        """
        deadline = asyncio.get_running_loop().time() + drain_seconds
        while remaining := self._others():
            seconds_left = deadline - asyncio.get_running_loop().time()
            if seconds_left <= 0:
                break
            await asyncio.wait(remaining, timeout=seconds_left)
        self._closed = True
        while remaining := self._others():
            for task in remaining:
                task.cancel()
            await asyncio.wait(remaining, timeout=_INSIST_SECONDS)

    def _others(self) -> list[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return [task for task in self._tasks if task is not current]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)
