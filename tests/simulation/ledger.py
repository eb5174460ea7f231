"""What clients and workers were told, to be held against what the store has in the end.

Rules that hold here: an entry is made at the moment at which an actor has an answer in hand. What
can be wrong at that moment already (an attempt that runs twice, an event that changes) is reported
at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from temporalio.api.history.v1 import message_pb2 as history

from simulation.trace import Trace
from simulation.updates import Asked


def lasting_events(events: Iterable[history.HistoryEvent]) -> list[history.HistoryEvent]:
    """Returns the events that are written.

    At the end of a history the server shows those of a repeated workflow task, which has none
    until it completes; they have no time.
    """
    return [event for event in events if event.HasField("event_time")]


@dataclass(slots=True)
class Signal:
    """A signal that a client sent.

    Attributes:
        workflow_id: To whom.
        run_id: To which run; "" means the current one.
        acknowledged: Whether the client knows that it was received.
    """

    workflow_id: str
    run_id: str
    acknowledged: bool = False


@dataclass(slots=True, frozen=True)
class Start:
    """An acknowledged start."""

    workflow_id: str
    request_id: str
    run_id: str
    created: bool


@dataclass(slots=True, frozen=True)
class Reset:
    """An acknowledged reset.

    Attributes:
        workflow_id: Of what.
        base_run_id: The run whose history the new one begins with.
        point: The first event of that run that the new one has not.
        excluded: What it was not to take over: numbers of `ResetReapplyExcludeType`.
        request_id: The request's.
        run_id: The new run.
    """

    workflow_id: str
    base_run_id: str
    point: int
    excluded: tuple[int, ...]
    request_id: str
    run_id: str


class Ledger:
    """The record of what was promised.

    Attributes:
        starts: Every acknowledged start.
        signals: Every signal that was sent, by its token.
        cancels: Workflow ids of acknowledged requests to cancel.
        terminations: Workflow ids of acknowledged terminations.
        seen_events: The events of each run that somebody saw: serialised, by id.
        attempts: The highest attempt delivered to a worker, by run id and activity id.
        completed_activities: The attempt whose result was accepted, by run id and activity id.
        updates: Every update that was asked for, by its token.
        resets: Every acknowledged reset.
        deleted: Runs that a client has begun to delete, and whether that was acknowledged.
        completed_tasks: Started event ids of accepted workflow task completions, by run id.
    """

    def __init__(self, *, trace: Trace) -> None:
        self.starts: list[Start] = []
        self.signals: dict[str, Signal] = {}
        self.updates: dict[str, Asked] = {}
        self.resets: list[Reset] = []
        self.deleted: dict[str, bool] = {}
        self.cancels: set[str] = set()
        self.terminations: set[str] = set()
        self.seen_events: dict[str, dict[int, bytes]] = {}
        self.attempts: dict[tuple[str, str], int] = {}
        self.completed_activities: dict[tuple[str, str], int] = {}
        self.completed_tasks: dict[str, set[int]] = {}
        self._trace = trace
        self._delivered: set[tuple[str, str, int]] = set()

    def saw_history(self, run_id: str, events: Iterable[history.HistoryEvent]) -> None:
        """Records events that a client or worker was given."""
        seen = self.seen_events.setdefault(run_id, {})
        for event in events:
            data = event.SerializeToString(deterministic=True)
            before = seen.setdefault(event.event_id, data)
            if before != data:
                was = _one_line(history.HistoryEvent.FromString(before))
                self._trace.violation(
                    f"event {event.event_id} of run {run_id} has changed:"
                    f" it was {was} and is {_one_line(event)}"
                )

    def forget_deleted(self) -> None:
        """Drops what was promised of runs that are deleted."""
        gone = {run_id for run_id, acknowledged in self.deleted.items() if acknowledged}
        self.starts = [start for start in self.starts if start.run_id not in gone]
        for by_run in (self.seen_events, self.completed_tasks):
            for run_id in gone & by_run.keys():
                del by_run[run_id]
        for by_activity in (self.attempts, self.completed_activities):
            for key in [key for key in by_activity if key[0] in gone]:
                del by_activity[key]

    def lengths(self) -> dict[str, int]:
        """Returns the highest event id of each run that anybody has seen."""
        return {run_id: max(seen, default=0) for run_id, seen in self.seen_events.items()}

    def delivered(self, kind: str, run_id: str, name: str, attempt: int) -> None:
        """Records that a worker has got an attempt of a task."""
        key = (run_id, f"{kind} {name}", attempt)
        if key in self._delivered:
            self._trace.violation(f"attempt {attempt} of {kind} {name} of {run_id} runs twice")
        self._delivered.add(key)
        if kind == "activity":
            highest = self.attempts.get((run_id, name), 0)
            self.attempts[run_id, name] = max(highest, attempt)

    def completed_activity(self, run_id: str, name: str, attempt: int) -> None:
        """Records that an activity's result was accepted."""
        if (run_id, name) in self.completed_activities:
            self._trace.violation(f"activity {name} of {run_id} was completed twice")
        self.completed_activities[run_id, name] = attempt

    def completed_task(self, run_id: str, started_event_id: int) -> None:
        """Records that a workflow task's completion was accepted."""
        completed = self.completed_tasks.setdefault(run_id, set())
        if started_event_id in completed:
            self._trace.violation(f"task {started_event_id} of {run_id} was completed twice")
        completed.add(started_event_id)


def _one_line(event: history.HistoryEvent) -> str:
    return " ".join(str(event).split())
