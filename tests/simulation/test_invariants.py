"""Every check accepts what is sound, and finds what is not."""

from collections.abc import Callable

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import workflow_pb2 as enums

from simulation.clock import SimulatedClock
from simulation.commands import duration, json_payloads
from simulation.histories import check_history
from simulation.histories_sample import HistoryMaker, sample_run
from simulation.invariants import (
    Expectation,
    FinalRun,
    check_chains,
    check_ends,
    check_promises,
    deleted_runs_are_gone,
    messages_arrived_once,
    status,
)
from simulation.ledger import Ledger, Signal, Start
from simulation.loop import SimulatedLoop
from simulation.plans import COMPLETED, TERMINATED
from simulation.trace import Trace


@pytest.fixture
def trace(loop: SimulatedLoop) -> Trace:
    return Trace(clock=SimulatedClock(loop=loop))


@pytest.fixture
def ledger(trace: Trace) -> Ledger:
    """A ledger whose every promise `sample_run` keeps."""
    ledger = Ledger(trace=trace)
    ledger.starts += [Start("w", "q1", "r", True), Start("w", "q1", "r", True)]
    ledger.signals["s1"] = Signal("w", "", acknowledged=True)
    ledger.saw_history("r", sample_run().events)
    ledger.delivered("activity", "r", "a1", 1)
    ledger.delivered("activity", "r", "a1", 2)
    ledger.completed_activity("r", "a1", 2)
    ledger.completed_task("r", 4)
    return ledger


def test_a_sound_history_passes() -> None:
    assert list(check_history(sample_run())) == []


def _move(run: FinalRun, index: int, seconds: int) -> None:
    run.events[index].event_time.seconds += seconds


BROKEN_HISTORIES: dict[str, tuple[Callable[[FinalRun], object], str]] = {
    "gap": (lambda run: run.events.pop(1), "event 3 is at position 2"),
    "renumbered": (lambda run: setattr(run.events[5], "event_id", 99), "event 99 is at position"),
    "empty": (lambda run: run.events.clear(), "no events"),
    "no start": (lambda run: setattr(run.events[0], "event_type", 26), "its only start"),
    "never ended": (lambda run: run.events.pop(), "never ended"),
    "ended twice": (lambda run: run.events.append(run.events[-1]), "close events at [14, 15]"),
    "task started twice": (
        lambda run: run.events.insert(4, run.events[3]),
        "event 4 starts 3, pending is 3",
    ),
    "task of another": (
        lambda run: setattr(
            run.events[4].workflow_task_completed_event_attributes, "started_event_id", 2
        ),
        "ends (3, 2), pending is (3, 4)",
    ),
    "two tasks at once": (
        lambda run: run.events.insert(3, run.events[2]),
        "is scheduled while 3 is pending",
    ),
    "activity started twice": (
        lambda run: run.events.insert(8, run.events[7]),
        "activity 6, which is not waiting",
    ),
    "activity ended twice": (
        lambda run: run.events.insert(9, run.events[8]),
        "ends activity 6, which is not pending",
    ),
    "activity end without start": (lambda run: run.events.pop(7), "names start 8"),
    "timer fired twice": (
        lambda run: run.events.insert(10, run.events[9]),
        "fires a timer that is not pending",
    ),
    "timer fired early": (lambda run: _move(run, 9, -1), "fires 1000000000 ns early"),
    "time goes back": (lambda run: _move(run, 12, -9), "before an earlier one"),
}


@pytest.mark.parametrize("name", BROKEN_HISTORIES)
def test_a_broken_history_is_found(name: str) -> None:
    breaks, sentence = BROKEN_HISTORIES[name]
    run = sample_run()
    breaks(run)
    assert sentence in "\n".join(check_history(run))


def test_an_early_timeout_is_found() -> None:
    maker = HistoryMaker()
    maker.add("WORKFLOW_EXECUTION_STARTED")
    maker.add("ACTIVITY_TASK_SCHEDULED", activity_id="a", start_to_close_timeout=duration(10))
    maker.add("ACTIVITY_TASK_STARTED", scheduled_event_id=2, attempt=1)
    event = maker.add("ACTIVITY_TASK_TIMED_OUT", scheduled_event_id=2, started_event_id=3)
    failure = event.activity_task_timed_out_event_attributes.failure
    failure.timeout_failure_info.timeout_type = enums.TIMEOUT_TYPE_START_TO_CLOSE
    assert "times out 9000000000 ns early" in "\n".join(check_history(maker.run))


def test_kept_promises_pass(ledger: Ledger, trace: Trace) -> None:
    assert list(check_promises(ledger, {"r": sample_run()})) == []
    assert trace.violations == []


def test_a_lost_run_is_found(ledger: Ledger) -> None:
    problems = "\n".join(check_promises(ledger, {}))
    assert "run r of w was acknowledged and does not exist" in problems
    assert "run r was seen and does not exist" in problems
    assert "signal s1 to w was acknowledged and is lost" in problems
    assert "activity a1 ran for run r, which does not exist" in problems
    assert "the accepted completion of task 4 of r is lost" in problems


def test_one_request_with_two_runs_is_found(ledger: Ledger) -> None:
    ledger.starts.append(Start("w", "q1", "r2", True))
    runs = {"r": sample_run(), "r2": sample_run(run_id="r2")}
    assert "request q1 of w started two runs" in "\n".join(check_promises(ledger, runs))


def test_a_signal_that_arrived_twice_is_found(ledger: Ledger) -> None:
    run = sample_run()
    run.events[9].CopyFrom(run.events[1])
    assert "is there 2 times in run r" in "\n".join(check_promises(ledger, {"r": run}))


def test_a_signal_that_nobody_sent_is_found(ledger: Ledger) -> None:
    run = sample_run()
    input_ = run.events[1].workflow_execution_signaled_event_attributes.input
    input_.CopyFrom(json_payloads("forged"))
    assert "signal forged was never sent" in "\n".join(check_promises(ledger, {"r": run}))


def test_a_lost_cancel_request_and_termination_are_found(ledger: Ledger) -> None:
    ledger.cancels.add("w")
    ledger.terminations.add("w")
    problems = "\n".join(check_promises(ledger, {"r": sample_run()}))
    assert "request to cancel w is lost" in problems
    assert "termination of w is lost" in problems


def messages(*answers: str, arrivals: int = 1, target: str = "target") -> str:
    """Returns what is found wrong with a signal and a cancel request, answered so or not at all."""
    sender, receiver = HistoryMaker("sender", "s"), HistoryMaker(target, "t")
    other, itself = WorkflowExecution(workflow_id="target"), WorkflowExecution(run_id="s")
    sent = {"workflow_execution": other, "control": "1.0"}
    token = json_payloads("1.0")
    sender.add("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED", input=token, **sent)
    sender.add("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED", **sent)
    for initiated, name in enumerate(answers, start=1):
        sender.add(name, initiated_event_id=initiated)
    origin = {"external_workflow_execution": itself}
    for _ in range(arrivals):
        receiver.add("WORKFLOW_EXECUTION_SIGNALED", input=token, **origin)
        receiver.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED", external_initiated_event_id=2, **origin)
    return "\n".join(messages_arrived_once({"s": sender.run, "t": receiver.run}))


def test_what_workflows_send_each_other_is_held_against_the_histories() -> None:
    taken = (
        "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
        "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
    )
    refused = (
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
    )
    assert messages(*taken) == messages(arrivals=0) == messages() == ""
    assert messages(*refused, arrivals=0) == ""
    # A request to cancel may have been the second one; a signal may not.
    assert messages(*taken, arrivals=0).count("it is not there") == 1
    assert messages(*refused).count("was refused, its sender was told, and it is there") == 2
    assert messages(*taken, arrivals=2).count("has come 2 times") == 2
    assert messages(*taken, target="another").count("was for target, and has come to another") == 2


def test_a_message_that_nobody_sent_is_found() -> None:
    receiver = HistoryMaker("target", "t")
    receiver.add(
        "WORKFLOW_EXECUTION_SIGNALED",
        input=json_payloads("1.0"),
        external_workflow_execution=WorkflowExecution(run_id="s"),
    )
    assert "nobody has sent it" in "\n".join(messages_arrived_once({"t": receiver.run}))


def test_seen_events_that_vanish_or_change_are_found(ledger: Ledger, trace: Trace) -> None:
    run = sample_run()
    run.events[1].event_time.seconds += 1
    del run.events[13]
    problems = "\n".join(check_promises(ledger, {"r": run}))
    assert "event 2 of run r is not what was seen" in problems
    assert "event 14 of run r was seen and is lost" in problems
    ledger.saw_history("r", run.events)
    assert "event 2 of run r has changed" in trace.violations[0]


def test_an_attempt_without_a_record_is_found(ledger: Ledger) -> None:
    ledger.delivered("activity", "r", "a1", 3)
    problems = "\n".join(check_promises(ledger, {"r": sample_run()}))
    assert "activity a1 of r ran attempt 3, but its history ends with attempt 2" in problems


def test_a_lost_result_is_found(ledger: Ledger) -> None:
    ledger.completed_activities["r", "a1"] = 1
    problems = "\n".join(check_promises(ledger, {"r": sample_run()}))
    assert "the accepted result of activity a1 of r, attempt 1, is lost" in problems


def test_work_that_is_done_twice_is_found_at_once(ledger: Ledger, trace: Trace) -> None:
    ledger.delivered("activity", "r", "a1", 2)
    ledger.completed_activity("r", "a1", 2)
    ledger.completed_task("r", 4)
    assert trace.violations == [
        "attempt 2 of activity a1 of r runs twice",
        "activity a1 of r was completed twice",
        "task 4 of r was completed twice",
    ]


def test_the_expected_end_passes_and_others_are_found() -> None:
    run = sample_run()

    def problems(*statuses: int, result: str = "done", chains: int = 1) -> str:
        expected = Expectation(frozenset(statuses), [result], frozenset({chains}))
        return "\n".join(check_ends({"w": expected}, {"r": run}))

    assert status(run) == COMPLETED
    assert problems(COMPLETED, TERMINATED) == ""
    assert "ended as WORKFLOW_EXECUTION_STATUS_COMPLETED" in problems(TERMINATED)
    assert "returned ['done'] instead of ['other']" in problems(COMPLETED, result="other")
    assert "w has 1 chains of runs" in problems(COMPLETED, chains=2)


def test_a_broken_chain_is_found() -> None:
    maker = HistoryMaker()
    maker.add("WORKFLOW_EXECUTION_STARTED")
    maker.add("WORKFLOW_EXECUTION_CONTINUED_AS_NEW", new_execution_run_id="r2")
    runs = {"r": maker.run}
    assert "continued by r2, which does not exist" in "\n".join(check_chains(runs))
    runs["r2"] = sample_run(run_id="r2")
    assert "does not say that it continues r" in "\n".join(check_chains(runs))
    first = runs["r2"].events[0].workflow_execution_started_event_attributes
    first.continued_execution_run_id = "r"
    assert list(check_chains(runs)) == []


def test_a_deleted_run_that_is_there_is_found(ledger: Ledger) -> None:
    runs = {"r": sample_run()}
    ledger.deleted["r"] = False
    assert list(deleted_runs_are_gone(ledger, runs)) == []
    ledger.deleted["r"] = True
    assert list(deleted_runs_are_gone(ledger, runs)) == ["run r of w is deleted, and is there"]
    assert list(deleted_runs_are_gone(ledger, {})) == []


def test_nothing_is_promised_of_deleted_runs(ledger: Ledger) -> None:
    ledger.deleted["r"] = True
    ledger.forget_deleted()
    assert list(check_promises(ledger, {})) == ["signal s1 to w was acknowledged and is lost"]
