"""Runs a program on a workflow's history, as an SDK does: the same history gives the same commands.

Theory of operation: events are applied in order. At each completed workflow task the program goes
on as far as it can (`decide`) with what it knew when that task was started, and the command events
that follow must be those of its commands; else the history is not one that this program made.
`decide` is also what a worker calls to make the next completion.

Rules that hold here: events are applied once, in order, without a gap. After a completion that did
not succeed the object must be thrown away, for it has decided already.
"""

from collections import deque
from collections.abc import Callable, Iterable

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history

from simulation import children, commands
from simulation.commands import Command
from simulation.programs import Activity, Carried, Child, Kind, Program, Step, decode, encode
from simulation.updates import OpenUpdates

SIGNAL_NAME = "token"

Event = history.HistoryEvent


class HistoryError(Exception):
    """The history is not one that the program can have made, or events are missing."""


class StaleStateError(Exception):
    """What this object decided did not come about: replay the history from its beginning."""


class Interpreter:
    """A program's state.

    Attributes:
        last_event_id: The last event that was applied.
        signals: The tokens of the signals received so far, over the chain of runs.
        wants_new_task: The last decision asks for another workflow task at once.
        updates: What the run has accepted and not completed.
    """

    def __init__(self) -> None:
        self.last_event_id = 0
        self.signals: list[str] = []
        self.wants_new_task = False
        self.updates = OpenUpdates()
        self._program = Program(steps=())
        self._attempt = 1
        self._retry_policy: common.RetryPolicy | None = None
        self._position = 0
        self._entered = False
        self._beats = 0
        self._results: list[str] = []
        self._cancel_requested = False
        self._scheduled: dict[int, str] = {}
        self._outcomes: dict[str, bool] = {}
        self._fired: set[str] = set()
        self._sent: dict[int, str] = {}
        self._answered: set[str] = set()
        self._run_id = ""
        self._child_ids: dict[str, str] = {}
        self._initiated: dict[int, str] = {}
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._decided: list[Command] | None = None
        self._expected: deque[commands.Key] = deque()

    def apply_all(self, batch: Iterable[Event]) -> None:
        """Applies events, skipping those that were applied before.

        Raises:
            HistoryError: Not this program's history.
            StaleStateError: A decision of this object was not recorded.
        """
        for event in batch:
            if event.event_id > self.last_event_id:
                self._apply(event)

    def decide(self) -> list[Command]:
        """Returns the commands of the next completion."""
        if self._decided is not None:
            raise StaleStateError("the last decision has not been recorded")
        made: list[Command] = []
        self.wants_new_task = False
        self._advance(made)
        self._decided = made
        return made

    def describe(self) -> dict[str, object]:
        """Returns what a query sees."""
        return {"signals": self.signals, "position": self._position, "results": self._results}

    # Events

    def _apply(self, event: Event) -> None:
        if event.event_id != self.last_event_id + 1:
            raise HistoryError(f"event {event.event_id} comes after {self.last_event_id}")
        self.last_event_id = event.event_id
        self.updates.apply([event])
        if event.event_type in commands.COMMAND_EVENTS:
            self._match(event)
        if handler := _HANDLERS.get(event.event_type):
            handler(self, event)

    def _match(self, event: Event) -> None:
        key = commands.event_key(event)
        if not self._expected:
            raise HistoryError(f"event {event.event_id} {key} without a command")
        expected = self._expected.popleft()
        if key != expected:
            raise HistoryError(f"event {event.event_id} {key}, but the command was {expected}")

    def _on_started(self, event: Event) -> None:
        attributes = event.workflow_execution_started_event_attributes
        self._program, carried = decode(attributes.input.payloads[0].data)
        self._run_id = attributes.original_execution_run_id
        self._attempt = attributes.attempt
        if attributes.HasField("retry_policy"):
            self._retry_policy = attributes.retry_policy
        self._position = carried.position
        self._results = list(carried.results)
        self.signals = list(carried.signals)

    def _on_task_completed(self, _event: Event) -> None:
        if self._expected:
            raise HistoryError(f"commands without events: {list(self._expected)}")
        decided = self.decide() if self._decided is None else self._decided
        self._expected = deque(commands.command_key(command) for command in decided)
        self._decided = None

    def _on_task_not_completed(self, event: Event) -> None:
        if self._decided is not None:
            raise StaleStateError("the workflow task was not completed after all")
        # After a reset children are named by the run that it has made, as an SDK does.
        self._run_id = event.workflow_task_failed_event_attributes.new_run_id or self._run_id

    def _on_signaled(self, event: Event) -> None:
        attributes = event.workflow_execution_signaled_event_attributes
        if attributes.signal_name != SIGNAL_NAME:
            return
        token = commands.json_value(attributes.input)
        if token not in self.signals:
            self.signals.append(token)

    def _on_cancel_requested(self, _event: Event) -> None:
        self._cancel_requested = True

    def _on_activity_scheduled(self, event: Event) -> None:
        name = event.activity_task_scheduled_event_attributes.activity_id
        self._scheduled[event.event_id] = name

    def _on_activity_completed(self, event: Event) -> None:
        attributes = event.activity_task_completed_event_attributes
        name = self._end_activity(attributes.scheduled_event_id, succeeded=True)
        if commands.json_value(attributes.result) != name:
            raise HistoryError(f"event {event.event_id} holds another activity's result")

    def _on_activity_failed(self, event: Event) -> None:
        attributes = event.activity_task_failed_event_attributes
        self._end_activity(attributes.scheduled_event_id, succeeded=False)

    def _on_activity_timed_out(self, event: Event) -> None:
        attributes = event.activity_task_timed_out_event_attributes
        self._end_activity(attributes.scheduled_event_id, succeeded=False)

    def _on_activity_canceled(self, event: Event) -> None:
        attributes = event.activity_task_canceled_event_attributes
        self._end_activity(attributes.scheduled_event_id, succeeded=False)

    def _end_activity(self, scheduled_event_id: int, *, succeeded: bool) -> str:
        name = self._scheduled.get(scheduled_event_id)
        if name is None or name in self._outcomes:
            raise HistoryError(f"activity of event {scheduled_event_id} ends, but is not pending")
        self._outcomes[name] = succeeded
        return name

    def _on_timer_fired(self, event: Event) -> None:
        self._fired.add(event.timer_fired_event_attributes.timer_id)

    def _on_sent(self, event: Event) -> None:
        self._sent[event.event_id] = commands.event_key(event)[1]

    def _on_answered(self, event: Event) -> None:
        token = self._sent.get(commands.initiated_event_id(event))
        if token is None or token in self._answered:
            raise HistoryError(f"event {event.event_id} is the answer to nothing that was sent")
        self._answered.add(token)

    def _on_child_initiated(self, event: Event) -> None:
        attributes = event.start_child_workflow_execution_initiated_event_attributes
        self._initiated[event.event_id] = attributes.workflow_id

    def _on_child_started(self, event: Event) -> None:
        child = self._initiated.get(children.initiated_by(event))
        if child is None or child in self._started:
            raise HistoryError(f"event {event.event_id} starts a child that is not waited for")
        self._started.add(child)

    def _on_child_failed(self, event: Event) -> None:
        raise HistoryError(f"event {event.event_id}: a child with an id of its own could not start")

    def _on_child_ended(self, event: Event) -> None:
        child = self._initiated.get(children.initiated_by(event))
        if child not in self._started or child in self._ended:
            raise HistoryError(f"event {event.event_id} ends a child that does not run")
        self._ended.add(child)

    # The program

    def _advance(self, made: list[Command]) -> None:
        program = self._program
        if self._cancel_requested and program.obeys_cancel:
            made.append(commands.cancel_workflow())
            return
        while self._position < len(program.steps):
            step = program.steps[self._position]
            if not self._entered:
                self._enter(step, made)
                self._entered = True
            if step.kind is Kind.CONTINUE or not self._leave(step, made):
                return
            self._results.append(self._outcome(step))
            self._position += 1
            self._entered = False
        made.append(self._end())

    def _end(self) -> Command:
        if self._program.fails or self._attempt <= self._program.failing_attempts:
            return commands.fail(f"attempt {self._attempt} fails as it was told")
        return commands.complete(self._results)

    def _enter(self, step: Step, made: list[Command]) -> None:
        """Begins a step."""
        made.extend(commands.schedule_activity(each) for each in step.activities)
        match step.kind:
            case Kind.TIMER | Kind.RACE:
                made.append(commands.start_timer(self._timer_id(), step.seconds))
            case Kind.SIGNAL_OTHER:
                made.extend(commands.signal_other(step.target, t) for t in self._tokens(step))
            case Kind.CANCEL_OTHER:
                made.extend(commands.cancel_other(step.target, t) for t in self._tokens(step))
            case Kind.CHILDREN:
                made.extend(self._start_child(child) for child in step.children)
            case Kind.HEARTBEAT:
                self._beats = step.count
            case Kind.MARKER:
                made.append(commands.record_marker("simulated"))
                made.append(commands.modify_memo("position", self._position))
            case Kind.CONTINUE:
                made.append(commands.continue_as_new(self._hand_over(step), self._retry_policy))

    def _leave(self, step: Step, made: list[Command]) -> bool:
        """Returns whether a step is over; ends what it leaves behind."""
        match step.kind:
            case Kind.ACTIVITIES:
                return all(each.name in self._outcomes for each in step.activities)
            case Kind.TIMER:
                return self._timer_id() in self._fired
            case Kind.RACE:
                return self._finish_race(step.activities[0], made)
            case Kind.SIGNALS:
                return len(self.signals) >= step.count
            case Kind.SIGNAL_OTHER | Kind.CANCEL_OTHER:
                return self._answered.issuperset(self._tokens(step))
            case Kind.CHILDREN:
                return all(
                    self._child_ids[child.name] in (self._ended if child.awaited else self._started)
                    for child in step.children
                )
            case Kind.HEARTBEAT:
                self._beats -= 1
                self.wants_new_task = self._beats >= 0
                return not self.wants_new_task
            case _:
                return True

    def _start_child(self, child: Child) -> Command:
        data = encode(child.program, Carried())
        retried = child.program.failing_attempts > 0
        child_id = self._child_ids[child.name] = f"{child.name} of {self._run_id}"
        return children.start_child(child_id, data, child.policy, retried=retried)

    def _finish_race(self, activity: Activity, made: list[Command]) -> bool:
        if activity.name in self._outcomes:
            if self._timer_id() not in self._fired:
                made.append(commands.cancel_timer(self._timer_id()))
            return True
        if self._timer_id() in self._fired:
            scheduled = {name: event_id for event_id, name in self._scheduled.items()}
            made.append(commands.cancel_activity(scheduled[activity.name]))
            return True
        return False

    def _outcome(self, step: Step) -> str:
        if step.kind is not Kind.ACTIVITIES:
            return step.outcome
        return " ".join(each.outcome(self._outcomes[each.name]) for each in step.activities)

    def _hand_over(self, step: Step) -> bytes:
        carried = Carried(
            position=self._position + 1,
            signals=self.signals,
            results=[*self._results, step.outcome],
        )
        return encode(self._program, carried)

    def _timer_id(self) -> str:
        return f"t{self._position}"

    def _tokens(self, step: Step) -> list[str]:
        return [f"{self._position}.{number}" for number in range(step.count)]


_HANDLERS: dict[int, Callable[[Interpreter, Event], None]] = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: Interpreter._on_started,
    events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: Interpreter._on_task_completed,
    events.EVENT_TYPE_WORKFLOW_TASK_FAILED: Interpreter._on_task_not_completed,
    events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: Interpreter._on_task_not_completed,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: Interpreter._on_signaled,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: Interpreter._on_cancel_requested,
    events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: Interpreter._on_activity_scheduled,
    events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: Interpreter._on_activity_completed,
    events.EVENT_TYPE_ACTIVITY_TASK_FAILED: Interpreter._on_activity_failed,
    events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: Interpreter._on_activity_timed_out,
    events.EVENT_TYPE_ACTIVITY_TASK_CANCELED: Interpreter._on_activity_canceled,
    events.EVENT_TYPE_TIMER_FIRED: Interpreter._on_timer_fired,
    events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: Interpreter._on_sent,
    events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: Interpreter._on_sent,
    **dict.fromkeys(commands.ANSWERS, Interpreter._on_answered),
    events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: Interpreter._on_child_initiated,
    events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: Interpreter._on_child_failed,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: Interpreter._on_child_started,
    **dict.fromkeys(children.ENDS, Interpreter._on_child_ended),
}
