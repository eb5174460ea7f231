"""Parents and children: who is told what, in which order, and what becomes of whom."""

from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution

from conformance.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    signal_external,
    start_child,
    start_timer,
)
from conformance.driver import application_failure, payload, payloads
from perdure.core.child import transitions
from perdure.core.protobuf import seconds
from perdure.core.transition import InvalidTransitionError
from perdure.core.workflow.describe import describe
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.driver import NAMESPACE_ID, WORKFLOW_ID
from unit.core.family import (
    ALREADY_EXISTS,
    CHILD,
    INITIATED_ID,
    NAMESPACE_NOT_FOUND,
    NOT_FOUND,
    Family,
    last,
    message,
    names,
    policy,
)


def test_a_child_knows_its_parent_and_its_root_and_hands_them_on() -> None:
    family = Family()
    family.begin(input=payloads("in"), memo={"fields": {"note": payload("memo")}})
    parent, child = family.parent.run(), family.child.run()
    [started] = [e for e in family.child.rows.history(child.key.run_id) if e.event_id == 1]
    told = started.workflow_execution_started_event_attributes
    assert told.parent_workflow_execution == told.root_workflow_execution == parent.execution()
    assert told.parent_workflow_namespace_id == NAMESPACE_ID
    assert told.parent_initiated_event_id == INITIATED_ID
    assert told.input == payloads("in")
    assert describe(child).workflow_execution_info.parent_execution == parent.execution()
    row = family.child.rows.visibility[child.key.run_id]
    assert (row.parent_workflow_id, row.root_workflow_id) == (WORKFLOW_ID, WORKFLOW_ID)
    task = family.child.take_workflow_task()
    assert family.child.complete(task, continue_as_new("queue")) == ""
    following = family.child.run()
    assert following.key.run_id != child.key.run_id
    assert following.start.parent == parent.execution() == following.start.root
    assert following.start.parent_initiated_event_id == INITIATED_ID
    family.check()


def test_a_child_is_pending_until_its_end_is_known() -> None:
    family = Family()
    assert family.send(start_child(CHILD, "queue")) == ""
    [pending] = describe(family.parent.run()).pending_children
    assert (pending.workflow_id, pending.run_id, pending.initiated_id) == (CHILD, "", INITIATED_ID)
    assert pending.parent_close_policy == policy("TERMINATE")
    family.deliver(family.parent)
    [pending] = describe(family.parent.run()).pending_children
    assert pending.run_id == family.child.rows.current_run_id
    assert family.parent.outbox == []
    family.child.complete(family.child.take_workflow_task(), complete_workflow("out"))
    family.deliver(family.child)
    assert not describe(family.parent.run()).pending_children
    told = last(family.parent, "CHILD_WORKFLOW_EXECUTION_COMPLETED")
    completed = told.child_workflow_execution_completed_event_attributes
    assert completed.result == payloads("out")
    assert (completed.initiated_event_id, completed.started_event_id) == (INITIATED_ID, 6)
    assert family.child.outbox == family.parent.outbox == []
    family.check()


def test_what_the_command_leaves_out_is_inherited_or_a_default() -> None:
    family = Family(priority={"priority_key": 2, "fairness_key": "mine"})
    family.send(start_child(CHILD, priority={"fairness_key": "its"}))
    request = message(family.parent.outbox[0]).child_start.request
    assert request.task_queue.name == "queue"
    assert (request.priority.priority_key, request.priority.fairness_key) == (2, "its")
    assert request.workflow_task_timeout.seconds == 10
    assert request.request_id == f"{family.parent.rows.current_run_id}:{INITIATED_ID}:0"


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (ALREADY_EXISTS, "WORKFLOW_ALREADY_EXISTS"),
        (NAMESPACE_NOT_FOUND, "NAMESPACE_NOT_FOUND"),
        (999, "WORKFLOW_ALREADY_EXISTS"),
    ],
    ids=["id in use", "no namespace", "of a later release"],
)
def test_a_child_that_cannot_start_is_a_failure(outcome: Any, cause: str) -> None:
    family = Family()
    family.send(start_child(CHILD, "queue", control="control"))
    family.parent.answer(family.parent.outbox[0], outcome)
    event = last(family.parent, "START_CHILD_WORKFLOW_EXECUTION_FAILED")
    failed = event.start_child_workflow_execution_failed_event_attributes
    name = "START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_" + cause
    assert (
        failed.cause
        == failed.DESCRIPTOR.fields_by_name["cause"].enum_type.values_by_name[name].number
    )
    assert (failed.control, failed.workflow_id) == ("control", CHILD)
    assert not family.parent.run().children
    assert names(family.parent)[-1] == "WORKFLOW_TASK_SCHEDULED"
    family.check()


def test_an_id_in_use_is_refused_once_and_for_all() -> None:
    family = Family()
    family.child.start(workflow_id=CHILD)
    family.send(start_child(CHILD, "queue"))
    sent = message(family.parent.outbox[0])
    assert family.child.receive(sent).outcome == ALREADY_EXISTS
    family.child.terminate()
    assert family.child.receive(sent).outcome == ALREADY_EXISTS
    assert len(family.child.rows.runs) == 1


def test_a_start_that_comes_again_after_the_child_has_ended_starts_nothing() -> None:
    family = Family()
    family.send(start_child(CHILD, "queue"))
    first = family.deliver(family.parent, answered=False)
    family.child.terminate()
    assert family.deliver(family.parent) == first
    assert len(family.child.rows.runs) == 1
    assert family.parent.run().children[INITIATED_ID].started_run_id == first.started_run_id


def test_only_so_many_children_may_be_pending() -> None:
    family = Family(WorkflowSettings(max_pending_children=2))
    assert family.send(start_child("a")) == ""
    family.parent.signal("wake")
    assert family.send(start_child("b"), start_child("c")) == (
        "PendingChildWorkflowsLimitExceeded: the number of pending child workflow executions, 2, "
        "has reached the per-workflow limit of 2"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workflow_id", "a\0b"),
        ("workflow_type", {"name": "a\0b"}),
        ("task_queue", {"name": "a\0b"}),
        ("priority", {"fairness_key": "a\0b"}),
    ],
)
def test_what_no_store_can_hold_is_refused_at_once(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"workflow_id": CHILD, field: value}
    assert "contains a NUL character" in Family().send(start_child(**fields))


# What comes before its time


def test_a_result_that_comes_before_the_answer_says_that_the_child_has_started() -> None:
    family = Family()
    family.send(start_child(CHILD, "queue", header={"fields": {"trace": payload("header")}}))
    family.deliver(family.parent, answered=False)
    run_id = family.child.rows.current_run_id
    family.child.complete(family.child.take_workflow_task(), complete_workflow())
    family.deliver(family.child)
    assert names(family.parent, 5) == [
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_TASK_SCHEDULED",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
    ]
    started = last(family.parent, "CHILD_WORKFLOW_EXECUTION_STARTED")
    told = started.child_workflow_execution_started_event_attributes
    assert told.workflow_execution.run_id == run_id
    assert told.header.fields["trace"] == payload("header")
    assert family.parent.outbox == []
    family.check()


def test_a_signal_of_a_child_says_that_it_has_started() -> None:
    family = Family()
    family.send(start_child(CHILD, "queue"))
    family.deliver(family.parent, answered=False)
    task = family.child.take_workflow_task()
    family.child.complete(task, signal_external(WorkflowExecution(workflow_id=WORKFLOW_ID)))
    family.deliver(family.child)
    assert names(family.parent, 5) == [
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_EXECUTION_SIGNALED",
    ]
    family.check()


def test_start_and_end_that_wait_for_a_task_are_linked_when_they_are_written() -> None:
    family = Family()
    answer = family.parent.respond(
        family.parent.take_workflow_task(),
        [start_child(CHILD, "queue")],
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    assert answer.task is not None
    family.deliver(family.parent)
    family.parent.forget()
    family.child.complete(family.child.take_workflow_task(), complete_workflow())
    family.deliver(family.child)
    family.parent.signal("between")
    assert family.parent.complete(answer.task, start_timer("t", 1)) == ""
    assert names(family.parent, 9) == [
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "CHILD_WORKFLOW_EXECUTION_COMPLETED",
        "WORKFLOW_TASK_SCHEDULED",
    ]
    ended = last(family.parent, "CHILD_WORKFLOW_EXECUTION_COMPLETED")
    assert ended.child_workflow_execution_completed_event_attributes.started_event_id == 10
    family.check()


def test_a_start_that_waited_for_a_task_has_its_id_when_the_end_comes_later() -> None:
    family = Family()
    answer = family.parent.respond(
        family.parent.take_workflow_task(),
        [start_child(CHILD, "queue")],
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    assert answer.task is not None
    family.deliver(family.parent)
    assert family.parent.complete(answer.task) == ""
    family.parent.forget()
    family.child.terminate()
    family.deliver(family.child)
    started = last(family.parent, "CHILD_WORKFLOW_EXECUTION_STARTED").event_id
    ended = last(family.parent, "CHILD_WORKFLOW_EXECUTION_TERMINATED")
    told = ended.child_workflow_execution_terminated_event_attributes
    assert told.started_event_id == started
    family.check()


# Ends


def test_the_last_run_of_a_chain_reports() -> None:
    family = Family()
    family.begin(retry_policy={"initial_interval": {"seconds": 1}, "maximum_attempts": 2})
    child = family.child
    first = child.rows.current_run_id
    child.complete(child.take_workflow_task(), continue_as_new("queue"))
    assert child.outbox == []
    child.advance(seconds(5))
    child.complete(child.take_workflow_task(), fail_workflow(application_failure("no")))
    [row] = child.outbox
    assert row.run.run_id == child.rows.current_run_id != first
    family.deliver(child)
    told = last(family.parent, "CHILD_WORKFLOW_EXECUTION_FAILED")
    failed = told.child_workflow_execution_failed_event_attributes
    assert failed.workflow_execution.run_id == child.rows.current_run_id
    assert failed.workflow_type.name == "Child"


def test_an_attempt_that_is_followed_by_another_reports_nothing() -> None:
    family = Family()
    family.begin(retry_policy={"initial_interval": {"seconds": 1}, "maximum_attempts": 2})
    child = family.child
    child.complete(child.take_workflow_task(), fail_workflow(application_failure("no")))
    assert child.outbox == []
    assert len(child.rows.runs) == 2
    child.advance(seconds(1))
    child.complete(child.take_workflow_task(), fail_workflow(application_failure("no")))
    assert len(child.outbox) == 1


def test_a_result_for_a_parent_that_has_closed_goes_nowhere() -> None:
    family = Family()
    family.begin(parent_close_policy="PARENT_CLOSE_POLICY_ABANDON")
    family.parent.terminate()
    before = len(family.parent.commits)
    family.child.complete(family.child.take_workflow_task(), complete_workflow())
    assert family.deliver(family.child).outcome == NOT_FOUND
    assert family.child.outbox == []
    assert len(family.parent.commits) == before


def test_a_result_that_comes_twice_is_told_once() -> None:
    family = Family()
    family.begin()
    family.child.terminate()
    family.deliver(family.child, answered=False)
    assert family.deliver(family.child).outcome == NOT_FOUND
    assert names(family.parent).count("CHILD_WORKFLOW_EXECUTION_TERMINATED") == 1


def test_another_workflow_of_the_childs_id_reports_to_nobody() -> None:
    family = Family()
    family.begin()
    family.child.terminate()
    family.deliver(family.child)
    family.child.start(workflow_id=CHILD, request_id="later")
    family.child.terminate()
    assert family.child.outbox == []


def test_what_has_ended_cannot_end_again() -> None:
    family = Family()
    family.begin()
    run = family.parent.run()
    info = run.children[INITIATED_ID]
    with pytest.raises(InvalidTransitionError):
        family.parent.update(
            "", lambda _, change: transitions.record_started(change, info, "run-x")
        )


# The parent closes
