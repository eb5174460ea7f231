"""Requests that are repeated, too late, or meant for a start that was undone."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy as Conflict
from temporalio.api.enums.v1 import WorkflowIdReusePolicy as Reuse

from conformance.commands import complete_workflow, fail_workflow, schedule_activity, start_timer
from conformance.driver import application_failure
from perdure.core.errors import NotFoundError, WorkflowExecutionAlreadyStartedError
from perdure.core.protobuf import seconds
from perdure.core.workflow_task.state import WorkflowTaskStatus, status
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver


def started(**fields: Any) -> Driver:
    driver = Driver()
    driver.start(**fields)
    return driver


def count(driver: Driver, attributes: str) -> int:
    run_id = driver.run().key.run_id
    return sum(event.HasField(attributes) for event in driver.rows.history(run_id))  # type: ignore[arg-type]


SIGNALED = "workflow_execution_signaled_event_attributes"
CANCEL_REQUESTED = "workflow_execution_cancel_requested_event_attributes"


def test_a_signal_that_is_sent_again_is_recorded_once() -> None:
    driver = started()
    for name in ("one", "other"):
        driver.signal(name, "r1")
    driver.forget()
    driver.signal("again", "r1")
    driver.signal_with_start(request_id="r1")
    assert count(driver, SIGNALED) == 1
    driver.signal_with_start(request_id="r2")
    driver.signal("without id")
    driver.signal("without id")
    assert count(driver, SIGNALED) == 4
    Checker(driver).check()


def test_a_signal_that_is_sent_again_is_buffered_once() -> None:
    driver = started()
    taken = driver.take_workflow_task()
    driver.signal("one", "r1")
    driver.forget()
    driver.signal("one", "r1")
    assert driver.run().state.buffered_event_count == 1
    assert driver.complete(taken) == ""
    assert count(driver, SIGNALED) == 1
    Checker(driver).check()


def test_a_signal_that_is_sent_again_after_the_end_is_well_received() -> None:
    driver = started()
    driver.signal("one", "r1")
    driver.complete(driver.take_workflow_task(), complete_workflow())
    driver.forget()
    driver.signal("one", "r1")
    assert count(driver, SIGNALED) == 1
    with pytest.raises(NotFoundError, match="already completed"):
        driver.signal("one", "r2")
    Checker(driver).check()


def test_a_cancel_request_is_recorded_once_and_forgotten_after_the_end() -> None:
    driver = started()
    driver.request_cancel()
    commits = len(driver.commits)
    driver.request_cancel()
    assert len(driver.commits) == commits
    assert count(driver, CANCEL_REQUESTED) == 1
    driver.complete(driver.take_workflow_task(), complete_workflow())
    driver.request_cancel()
    assert count(driver, CANCEL_REQUESTED) == 1
    Checker(driver).check()


def test_a_start_that_is_sent_again_is_answered_by_its_run() -> None:
    driver = started()
    again = driver.start()
    assert (again.run_id, again.started) == ("run-1", True)
    driver.complete(driver.take_workflow_task(), complete_workflow())
    assert driver.start().run_id == "run-1"
    assert len(driver.rows.runs) == 1


@pytest.mark.parametrize(
    ("policy", "run_id"),
    [
        (Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL, None),
        (Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, "run-1"),
        (Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING, "run-2"),
    ],
)
def test_conflict_policies(policy: Conflict.ValueType, run_id: str | None) -> None:
    driver = started()
    fields = {"request_id": "other", "workflow_id_conflict_policy": policy}
    if run_id is None:
        with pytest.raises(WorkflowExecutionAlreadyStartedError, match="already running"):
            driver.start(**fields)
    else:
        answer = driver.start(**fields)
        assert (answer.run_id, answer.started) == (run_id, run_id == "run-2")
    Checker(driver).check()


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, {False, True}),
        (Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, {True}),
        (Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, set()),
    ],
)
def test_reuse_policies(policy: Reuse.ValueType, allowed: set[bool], failed: bool) -> None:
    driver = started()
    last = fail_workflow(application_failure("broken")) if failed else complete_workflow()
    driver.complete(driver.take_workflow_task(), last)
    fields = {"request_id": "other", "workflow_id_reuse_policy": policy}
    if failed in allowed:
        assert driver.start(**fields).run_id == "run-2"
    else:
        with pytest.raises(WorkflowExecutionAlreadyStartedError, match="already finished"):
            driver.start(**fields)
    Checker(driver).check()


def test_a_timer_wakes_the_worker() -> None:
    driver = started()
    driver.complete(driver.take_workflow_task(), start_timer("t", 1))
    driver.advance(seconds(1))
    assert status(driver.run().state) is WorkflowTaskStatus.SCHEDULED
    Checker(driver).check()


def test_a_workflow_task_whose_start_was_undone_takes_no_answer() -> None:
    driver = started()
    undone = driver.take_workflow_task()
    driver.undo_start(undone)
    taken = driver.take_workflow_task()
    with pytest.raises(NotFoundError):
        driver.complete(undone)
    with pytest.raises(NotFoundError):
        driver.fail(undone)
    assert driver.complete(taken) == ""
    Checker(driver).check()


def test_a_transient_workflow_task_whose_start_was_undone_takes_no_answer() -> None:
    driver = started()
    driver.fail(driver.take_workflow_task())
    undone = driver.take_workflow_task()
    driver.undo_start(undone)
    taken = driver.take_workflow_task()
    assert taken.token.scheduled_event_id == undone.token.scheduled_event_id
    with pytest.raises(NotFoundError):
        driver.complete(undone)
    assert driver.complete(taken) == ""
    Checker(driver).check()


def test_an_activity_whose_start_was_undone_takes_no_answer() -> None:
    driver = started()
    driver.complete(driver.take_workflow_task(), schedule_activity("a", QUEUE))
    undone = driver.take_activity()
    driver.undo_start(undone)
    taken = driver.take_activity()
    assert taken.token.attempt == undone.token.attempt
    for answer in (driver.complete_activity, driver.cancel_activity, driver.heartbeat):
        with pytest.raises(NotFoundError):
            answer(undone)
    driver.complete_activity(taken)
    Checker(driver).check()


def test_an_activity_attempt_that_has_ended_takes_no_answer() -> None:
    driver = started()
    driver.complete(driver.take_workflow_task(), schedule_activity("a", QUEUE))
    first = driver.take_activity()
    failure = application_failure("broken")
    driver.fail_activity(first, failure)
    for answer in (driver.complete_activity, driver.cancel_activity, driver.heartbeat):
        with pytest.raises(NotFoundError):
            answer(first)
    driver.advance(seconds(1))
    second = driver.take_activity()
    with pytest.raises(NotFoundError):
        driver.fail_activity(first, failure)
    driver.complete_activity(second)
    Checker(driver).check()
