"""Spans of work that no request waits for: timers that fire, messages that are sent.

Each begins a trace that is linked to what brought the work about, as it was stored with the timer
or the message, and is made only where that was sampled. A workflow that sleeps for a month thus has
a trace for each of its wake-ups, not one that goes on for ever.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from perdure.core.commit import RunKey, TimerRow
from perdure.core.errors import ServiceError
from perdure.core.workflow.causes import causes_of_due
from perdure.history.execution import Executor
from perdure.proto import stored_pb2 as stored
from perdure.runtime.ports import Clock
from perdure.telemetry.tracing import Cause, Tracer

Work = Callable[[], Awaitable[None]]

_NO_CALLER: Final[Mapping[str, str | bytes]] = {}
"""Has a span begin a trace."""


class QueueSpans:
    """Makes the spans of history's queues."""

    def __init__(self, *, tracer: Tracer, executor: Executor, clock: Clock) -> None:
        self._tracer = tracer
        self._executor = executor
        self._clock = clock

    async def timer(self, row: TimerRow, work: Work) -> None:
        """Has a timer fire, in a span if what is due was scheduled in one."""
        causes = await self._due(row.run) if self._tracer.enabled else []
        if not causes:
            await work()
            return
        with self._tracer.span(
            "history.timer",
            kind="consumer",
            caller=_NO_CALLER,
            causes=causes,
            attributes=_names(row.run),
        ):
            await work()

    async def message(self, run: RunKey, message: stored.Message, work: Work) -> None:
        """Has a message sent by a run, in a span if it was written in one."""
        if not (self._tracer.enabled and message.cause):
            await work()
            return
        attributes = {**_names(run), "message": message.WhichOneof("payload") or ""}
        with self._tracer.span(
            "history.message",
            kind="consumer",
            caller=_NO_CALLER,
            causes=[message.cause],
            attributes=attributes,
        ):
            await work()

    async def _due(self, key: RunKey) -> list[Cause]:
        try:
            _, run = await self._executor.find(key)
        except ServiceError:
            # Whoever does the work finds that out too, and knows what follows from it.
            return []
        return causes_of_due(run, self._clock.now())


def _names(run: RunKey) -> dict[str, str | int]:
    return {"temporalWorkflowID": run.workflow_id, "temporalRunID": run.run_id}
