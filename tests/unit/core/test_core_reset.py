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
    start_timer,
    upsert_memo,
)
from perdure.core.commit import TaskType
from perdure.core.errors import UnimplementedError
from perdure.core.protobuf import seconds
from perdure.core.reset.rebuild import Rebuilt
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver


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


def test_an_event_that_is_not_known_is_not_passed_over() -> None:
    event = HistoryEvent(event_id=2, event_type=EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED)
    with pytest.raises(UnimplementedError, match="NEXUS_OPERATION_SCHEDULED"):
        Rebuilt("run", 20).apply(event)
