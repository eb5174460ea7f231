"""Resets of simulated workflows: who asks for one, and what must hold of the run that it makes.

Theory of operation: a workflow is reset once, by one request that several clients make at the same
time, and make again for want of an answer. Its program does not continue as new, so that the run
that the reset makes stays the current one: as long as it is, the server knows the request again.
What the request excludes is part of the plan, since the program must not wait for it then.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from simulation.invariants import (
    CLOSE_STATUS,
    RESETTER,
    FinalRun,
    Runs,
    client_signals,
    received,
    reset_event,
    reset_from,
    status,
)
from simulation.ledger import Ledger, Reset, lasting_events
from simulation.plans import NO_SIGNALS, NO_UPDATES, Excluded
from simulation.rpc import Frontend

LOOK_SECONDS = 0.2
TASK_ENDS = {
    events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "workflow_task_completed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_FAILED: "workflow_task_failed_event_attributes",
    events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: "workflow_task_timed_out_event_attributes",
}
COMPLETED = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
TERMINATED = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED


class ResetClient:
    """Resets a run: at some workflow task that has ended, while it runs or when it is closed."""

    def __init__(
        self,
        *,
        workflow_id: str,
        run_id: str,
        excluded: Sequence[Excluded.ValueType],
        frontend: Frontend,
        ledger: Ledger,
    ) -> None:
        """Makes it.

        Args:
            workflow_id: Of what.
            run_id: The run that is reset.
            excluded: What the new run does not take over.
            frontend: What it calls.
            ledger: Where it notes what it was told.
        """
        self._excluded = tuple(excluded)
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
            reset_reapply_exclude_types=self._excluded,
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
            Reset(
                execution.workflow_id,
                execution.run_id,
                point,
                self._excluded,
                request.request_id,
                answer.run_id,
            )
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
    """Yields what is wrong with the runs that resets have made, and with those that were reset."""
    run_of_request: dict[tuple[str, str], str] = {}
    for reset in ledger.resets:
        key = (reset.workflow_id, reset.request_id)
        if run_of_request.setdefault(key, reset.run_id) != reset.run_id:
            yield f"reset {reset.request_id} of {reset.workflow_id} made two runs"
    known = set(run_of_request.values())
    for run in runs.values():
        if reset_event(run) is not None and run.run_id not in known:
            yield f"run {run.run_id} of {run.workflow_id} was made by a reset that nobody knows of"
    for reset in dict.fromkeys(ledger.resets):
        made, base = runs.get(reset.run_id), runs.get(reset.base_run_id)
        if made is None or base is None or reset_from(made, runs) is not base:
            yield f"run {reset.run_id} is not made of {reset.base_run_id}, as was acknowledged"
            continue
        checks = (
            *_check_begin(reset, base, made),
            *_check_ends(base, made),
            *_check_signals(ledger, reset, base, made),
            *_check_updates(reset, base, made),
        )
        for problem in checks:
            yield f"run {made.run_id}, made of {base.run_id}: {problem}"


def _check_begin(reset: Reset, base: FinalRun, run: FinalRun) -> Iterator[str]:
    kept = reset.point - 1
    if run.events[:kept] != base.events[:kept]:
        yield f"it does not begin with the {kept} events before the point"
    event = _beginning(run)
    # The start of the task comes before it, where the point is before that.
    if event.event_id not in (reset.point, reset.point + 1):
        yield f"it is reset by event {event.event_id}, the point is {reset.point}"


def _check_ends(base: FinalRun, run: FinalRun) -> Iterator[str]:
    """The run that was open ends by the reset, one that was closed stays so; the new one does."""
    if status(run) != COMPLETED:
        yield f"it ended with status {status(run)}"
    last = base.events[-1]
    terminated = last.workflow_execution_terminated_event_attributes
    if status(base) not in (COMPLETED, TERMINATED):
        yield f"the other one ended with status {status(base)}"
    elif status(base) == TERMINATED and terminated.identity != RESETTER:
        yield f"the other one was terminated by {terminated.identity!r}"


def _check_signals(ledger: Ledger, reset: Reset, base: FinalRun, run: FinalRun) -> Iterator[str]:
    """Signals after the point come again, once; they do not if they are excluded."""
    own = Counter[object](_signals(run))
    if NO_SIGNALS in reset.excluded:
        for event in _taken_over(run):
            if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                yield f"event {event.event_id} is a signal, which is excluded"
        for signal, count in own.items():
            if count > 1:
                yield f"signal {signal} is there {count} times"
        return
    for signal in dict.fromkeys(_signals(base)):
        if own[signal] != 1:
            yield f"signal {signal} is there {own[signal]} times"
    for token, sent in ledger.signals.items():
        if sent.workflow_id == run.workflow_id and sent.acknowledged and not own[token]:
            yield f"signal {token} was acknowledged and is lost"


def _check_updates(reset: Reset, base: FinalRun, run: FinalRun) -> Iterator[str]:
    """Updates after the point are admitted again, once, and answered by the new run's worker."""
    admitted, accepted = Counter(_admitted(run)), set(_accepted(run))
    for token, count in admitted.items():
        if count > 1:
            yield f"update {token} is admitted {count} times"
        if token not in accepted and not _closes_with(run, token):
            yield f"update {token} is admitted, and its worker does not answer"
    if NO_UPDATES in reset.excluded:
        for token in admitted:
            yield f"update {token} is admitted, which is excluded"
        return
    for token in dict.fromkeys((*_accepted(base), *_admitted(base))):
        if token not in accepted and not admitted[token]:
            yield f"update {token} is lost"


def _beginning(run: FinalRun) -> history.HistoryEvent:
    event = reset_event(run)
    assert event is not None, "whoever comes from another run has the event"
    return event


def _taken_over(run: FinalRun) -> Iterator[history.HistoryEvent]:
    """Yields what the commit that has made the run took over: up to the new workflow task."""
    for event in run.events[_beginning(run).event_id :]:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            return
        yield event


def _closes_with(run: FinalRun, token: str) -> bool:
    """Tells whether the task that should have answered an update has closed the run."""
    admitted = False
    for event, following in zip(run.events, run.events[1:], strict=False):
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
            attributes = event.workflow_execution_update_admitted_event_attributes
            admitted = admitted or attributes.request.meta.update_id == token
        elif admitted and event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return following.event_type in CLOSE_STATUS
    return False


def _signals(run: FinalRun) -> Iterator[object]:
    """Yields the signals of a run; requests to cancel from others do not come again."""
    yield from client_signals(run)
    yield from (sent for sent in received(run) if isinstance(sent.what, str))


def _admitted(run: FinalRun) -> Iterator[str]:
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
            admitted = event.workflow_execution_update_admitted_event_attributes
            yield admitted.request.meta.update_id


def _accepted(run: FinalRun) -> Iterator[str]:
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            yield event.workflow_execution_update_accepted_event_attributes.protocol_instance_id
