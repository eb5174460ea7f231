"""What clients and workers may ask for: Hypothesis strategies for requests, good and bad."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.failure.v1 import Failure

from conformance.commands import (
    cancel_activity,
    cancel_external,
    cancel_timer,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
)
from conformance.driver import application_failure, payloads
from unit.core.driver import QUEUE

ACTIVITY_IDS = ("a", "b", "c", "d", "e", "f")
TIMER_IDS = ("t", "u", "v", "w")
REQUEST_IDS = st.sampled_from(["", "", "r1", "r2", "r3"])
SECONDS = st.sampled_from([1, 3, 10, 60])


def seldom(odds: int = 8) -> st.SearchStrategy[bool]:
    """Draws True once in so many times."""
    return st.sampled_from([False] * (odds - 1) + [True])


def duration(count: float) -> dict[str, int]:
    """Returns a number of seconds as a duration's fields."""
    return {"seconds": int(count), "nanos": round(count % 1 * 1e9)}


@st.composite
def starts(draw: st.DrawFn) -> dict[str, Any]:
    """Draws the fields of a start request."""
    fields: dict[str, Any] = {"request_id": draw(st.sampled_from(["s1", "s2", "s3", "s4"]))}
    fields["workflow_id_conflict_policy"] = draw(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 2, 3]))
    fields["workflow_id_reuse_policy"] = draw(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, 4]))
    for name, limits in (
        ("workflow_execution_timeout", [0, 0, 0, 0, 40, 300]),
        ("workflow_run_timeout", [0, 0, 0, 0, 15, 90]),
    ):
        if limit := draw(st.sampled_from(limits)):
            fields[name] = duration(limit)
    if draw(st.booleans()):
        fields["retry_policy"] = {"initial_interval": duration(2), "maximum_attempts": 3}
    if draw(st.booleans()):
        fields["memo"] = {"fields": {"note": payloads("memo").payloads[0]}}
    return fields


@st.composite
def failures(draw: st.DrawFn) -> Failure:
    """Draws why something failed."""
    info: dict[str, Any] = {}
    if draw(st.booleans()):
        info["next_retry_delay"] = duration(draw(SECONDS))
    return application_failure(
        draw(st.sampled_from(["short", "long " * 100])),
        kind=draw(st.sampled_from(["", "Fatal"])),
        non_retryable=draw(st.sampled_from([False, False, True])),
        **info,
    )


def details() -> st.SearchStrategy[Payloads | None]:
    """Draws a heartbeat's details."""
    return st.sampled_from([None, payloads("half")])


@dataclass(slots=True, frozen=True)
class Known:
    """What commands may refer to.

    Attributes:
        next_event_id: The id that the completed event gets; commands' events follow it.
        activities: Pending activities, by activity id.
        timers: Pending timers' ids.
    """

    next_event_id: int
    activities: Mapping[str, int]
    timers: Sequence[str]


@st.composite
def activities(draw: st.DrawFn, known: Known) -> Command:
    """Draws an activity to schedule: seldom its name is taken, or its timeouts do not fit."""
    fields: dict[str, Any] = {"request_eager_execution": draw(st.booleans())}
    for name in (
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "start_to_close_timeout",
        "heartbeat_timeout",
    ):
        if draw(st.booleans()):
            fields[name] = duration(draw(SECONDS))
    if draw(seldom()):
        fields["start_to_close_timeout"] = duration(draw(st.sampled_from([0, -1])))
    fields["retry_policy"] = {
        "initial_interval": duration(draw(st.sampled_from([1, 5]))),
        "maximum_attempts": draw(st.sampled_from([0, 1, 3])),
        "non_retryable_error_types": ["Fatal"],
    }
    return schedule_activity(draw(_names(ACTIVITY_IDS, taken=known.activities)), QUEUE, **fields)


def _names(names: Sequence[str], *, taken: Collection[str]) -> st.SearchStrategy[str]:
    free = [name for name in names if name not in taken]
    return st.sampled_from([*free * 3, *names])


def activity_cancels(known: Known) -> st.SearchStrategy[Command]:
    """Draws a cancellation: of an activity, of one scheduled just before, or of nothing."""
    likely = list(known.activities.values()) * 4
    return st.sampled_from(
        [*likely, known.next_event_id + 1, known.next_event_id + 2, known.next_event_id - 2]
    ).map(cancel_activity)


def timer_cancels(known: Known) -> st.SearchStrategy[Command]:
    """Draws a cancellation of a timer, which seldom is not there."""
    return st.sampled_from([*known.timers, *known.timers, *known.timers, "t"]).map(cancel_timer)


def externals() -> st.SearchStrategy[Command]:
    """Draws a signal or cancel request to another workflow, which seldom is named badly."""
    targets = st.builds(WorkflowExecution, workflow_id=st.sampled_from(["x", "x", "y", ""]))
    return st.one_of(st.builds(signal_external, targets), st.builds(cancel_external, targets))


def children() -> st.SearchStrategy[Command]:
    """Draws a child to start, which seldom lacks an id."""
    policies = st.sampled_from(["UNSPECIFIED", "TERMINATE", "ABANDON", "REQUEST_CANCEL"])
    return st.builds(
        lambda workflow_id, policy: start_child(
            workflow_id, parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}"
        ),
        st.sampled_from(["x", "y", "z", ""]),
        policies,
    )


def commands(known: Known) -> st.SearchStrategy[Command]:
    """Draws a command that leaves the run open."""
    choices = [
        activities(known),
        activities(known),
        st.builds(
            start_timer,
            _names(TIMER_IDS, taken=known.timers),
            st.sampled_from([0, 1, 3, 10, 60]),
        ),
        st.builds(record_marker, st.sampled_from(["marker", "marker", "marker", ""])),
        externals(),
        children(),
        st.builds(upsert_memo, note=st.sampled_from(["new", ""])),
    ]
    if known.activities:
        choices += [activity_cancels(known)] * 2
    if known.timers:
        choices += [timer_cancels(known)]
    return st.one_of(choices)


def closes() -> st.SearchStrategy[Command]:
    """Draws a command that closes the run."""
    again = [
        continue_as_new(QUEUE),
        continue_as_new(QUEUE, backoff_start_interval=duration(5)),
        continue_as_new(
            QUEUE, workflow_run_timeout=duration(20), retry_policy={"maximum_attempts": 2}
        ),
        continue_as_new(QUEUE, workflow_run_timeout=duration(-1)),
    ]
    return st.one_of(
        st.builds(complete_workflow),
        st.builds(cancel_workflow),
        st.builds(fail_workflow, failures()),
        st.sampled_from(again),
        st.sampled_from([command("FAIL_WORKFLOW_EXECUTION", {})]),
    )


@st.composite
def batches(draw: st.DrawFn, known: Known) -> list[Command]:
    """Draws what a worker answers a workflow task with."""
    batch = draw(st.lists(commands(known), max_size=4))
    if draw(seldom(6)):
        batch.append(draw(closes()))
    if draw(seldom(20)):
        batch.append(draw(activity_cancels(known) | timer_cancels(known)))
    return batch
