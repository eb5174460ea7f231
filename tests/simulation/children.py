"""Children of simulated workflows: the command, the events, and what must hold of them all.

Rules that hold here: a child's id is made of its parent's run and its name, so that it is free; so
a child that could not be started, or was started twice, is a fault of the server's. A child that
never ends by itself ends with its parent, or the simulation does not end.

A run that a reset has made has the children that were initiated before the point, whichever of the
two runs' messages has started them. What was initiated after it goes on alone.
"""

from collections import defaultdict
from collections.abc import Iterator

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue

from simulation.commands import TASK_QUEUE, WORKFLOW_TYPE, duration, raw_payloads
from simulation.invariants import (
    CLOSE_STATUS,
    FinalRun,
    Runs,
    is_ended_by_reset,
    next_run_id,
    origin,
    status,
)

Event = history.HistoryEvent
Link = tuple[str, int]
"""Names a child for good: the event that initiated it, and the run that the event was first of."""

TERMINATE = enums.PARENT_CLOSE_POLICY_TERMINATE
TERMINATED = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED

ENDS: dict[int, tuple[str, int]] = {
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: (
        "child_workflow_execution_completed_event_attributes",
        enums.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    ),
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: (
        "child_workflow_execution_failed_event_attributes",
        enums.WORKFLOW_EXECUTION_STATUS_FAILED,
    ),
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: (
        "child_workflow_execution_canceled_event_attributes",
        enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
    ),
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: (
        "child_workflow_execution_timed_out_event_attributes",
        enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    ),
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: (
        "child_workflow_execution_terminated_event_attributes",
        TERMINATED,
    ),
}
"""Events that tell a child's end, with their attributes and the status that they tell of."""


def start_child(
    workflow_id: str, data: bytes, policy: str, *, retried: bool = False
) -> commands.Command:
    """Starts a child with an input.

    Args:
        workflow_id: The child's.
        data: Its input.
        policy: What its parent's end means for it, such as "TERMINATE".
        retried: Whether it is tried again when it fails.
    """
    attributes = commands.StartChildWorkflowExecutionCommandAttributes(
        workflow_id=workflow_id,
        workflow_type=common.WorkflowType(name=WORKFLOW_TYPE),
        task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
        input=raw_payloads(data),
        parent_close_policy=enums.ParentClosePolicy.Value(f"PARENT_CLOSE_POLICY_{policy}"),
    )
    if retried:
        attributes.retry_policy.initial_interval.CopyFrom(duration(0.2))
    return commands.Command(
        command_type=types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
        start_child_workflow_execution_command_attributes=attributes,
    )


def initiated_by(event: Event) -> int:
    """Returns the initiated event that a child's start or end is about."""
    if event.event_type == events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
        return event.child_workflow_execution_started_event_attributes.initiated_event_id
    initiated: int = getattr(event, ENDS[event.event_type][0]).initiated_event_id
    return initiated


def check_children(runs: Runs) -> Iterator[str]:
    """Yields what is wrong with children."""
    first_runs, kept = _first_runs(runs), _kept(runs)
    yield from _are_wanted(runs, first_runs)
    for run in runs.values():
        for event in run.events:
            if event.event_type == events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
                yield f"event {event.event_id} of run {run.run_id}: the child could not start"
            if event.event_type == events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                link = (origin(run, event.event_id, runs).run_id, event.event_id)
                own = first_runs.get(link, [])
                for problem in _check_child(runs, run, event, own, is_kept=link in kept):
                    yield f"child {event.event_id} of run {run.run_id}: {problem}"


def _first_runs(runs: Runs) -> dict[Link, list[FinalRun]]:
    found: dict[Link, list[FinalRun]] = defaultdict(list)
    for run in runs.values():
        first = run.events[0].workflow_execution_started_event_attributes
        if first.HasField("parent_workflow_execution") and not first.continued_execution_run_id:
            event_id = first.parent_initiated_event_id
            parent_id = first.parent_workflow_execution.run_id
            if parent_id in runs:
                parent_id = origin(runs[parent_id], event_id, runs).run_id
            found[parent_id, event_id].append(run)
    return found


def _kept(runs: Runs) -> frozenset[Link]:
    """Names the children that runs have by a reset."""
    links = (
        (origin(run, event.event_id, runs).run_id, event.event_id, run.run_id)
        for run in runs.values()
        for event in run.events
        if event.event_type == events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    )
    return frozenset((first, event_id) for first, event_id, run_id in links if first != run_id)


def _are_wanted(runs: Runs, first_runs: dict[Link, list[FinalRun]]) -> Iterator[str]:
    """A child has been initiated by its parent's history, under its id."""
    for (parent_id, event_id), children in first_runs.items():
        parent = runs.get(parent_id)
        events_of_parent = parent.events if parent is not None else []
        for child in children:
            named = ""
            if 0 < event_id <= len(events_of_parent):
                event = events_of_parent[event_id - 1]
                named = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            if named != child.workflow_id:
                yield f"run {child.run_id} is a child of {parent_id}, which did not start it"


def _check_child(
    runs: Runs, parent: FinalRun, initiated: Event, children: list[FinalRun], *, is_kept: bool
) -> Iterator[str]:
    if len(children) > 1:
        yield f"it was started {len(children)} times"
        return
    told = [
        event
        for event in parent.events
        if event.event_type in _TOLD and initiated_by(event) == initiated.event_id
    ]
    starts = [event for event in told if event.event_type not in ENDS]
    ends = [event for event in told if event.event_type in ENDS]
    if len(starts) > 1 or len(ends) > 1 or (ends and not starts):
        yield f"its parent is told of {len(starts)} starts and {len(ends)} ends"
        return
    if starts and not children:
        yield "its parent is told that it has started, and there is none"
    if not children:
        return
    last = _last_of_chain(runs, children[0])
    if starts:
        started = starts[0].child_workflow_execution_started_event_attributes
        if started.workflow_execution.run_id != children[0].run_id:
            yield f"its parent is told of run {started.workflow_execution.run_id}"
    if ends:
        yield from _check_end(ends[0], starts[0], last)
    else:
        yield from _check_left(parent, initiated, last, is_kept=is_kept)


_TOLD = frozenset({events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, *ENDS})


def _last_of_chain(runs: Runs, run: FinalRun) -> FinalRun:
    while (following := next_run_id(run)) and following in runs:
        run = runs[following]
    return run


def _check_end(end: Event, start: Event, last: FinalRun) -> Iterator[str]:
    """What a parent is told is what the last run of the chain came to."""
    name, told = ENDS[end.event_type]
    attributes = getattr(end, name)
    if attributes.started_event_id != start.event_id:
        yield f"its end names start {attributes.started_event_id} instead of {start.event_id}"
    if attributes.workflow_execution.run_id != last.run_id or status(last) != told:
        yield f"its parent is told {told} of {attributes.workflow_execution.run_id}"
    if end.event_type == events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
        closed = last.events[-1].workflow_execution_completed_event_attributes
        if attributes.result != closed.result:
            yield "its parent is told another result"


def _check_left(
    parent: FinalRun, initiated: Event, last: FinalRun, *, is_kept: bool
) -> Iterator[str]:
    """A parent that has not been told of the end has closed, and its policy was carried out."""
    if not parent.events or parent.events[-1].event_type not in CLOSE_STATUS:
        yield "its parent waits for its end for ever"
        return
    policy = initiated.start_child_workflow_execution_initiated_event_attributes.parent_close_policy
    kinds = {event.event_type for event in last.events}
    if events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED not in kinds:
        return
    if policy != TERMINATE:
        yield "it was terminated although its parent's policy is another"
    elif is_ended_by_reset(parent) and not is_kept:
        yield "it was terminated although its parent was reset"
