"""What a commit tells observers of how attempts of activities ended."""

from typing import Any

from conformance.commands import cancel_activity, complete_workflow, schedule_activity
from conformance.driver import application_failure
from perdure.core.commit import ActivityEnding, ActivityOutcome
from perdure.core.protobuf import seconds
from unit.core.driver import QUEUE, Driver

RETRIED_ONCE = {"initial_interval": {"seconds": 1}, "maximum_attempts": 2}


def running(**activity: Any) -> Driver:
    """Returns a driver whose workflow has scheduled one activity."""
    driver = Driver()
    driver.start()
    command = schedule_activity("a", "others", **activity)
    assert driver.complete(driver.take_workflow_task(), command) == ""
    return driver


def outcomes(driver: Driver) -> list[ActivityOutcome]:
    return [outcome for commit in driver.commits for outcome in commit.outcomes]


def test_a_completion_has_its_latencies_and_names() -> None:
    driver = running()
    driver.advance(seconds(2))
    taken = driver.take_activity()
    driver.advance(seconds(3))
    driver.complete_activity(taken)
    (outcome,) = outcomes(driver)
    assert outcome.ending is ActivityEnding.COMPLETED
    assert outcome.closed
    assert (outcome.task_queue, outcome.workflow_type) == ("others", "Workflow")
    assert outcome.activity_type
    assert (outcome.start_to_close, outcome.schedule_to_close) == (seconds(3), seconds(5))


def test_every_failed_attempt_is_told_and_the_last_one_closes() -> None:
    driver = running(retry_policy=RETRIED_ONCE)
    driver.fail_activity(driver.take_activity(), application_failure("no"))
    driver.advance(seconds(1))
    driver.fail_activity(driver.take_activity(), application_failure("no"))
    assert [(outcome.ending, outcome.closed) for outcome in outcomes(driver)] == [
        (ActivityEnding.FAILED, False),
        (ActivityEnding.FAILED, True),
    ]
    assert [outcome.schedule_to_close for outcome in outcomes(driver)] == [0, seconds(1)]


def test_timeouts_are_called_by_what_ran_out() -> None:
    driver = running(
        retry_policy=RETRIED_ONCE,
        start_to_close_timeout={"seconds": 5},
        schedule_to_start_timeout={"seconds": 2},
    )
    driver.take_activity()
    driver.advance(seconds(10))
    assert [(outcome.timeout, outcome.closed) for outcome in outcomes(driver)] == [
        ("StartToClose", False),
        ("ScheduleToStart", True),
    ]
    assert outcomes(driver)[1].start_to_close is None


def test_what_nobody_took_has_no_start_to_close() -> None:
    driver = running()
    driver.complete_activity("a")
    (outcome,) = outcomes(driver)
    assert outcome.start_to_close is None


def test_a_cancellation_counts_when_the_worker_reports_it() -> None:
    driver = running()
    taken = driver.take_activity()
    scheduled_event_id = taken.token.scheduled_event_id
    driver.signal("wake")
    task = driver.take_workflow_task()
    assert driver.complete(task, cancel_activity(scheduled_event_id)) == ""
    assert outcomes(driver) == []
    driver.cancel_activity(taken)
    assert [outcome.ending for outcome in outcomes(driver)] == [ActivityEnding.CANCELED]


def test_an_activity_that_its_run_leaves_behind_has_no_outcome() -> None:
    driver = running()
    driver.take_activity()
    driver.signal("wake")
    assert driver.complete(driver.take_workflow_task(QUEUE), complete_workflow()) == ""
    assert outcomes(driver) == []
