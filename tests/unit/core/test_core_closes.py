"""However a run ends, and whatever is pending then: nothing of it stays behind but its history."""

from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status

from conformance.commands import (
    cancel_activity,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    schedule_activity,
    start_timer,
)
from conformance.driver import application_failure
from perdure.core.protobuf import seconds
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver

LIMITS: dict[str, Any] = {"workflow_run_timeout": {"seconds": 50}}
RETRIES: dict[str, Any] = {"retry_policy": {"maximum_attempts": 2}}


def nothing(driver: Driver) -> None:
    """Leaves the run as it started."""
    driver.complete(driver.take_workflow_task())


def with_activity(driver: Driver) -> None:
    driver.complete(
        driver.take_workflow_task(),
        schedule_activity("a", QUEUE, schedule_to_close_timeout={"seconds": 40}),
        start_timer("t", 60),
    )


def with_started_activity(driver: Driver) -> None:
    with_activity(driver)
    driver.take_activity()


def with_cancelled_activity(driver: Driver) -> None:
    with_started_activity(driver)
    driver.signal("wake")
    driver.complete(driver.take_workflow_task(), cancel_activity(5))


def with_activity_that_backs_off(driver: Driver) -> None:
    with_activity(driver)
    driver.fail_activity(driver.take_activity(), application_failure("broken"))


def with_activity_tried_again(driver: Driver) -> None:
    with_activity_that_backs_off(driver)
    driver.advance(seconds(1))


PENDING = [
    nothing,
    with_activity,
    with_started_activity,
    with_cancelled_activity,
    with_activity_that_backs_off,
    with_activity_tried_again,
]
COMMANDS = {
    Status.WORKFLOW_EXECUTION_STATUS_COMPLETED: complete_workflow(),
    Status.WORKFLOW_EXECUTION_STATUS_FAILED: fail_workflow(application_failure("broken")),
    Status.WORKFLOW_EXECUTION_STATUS_CANCELED: cancel_workflow(),
    Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: continue_as_new(QUEUE),
}


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("status", COMMANDS)
@pytest.mark.parametrize("fields", [LIMITS, LIMITS | RETRIES], ids=["once", "retried"])
def test_a_command_closes_the_run(
    pending: Callable[[Driver], None], status: Status.ValueType, fields: dict[str, Any]
) -> None:
    driver = Driver()
    driver.start(**fields)
    pending(driver)
    driver.signal("wake")
    assert driver.complete(driver.take_workflow_task(), COMMANDS[status]) == ""
    assert driver.run("run-1").state.status == status
    Checker(driver).check()
    follows = status == Status.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW or (
        status == Status.WORKFLOW_EXECUTION_STATUS_FAILED and "retry_policy" in fields
    )
    assert driver.run().is_running == follows


def is_terminated(driver: Driver) -> Status.ValueType:
    driver.terminate()
    return Status.WORKFLOW_EXECUTION_STATUS_TERMINATED


def is_replaced(driver: Driver) -> Status.ValueType:
    driver.start(
        request_id="other",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
    )
    assert driver.run().is_running
    return Status.WORKFLOW_EXECUTION_STATUS_TERMINATED


def runs_out_of_time(driver: Driver) -> Status.ValueType:
    driver.skip(seconds(50))
    driver.advance(0)
    return Status.WORKFLOW_EXECUTION_STATUS_TIMED_OUT


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("task", ["none", "scheduled", "started", "tried again", "buffer"])
@pytest.mark.parametrize("close", [is_terminated, is_replaced, runs_out_of_time])
def test_a_run_is_closed_from_outside(
    pending: Callable[[Driver], None], task: str, close: Callable[[Driver], Status.ValueType]
) -> None:
    driver = Driver()
    driver.start(**LIMITS)
    pending(driver)
    if task != "none":
        driver.signal("wake")
    if task in ("started", "tried again", "buffer"):
        taken = driver.take_workflow_task()
        if task == "tried again":
            driver.fail(taken)
        if task == "buffer":
            driver.signal("buffered")
    status = close(driver)
    Checker(driver).check()
    assert driver.run("run-1").state.status == status
    assert driver.run("run-1").state.signal_count >= (task != "none") + (task == "buffer")


@pytest.mark.parametrize("close", [is_terminated, is_replaced])
@pytest.mark.parametrize(
    "last",
    [fail_workflow(application_failure("broken")), continue_as_new(QUEUE)],
    ids=["fail", "again"],
)
def test_a_run_whose_first_task_is_delayed_is_closed(
    close: Callable[[Driver], Status.ValueType], last: Command
) -> None:
    driver = Driver()
    driver.start(**RETRIES)
    assert driver.complete(driver.take_workflow_task(), last) == ""
    delayed = driver.run()
    assert delayed.state.first_workflow_task_due
    driver.signal("early")
    status = close(driver)
    assert delayed.state.status == status
    assert not delayed.state.first_workflow_task_due
    Checker(driver).check()
    driver.advance(seconds(10))
    Checker(driver).check()
