"""The checks of resets accept a sound one, and find what is broken in one place."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import HistoryEvent

from simulation.clock import SimulatedClock
from simulation.commands import json_payloads
from simulation.histories_sample import HistoryMaker, workflow_task
from simulation.invariants import RESET_CAUSE, RESETTER, FinalRun
from simulation.ledger import Ledger, Reset, Signal
from simulation.loop import SimulatedLoop
from simulation.plans import NO_SIGNALS, NO_UPDATES, Excluded
from simulation.resets import check_resets
from simulation.trace import Trace
from simulation.updates import Fate, request_of

SENDER = WorkflowExecution(workflow_id="sender", run_id="s")
POINT = 5


@dataclass
class Sample:
    """A workflow that was reset, and what its clients were told.

    Attributes:
        ledger: The promises: both signals, and the reset, which two clients have asked for.
        runs: The base, of whose 11 events 5 is the point, and the run that is made of it.
    """

    ledger: Ledger
    runs: dict[str, FinalRun]

    @property
    def reset(self) -> Reset:
        """The reset."""
        return self.ledger.resets[0]

    def problems(self) -> str:
        """Returns what is found wrong."""
        return "\n".join(check_resets(self.ledger, self.runs))

    def find(self, run_id: str, name: str) -> HistoryEvent:
        """Returns the last event of a type, as in `find("new", "WORKFLOW_EXECUTION_SIGNALED")`."""
        wanted = events.EventType.Value(f"EVENT_TYPE_{name}")
        return next(
            event for event in reversed(self.runs[run_id].events) if event.event_type == wanted
        )

    def drop(self, run_id: str, name: str) -> None:
        """Takes the last event of a type away."""
        self.runs[run_id].events.remove(self.find(run_id, name))

    def repeat(self, run_id: str, name: str) -> None:
        """Has the last event of a type come twice."""
        found = self.find(run_id, name)
        run_events = self.runs[run_id].events
        run_events.insert(run_events.index(found), found)

    def exclude(self, *excluded: Excluded.ValueType) -> None:
        """Has the request exclude something."""
        self.ledger.resets = [replace(each, excluded=excluded) for each in self.ledger.resets]


def _begin(maker: HistoryMaker) -> None:
    """Adds what is before the point: 1 started, 2 to 4 a task that is started."""
    maker.add("WORKFLOW_EXECUTION_STARTED", attempt=1, original_execution_run_id="base")
    maker.add("WORKFLOW_EXECUTION_SIGNALED", input=json_payloads("s1"))
    scheduled = maker.add("WORKFLOW_TASK_SCHEDULED").event_id
    maker.add("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled)


def _signals(maker: HistoryMaker) -> None:
    maker.add("WORKFLOW_EXECUTION_SIGNALED", input=json_payloads("s2"))
    maker.add(
        "WORKFLOW_EXECUTION_SIGNALED",
        input=json_payloads("1.0"),
        external_workflow_execution=SENDER,
    )


@pytest.fixture
def sample(loop: SimulatedLoop) -> Sample:
    base, made = HistoryMaker("w", "base"), HistoryMaker("w", "new")
    _begin(base)
    base.add("WORKFLOW_TASK_COMPLETED", scheduled_event_id=3, started_event_id=4)
    base.add("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", protocol_instance_id="u")
    _signals(base)
    workflow_task(base)
    base.add("WORKFLOW_EXECUTION_TERMINATED", identity=RESETTER)
    _begin(made)
    made.add("WORKFLOW_TASK_FAILED", cause=RESET_CAUSE, base_run_id="base", new_run_id="new")
    made.add(
        "WORKFLOW_EXECUTION_UPDATE_ADMITTED",
        request=request_of("n", "w", "u", Fate.COMPLETED).request,
    )
    _signals(made)
    workflow_task(made)
    made.add("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", protocol_instance_id="u")
    made.add("WORKFLOW_EXECUTION_COMPLETED")
    ledger = Ledger(trace=Trace(clock=SimulatedClock(loop=loop)))
    ledger.signals = {token: Signal("w", "", acknowledged=True) for token in ("s1", "s2")}
    ledger.resets = [Reset("w", "base", POINT, (), "q", "new")] * 2
    return Sample(ledger, {"base": base.run, "new": made.run})


def _rename(sample: Sample) -> None:
    sample.runs["other"] = sample.runs["new"]
    sample.ledger.resets[1] = replace(sample.reset, run_id="other")


def _make_of_another(sample: Sample) -> None:
    failed = sample.find("new", "WORKFLOW_TASK_FAILED").workflow_task_failed_event_attributes
    failed.base_run_id = "another"


def _change_before(sample: Sample) -> None:
    sample.runs["new"].events[1].event_time.seconds += 1


def _end(run_id: str, name: str, **attributes: str) -> Callable[[Sample], None]:
    def change(sample: Sample) -> None:
        maker = HistoryMaker()
        maker.add(name, **attributes)
        sample.runs[run_id].events[-1] = maker.run.events[0]

    return change


def _send(sample: Sample) -> None:
    sample.ledger.signals["s3"] = Signal("w", "", acknowledged=True)


def _lose_update(sample: Sample) -> None:
    sample.drop("new", "WORKFLOW_EXECUTION_UPDATE_ADMITTED")
    sample.drop("new", "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")


def _exclude_with_repetition(sample: Sample) -> None:
    sample.exclude(NO_SIGNALS)
    sample.runs["new"].events.append(sample.find("new", "WORKFLOW_EXECUTION_SIGNALED"))


BROKEN: dict[str, tuple[Callable[[Sample], object], str]] = {
    "two runs": (_rename, "reset q of w made two runs"),
    "unknown": (lambda sample: sample.ledger.resets.clear(), "by a reset that nobody knows of"),
    "lost": (lambda sample: sample.runs.pop("new"), "run new is not made of base"),
    "of another": (_make_of_another, "run new is not made of base"),
    "other beginning": (_change_before, "does not begin with the 4 events before the point"),
    "moved": (
        lambda sample: setattr(sample.find("new", "WORKFLOW_TASK_FAILED"), "event_id", 9),
        "it is reset by event 9, the point is 5",
    ),
    "failed": (_end("new", "WORKFLOW_EXECUTION_FAILED"), "it ended with status 3"),
    "base goes on": (_end("base", "TIMER_FIRED"), "the other one ended with status 1"),
    "base terminated by another": (
        _end("base", "WORKFLOW_EXECUTION_TERMINATED", identity="client"),
        "the other one was terminated by 'client'",
    ),
    "signal lost": (
        lambda sample: sample.drop("new", "WORKFLOW_EXECUTION_SIGNALED"),
        "signal Sent(run_id='s', what='1.0') is there 0 times",
    ),
    "signal doubled": (
        lambda sample: sample.repeat("new", "WORKFLOW_EXECUTION_SIGNALED"),
        "signal Sent(run_id='s', what='1.0') is there 2 times",
    ),
    "acknowledged signal lost": (_send, "signal s3 was acknowledged and is lost"),
    "excluded signal": (
        lambda sample: sample.exclude(NO_SIGNALS),
        "event 7 is a signal, which is excluded",
    ),
    "excluded signal doubled": (_exclude_with_repetition, "is there 2 times"),
    "update lost": (_lose_update, "update u is lost"),
    "update doubled": (
        lambda sample: sample.repeat("new", "WORKFLOW_EXECUTION_UPDATE_ADMITTED"),
        "update u is admitted 2 times",
    ),
    "update unanswered": (
        lambda sample: setattr(
            sample.find(
                "new", "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"
            ).workflow_execution_update_accepted_event_attributes,
            "protocol_instance_id",
            "v",
        ),
        "update u is admitted, and its worker does not answer",
    ),
    "excluded update": (
        lambda sample: sample.exclude(NO_UPDATES),
        "update u is admitted, which is excluded",
    ),
}


def test_a_sound_reset_passes(sample: Sample) -> None:
    assert sample.problems() == ""


def test_a_reset_of_a_closed_run_passes(sample: Sample) -> None:
    _end("base", "WORKFLOW_EXECUTION_COMPLETED")(sample)
    assert sample.problems() == ""


def test_a_reset_without_what_is_excluded_passes(sample: Sample) -> None:
    sample.exclude(NO_SIGNALS, NO_UPDATES)
    for name in ("SIGNALED", "SIGNALED", "UPDATE_ADMITTED"):
        sample.drop("new", f"WORKFLOW_EXECUTION_{name}")
    assert sample.problems() == ""


def test_a_run_that_closes_with_its_first_task_needs_not_answer(sample: Sample) -> None:
    sample.drop("new", "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")
    assert sample.problems() == ""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_reset_is_found(name: str, sample: Sample) -> None:
    damage, problem = BROKEN[name]
    damage(sample)
    assert problem in sample.problems()
