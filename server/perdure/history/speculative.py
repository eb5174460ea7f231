"""The deadlines of speculative workflow tasks, which are in memory as the tasks are."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from perdure.core.commit import RunKey
from perdure.core.protobuf import NANOSECONDS_PER_SECOND
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.core.workflow_task.state import deadline
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet

Expire = Callable[[RunKey, int], Coroutine[Any, Any, None]]
"""Called with a run and the deadline that has passed."""


class SpeculativeTasks:
    """Calls back when a speculative task was not started, or not completed, in time."""

    def __init__(self, *, clock: Clock, tasks: TaskSet, expire: Expire) -> None:
        self._clock = clock
        self._tasks = tasks
        self._expire = expire
        self._alarms: dict[str, asyncio.TimerHandle] = {}

    def watch(self, step: Step) -> None:
        """Notes the deadlines that a step has set."""
        for change in step.runs.values():
            if change.watched:
                self.watch_run(change.run)

    def watch_run(self, run: Run) -> None:
        """Notes when a run's speculative task has to have been started, or completed."""
        self._cancel(run.key.run_id)
        if run.speculative:
            due = deadline(run.state)
            delay = max(due - self._clock.now(), 0) / NANOSECONDS_PER_SECOND
            self._alarms[run.key.run_id] = asyncio.get_running_loop().call_later(
                delay, self._ring, run, due
            )

    def stop(self) -> None:
        """Calls nobody any more."""
        for run_id in list(self._alarms):
            self._cancel(run_id)

    def _cancel(self, run_id: str) -> None:
        alarm = self._alarms.pop(run_id, None)
        if alarm is not None:
            alarm.cancel()

    def _ring(self, run: Run, due: int) -> None:
        del self._alarms[run.key.run_id]
        if run.speculative and deadline(run.state) == due:
            self._tasks.spawn("expire-workflow-task", self._expire(run.key, due))
