"""The check of the schedule's actions finds what is wrong."""

import random
from typing import cast

import pytest

from simulation.histories_sample import HistoryMaker
from simulation.invariants import FinalRun
from simulation.rpc import Frontend
from simulation.schedules import ScheduleClient


def _client() -> ScheduleClient:
    generator = random.Random(1)
    # A check calls nobody.
    return ScheduleClient(generator=generator, frontend=cast(Frontend, None), seconds=30.0)


def _runs(count: int) -> dict[str, FinalRun]:
    return {
        f"run-{number}": _run(f"scheduled-{number}", f"run-{number}") for number in range(count)
    }


def _run(workflow_id: str, run_id: str, end: str = "COMPLETED") -> FinalRun:
    maker = HistoryMaker(workflow_id, run_id)
    maker.add(f"WORKFLOW_EXECUTION_{end}")
    return maker.run


def test_one_run_for_each_action_is_right() -> None:
    client = _client()
    assert list(client.check(_runs(client.actions))) == []


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_run_too_few_or_too_many_is_seen(difference: int) -> None:
    client = _client()
    problems = list(client.check(_runs(client.actions + difference)))
    assert len(problems) == 1


def test_a_time_that_started_two_runs_is_seen() -> None:
    client = _client()
    runs = _runs(client.actions - 1)
    runs["another"] = _run("scheduled-0", "another")
    assert list(client.check(runs)) == ["the actions of the schedule include 2 runs of scheduled-0"]


def test_an_end_that_the_policy_does_not_foresee_is_seen() -> None:
    client = _client()
    runs = _runs(client.actions)
    runs["run-0"] = _run("scheduled-0", "run-0", "FAILED")
    assert list(client.check(runs)) == [
        "the actions of the schedule include run-0, which ended with status 3"
    ]


def test_an_action_that_was_acknowledged_and_is_lost_is_seen() -> None:
    client = _client()
    client.taken["lost"] = "scheduled-9"
    problems = list(client.check(_runs(client.actions)))
    assert problems == [
        "the actions of the schedule include lost, which was acknowledged and does not exist"
    ]
