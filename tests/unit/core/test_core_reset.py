"""Runs that begin with another run's history."""

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.history.v1 import HistoryEvent

from conformance.commands import (
    complete_workflow,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
)
from perdure.core.commit import TaskType
from perdure.core.errors import UnimplementedError
from perdure.core.protobuf import seconds
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver, result_of

TAKEN = stored.Receipt.OUTCOME_TAKEN


def busy() -> Driver:
    """Returns a run with two activities, a timer, a message, and a second task that has ended."""
    driver = Driver()
    driver.start(workflow_run_timeout={"seconds": 100})
    driver.signal("first", "request-1")
    driver.complete(
        driver.take_workflow_task(),
        schedule_activity("a", QUEUE),
        schedule_activity("b", QUEUE),
        start_timer("t", 60),
        signal_external(WorkflowExecution(workflow_id="other")),
        upsert_memo(note="one"),
    )
    driver.take_activity()
    driver.advance(seconds(10))
    driver.signal("second", "request-2")
    driver.complete(driver.take_workflow_task(), upsert_memo(note="two"))
    driver.signal("third", "request-3")
    return driver


def scheduled_ids(driver: Driver, run_id: str) -> list[int]:
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    return [event.event_id for event in driver.rows.history(run_id) if event.event_type == kind]


@pytest.mark.parametrize("to_started", [True, False])
def test_pending_work_begins_anew(to_started: bool) -> None:
    driver = busy()
    old = driver.run().key.run_id
    target = scheduled_ids(driver, old)[1] + (2 if to_started else 1)
    new = driver.reset(target)
    Checker(driver).check()
    assert driver.run(old).state.status == Status.WORKFLOW_EXECUTION_STATUS_TERMINATED
    assert driver.run(old).state.reset_run_id == new
    run = driver.run()
    assert run.key.run_id == new
    assert sorted(run.activity_ids) == ["a", "b"]
    assert len(driver.pending(TaskType.ACTIVITY)) == 2
    assert run.timers["t"].due == driver.now + seconds(50)
    assert run.start.run_expiration_time == driver.now + seconds(100)
    assert b"one" in run.attributes.memo.fields["note"].data
    assert run.signal_requests == {"request-1", "request-2", "request-3"}
    assert [row.run.run_id for row in driver.outbox] == [new]
    signals = [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in driver.rows.history(new)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert signals == ["first", "second", "third"]


def test_a_reset_run_is_loaded_as_it_was_left_and_goes_on() -> None:
    driver = busy()
    driver.reset(scheduled_ids(driver, driver.run().key.run_id)[0] + 1)
    driver.forget()
    Checker(driver).check()
    driver.complete(driver.take_workflow_task(), complete_workflow())
    Checker(driver).check()
    closed = driver.run().key.run_id
    again = driver.reset(scheduled_ids(driver, closed)[-1] + 2, closed)
    Checker(driver).check()
    assert driver.run(closed).state.status == Status.WORKFLOW_EXECUTION_STATUS_COMPLETED
    assert driver.run().key.run_id == again


def test_what_waits_for_a_started_task_comes_again() -> None:
    driver = busy()
    old = driver.run().key.run_id
    driver.take_workflow_task()
    driver.signal("buffered", "request-4")
    new = driver.reset(scheduled_ids(driver, old)[0] + 1)
    assert "request-4" in driver.run(new).signal_requests
    Checker(driver).check()


def test_signals_are_left_out_where_that_is_asked() -> None:
    driver = busy()
    old = driver.run().key.run_id
    new = driver.reset(
        scheduled_ids(driver, old)[0] + 1, reset_reapply_type="RESET_REAPPLY_TYPE_NONE"
    )
    assert driver.run(new).state.signal_count == 0
    assert driver.run(new).state.HasField("workflow_task")
    Checker(driver).check()


def family(driver: Driver, *, started: bool = True) -> None:
    """Starts a parent, and a child by its first task; the second task has seen it start."""
    driver.start()
    driver.complete(driver.take_workflow_task(), start_child("child", QUEUE))
    if started:
        driver.answer(driver.outbox[0], TAKEN)
        driver.complete(driver.take_workflow_task())


def child_of(run: Run) -> stored.ChildInfo:
    (info,) = run.children.values()
    return info


def test_a_child_is_the_new_runs_and_tells_it_its_end() -> None:
    driver = Driver()
    family(driver)
    old = driver.run()
    result = result_of(old, child_of(old), "COMPLETED")
    new = driver.reset(scheduled_ids(driver, old.key.run_id)[1] + 2)
    Checker(driver).check()
    assert driver.outbox == [], "nobody is told that the old run has closed"
    driver.forget()
    assert driver.receive(result).outcome == TAKEN
    assert driver.receive(result).outcome == stored.Receipt.OUTCOME_NOT_FOUND
    assert not driver.run(new).children
    last = driver.rows.history(new)[-1]
    assert last.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED
    Checker(driver).check()


def test_another_child_of_that_id_is_not_taken_for_it() -> None:
    driver = Driver()
    family(driver)
    old = driver.run()
    result = result_of(old, child_of(old), "COMPLETED")
    result.child.first_run_id = "another"
    driver.reset(scheduled_ids(driver, old.key.run_id)[1] + 2)
    assert driver.receive(result).outcome == stored.Receipt.OUTCOME_NOT_FOUND


def test_the_new_run_tells_the_child_that_it_has_kept_of_its_close() -> None:
    driver = Driver()
    family(driver)
    new = driver.reset(scheduled_ids(driver, driver.run().key.run_id)[1] + 2)
    driver.complete(driver.take_workflow_task(), complete_workflow())
    (row,) = driver.outbox
    message = stored.Message.FromString(row.data)
    assert row.run.run_id == new
    assert message.parent_close.first_run_id == "child-run"


def test_a_start_that_may_be_on_its_way_is_taken_over() -> None:
    driver = Driver()
    family(driver, started=False)
    driver.signal("wake", "")
    driver.complete(driver.take_workflow_task())
    (sent,) = driver.outbox
    old = driver.run()
    early = result_of(old, child_of(old), "COMPLETED")
    new = driver.reset(scheduled_ids(driver, old.key.run_id)[1] + 2)
    Checker(driver).check()
    (again,) = driver.outbox
    assert again.key.id == sent.key.id
    assert again.run.run_id == new
    assert driver.receive(early).outcome == TAKEN, "the old run's message had started it"
    assert driver.outbox == []
    Checker(driver).check()


def test_a_start_that_a_closed_run_never_sent_has_a_name_of_its_own() -> None:
    driver = Driver()
    family(driver, started=False)
    driver.signal("wake", "")
    driver.complete(driver.take_workflow_task(), complete_workflow())
    old = driver.run().key.run_id
    new = driver.reset(scheduled_ids(driver, old)[1] + 2, old)
    assert f"{new}:5:0" in [row.key.id for row in driver.outbox]
    Checker(driver).check()


def test_what_was_heard_of_a_child_is_heard_again_after_the_signals() -> None:
    driver = Driver()
    family(driver)
    old = driver.run()
    driver.receive(result_of(old, child_of(old), "FAILED"))
    driver.signal("later", "")
    new = driver.reset(scheduled_ids(driver, old.key.run_id)[1] + 2)
    kinds = [event.event_type for event in driver.rows.history(new)]
    assert kinds[-3:] == [
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    ]
    assert not driver.run(new).children
    Checker(driver).check()


def test_options_and_attached_requests_are_kept() -> None:
    driver = busy()
    old = driver.run().key.run_id
    driver.start(
        request_id="attached",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        on_conflict_options={"attach_request_id": True},
    )
    new = driver.reset(scheduled_ids(driver, old)[0] + 1)
    assert list(driver.run(new).attached) == ["attached"]
    again = driver.reset(scheduled_ids(driver, new)[-1] + 1, new)
    assert list(driver.run(again).attached) == ["attached"]
    Checker(driver).check()


def test_an_event_that_is_not_known_is_not_passed_over() -> None:
    event = HistoryEvent(event_id=2, event_type=EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED)
    with pytest.raises(UnimplementedError, match="NEXUS_OPERATION_SCHEDULED"):
        Rebuilt("run", 20).apply(event)
