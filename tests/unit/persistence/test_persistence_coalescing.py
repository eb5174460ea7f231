"""Transitions of one batch are folded into net rows, and contradictions are found at once."""

from dataclasses import replace

import pytest

from contract.rows import (
    batch,
    deletion,
    item,
    message,
    receipt,
    results,
    start,
    step,
    task,
    timer,
    transition,
    visible,
)
from perdure.core.commit import Commit
from perdure.persistence.coalescing import Plan, fold
from perdure.persistence.ports import Result, Shard

SHARD = Shard(0, 16_383, "node", 1)


def folded(*commits: Commit) -> Plan:
    """Returns the one plan of transitions that all fit."""
    (plan,), outcomes = fold(commits)
    assert results(outcomes) == [Result.COMMITTED] * len(commits)
    return plan


def test_an_empty_batch_writes_nothing() -> None:
    (plan,), outcomes = fold([])
    assert plan == Plan()
    assert outcomes == []


def test_the_first_expectation_of_a_run_and_its_last_state_remain() -> None:
    plan = folded(
        transition(SHARD, step("run-1", 4, b"five", history=[batch(7, 8)])),
        transition(SHARD, step("run-1", 5, b"six", history=[batch(9, 9)])),
    )
    row = plan.runs["run-1"]
    assert (row.expected_version, row.version, row.state) == (4, 6, b"six")
    events = [(run_id, part.first_event_id) for run_id, part in plan.history]
    assert events == [("run-1", 7), ("run-1", 9)]


def test_the_first_expectation_of_the_current_run_and_the_last_run_remain() -> None:
    plan = folded(
        start(SHARD, "run-2", replacing="run-1"), start(SHARD, "run-3", replacing="run-2")
    )
    (row,) = plan.current.values()
    assert (row.expected_run_id, row.run_id) == ("run-1", "run-3")


@pytest.mark.parametrize(
    ("second", "result", "detail"),
    [
        (step("run-1", 4), Result.VERSION_MISMATCH, "run run-1 has version 5"),
        (step("run-1", 6), Result.VERSION_MISMATCH, "run run-1 has version 5"),
        (step("run-1", 0), Result.VERSION_MISMATCH, "run run-1 has version 5"),
    ],
)
def test_a_version_that_an_earlier_transition_replaced(
    second: object, result: Result, detail: str
) -> None:
    (plan,), outcomes = fold(
        [
            transition(SHARD, step("run-1", 4, b"kept")),
            transition(SHARD, second, tasks=[task(1)]),  # type: ignore[arg-type]
        ]
    )
    assert (outcomes[1].result, outcomes[1].detail) == (result, detail)
    assert plan.runs["run-1"].state == b"kept"
    assert not plan.tasks


def test_a_current_run_that_an_earlier_transition_replaced() -> None:
    (plan,), outcomes = fold([start(SHARD, "run-1"), start(SHARD, "run-2")])
    assert results(outcomes) == [Result.COMMITTED, Result.CURRENT_MISMATCH]
    assert outcomes[1].detail == "the current run is 'run-1'"
    assert list(plan.runs) == ["run-1"]
    assert list(plan.visibility) == ["run-1"]


def test_names_are_those_of_a_namespace() -> None:
    other = start(SHARD, "run-2")
    other.namespace_id = "another namespace"
    assert len(folded(start(SHARD, "run-1"), other).current) == 2


def test_the_last_word_on_an_item_counts() -> None:
    plan = folded(
        transition(SHARD, step("run-1", 1, items_put={item("a"): b"1", item("b"): b"1"})),
        transition(SHARD, step("run-1", 2, items_deleted={item("a")}, items_put={item("c"): b"2"})),
        transition(SHARD, step("run-1", 3, items_put={item("c"): b"3"})),
    )
    items = {key: data for (_, _, key), data in plan.items.items()}
    assert items == {"a": None, "b": b"1", "c": b"3"}


def test_an_item_that_one_transition_deletes_and_puts_is_put() -> None:
    write = step("run-1", 1, items_deleted={item("a")}, items_put={item("a"): b"new"})
    assert list(folded(transition(SHARD, write)).items.values()) == [b"new"]


def test_an_outbox_row_of_an_earlier_batch_is_deleted_before_it_is_put() -> None:
    again = replace(task(1), attempt=2)
    plan = folded(
        transition(SHARD, tasks_deleted=[task(1).key], timers_deleted=[timer(5)]),
        transition(SHARD, tasks=[again], timers=[timer(5)]),
    )
    assert plan.tasks_deleted == {task(1).key}
    assert plan.tasks == {task(1).key: again}
    assert plan.timers_deleted == {timer(5)}
    assert list(plan.timers) == [timer(5)]


def test_the_last_visibility_row_of_a_run_wins() -> None:
    closed = visible("run-1", close_time=9, status=2)
    plan = folded(
        transition(SHARD, visibility=[visible("run-1")]), transition(SHARD, visibility=[closed])
    )
    assert plan.visibility == {"run-1": closed}


def test_deletions_of_several_workflows_are_one_plan() -> None:
    plan = folded(
        transition(SHARD, deletion("run-1", 3), workflow_id="one"),
        transition(SHARD, deletion("run-2", 4), workflow_id="two"),
        start(SHARD, "run-3", "three"),
    )
    assert {run: version for run, (*_, version) in plan.runs_deleted.items()} == {
        "run-1": 3,
        "run-2": 4,
    }
    assert list(plan.runs) == ["run-3"]


def test_a_deleted_run_is_not_listed_again() -> None:
    commit = transition(SHARD, deletion("run-1", 3), visibility=[visible("run-1")])
    assert folded(commit).visibility == {}


def test_a_message_that_is_added_and_deleted_is_written_first() -> None:
    """The database may refuse it, as one that it has."""
    plans, outcomes = fold(
        [
            transition(SHARD, messages=[message("1"), message("2")]),
            transition(SHARD, messages_deleted=[message("3").key]),
            transition(SHARD, messages_deleted=[message("1").key]),
        ]
    )
    assert results(outcomes) == [Result.COMMITTED] * 3
    assert [list(plan.messages) for plan in plans] == [[message("1").key, message("2").key], []]
    assert [plan.messages_deleted for plan in plans] == [{message("3").key}, {message("1").key}]


def test_a_message_of_an_earlier_batch_is_deleted_before_it_is_added() -> None:
    again = message("1", data=b"again")
    plan = folded(
        transition(SHARD, messages_deleted=[message("1").key]),
        transition(SHARD, messages=[again]),
    )
    assert plan.messages_deleted == {again.key}
    assert plan.messages == {again.key: again}


def test_what_one_transition_deletes_and_adds_again_is_one_plan() -> None:
    again = message("1", data=b"again")
    plan = folded(transition(SHARD, messages_deleted=[again.key], messages=[again]))
    assert plan.messages == {again.key: again}
    assert plan.messages_deleted == {again.key}


@pytest.mark.parametrize(
    "commit",
    [
        transition(SHARD, messages=[message("1"), message("2")]),
        transition(SHARD, receipts=[receipt("1")]),
    ],
)
def test_what_is_added_twice_is_left_to_the_database_to_refuse(commit: Commit) -> None:
    plans, outcomes = fold([commit, transition(SHARD, tasks=[task(1)]), commit])
    assert results(outcomes) == [Result.COMMITTED] * 3
    assert [(len(plan.messages), len(plan.receipts)) for plan in plans] == [
        (len(commit.messages_added), len(commit.receipts_added))
    ] * 2
    assert list(plans[0].tasks) == [task(1).key]
