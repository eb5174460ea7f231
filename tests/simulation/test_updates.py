"""The checks of updates accept what was promised, and find what is broken in one place."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.api.update.v1 import Meta, Outcome
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionResponse

from simulation.commands import json_payloads
from simulation.histories_sample import HistoryMaker
from simulation.invariants import FinalRun
from simulation.updates import OUTLIVED, Asked, Fate, judge, updates_happened_once


def _run(*, accepted: int = 1, completed: int = 1, outcome: str = "u") -> FinalRun:
    maker = HistoryMaker()
    for _ in range(accepted):
        maker.add("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", protocol_instance_id="u")
    for _ in range(completed):
        maker.add(
            "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
            meta=Meta(update_id="u"),
            outcome=Outcome(success=json_payloads(outcome)),
        )
    return maker.run


@dataclass
class Sample:
    """An update that a client was told of, and the history of its run."""

    asked: dict[str, Asked] = field(
        default_factory=lambda: {"u": Asked("w", Fate.COMPLETED, completed_in="r", accepted_in="r")}
    )
    run: FinalRun = field(default_factory=_run)

    def problems(self) -> str:
        """Returns what is found wrong."""
        histories = {"r": (self.run.workflow_id, self.run.events)}
        return "\n".join(updates_happened_once(self.asked, histories))


BROKEN: dict[str, tuple[Callable[[Sample], object], str]] = {
    "accepted twice": (lambda each: setattr(each, "run", _run(accepted=2)), "accepted 2 times"),
    "completed twice": (lambda each: setattr(each, "run", _run(completed=2)), "completed twice"),
    "unasked": (lambda each: setattr(each, "run", _run(accepted=0)), "or unasked, in r"),
    "outcome of another": (
        lambda each: setattr(each, "run", _run(outcome="v")),
        "another one's outcome",
    ),
    "never asked": (lambda each: each.asked.clear(), "never asked of w"),
    "of another workflow": (
        lambda each: setattr(each.asked["u"], "workflow_id", "x"),
        "never asked of w",
    ),
    "to be rejected": (
        lambda each: setattr(each.asked["u"], "fate", Fate.REJECTED),
        "has to be refused",
    ),
    "end lost": (
        lambda each: setattr(each, "run", _run(completed=0)),
        "update u of w was acknowledged and is lost",
    ),
    "acceptance lost": (
        lambda each: setattr(each, "run", _run(accepted=0, completed=0)),
        "update u of w was accepted and is lost",
    ),
}


def test_an_update_that_happened_once_passes() -> None:
    assert Sample().problems() == ""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_update_is_found(name: str) -> None:
    damage, problem = BROKEN[name]
    sample = Sample()
    damage(sample)
    assert problem in sample.problems()


def _answer(outcome: Outcome) -> UpdateWorkflowExecutionResponse:
    answer = UpdateWorkflowExecutionResponse(outcome=outcome)
    answer.update_ref.workflow_execution.run_id = "r"
    return answer


def test_an_answer_must_be_what_the_update_asks_for() -> None:
    success, other = (_answer(Outcome(success=json_payloads(token))) for token in ("u", "v"))
    refused, outlived = (_answer(Outcome(failure=Failure(message="no"))) for _ in range(2))
    outlived.outcome.failure.application_failure_info.type = OUTLIVED
    taken, rejected = Asked("w", Fate.COMPLETED), Asked("w", Fate.REJECTED)
    assert judge(taken, "u", success) == judge(taken, "u", outlived) == ""
    assert judge(rejected, "u", refused) == ""
    assert taken.completed_in == "r"
    assert "has succeeded" in judge(taken, "u", other)
    assert "has succeeded" in judge(rejected, "u", success)
    assert "was accepted" in judge(rejected, "u", outlived)
    assert "was rejected: no" in judge(taken, "u", refused)
