"""A client that watches one workflow id: its histories as they grow, and what Describe says.

Checked here: events come once, in order, without a gap; a history that was closed stays so; what
anybody has seen of a run, everybody sees who asks later.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import ServiceError
from simulation.invariants import CLOSE_STATUS, FinalRun, next_run_id
from simulation.ledger import Ledger, lasting_events
from simulation.rpc import Frontend

LONG_POLL_SECONDS = 20.0
PAGE_SIZE = 7


class Observer:
    """Watches."""

    def __init__(self, *, workflow_id: str, frontend: Frontend, ledger: Ledger) -> None:
        self._workflow_id = workflow_id
        self._frontend = frontend
        self._ledger = ledger
        self._closed: dict[str, int] = {}

    async def follow(self, run_id: str = "") -> None:
        """Reads the histories of the workflow id as they grow, until the current run is closed.

        Args:
            run_id: The run that it begins with; "" is the current one, which no reset has made.
        """
        while True:
            run = await self._follow_run(run_id)
            run_id = next_run_id(run) if run.events else ""
            if run_id:
                continue
            described = await self._describe()
            current = described.workflow_execution_info.execution.run_id if described else ""
            if current in ("", run.run_id):
                return
            run_id = current

    async def wait_for_close(self) -> None:
        """Waits for close events only, as a client that wants a result does."""
        run_id = ""
        while True:
            events = [
                event
                async for page in self._pages(run_id, enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
                for event in page
            ]
            if len(events) != 1 or events[0].event_type not in CLOSE_STATUS:
                self._complain(f"a wait for the end of {run_id!r} gave {events}")
                return
            run_id = next_run_id(FinalRun(self._workflow_id, run_id, events))
            if not run_id:
                return

    async def glance(self) -> None:
        """Asks once, in vain perhaps, how the current run is."""
        with suppress(ServiceError):
            await self._describe(insist=False)

    async def describe_for_ever(self) -> None:
        """Asks now and then how the current run is."""
        while True:
            await asyncio.sleep(self._frontend.generator.expovariate(1 / 5))
            await self._describe()

    async def _follow_run(self, run_id: str) -> FinalRun:
        events: list[history.HistoryEvent] = []
        async for page in self._pages(run_id, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT):
            for event in lasting_events(page):
                if event.event_id != len(events) + 1:
                    self._complain(f"event {event.event_id} came after {len(events)}")
                events.append(event)
            if events:
                first = events[0].workflow_execution_started_event_attributes
                run_id = run_id or first.original_execution_run_id
                self._ledger.saw_history(run_id, lasting_events(page))
        if not events or events[-1].event_type not in CLOSE_STATUS:
            self._complain(f"the history of {run_id!r} ends before the run does")
        else:
            self._closed[run_id] = CLOSE_STATUS[events[-1].event_type]
            self._frontend.trace.note(
                self._workflow_id, f"run {run_id} ended, {len(events)} events"
            )
        return FinalRun(self._workflow_id, run_id, events)

    async def _pages(
        self, run_id: str, event_filter: enums.HistoryEventFilterType.ValueType
    ) -> AsyncIterator[list[history.HistoryEvent]]:
        """Yields pages of a run's history until it is closed."""
        frontend = self._frontend
        request = wf.GetWorkflowExecutionHistoryRequest(
            namespace=frontend.namespace.name,
            execution=common.WorkflowExecution(workflow_id=self._workflow_id, run_id=run_id),
            wait_new_event=True,
            history_event_filter_type=event_filter,
            maximum_page_size=PAGE_SIZE,
        )
        while True:
            try:
                data = await frontend.insist(
                    lambda: frontend.history.get_workflow_execution_history(
                        frontend.namespace, request, LONG_POLL_SECONDS
                    ),
                    seconds=LONG_POLL_SECONDS + 10,
                )
            except ServiceError as error:
                self._complain(f"history of {run_id!r}: {error.code.name} {error.message}")
                return
            page = wf.GetWorkflowExecutionHistoryResponse.FromString(data)
            if page.history.events:
                yield list(page.history.events)
            if not page.next_page_token:
                return
            request.next_page_token = page.next_page_token

    async def _describe(
        self, *, insist: bool = True
    ) -> wf.DescribeWorkflowExecutionResponse | None:
        frontend = self._frontend
        request = wf.DescribeWorkflowExecutionRequest(
            namespace=frontend.namespace.name,
            execution=common.WorkflowExecution(workflow_id=self._workflow_id),
        )
        closed = dict(self._closed)
        seen = self._ledger.lengths()
        ask = frontend.insist if insist else frontend.once
        try:
            answer = await ask(
                lambda: frontend.history.describe_workflow_execution(frontend.namespace, request)
            )
        except ServiceError as error:
            if not insist:
                raise
            self._complain(f"describe: {error.code.name} {error.message}")
            return None
        info = answer.workflow_execution_info
        run_id = info.execution.run_id
        if info.history_length < seen.get(run_id, 0):
            self._complain(
                f"run {run_id} is described with {info.history_length} events,"
                f" after {seen[run_id]} were seen"
            )
        known = closed.get(run_id)
        if known is not None and info.status != known:
            self._complain(f"run {run_id} was closed as {known}, is {info.status}")
        pending = answer.pending_activities or answer.HasField("pending_workflow_task")
        if known is not None and pending:
            self._complain(f"run {run_id} is closed and has pending work")
        return answer

    def _complain(self, text: str) -> None:
        self._frontend.trace.violation(f"{self._workflow_id}: {text}")
