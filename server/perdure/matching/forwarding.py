"""Tasks of a partition that nobody polls, on their way to the root of their queue.

Theory of operation: while no poller waits at the partition, its best tasks are sent to the root, a
few at a time, and are in flight meanwhile, as with a poller. The root gives them to its pollers, or
sends them back after a while. As long as it takes none, one task at a time is enough to find out
when it does.

Rules that hold here: a task keeps the key of its own partition wherever it is started, and history
alone decides whether it starts. So a task that comes to the root twice, or whose outcome is lost
with a node, costs one look at a task that is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from perdure.core.commit import DispatchTask
from perdure.core.errors import ServiceError
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import ForwardOutcome
from perdure.runtime.tasks import TaskSet


class QueueTasks(Protocol):
    """The part of the cluster's matching that a partition asks: the other partitions of its queue.

    See `MatchingNode`.
    """

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Hands tasks to their own partitions as hints."""
        ...

    async def forward_task(
        self, task: DispatchTask, limited: bool, timeout: float
    ) -> ForwardOutcome:
        """Has a poller of the root start a task."""
        ...


class ForwardingPartition(Protocol):
    """The part of a partition that forwarding uses."""

    @property
    def limited(self) -> bool:
        """Whether workers have set a rate, which the partition keeps to."""
        ...

    def started(self, task: DispatchTask) -> bool:
        """Notes that a task was started."""
        ...

    def dropped(self, task: DispatchTask) -> None:
        """Notes that history does not want a task any more."""
        ...

    def failed(self, task: DispatchTask) -> int:
        """Notes that it is not known what became of a task; returns how often that was."""
        ...

    def put_back_later(self, task: DispatchTask, delay: float) -> None:
        """Holds a task again after a pause in seconds."""
        ...

    def put_back_untaken(self, task: DispatchTask) -> None:
        """Holds a task again."""
        ...

    def go_on(self) -> None:
        """Gives out or forwards what is held."""
        ...


class Forwarder:
    """Forwards one partition's tasks.

    Attributes:
        last_started: When a task was last started, by the loop's clock in seconds; None for never.
    """

    __slots__ = (
        "_jitter",
        "_most",
        "_partition",
        "_send",
        "_sending",
        "_settings",
        "_tasks",
        "last_started",
    )

    def __init__(
        self,
        *,
        partition: ForwardingPartition,
        send: Callable[[DispatchTask, bool, float], Awaitable[ForwardOutcome]],
        settings: MatchingSettings,
        tasks: TaskSet,
        jitter: Callable[[], float],
    ) -> None:
        """Forwards nothing yet.

        Args:
            partition: Whose tasks.
            send: `QueueTasks.forward_task`.
            settings: Bounds.
            tasks: Runs what waits for outcomes.
            jitter: Returns a number in [0, 1).
        """
        self.last_started: float | None = None
        self._partition = partition
        self._send = send
        self._settings = settings
        self._tasks = tasks
        self._jitter = jitter
        self._most = 1
        self._sending: dict[asyncio.Task[None], None] = {}

    @property
    def sending(self) -> int:
        """How many tasks are at the root, or on their way."""
        return len(self._sending)

    @property
    def has_room(self) -> bool:
        """Whether another task may be sent."""
        return len(self._sending) < self._most

    def send(self, task: DispatchTask) -> None:
        """Sends a task that is in flight; the partition is told what becomes of it."""
        sending = self._tasks.spawn(f"forward task of {task.run.workflow_id}", self._forward(task))
        self._sending[sending] = None
        sending.add_done_callback(self._ended)

    def close(self) -> None:
        """Waits for nothing any more: what is at the root goes on there, or comes back to a row."""
        self._most = 0
        for sending in list(self._sending):
            sending.cancel()

    def _ended(self, sending: "asyncio.Task[None]") -> None:
        del self._sending[sending]
        if self._most:
            self._partition.go_on()

    async def _forward(self, task: DispatchTask) -> None:
        loop, wait = asyncio.get_running_loop(), self._settings.forward_wait
        began = loop.time()
        outcome = ForwardOutcome.FAILED
        try:
            with suppress(ServiceError):
                outcome = await self._send(task, self._partition.limited, wait)
        finally:
            if outcome is ForwardOutcome.UNTAKEN and loop.time() - began < wait / 2:
                # The root went away with it. It shall not come back at once for ever.
                outcome = ForwardOutcome.FAILED
            if self._most:
                self._settle(task, outcome, loop.time())

    def _settle(self, task: DispatchTask, outcome: ForwardOutcome, now: float) -> None:
        partition = self._partition
        match outcome:
            case ForwardOutcome.STARTED:
                self.last_started = now
                self._most = self._settings.forwards
                partition.started(task)
            case ForwardOutcome.STALE:
                self._most = self._settings.forwards
                partition.dropped(task)
            case ForwardOutcome.UNTAKEN:
                self._most = 1
                partition.put_back_untaken(task)
            case ForwardOutcome.FAILED:
                self._most = 1
                partition.put_back_later(task, self._pause(partition.failed(task)))

    def _pause(self, failures: int) -> float:
        grown = self._settings.shortest_start_retry * 2.0 ** min(failures - 1, 100)
        return min(grown, self._settings.longest_start_retry) * (0.5 + 0.5 * self._jitter())
