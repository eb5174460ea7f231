"""What happens to children when their parent closes, and to whom they report then."""

import pytest
from temporalio.api.common.v1 import WorkflowExecution

from conformance.commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    signal_external,
    start_child,
    start_timer,
)
from conformance.driver import application_failure
from perdure.core.child.receiving import start_receipt_key
from perdure.core.commit import ItemKey, ItemKind
from perdure.core.external.receiving import refuse_start
from perdure.proto import stored_pb2 as stored
from unit.core.family import (
    CHILD,
    INITIATED_ID,
    NOT_FOUND,
    TAKEN,
    Family,
    last,
    message,
    names,
    policy,
)

CLOSINGS = {
    "completes": complete_workflow(),
    "fails": fail_workflow(application_failure("no")),
    "continues as new": continue_as_new("queue"),
}


@pytest.mark.parametrize("way", [*CLOSINGS, "is terminated"])
def test_a_closing_parent_tells_its_children_by_their_policy(way: str) -> None:
    family = Family()
    batch = [
        start_child(name, "queue", parent_close_policy=f"PARENT_CLOSE_POLICY_{name}")
        for name in ("TERMINATE", "ABANDON", "REQUEST_CANCEL")
    ]
    family.send(*batch)
    for row in family.parent.outbox:
        family.parent.settle(row, stored.Receipt(outcome=TAKEN, started_run_id="first"))
    if way == "is terminated":
        family.parent.terminate()
    else:
        assert family.send(CLOSINGS[way]) == ""
    told = {row.target.workflow_id: row.parent_close for row in map(message, family.parent.outbox)}
    assert {name: closing.policy for name, closing in told.items()} == {
        "TERMINATE": policy("TERMINATE"),
        "REQUEST_CANCEL": policy("REQUEST_CANCEL"),
    }
    assert {closing.first_run_id for closing in told.values()} == {"first"}
    assert not family.parent.run().children


@pytest.mark.parametrize("name", ["TERMINATE", "REQUEST_CANCEL"])
def test_a_parents_close_reaches_the_newest_run_of_the_chain(name: str) -> None:
    family = Family()
    family.begin(parent_close_policy=f"PARENT_CLOSE_POLICY_{name}")
    child = family.child
    child.complete(child.take_workflow_task(), continue_as_new("queue"))
    family.parent.terminate()
    assert family.deliver(family.parent).outcome == TAKEN
    run = child.run()
    if name == "TERMINATE":
        event = last(child, "WORKFLOW_EXECUTION_TERMINATED")
        terminated = event.workflow_execution_terminated_event_attributes
        assert terminated.reason == "by parent close policy"
    else:
        assert run.is_running
        assert run.state.cancel_requested
    assert family.parent.outbox == []


def test_a_later_workflow_of_the_childs_id_is_left_alone() -> None:
    family = Family()
    family.begin()
    family.child.terminate()
    family.child.start(workflow_id=CHILD, request_id="later")
    family.parent.terminate()
    assert family.deliver(family.parent).outcome == NOT_FOUND
    assert family.child.run().is_running


def test_the_run_that_a_reset_ends_does_not_report_but_the_one_after_it_does() -> None:
    family = Family()
    family.begin()
    family.child.complete(family.child.take_workflow_task(), start_timer("t", 60))
    family.child.reset(4)
    assert family.child.outbox == []
    family.child.complete(family.child.take_workflow_task(), complete_workflow())
    family.deliver(family.child)
    assert names(family.parent)[-1] == "CHILD_WORKFLOW_EXECUTION_COMPLETED"


def test_what_is_started_by_the_closing_task_never_leaves() -> None:
    family = Family()
    family.send(
        start_child(CHILD, "queue"),
        start_child("other", "queue", parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"),
        complete_workflow(),
    )
    assert family.parent.outbox == []
    family.check()


def test_a_start_under_way_is_taken_back_or_followed() -> None:
    family = Family()
    family.send(start_child(CHILD, "queue"))
    started = message(family.parent.outbox[0])
    family.parent.terminate()
    [row] = family.parent.outbox
    closing = message(row)
    assert closing.parent_close.start_message_id == started.id
    assert closing.parent_close.first_run_id == ""
    assert start_receipt_key(closing).request_id == started.id
    family.child.step(lambda step: refuse_start(step, closing))
    assert family.child.receive(started).outcome == NOT_FOUND
    assert not family.child.rows.runs


def test_an_abandoned_start_under_way_goes_on_without_its_parent() -> None:
    family = Family()
    family.send(start_child(CHILD, "queue", parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"))
    family.parent.terminate()
    assert family.deliver(family.parent).outcome == TAKEN
    assert family.child.run().is_running
    assert family.parent.outbox == []
    assert names(family.parent)[-1] == "WORKFLOW_EXECUTION_TERMINATED"


# Signals and cancel requests to children


def test_only_a_child_takes_in_what_is_for_children_only() -> None:
    family = Family()
    family.begin()
    target = WorkflowExecution(workflow_id=CHILD)
    assert family.send(signal_external(target, child_workflow_only=True)) == ""
    assert family.deliver(family.parent).outcome == TAKEN
    assert names(family.child)[-1] == "WORKFLOW_EXECUTION_SIGNALED"


def test_a_child_is_not_asked_to_cancel_by_the_task_that_starts_it() -> None:
    family = Family()
    target = WorkflowExecution(workflow_id=CHILD)
    problem = family.send(start_child(CHILD, "queue"), cancel_external(target))
    assert problem == (
        "BadRequestCancelExternalWorkflowExecutionAttributes: Start and RequestCancel for child "
        "workflow is not allowed in same workflow task. WorkflowId=child RunId= Namespace="
    )


# Rows


def test_a_child_is_a_row_of_its_own() -> None:
    family = Family()
    family.begin()
    [commit] = family.parent.commits[-1:]
    [write] = commit.runs
    assert set(write.items_put) == {ItemKey(ItemKind.CHILD, str(INITIATED_ID))}
    family.child.terminate()
    family.deliver(family.child)
    [write] = family.parent.commits[-1].runs
    assert write.items_deleted == {ItemKey(ItemKind.CHILD, str(INITIATED_ID))}
