"""What must hold of the histories that are left when all is over.

Rules that hold here: every check is a pure function that yields a sentence for each thing that is
wrong. `histories.py` checks a history by itself; this module holds histories against the promises.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as failed_causes
from temporalio.api.enums.v1 import workflow_pb2 as workflow_enums
from temporalio.api.history.v1 import message_pb2 as history

from simulation.commands import ANSWERS, initiated_event_id, json_value
from simulation.ledger import Ledger
from simulation.updates import updates_happened_once

Status = workflow_enums.WorkflowExecutionStatus
RESET_CAUSE = failed_causes.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
RESETTER = "history-resetter"
"""Who terminates the open run of a workflow that is reset."""


@dataclass(slots=True, frozen=True)
class FinalRun:
    """A run as the store has it in the end."""

    workflow_id: str
    run_id: str
    events: list[history.HistoryEvent]


Runs = Mapping[str, FinalRun]
"""All runs, by run id."""


@dataclass(slots=True, frozen=True)
class Expectation:
    """How a workflow may end.

    Attributes:
        statuses: The statuses that its last run may have.
        result: What it returns if it completes; None leaves that open.
        chains: How many chains of runs (a start, and what continues it) there may be.
    """

    statuses: frozenset[int]
    result: list[str] | None
    chains: frozenset[int] = frozenset({1})


REFUSALS = frozenset(
    {
        events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
        events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    }
)
CLOSE_STATUS: dict[int, int] = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: Status.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: Status.WORKFLOW_EXECUTION_STATUS_FAILED,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: Status.WORKFLOW_EXECUTION_STATUS_CANCELED,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: Status.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: (
        Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
    ),
}


def status(run: FinalRun) -> int:
    """Returns the status that a run's last event gives it."""
    last = int(run.events[-1].event_type) if run.events else 0
    return CLOSE_STATUS.get(last, Status.WORKFLOW_EXECUTION_STATUS_RUNNING)


def next_run_id(run: FinalRun) -> str:
    """Returns the run that continues or retries this one, or ""."""
    last = run.events[-1]
    match last.event_type:
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
            attributes = last.workflow_execution_continued_as_new_event_attributes
            return attributes.new_execution_run_id
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            return last.workflow_execution_failed_event_attributes.new_execution_run_id
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            return last.workflow_execution_timed_out_event_attributes.new_execution_run_id
        case events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            return last.workflow_execution_completed_event_attributes.new_execution_run_id
        case _:
            return ""


def reset_event(run: FinalRun) -> history.HistoryEvent | None:
    """Returns the event that a reset began this run with; None for a run of another beginning.

    What comes before it is of the run that was reset, but for the start of the task that it ends.
    """
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            if failed.cause == RESET_CAUSE and failed.new_run_id == run.run_id:
                return event
    return None


def reset_from(run: FinalRun, runs: Runs) -> FinalRun | None:
    """Returns the run that a reset began this one with."""
    event = reset_event(run)
    if event is None:
        return None
    return runs.get(event.workflow_task_failed_event_attributes.base_run_id)


def origin(run: FinalRun, event_id: int, runs: Runs) -> FinalRun:
    """Returns the run that an event is of, which resets may have passed on to others."""
    while (event := reset_event(run)) is not None and event_id < event.event_id:
        base = reset_from(run, runs)
        if base is None:
            break
        run = base
    return run


def is_ended_by_reset(run: FinalRun) -> bool:
    """Tells whether a run was open when its workflow was reset."""
    terminated = run.events[-1].workflow_execution_terminated_event_attributes
    return terminated.identity == RESETTER


def check_promises(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """Yields what clients and workers were told that is not so."""
    yield from starts_exist(ledger, runs)
    yield from signals_arrived_once(ledger, runs)
    yield from requests_are_recorded(ledger, runs)
    yield from updates_happened_once(
        ledger.updates, {run_id: (run.workflow_id, run.events) for run_id, run in runs.items()}
    )
    yield from messages_arrived_once(runs)
    yield from seen_events_stay(ledger, runs)
    yield from attempts_are_recorded(ledger, runs)
    yield from completions_are_recorded(ledger, runs)


def starts_exist(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """An acknowledged start has a run; one request id gives one run."""
    run_of_request: dict[tuple[str, str], str] = {}
    for start in ledger.starts:
        if start.run_id not in runs:
            yield f"run {start.run_id} of {start.workflow_id} was acknowledged and does not exist"
        if not start.created:
            continue
        key = (start.workflow_id, start.request_id)
        if run_of_request.setdefault(key, start.run_id) != start.run_id:
            yield f"request {start.request_id} of {start.workflow_id} started two runs"


def signals_arrived_once(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """An acknowledged signal is in a history; every signal is in no history twice."""
    arrivals: Counter[str] = Counter()
    for run in runs.values():
        tokens = Counter(client_signals(run))
        arrivals += tokens
        for token, count in tokens.items():
            if token not in ledger.signals:
                yield f"signal {token} was never sent"
            elif ledger.signals[token].workflow_id != run.workflow_id:
                yield f"signal {token} is in the history of {run.workflow_id}"
            if count > 1:
                yield f"signal {token} is there {count} times in run {run.run_id}"
    for token, signal in ledger.signals.items():
        if signal.acknowledged and not arrivals[token]:
            yield f"signal {token} to {signal.workflow_id} was acknowledged and is lost"


def requests_are_recorded(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """An acknowledged cancel request or termination is in a history."""
    recorded = {
        (run.workflow_id, event.event_type) for run in runs.values() for event in run.events
    }
    for workflow_id in sorted(ledger.cancels):
        if (workflow_id, events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED) not in recorded:
            yield f"the acknowledged request to cancel {workflow_id} is lost"
    for workflow_id in sorted(ledger.terminations):
        if (workflow_id, events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED) not in recorded:
            yield f"the acknowledged termination of {workflow_id} is lost"


class Sent(NamedTuple):
    """Names something that a run sent to another workflow.

    Attributes:
        run_id: Who sent it.
        what: The signal's token, or the initiated event of a cancel request.
    """

    run_id: str
    what: str | int


def messages_arrived_once(runs: Runs) -> Iterator[str]:
    """What workflows send to each other arrives once if they are told so, and else not at all.

    What a reset carries over to another run has not come again.

    Of what a run sent and was told nothing about, since it closed, either may be. The first request
    to cancel is recorded only.
    """
    arrived: Counter[Sent] = Counter()
    targets: dict[Sent, str] = {}
    for run in runs.values():
        base = reset_from(run, runs)
        own = Counter(received(run)) - Counter(received(base) if base is not None else ())
        arrived += own
        targets.update(dict.fromkeys(own, run.workflow_id))
    sent_by_all: set[Sent] = set()
    for run in runs.values():
        for sent, target, answer in _sent(run):
            sent_by_all.add(sent)
            if arrived[sent] and targets[sent] != target:
                yield f"{sent} was for {target}, and has come to {targets[sent]}"
            if arrived[sent] > 1:
                yield f"{sent} has come {arrived[sent]} times"
            told = events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
            if answer == told and not arrived[sent]:
                yield f"{sent} has come to {target}, its sender was told, and it is not there"
            if answer in REFUSALS and arrived[sent]:
                yield f"{sent} was refused, its sender was told, and it is there"
    for sent in arrived.keys() - sent_by_all:
        yield f"{sent} has come, and nobody has sent it"


def received(run: FinalRun) -> Iterator[Sent]:
    """Yields what a run's history has from other workflows."""
    for event in run.events:
        match event.event_type:
            case events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                signal = event.workflow_execution_signaled_event_attributes
                if signal.HasField("external_workflow_execution"):
                    sender = signal.external_workflow_execution.run_id
                    yield Sent(sender, json_value(signal.input))
            case events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                request = event.workflow_execution_cancel_requested_event_attributes
                # A parent's end is the cause of those that name no event.
                if request.external_initiated_event_id:
                    sender = request.external_workflow_execution.run_id
                    yield Sent(sender, request.external_initiated_event_id)


def _sent(run: FinalRun) -> Iterator[tuple[Sent, str, int]]:
    """Yields what a run sent, to whom, and the type of the event that told it of the outcome.

    A run that a reset began sends again what its history lacks the outcome of; the rest was sent by
    the run that was reset.
    """
    beginning = reset_event(run)
    first_own = beginning.event_id if beginning is not None else 0
    answers = {
        initiated_event_id(event): event for event in run.events if event.event_type in ANSWERS
    }
    for event in run.events:
        told = answers.get(event.event_id)
        if told is not None and told.event_id < first_own:
            continue
        answer = int(told.event_type) if told is not None else 0
        match event.event_type:
            case events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
                signal = event.signal_external_workflow_execution_initiated_event_attributes
                target = signal.workflow_execution.workflow_id
                yield Sent(run.run_id, json_value(signal.input)), target, answer
            case events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
                request = (
                    event.request_cancel_external_workflow_execution_initiated_event_attributes
                )
                target = request.workflow_execution.workflow_id
                yield Sent(run.run_id, event.event_id), target, answer


def seen_events_stay(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """What anybody saw of a history is still there, unchanged."""
    for run_id, seen in ledger.seen_events.items():
        if run_id not in runs:
            yield f"run {run_id} was seen and does not exist"
            continue
        final = {event.event_id: event for event in runs[run_id].events}
        for event_id, data in seen.items():
            event = final.get(event_id)
            if event is None:
                yield f"event {event_id} of run {run_id} was seen and is lost"
            elif event.SerializeToString(deterministic=True) != data:
                yield f"event {event_id} of run {run_id} is not what was seen"


def attempts_are_recorded(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """No attempt of an activity ran that its history does not know of."""
    for (run_id, name), highest in ledger.attempts.items():
        run = runs.get(run_id)
        recorded = _activity_attempts(run).get(name) if run else None
        if run is None:
            yield f"activity {name} ran for run {run_id}, which does not exist"
        elif recorded is not None and recorded < highest:
            yield (
                f"activity {name} of {run_id} ran attempt {highest}, but its history"
                f" ends with attempt {recorded}"
            )


def completions_are_recorded(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """An accepted completion, of a workflow task or an activity, is in the history."""
    for run_id, started in ledger.completed_tasks.items():
        recorded = set(_completed_tasks(runs[run_id])) if run_id in runs else set()
        for event_id in sorted(started - recorded):
            yield f"the accepted completion of task {event_id} of {run_id} is lost"
    for (run_id, name), attempt in ledger.completed_activities.items():
        attempts = _activity_attempts(runs[run_id]) if run_id in runs else {}
        if attempts.get(name) != attempt:
            yield f"the accepted result of activity {name} of {run_id}, attempt {attempt}, is lost"


def deleted_runs_are_gone(ledger: Ledger, runs: Runs) -> Iterator[str]:
    """A run whose deletion was acknowledged is not there any more."""
    for run_id, acknowledged in ledger.deleted.items():
        if acknowledged and run_id in runs:
            yield f"run {run_id} of {runs[run_id].workflow_id} is deleted, and is there"


def check_ends(expectations: Mapping[str, Expectation], runs: Runs) -> Iterator[str]:
    """Every workflow came to the end that its plan foresees."""
    for workflow_id, expected in expectations.items():
        own = [run for run in runs.values() if run.workflow_id == workflow_id]
        last_runs = [run for run in own if run.events and not next_run_id(run)]
        if len(last_runs) not in expected.chains:
            yield f"{workflow_id} has {len(last_runs)} chains of runs"
        for run in last_runs:
            if status(run) not in expected.statuses:
                yield f"run {run.run_id} of {workflow_id} ended as {_status_name(status(run))}"
            if status(run) == Status.WORKFLOW_EXECUTION_STATUS_COMPLETED:
                attributes = run.events[-1].workflow_execution_completed_event_attributes
                result = json_value(attributes.result)
                if expected.result is not None and result != expected.result:
                    yield f"{workflow_id} returned {result} instead of {expected.result}"


def check_chains(runs: Runs) -> Iterator[str]:
    """A run that names a successor has it, and the successor names it."""
    for run in runs.values():
        successor_id = next_run_id(run) if run.events else ""
        if not successor_id:
            continue
        successor = runs.get(successor_id)
        if successor is None:
            yield f"run {run.run_id} is continued by {successor_id}, which does not exist"
            continue
        first = successor.events[0].workflow_execution_started_event_attributes
        if first.continued_execution_run_id != run.run_id:
            yield f"run {successor_id} does not say that it continues {run.run_id}"


def client_signals(run: FinalRun) -> Iterator[str]:
    """Yields the tokens of the signals that clients sent."""
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            attributes = event.workflow_execution_signaled_event_attributes
            if not attributes.HasField("external_workflow_execution"):
                yield json_value(attributes.input)


def _completed_tasks(run: FinalRun) -> Iterator[int]:
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            yield event.workflow_task_completed_event_attributes.started_event_id


def _activity_attempts(run: FinalRun) -> dict[str, int]:
    """Returns the attempt in the started event of each activity that has one."""
    names: dict[int, str] = {}
    attempts: dict[str, int] = {}
    for event in run.events:
        if event.event_type == events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
        elif event.event_type == events.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            attempts[names[started.scheduled_event_id]] = started.attempt
    return attempts


def _status_name(number: int) -> str:
    return Status.Name(number)  # type: ignore[arg-type]
