"""The checks of children accept a sound family, and find what is broken in one place."""

from collections.abc import Callable

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import workflow_pb2 as enums

from simulation.children import TERMINATE, check_children
from simulation.commands import json_payloads
from simulation.histories_sample import HistoryMaker, workflow_task
from simulation.invariants import FinalRun

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
