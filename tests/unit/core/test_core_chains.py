"""Runs that wait before they begin, and runs that follow one another by schedule."""

import pytest
from temporalio.api.enums.v1 import ContinueAsNewInitiator, EventType
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status

from conformance.commands import cancel_workflow, complete_workflow, fail_workflow
from conformance.driver import application_failure, payloads
from perdure.core.commit import TaskType
from perdure.core.protobuf import seconds
from unit.core.checks import Checker
from unit.core.driver import Driver

CRON = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE


def test_a_delayed_run_has_its_first_task_when_the_delay_has_passed() -> None:
    driver = Driver()
    driver.start(workflow_start_delay={"seconds": 10})
    driver.signal("early")
    driver.advance(seconds(9))
    assert not driver.run().state.HasField("workflow_task")
    driver.advance(seconds(1))
    assert driver.run().state.HasField("workflow_task")
    Checker(driver).check()


def test_a_signal_with_start_ends_the_delay() -> None:
    driver = Driver()
    driver.signal_with_start(workflow_start_delay={"seconds": 10})
    assert not driver.run().state.HasField("workflow_task")
    driver.signal_with_start(request_id="second")
    assert driver.run().state.HasField("workflow_task")
    Checker(driver).check()
    driver.complete(driver.take_workflow_task(), complete_workflow())
    driver.advance(seconds(20))
    Checker(driver).check()


def test_a_cancel_request_ends_the_delay() -> None:
    driver = Driver()
    driver.start(workflow_start_delay={"seconds": 10})
    driver.request_cancel()
    assert driver.run().state.HasField("workflow_task")
    Checker(driver).check()
    driver.complete(driver.take_workflow_task(), cancel_workflow())
    Checker(driver).check()


def test_a_cron_chain_passes_results_and_failures_on() -> None:
    driver = Driver()
    driver.start(cron_schedule="@every 10s", input=payloads("in"))
    for number, command in enumerate(
        (complete_workflow("one"), fail_workflow(application_failure("two")), complete_workflow())
    ):
        assert not driver.run().state.HasField("workflow_task")
        driver.advance(seconds(10))
        driver.complete(driver.take_workflow_task(), command)
        Checker(driver).check()
        begun = driver.rows.history(driver.run().key.run_id)[0]
        attributes = begun.workflow_execution_started_event_attributes
        assert attributes.initiator == CRON
        assert attributes.input == payloads("in")
        assert attributes.HasField("continued_failure") == (number == 1)
        assert attributes.last_completion_result == payloads(("one", "one", "done")[number])
        assert attributes.first_workflow_task_backoff.seconds == 10


def test_a_cron_chain_retries_first() -> None:
    driver = Driver()
    driver.start(
        cron_schedule="@every 1h",
        retry_policy={"initial_interval": {"seconds": 5}, "maximum_attempts": 2},
    )
    driver.advance(seconds(3600))
    driver.complete(driver.take_workflow_task(), fail_workflow(application_failure("one")))
    assert driver.run().start.attempt == 2
    driver.advance(seconds(5))
    driver.complete(driver.take_workflow_task(), fail_workflow(application_failure("two")))
    assert driver.run().start.attempt == 1
    assert driver.run().start.first_workflow_task_backoff == seconds(3600)
    Checker(driver).check()


def test_a_run_of_a_cron_chain_that_times_out_is_followed() -> None:
    driver = Driver()
    driver.start(cron_schedule="@every 10s", workflow_run_timeout={"seconds": 2})
    first = driver.run().key.run_id
    driver.advance(seconds(12))
    closed = driver.rows.history(first)[-1]
    assert closed.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT
    attributes = closed.workflow_execution_timed_out_event_attributes
    assert attributes.new_execution_run_id == driver.run().key.run_id != first
    Checker(driver).check()


@pytest.mark.parametrize("ending", ["cancelled", "terminated", "out of time"])
def test_a_cron_chain_ends(ending: str) -> None:
    driver = Driver()
    driver.start(cron_schedule="@every 10s", workflow_execution_timeout={"seconds": 25})
    driver.advance(seconds(10))
    if ending == "cancelled":
        driver.complete(driver.take_workflow_task(), cancel_workflow())
    elif ending == "terminated":
        driver.terminate()
    else:
        driver.advance(seconds(15))
    assert driver.run().state.status != Status.WORKFLOW_EXECUTION_STATUS_RUNNING
    assert len(driver.rows.runs) == 1
    Checker(driver).check()


def test_an_eager_start_gives_its_task_to_whoever_asks_again() -> None:
    driver = Driver()
    first = driver.start(request_eager_execution=True, request_id="asked")
    assert first.eager is not None
    assert driver.pending(TaskType.WORKFLOW) == []
    again = driver.start(request_eager_execution=True, request_id="asked")
    assert again.eager is not None
    assert again.run_id == first.run_id
    Checker(driver).check()
    plain = driver.start(request_id="asked")
    assert plain.eager is None
