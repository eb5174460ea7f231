"""Mistakes that the engine once made: each test is named after what must be so."""

from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType

from conformance.commands import (
    cancel_activity,
    cancel_timer,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    schedule_activity,
    start_timer,
)
from conformance.driver import application_failure
from perdure.core.protobuf import LONGEST_DURATION, seconds, timestamp_ns
from perdure.core.workflow.state import RUNNING
from unit.core.checks import Checker
from unit.core.driver import EPOCH_START, QUEUE, Driver

TEN_THOUSAND_YEARS = {"seconds": 315_000_000_000}


def running(*batch: Command) -> Driver:
    """Returns a driver whose first workflow task has been completed with these commands."""
    driver = Driver()
    driver.start()
    assert driver.complete(driver.take_workflow_task(), *batch) == ""
    return driver


def event_types(driver: Driver) -> list[str]:
    return [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for event in driver.rows.history("run-1")
    ]


def test_a_run_may_close_in_the_task_that_undoes_the_last_unseen_event() -> None:
    driver = running(start_timer("t", 1))
    driver.signal("wake")
    taken = driver.take_workflow_task()
    driver.advance(seconds(2))
    assert driver.run().state.buffered_event_count == 1
    assert driver.complete(taken, cancel_timer("t"), complete_workflow()) == ""
    assert event_types(driver)[-2:] == ["TIMER_CANCELED", "WORKFLOW_EXECUTION_COMPLETED"]


def test_a_run_may_not_close_when_another_event_is_unseen() -> None:
    driver = running(start_timer("t", 1))
    driver.signal("wake")
    taken = driver.take_workflow_task()
    driver.advance(seconds(2))
    driver.signal("unseen")
    answer = driver.complete(taken, cancel_timer("t"), complete_workflow())
    assert answer == "UnhandledCommand"
    assert event_types(driver)[-4:] == [
        "WORKFLOW_TASK_FAILED",
        "TIMER_FIRED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_TASK_SCHEDULED",
    ]


def test_timers_that_are_due_together_fire_in_the_order_of_their_starts() -> None:
    driver = running(*(start_timer(str(number), 5) for number in range(8, 12)))
    driver.forget()
    driver.advance(seconds(5))
    fired = [
        event.timer_fired_event_attributes.timer_id
        for event in driver.rows.history("run-1")
        if event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
    ]
    assert fired == ["8", "9", "10", "11"]


def test_heartbeats_do_not_fill_the_memory() -> None:
    driver = running(
        schedule_activity("a", QUEUE, start_to_close_timeout={"seconds": 3600}),
        schedule_activity(
            "b",
            QUEUE,
            start_to_close_timeout={"seconds": 3600},
            heartbeat_timeout={"seconds": 60},
        ),
    )
    first, second = driver.take_activity(), driver.take_activity()
    for _ in range(300):
        driver.advance(seconds(1))
        driver.heartbeat(first)
        driver.heartbeat(second)
    assert len(driver.run().deadlines) < 50
    Checker(driver).check()
    driver.advance(seconds(61))
    assert list(driver.run().activity_ids) == ["a", "b"]
    assert driver.run().activities[6].attempt == 2


def test_a_wake_up_that_came_too_early_is_no_transition() -> None:
    driver = running(start_timer("t", 100))
    before = driver.run().state.state_transition_count
    driver.advance(seconds(11))
    assert [row.due for row in driver.rows.timers] == [EPOCH_START + seconds(100)]
    assert driver.run().state.state_transition_count == before


def test_no_task_row_is_deleted_for_an_eager_activity() -> None:
    driver = Driver()
    driver.start()
    answer = driver.respond(
        driver.take_workflow_task(), [schedule_activity("a", QUEUE, request_eager_execution=True)]
    )
    assert len(answer.eager) == 1
    assert not driver.commits[-1].tasks_deleted


def test_time_does_not_go_back_after_an_attempt_that_wrote_nothing() -> None:
    driver = Driver()
    driver.start()
    driver.fail(driver.take_workflow_task())
    driver.advance(seconds(5))
    taken = driver.take_workflow_task()
    driver.now -= seconds(4)
    driver.complete(taken)
    Checker(driver).check()


@pytest.mark.parametrize(
    "batch",
    [
        [start_timer("t", 1e11)],
        [schedule_activity("a", QUEUE, schedule_to_close_timeout=TEN_THOUSAND_YEARS)],
        [schedule_activity("a", QUEUE, heartbeat_timeout=TEN_THOUSAND_YEARS)],
        [
            schedule_activity(
                "a",
                QUEUE,
                retry_policy={
                    "initial_interval": TEN_THOUSAND_YEARS,
                    "maximum_interval": TEN_THOUSAND_YEARS,
                },
            )
        ],
        [continue_as_new(QUEUE, backoff_start_interval=TEN_THOUSAND_YEARS)],
        [continue_as_new(QUEUE, workflow_run_timeout=TEN_THOUSAND_YEARS)],
        [continue_as_new(QUEUE, workflow_task_timeout=TEN_THOUSAND_YEARS)],
    ],
    ids=lambda batch: str(batch[0]).split("{")[0],
)
def test_no_duration_is_too_long_to_be_stored(batch: list[Command]) -> None:
    driver = running(*batch)
    for taken in [driver.take(row) for row in list(driver.rows.tasks.values())]:
        if taken.token.activity_id:
            driver.fail_activity(taken, application_failure("broken"))
    Checker(driver).check()
    assert driver.run().state.status == RUNNING
    latest = driver.now + 2 * LONGEST_DURATION
    assert all(row.due <= latest for row in driver.rows.timers)


@pytest.mark.parametrize(("asked", "pending"), [(315_000_000_000, 1), (-1_700_000_000, 0)])
def test_a_failure_may_ask_for_any_delay(asked: int, pending: int) -> None:
    driver = running(schedule_activity("a", QUEUE))
    failure: dict[str, Any] = {"next_retry_delay": {"seconds": asked}}
    driver.fail_activity(driver.take_activity(), application_failure("broken", **failure))
    Checker(driver).check()
    assert len(driver.run().activities) == pending


def test_an_activity_that_never_started_may_be_cancelled_and_the_run_closed_at_once() -> None:
    driver = running(schedule_activity("a", QUEUE))
    driver.signal("wake")
    answer = driver.complete(driver.take_workflow_task(), cancel_activity(5), complete_workflow())
    assert answer == ""
    assert event_types(driver)[-3:] == [
        "ACTIVITY_TASK_CANCEL_REQUESTED",
        "ACTIVITY_TASK_CANCELED",
        "WORKFLOW_EXECUTION_COMPLETED",
    ]
    assert not driver.rows.tasks


@pytest.mark.parametrize(
    ("asked", "limits", "timeouts"),
    [
        ({}, {}, (0, 10)),
        ({"workflow_task_timeout": {"seconds": 400}}, {}, (0, 120)),
        ({"workflow_run_timeout": {"seconds": 5}}, {}, (5, 5)),
        ({"workflow_run_timeout": {"seconds": 500}}, {"seconds": 100}, (100, 10)),
        ({"workflow_task_timeout": {"seconds": 400}}, {"seconds": 100}, (100, 100)),
    ],
)
def test_timeouts_of_the_next_run_fit_into_each_other(
    asked: dict[str, Any], limits: dict[str, int], timeouts: tuple[int, int]
) -> None:
    driver = Driver()
    driver.start(workflow_execution_timeout=limits)
    driver.complete(driver.take_workflow_task(), continue_as_new(QUEUE, **asked))
    closed = driver.rows.history("run-1")[-1]
    begun = driver.rows.history("run-2")[0].workflow_execution_started_event_attributes
    for said in (closed.workflow_execution_continued_as_new_event_attributes, begun):
        run, task = said.workflow_run_timeout.seconds, said.workflow_task_timeout.seconds
        assert (run, task) == timeouts
    Checker(driver).check()


def last_event_time(driver: Driver, run_id: str) -> int:
    return timestamp_ns(driver.rows.history(run_id)[-1].event_time)


def test_a_run_that_continues_another_does_not_begin_before_its_end() -> None:
    driver = Driver()
    driver.start(workflow_execution_timeout={"seconds": 100})
    driver.advance(seconds(5))
    taken = driver.take_workflow_task()
    driver.now -= seconds(60)
    driver.complete(taken, continue_as_new(QUEUE))
    start = driver.run().start
    assert start.start_time == last_event_time(driver, "run-1") == EPOCH_START + seconds(5)
    assert timestamp_ns(driver.rows.history("run-2")[0].event_time) == start.start_time
    Checker(driver).check()


def test_a_retried_run_does_not_begin_before_the_end_of_the_failed_one() -> None:
    driver = Driver()
    driver.start(retry_policy={"maximum_attempts": 2})
    driver.advance(seconds(5))
    taken = driver.take_workflow_task()
    driver.now -= seconds(60)
    driver.complete(taken, fail_workflow(application_failure("broken")))
    start = driver.run().start
    assert start.start_time == last_event_time(driver, "run-1") == EPOCH_START + seconds(5)
    assert start.execution_time == start.start_time + seconds(1)
    assert driver.run().state.first_workflow_task_due == start.execution_time


def test_a_new_run_of_a_workflow_id_does_not_begin_before_the_end_of_the_last_one() -> None:
    driver = running(complete_workflow())
    driver.now -= seconds(60)
    driver.start(request_id="again", workflow_execution_timeout={"seconds": 10})
    start = driver.run().start
    assert start.start_time == last_event_time(driver, "run-1")
    assert start.execution_expiration_time == start.start_time + seconds(10)
