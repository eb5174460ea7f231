"""What no database could hold is found before it reaches one."""

from dataclasses import replace

import pytest

from contract.rows import (
    batch,
    deletion,
    item,
    queue,
    run_key,
    start,
    step,
    task,
    timer,
    transition,
    visible,
)
from perdure.core.commit import Commit, SearchValue
from perdure.core.slots import SLOT_COUNT
from perdure.persistence.admission import EVENT_ID_BITS, refusal, storable
from perdure.persistence.ports import Shard

SHARD = Shard(0, SLOT_COUNT - 1, "node", 1)
NUL, SURROGATE = "a\0b", "a\ud800b"
NUL_REASON = "text holds a NUL character"
SURROGATE_REASON = "text holds an unpaired surrogate"
NUMBER_REASON = "a number is outside 64 bits"
TOO_LARGE, TOO_SMALL = 1 << 63, -(1 << 63) - 1
END_EVENT = 1 << EVENT_ID_BITS


def with_text(text: str) -> dict[str, Commit]:
    """Returns a transition for each place that holds text, by the name of the place."""
    keyed = task(1, of=queue(text))
    return {
        "namespace": transition(SHARD, namespace=text),
        "workflow id": transition(SHARD, workflow_id=text),
        "current run": transition(SHARD, current=("", text)),
        "expected current run": transition(SHARD, current=(text, "run-1")),
        "run id": transition(SHARD, step(text, 1)),
        "deleted run": transition(SHARD, deletion(text, 1)),
        "item": transition(SHARD, step("run-1", 1, items_put={item(text): b""})),
        "deleted item": transition(SHARD, step("run-1", 1, items_deleted={item(text)})),
        "queue": transition(SHARD, tasks=[keyed]),
        "queue of a deleted task": transition(SHARD, tasks_deleted=[keyed.key]),
        "pinned version": transition(SHARD, tasks=[task(1, pinned=text)]),
        "fairness key": transition(SHARD, tasks=[task(1, fairness=text)]),
        "task's run": transition(SHARD, tasks=[task(1, run=run_key(text))]),
        "timer's run": transition(SHARD, timers=[timer(1, run=run_key(text))]),
        "deleted timer": transition(SHARD, timers_deleted=[timer(1, run=run_key(text))]),
        "workflow type": transition(
            SHARD, visibility=[replace(visible("run-1"), workflow_type=text)]
        ),
        "search attribute": transition(SHARD, visibility=[visible("run-1", values={text: 1})]),
        "search value": transition(SHARD, visibility=[visible("run-1", values={"A": text})]),
        "search list": transition(SHARD, visibility=[visible("run-1", values={"A": ["b", text]})]),
    }


def with_number(number: int) -> dict[str, Commit]:
    """Returns a transition for each place that holds a number, by the name of the place."""
    return {
        "version": transition(SHARD, step("run-1", number)),
        "task id": transition(SHARD, tasks=[task(number)]),
        "priority": transition(SHARD, tasks=[task(1, priority=number)]),
        "deleted task": transition(SHARD, tasks_deleted=[task(number).key]),
        "attempt": transition(SHARD, tasks=[replace(task(1), attempt=number)]),
        "expiry": transition(SHARD, tasks=[replace(task(1), expiry=number)]),
        "timer": transition(SHARD, timers=[timer(number)]),
        "deleted timer": transition(SHARD, timers_deleted=[timer(number)]),
        "start time": transition(SHARD, visibility=[visible("run-1", start_time=number)]),
        "search value": transition(SHARD, visibility=[visible("run-1", values={"A": number})]),
    }


@pytest.mark.parametrize("place", with_text(""))
def test_text_that_no_database_holds(place: str) -> None:
    assert refusal(with_text(NUL)[place]) == NUL_REASON
    assert refusal(with_text(SURROGATE)[place]) == SURROGATE_REASON
    assert refusal(with_text("ä𝄞 '\"; --\n")[place]) == ""


@pytest.mark.parametrize("place", with_number(0))
def test_numbers_beyond_64_bits(place: str) -> None:
    assert refusal(with_number(TOO_LARGE)[place]) == NUMBER_REASON
    assert refusal(with_number(TOO_SMALL)[place]) == NUMBER_REASON
    assert refusal(with_number(TOO_LARGE - 1)[place]) == ""


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_none(value: SearchValue) -> None:
    commit = transition(SHARD, visibility=[visible("run-1", values={"A": value})])
    assert refusal(commit) == NUMBER_REASON


@pytest.mark.parametrize("slot", [-1, SLOT_COUNT])
def test_slots_that_do_not_exist(slot: int) -> None:
    assert refusal(transition(SHARD, slot=slot)) == f"slot {slot} does not exist"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 1), (2, 1), (END_EVENT, END_EVENT), (1, END_EVENT)]
)
def test_events_that_cannot_be_numbered(first: int, last: int) -> None:
    commit = transition(SHARD, step("run-1", 1, history=[batch(first, last)]))
    assert refusal(commit) == f"events {first} to {last} cannot be numbered"


def test_what_can_be_stored_is_not_refused() -> None:
    assert refusal(start(SHARD, "run-1")) == ""
    last = step("run-1", 1, history=[batch(END_EVENT - 1, END_EVENT - 1)])
    assert refusal(transition(SHARD, last, slot=SLOT_COUNT - 1)) == ""


def test_storable_asks_of_every_text() -> None:
    assert storable()
    assert storable("", "plain", "𝄞")
    assert not storable("plain", NUL)
    assert not storable(SURROGATE, "plain")
