"""The interpreter of programs, against a server small enough to be obviously right."""

import random

import pytest
from temporalio.api.enums.v1 import command_type_pb2 as types

from simulation import commands
from simulation.histories_sample import HistoryMaker, workflow_task
from simulation.interpreter import SIGNAL_NAME, HistoryError, Interpreter, StaleStateError
from simulation.invariants import RESET_CAUSE
from simulation.programs import (
    Activity,
    Behaviour,
    Carried,
    Child,
    Kind,
    Program,
    ProgramMaker,
    Step,
    decode,
    decode_activity,
    encode,
    encode_activity,
)


class Scripted:
    """Runs a program alone: each workflow task is followed by whatever it waits for."""

    def __init__(self, program: Program, seed: int) -> None:
        self.generator = random.Random(seed)
        self.sent_signals = 0
        self.program = program
        self.runs = 0
        self.attempt = 1
        self.begin(encode(program, Carried()))

    def begin(self, data: bytes) -> None:
        self.runs += 1
        self.maker = HistoryMaker(run_id=f"r{self.runs}")
        self.input = data
        payloads = commands.raw_payloads(data)
        self.maker.add("WORKFLOW_EXECUTION_STARTED", input=payloads, attempt=self.attempt)
        self.cached = Interpreter()
        self.waiting: list[tuple[str, int, Activity | None]] = []

    def run(self) -> list[str] | str:
        """Returns the result, or how else it ended."""
        for _ in range(200):
            if (ended := self.task()) is not None:
                return ended
            self.happen()
        raise AssertionError("the program does not end")

    def task(self) -> list[str] | str | None:
        scheduled = self.maker.add("WORKFLOW_TASK_SCHEDULED").event_id
        started = self.maker.add("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled).event_id
        replayed = Interpreter()
        replayed.apply_all(self.maker.run.events)
        self.cached.apply_all(self.maker.run.events)
        made = self.cached.decide()
        assert made == replayed.decide()
        self.maker.add(
            "WORKFLOW_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=started
        )
        results = [self.perform(command) for command in made]
        return next((result for result in results if result is not None), None)

    def perform(self, command: commands.Command) -> list[str] | str | None:
        """Turns a command into its event; returns how the workflow ended, if it did."""
        match command.command_type:
            case types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION:
                new = command.continue_as_new_workflow_execution_command_attributes
                self.attempt = 1
                self.begin(new.input.payloads[0].data)
            case types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
                result: list[str] = commands.json_value(
                    command.complete_workflow_execution_command_attributes.result
                )
                return result
            case types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
                if self.attempt > self.program.failing_attempts:
                    return "failed"
                self.attempt += 1
                self.begin(self.input)
            case types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION:
                return "canceled"
            case _:
                self.record(command)
        return None

    def record(self, command: commands.Command) -> None:
        match command.command_type:
            case types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
                schedule = command.schedule_activity_task_command_attributes
                activity = decode_activity(schedule.input.payloads[0].data)
                event = self.maker.add("ACTIVITY_TASK_SCHEDULED", activity_id=activity.name)
                self.waiting.append(("activity", event.event_id, activity))
            case types.COMMAND_TYPE_START_TIMER:
                timer = command.start_timer_command_attributes.timer_id
                event = self.maker.add("TIMER_STARTED", timer_id=timer)
                self.waiting.append((timer, event.event_id, None))
            case types.COMMAND_TYPE_CANCEL_TIMER:
                timer = command.cancel_timer_command_attributes.timer_id
                self.maker.add("TIMER_CANCELED", timer_id=timer)
                self.waiting = [each for each in self.waiting if each[0] != timer]
            case types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK:
                event_id = command.request_cancel_activity_task_command_attributes
                self.maker.add(
                    "ACTIVITY_TASK_CANCEL_REQUESTED", scheduled_event_id=event_id.scheduled_event_id
                )
            case types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
                signal = command.signal_external_workflow_execution_command_attributes
                name = "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED"
                event = self.maker.add(name, control=signal.control)
                answers = (
                    "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
                    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
                )
                self.waiting.append((self.generator.choice(answers), event.event_id, None))
            case types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION:
                request = command.request_cancel_external_workflow_execution_command_attributes
                name = "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED"
                event = self.maker.add(name, control=request.control)
                answers = (
                    "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
                    "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
                )
                self.waiting.append((self.generator.choice(answers), event.event_id, None))
            case types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
                child = command.start_child_workflow_execution_command_attributes
                name = "START_CHILD_WORKFLOW_EXECUTION_INITIATED"
                event = self.maker.add(name, workflow_id=child.workflow_id)
                self.waiting.append(("CHILD_WORKFLOW_EXECUTION_STARTED", event.event_id, None))
            case types.COMMAND_TYPE_RECORD_MARKER:
                self.maker.add("MARKER_RECORDED")
            case types.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES:
                self.maker.add("WORKFLOW_PROPERTIES_MODIFIED")

    def happen(self) -> None:
        """Ends one thing that the program waits for."""
        if self.sent_signals < self.program.signals:
            self.signal()
        if not self.waiting:
            return
        name, event_id, activity = self.waiting.pop(self.generator.randrange(len(self.waiting)))
        if "CHILD_WORKFLOW_EXECUTION" in name:
            self.maker.add(name, initiated_event_id=event_id)
            if name.endswith("_STARTED"):
                ended = "CHILD_WORKFLOW_EXECUTION_COMPLETED"
                self.waiting.append((ended, event_id, None))
            return
        if "EXTERNAL_WORKFLOW_EXECUTION" in name:
            self.maker.add(name, initiated_event_id=event_id)
            return
        if activity is None:
            self.maker.add("TIMER_FIRED", timer_id=name, started_event_id=event_id)
            return
        started = self.maker.add("ACTIVITY_TASK_STARTED", scheduled_event_id=event_id).event_id
        if activity.behaviours[-1] is Behaviour.FAIL_FOR_GOOD:
            self.maker.add(
                "ACTIVITY_TASK_FAILED", scheduled_event_id=event_id, started_event_id=started
            )
            return
        self.maker.add(
            "ACTIVITY_TASK_COMPLETED",
            scheduled_event_id=event_id,
            started_event_id=started,
            result=commands.json_payloads(activity.name),
        )

    def signal(self) -> None:
        self.sent_signals += 1
        token = commands.json_payloads(f"s{self.sent_signals}")
        self.maker.add("WORKFLOW_EXECUTION_SIGNALED", signal_name=SIGNAL_NAME, input=token)


@pytest.mark.parametrize("seed", range(150))
def test_programs_come_to_their_result_from_memory_and_from_history(seed: int) -> None:
    generator = random.Random(seed)
    failing = generator.choice((0, 0, 2))
    program = ProgramMaker(generator).program(
        length=generator.randint(1, 6),
        without=(Kind.SIGNALS,) if failing else (),
        failing_attempts=failing,
    )
    scripted = Scripted(program, seed)
    assert scripted.run() == program.result


def test_a_program_survives_its_encoding() -> None:
    program = ProgramMaker(random.Random(5)).program(length=9, fails=True)
    carried = Carried(position=3, signals=["a"], results=["timer"])
    assert decode(encode(program, carried)) == (program, carried)
    activity = Activity(name="a", behaviours=(Behaviour.FAIL, Behaviour.SUCCEED))
    assert decode_activity(encode_activity(activity)) == activity
    assert [activity.behaviour(attempt) for attempt in (1, 2, 3)] == ["fail", "succeed", "succeed"]


def test_a_program_that_fails_or_obeys_cancel_ends_so() -> None:
    step = Step(kind=Kind.TIMER, seconds=1)
    assert Scripted(Program(steps=(step,), fails=True), 1).run() == "failed"
    scripted = Scripted(Program(steps=(step,), obeys_cancel=True), 1)
    scripted.maker.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    assert scripted.run() == "canceled"


@pytest.fixture
def waiting() -> HistoryMaker:
    """A run whose first task has started a timer."""
    maker = HistoryMaker()
    program = Program(steps=(Step(kind=Kind.TIMER, seconds=1),))
    payloads = commands.raw_payloads(encode(program, Carried()))
    maker.add("WORKFLOW_EXECUTION_STARTED", input=payloads, attempt=1)
    workflow_task(maker)
    return maker


def test_a_command_that_turned_into_something_else_is_found(waiting: HistoryMaker) -> None:
    waiting.add("TIMER_STARTED", timer_id="t7")
    with pytest.raises(HistoryError, match="but the command was"):
        Interpreter().apply_all(waiting.run.events)


def test_a_command_that_left_no_event_is_found(waiting: HistoryMaker) -> None:
    workflow_task(waiting)
    with pytest.raises(HistoryError, match="commands without events"):
        Interpreter().apply_all(waiting.run.events)


def test_an_event_without_a_command_is_found(waiting: HistoryMaker) -> None:
    waiting.add("TIMER_STARTED", timer_id="t0")
    waiting.add("MARKER_RECORDED")
    with pytest.raises(HistoryError, match="without a command"):
        Interpreter().apply_all(waiting.run.events)


def test_a_gap_is_found(waiting: HistoryMaker) -> None:
    del waiting.run.events[2]
    with pytest.raises(HistoryError, match="event 4 comes after 2"):
        Interpreter().apply_all(waiting.run.events)


def test_a_decision_that_was_lost_is_found(waiting: HistoryMaker) -> None:
    interpreter = Interpreter()
    interpreter.apply_all(waiting.run.events[:3])
    interpreter.decide()
    waiting.run.events.pop()
    waiting.add("WORKFLOW_TASK_TIMED_OUT", scheduled_event_id=2, started_event_id=3)
    with pytest.raises(StaleStateError):
        interpreter.apply_all(waiting.run.events)


def test_children_are_named_by_the_run_that_a_reset_has_made() -> None:
    ends = Program(steps=())
    old, new = (
        Step(
            kind=Kind.CHILDREN,
            children=(Child(name=name, program=ends, policy="ABANDON", awaited=True),),
        )
        for name in ("old", "new")
    )
    maker = HistoryMaker()
    payloads = commands.raw_payloads(encode(Program(steps=(old, new)), Carried()))
    maker.add("WORKFLOW_EXECUTION_STARTED", input=payloads, original_execution_run_id="r")
    workflow_task(maker)
    name = "START_CHILD_WORKFLOW_EXECUTION_INITIATED"
    initiated = maker.add(name, workflow_id="old of r").event_id
    maker.add("CHILD_WORKFLOW_EXECUTION_STARTED", initiated_event_id=initiated)
    maker.add("WORKFLOW_TASK_FAILED", cause=RESET_CAUSE, base_run_id="r", new_run_id="r2")
    maker.add("CHILD_WORKFLOW_EXECUTION_COMPLETED", initiated_event_id=initiated)
    interpreter = Interpreter()
    interpreter.apply_all(maker.run.events)
    (made,) = interpreter.decide()
    assert made.start_child_workflow_execution_command_attributes.workflow_id == "new of r2"
