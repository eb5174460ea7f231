"""Compares what was promised with what the server kept: the verdict of a scenario."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus

from chaos.ledger import Ledger, OrderEntry

MOST_SENTENCES = 20
_READERS = 8
_CLOSED = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
}
_ENTERED_AT_ONCE = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
}
"""What is never buffered while a workflow task runs."""
_WORKER_FAULTS = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
}
"""What a worker says of a history that it cannot replay."""

Attempts = Mapping[tuple[str, str], list[int]]
"""Attempts that ran, by run and activity, in the order in which they ran."""


def read_attempts(path: Path) -> Attempts:
    """Reads what the activities wrote."""
    attempts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in path.read_text("utf-8").splitlines():
        ran = json.loads(line)
        attempts[ran["run"], ran["activity"]].append(ran["attempt"])
    return attempts


async def audit(client: Client, ledger: Ledger, attempts: Attempts) -> list[str]:
    """Returns everything that must not be, as sentences; empty when all is well."""
    wrong = [f"{workflow_id} did not complete" for workflow_id in ledger.open()]
    wrong += [f"stale query: {sentence}" for sentence in ledger.stale]
    wrong += await _check_listing(client, ledger)
    limit = asyncio.Semaphore(_READERS)
    known_runs = set()

    async def check(workflow_id: str, entry: OrderEntry) -> list[str]:
        async with limit:
            handle = client.get_workflow_handle(workflow_id)
            run_id = (await handle.describe()).run_id
            known_runs.add(run_id)
            events = [event async for event in handle.fetch_history_events()]
        found = [*check_history(events, entry), *check_attempts(events, run_id, attempts)]
        if entry.run_id and entry.run_id != run_id:
            found.append(f"run {entry.run_id} was acknowledged, and {run_id} is the last one")
        return [f"{workflow_id}: {sentence}" for sentence in found]

    closed = {id_: entry for id_, entry in ledger.orders.items() if entry.result is not None}
    for sentences in await asyncio.gather(*(check(*item) for item in closed.items())):
        wrong += sentences
    opened = set(ledger.open())
    if not opened:
        unknown = {run for run, _ in attempts} - known_runs
        wrong += [
            f"activities ran for run {run}, which the server does not know" for run in unknown
        ]
    return wrong


async def _check_listing(client: Client, ledger: Ledger) -> list[str]:
    """Every order is listed once, and as completed."""
    listed: Counter[str] = Counter()
    wrong = []
    done = {id_ for id_, entry in ledger.orders.items() if entry.result is not None}
    async for execution in client.list_workflows("WorkflowType = 'Order'"):
        listed[execution.id] += 1
        if execution.id in done and execution.status is not WorkflowExecutionStatus.COMPLETED:
            wrong.append(f"{execution.id} is listed as {execution.status}")
    wrong += [f"{id_} is listed {listed[id_]} times" for id_ in done if listed[id_] != 1]
    return wrong


def check_history(events: Sequence[HistoryEvent], entry: OrderEntry) -> Iterator[str]:
    """What is wrong with the history of a completed order."""
    if [event.event_id for event in events] != list(range(1, len(events) + 1)):
        yield "its event ids are not 1, 2, 3 …"
    kinds = Counter(event.event_type for event in events)
    if kinds[EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED] != 1:
        yield "it did not start exactly once"
    closing = [event for event in events if event.event_type in _CLOSED]
    if closing != [events[-1]] or kinds[EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED] != 1:
        yield "it did not complete exactly once, as its last event"
    if entry.result != 2 * entry.number:
        yield f"its result is {entry.result} instead of {2 * entry.number}"
    yield from _check_times(events)
    signals = Counter(signal_of(event) for event in events if _is_signal(event))
    yield from (
        f"signal {sending} was delivered {number} times"
        for sending, number in signals.items()
        if number != 1
    )
    yield from (f"signal {lost} was acknowledged and lost" for lost in entry.signals - {*signals})
    for event in events:
        failed = event.workflow_task_failed_event_attributes
        if failed.cause in _WORKER_FAULTS:
            yield f"event {event.event_id}: the worker could not replay it"


def _check_times(events: Sequence[HistoryEvent]) -> Iterator[str]:
    """The times of what is entered at once never go back; other events may have waited."""
    timed = [event for event in events if event.event_type in _ENTERED_AT_ONCE]
    for one, next_one in pairwise(timed):
        back = one.event_time.ToNanoseconds() - next_one.event_time.ToNanoseconds()
        if back > 0:
            kinds = f"{EventType.Name(one.event_type)} to {EventType.Name(next_one.event_type)}"
            yield f"time goes back {back / 1e6:.1f} ms at event {next_one.event_id}, {kinds}"


def check_attempts(
    events: Sequence[HistoryEvent], run_id: str, attempts: Attempts
) -> Iterator[str]:
    """What is wrong with the attempts of a completed order's activities."""
    names = {
        event.event_id: event.activity_task_scheduled_event_attributes.activity_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    }
    recorded = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            recorded[names[started.scheduled_event_id]] = started.attempt
    for activity, last in recorded.items():
        ran = Counter(attempts.get((run_id, activity), []))
        yield from (
            f"attempt {attempt} of activity {activity} ran {number} times"
            for attempt, number in ran.items()
            if number != 1
        )
        if any(attempt > last for attempt in ran):
            yield f"attempt {max(ran)} of activity {activity} ran, and {last} was recorded"
        if last not in ran:
            yield f"attempt {last} of activity {activity} completed and never ran"
    for run, activity in attempts:
        if run == run_id and activity not in recorded:
            yield f"activity {activity} ran and was never recorded as started"


def signal_of(event: HistoryEvent) -> str:
    """Returns the sending "number.sending" of a signal event."""
    payload = event.workflow_execution_signaled_event_attributes.input.payloads[0]
    number = json.loads(payload.data)
    return f"{number['number']}.{number['sending']}"


def _is_signal(event: HistoryEvent) -> bool:
    return event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
