"""Resets of simulated workflows: who asks for one, and what must hold of the run that it makes.

Theory of operation: a workflow is reset once, by one request that several clients make at the same
time, and make again for want of an answer. Its program neither has children nor continues as new,
so that the run that the reset makes stays the current one: as long as it is, the server knows the
request again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from simulation.invariants import (
    CLOSE_STATUS,
    FinalRun,
    Runs,
    client_signals,
    received,
    reset_event,
    reset_from,
    status,
)
from simulation.ledger import Ledger, Reset, lasting_events
from simulation.rpc import Frontend

LOOK_SECONDS = 0.2
TASK_ENDS = {
    events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "workflow_task_completed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_FAILED: "workflow_task_failed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: "workflow_task_timed_out_event_attributes",
}
COMPLETED = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED


class ResetClient:
    """Resets a run: at some workflow task that has ended, while it runs or when it is closed."""

    def __init__(
        self, *, workflow_id: str, run_id: str, frontend: Frontend, ledger: Ledger
    ) -> None:
        self._execution = common.WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        self._frontend = frontend
        self._ledger = ledger
        # Drawn from what is the run's own, so that it moves no other chance.
        self._chance = random.Random(f"reset of {run_id}")

    async def run(self) -> str:
        """Returns the run that follows the reset."""
        chance, execution = self._chance, common.WorkflowExecution()
        point = await self._point()
        execution.CopyFrom(self._execution)
        if chance.random() < 0.5:
            execution.run_id = ""
        request = wf.ResetWorkflowExecutionRequest(
            namespace=self._frontend.namespace.name,
            workflow_execution=execution,
            reason="simulated",
            workflow_task_finish_event_id=point,
            request_id=f"{chance.getrandbits(64):016x}",
        )
        clients = chance.choice((1, 1, 2, 3))
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(request)) for _ in range(clients)]
        return asked[0].result()

    async def _ask(self, request: wf.ResetWorkflowExecutionRequest) -> str:
        frontend, execution = self._frontend, self._execution
        answer = await frontend.insist(
            lambda: frontend.history.reset_workflow_execution(frontend.namespace, request)
        )
        point = request.workflow_task_finish_event_id
        frontend.trace.note(execution.workflow_id, f"reset at {point} made {answer.run_id}")
        self._ledger.resets.append(
            Reset(execution.workflow_id, execution.run_id, point, answer.run_id)
        )
        return answer.run_id

    async def _point(self) -> int:
        """Waits for its moment; returns the event that the new run is to begin without."""
        chance = self._chance
        waits_for_close = chance.random() < 0.4
        tasks = chance.randint(1, 4)
        while True:
            known = await self._events()
            points = list(_points(known))
            closed = bool(known) and known[-1].event_type in CLOSE_STATUS
            if points and (closed or (len(points) >= tasks and not waits_for_close)):
                break
            await asyncio.sleep(LOOK_SECONDS)
        started, ended = chance.choice(points)
        return started if started and chance.random() < 0.3 else ended

    async def _events(self) -> list[history.HistoryEvent]:
        frontend = self._frontend
        request = wf.GetWorkflowExecutionHistoryRequest(
            namespace=frontend.namespace.name, execution=self._execution
        )
        found: list[history.HistoryEvent] = []
        while True:
            data = await frontend.insist(
                lambda: frontend.history.get_workflow_execution_history(
                    frontend.namespace, request, 0.0
                )
            )
            page = wf.GetWorkflowExecutionHistoryResponse.FromString(data)
            found += lasting_events(page.history.events)
            if not page.next_page_token:
                return found
            request.next_page_token = page.next_page_token


def _points(known: list[history.HistoryEvent]) -> Iterator[tuple[int, int]]:
    """Yields where each workflow task was started (0: it was not) and has ended."""
    for event in known:
        if event.event_type in TASK_ENDS:
            attributes = getattr(event, TASK_ENDS[event.event_type])
            yield attributes.started_event_id, event.event_id


def check_resets(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """Yields what is wrong with the runs that resets have made."""
    for run in runs.values():
        if reset_event(run) is not None and run.run_id not in {
            reset.run_id for reset in ledger.resets
        }:
            yield f"run {run.run_id} of {run.workflow_id} was made by a reset that nobody knows of"
    for reset in dict.fromkeys(ledger.resets):
        run, base = runs.get(reset.run_id), runs.get(reset.base_run_id)
        if run is None or base is None or reset_from(run, runs) is not base:
            yield f"run {reset.run_id} is not made of {reset.base_run_id}, as was acknowledged"
            continue
        for problem in (*_check_begin(reset, base, run), *_check_reapplied(ledger, base, run)):
            yield f"run {run.run_id}, made of {base.run_id}: {problem}"


def _check_begin(reset: Reset, base: FinalRun, run: FinalRun) -> Iterator[str]:
    kept = reset.point - 1
    if run.events[:kept] != base.events[:kept]:
        yield f"it does not begin with the {kept} events before the point"
    event = reset_event(run)
    assert event is not None, "whoever comes from another run has the event"
    # The start of the task comes before it, where the point is before that.
    if event.event_id not in (reset.point, reset.point + 1):
        yield f"it is reset by event {event.event_id}, the point is {reset.point}"
    if status(run) != COMPLETED:
        yield f"it ended with status {status(run)}"


def _check_reapplied(ledger: Ledger, base: FinalRun, run: FinalRun) -> Iterator[str]:
    """Yields what the run should have from the other one, once."""
    own = Counter[object]([*client_signals(run), *_from_others(run)])
    for signal in dict.fromkeys((*client_signals(base), *_from_others(base))):
        if own[signal] != 1:
            yield f"signal {signal} is there {own[signal]} times"
    for token, sent in ledger.signals.items():
        if sent.workflow_id == run.workflow_id and sent.acknowledged and not own[token]:
            yield f"signal {token} was acknowledged and is lost"
    admitted, accepted = Counter(_admitted(run)), set(_accepted(run))
    for token in dict.fromkeys((*_accepted(base), *_admitted(base))):
        if token not in accepted and not admitted[token]:
            yield f"update {token} is lost"
        if admitted[token] > 1:
            yield f"update {token} is admitted {admitted[token]} times"


def _from_others(run: FinalRun) -> Iterator[object]:
    """Yields the signals that other workflows sent; requests to cancel do not come again."""
    return (sent for sent in received(run) if isinstance(sent.what, str))


def _admitted(run: FinalRun) -> Iterator[str]:
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
            admitted = event.workflow_execution_update_admitted_event_attributes
            yield admitted.request.meta.update_id


def _accepted(run: FinalRun) -> Iterator[str]:
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            yield event.workflow_execution_update_accepted_event_attributes.protocol_instance_id
