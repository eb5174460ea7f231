"""The checks of children accept a sound family, and find what is broken in one place."""

from collections.abc import Callable

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import workflow_pb2 as enums

from simulation.children import TERMINATE, check_children
from simulation.commands import json_payloads
from simulation.histories_sample import HistoryMaker, workflow_task
from simulation.invariants import RESET_CAUSE, RESETTER, FinalRun

Family = dict[str, FinalRun]
ABANDON = enums.PARENT_CLOSE_POLICY_ABANDON
CHILD = WorkflowExecution(workflow_id="child", run_id="c")


def family() -> Family:
    """Returns a parent (5 initiated, 6 started, 7 completed) and its child."""
    parent = HistoryMaker("parent", "p")
    parent.add("WORKFLOW_EXECUTION_STARTED", original_execution_run_id="p")
    workflow_task(parent)
    parent.add(
        "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
        workflow_id="child",
        parent_close_policy=TERMINATE,
    )
    parent.add("CHILD_WORKFLOW_EXECUTION_STARTED", initiated_event_id=5, workflow_execution=CHILD)
    parent.add(
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        initiated_event_id=5,
        started_event_id=6,
        workflow_execution=CHILD,
        result=json_payloads("r"),
    )
    parent.add("WORKFLOW_EXECUTION_COMPLETED")
    return {"p": parent.run, "c": child("c")}


def child(run_id: str, *, parent: str = "p", end: str = "COMPLETED") -> FinalRun:
    maker = HistoryMaker("child", run_id)
    maker.add(
        "WORKFLOW_EXECUTION_STARTED",
        parent_workflow_execution=WorkflowExecution(workflow_id="parent", run_id=parent),
        parent_initiated_event_id=5,
    )
    if end == "COMPLETED":
        maker.add("WORKFLOW_EXECUTION_COMPLETED", result=json_payloads("r"))
    else:
        maker.add(f"WORKFLOW_EXECUTION_{end}")
    return maker.run


def _unhear(runs: Family) -> None:
    """Has the parent close before it hears of the end."""
    del runs["p"].events[6]


def _wait(runs: Family) -> None:
    _unhear(runs)
    runs["p"].events.pop()


def _abandon(runs: Family) -> None:
    initiated = runs["p"].events[4].start_child_workflow_execution_initiated_event_attributes
    initiated.parent_close_policy = ABANDON
    _unhear(runs)
    runs["c"] = child("c", end="TERMINATED")


def _other_result(runs: Family) -> None:
    ended = runs["p"].events[6].child_workflow_execution_completed_event_attributes
    ended.result.CopyFrom(json_payloads("another"))


def reset_family(*, point: int, end: str = "COMPLETED") -> Family:
    """Returns a family whose parent, `p`, was open and is reset: it goes on as `n`.

    Args:
        point: The first event that `n` has not; 6 keeps the child, 5 does not.
        end: How the child ends.
    """
    runs = family()
    parent, made = runs["p"], HistoryMaker("parent", "n")
    _wait(runs)
    closing = HistoryMaker()
    closing.add("WORKFLOW_EXECUTION_TERMINATED", identity=RESETTER)
    parent.events.extend(closing.run.events)
    made.run.events.extend(parent.events[: point - 1])
    made.add("WORKFLOW_TASK_FAILED", cause=RESET_CAUSE, base_run_id="p", new_run_id="n")
    made.add("WORKFLOW_EXECUTION_COMPLETED")
    return {**runs, "n": made.run, "c": child("c", end=end)}


BROKEN: dict[str, tuple[Callable[[Family], object], str]] = {
    "started twice": (lambda runs: runs.update(d=child("d")), "it was started 2 times"),
    "never there": (lambda runs: runs.pop("c"), "and there is none"),
    "a stranger's": (lambda runs: runs.update(d=child("d", parent="x")), "did not start it"),
    "told twice": (lambda runs: runs["p"].events.insert(7, runs["p"].events[6]), "2 ends"),
    "told without a start": (lambda runs: runs["p"].events.pop(5), "0 starts and 1 ends"),
    "told another end": (lambda runs: runs.update(c=child("c", end="FAILED")), "is told 2 of c"),
    "told another result": (_other_result, "another result"),
    "told of another run": (lambda runs: runs.update(c=child("d")), "is told of run c"),
    "waits for ever": (
        _wait,
        "waits for its end for ever",
    ),
    "terminated though abandoned": (_abandon, "although its parent's policy is another"),
}


def test_a_sound_family_passes() -> None:
    assert list(check_children(family())) == []


def test_a_parent_that_closes_first_needs_not_hear() -> None:
    runs = family()
    _unhear(runs)
    assert list(check_children(runs)) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_family_is_found(name: str) -> None:
    damage, problem = BROKEN[name]
    runs = family()
    damage(runs)
    assert problem in "\n".join(check_children(runs))


@pytest.mark.parametrize("end", ["COMPLETED", "TERMINATED"])
def test_a_child_that_a_reset_keeps_passes(end: str) -> None:
    assert list(check_children(reset_family(point=6, end=end))) == []


@pytest.mark.parametrize("parent", ["p", "n"])
def test_a_child_that_a_reset_keeps_is_started_once_by_either_run(parent: str) -> None:
    runs = reset_family(point=6)
    # It starts once, and the run that has ended may not have heard of it.
    del runs["p"].events[5]
    runs["c"] = child("c", parent=parent)
    assert list(check_children(runs)) == []
    runs["d"] = child("d", parent="n")
    assert "it was started 2 times" in "\n".join(check_children(runs))


def test_a_child_that_a_reset_leaves_goes_on_alone() -> None:
    assert list(check_children(reset_family(point=5))) == []
    problems = "\n".join(check_children(reset_family(point=5, end="TERMINATED")))
    assert "terminated although its parent was reset" in problems
