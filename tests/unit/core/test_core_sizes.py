"""What a worker sends that is too large ends the run, since it would only be sent again."""

from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus

from conformance.commands import (
    cancel_workflow,
    command,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    search_value,
    start_timer,
    upsert_search_attributes,
)
from conformance.driver import application_failure
from perdure.core.protobuf import seconds
from perdure.core.visibility.attributes import SearchAttributeLimits
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver

BLOB, MEMO = 1000, 1500
SETTINGS = WorkflowSettings(
    blob_size_limit=BLOB,
    memo_size_limit=MEMO,
    search_attributes=SearchAttributeLimits(max_value_bytes=200, max_total_bytes=500),
)
JSON = {"encoding": b"json/plain"}


def text(size: int) -> dict[str, Any]:
    """Returns the fields of a payload: a JSON string of that many characters."""
    return {"metadata": JSON, "data": b'"' + b"x" * size + b'"'}


def inputs(size: int) -> dict[str, Any]:
    return {"payloads": [text(size)]}


def memo(**sizes: int) -> Command:
    fields = {name: text(size) for name, size in sizes.items()}
    return command("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": {"fields": fields}})


def forget(name: str) -> Command:
    fields = {name: {"metadata": {"encoding": b"binary/null"}}}
    return command("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": {"fields": fields}})


def words(**sizes: int) -> Command:
    values = {name: search_value("Text", f'"{"x" * size}"') for name, size in sizes.items()}
    return upsert_search_attributes(**values)


def with_attributes(**sizes: int) -> Command:
    upserted = words(**sizes).upsert_workflow_search_attributes_command_attributes
    return continue_as_new(QUEUE, search_attributes=upserted.search_attributes)


# By what is too large: the largest size that the real server accepted, under these limits, a
# command of a size, and what the real server said of the next larger one.
CASES = {
    "an activity's input": (
        968,
        lambda size: schedule_activity("a", QUEUE, input=inputs(size)),
        (
            "BadScheduleActivityAttributes: "
            "ScheduleActivityTaskCommandAttributes.Input exceeds size limit."
        ),
    ),
    "a result": (
        968,
        lambda size: command("COMPLETE_WORKFLOW_EXECUTION", {"result": inputs(size)}),
        (
            "BadScheduleActivityAttributes: "
            "CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit."
        ),
    ),
    "a failure": (
        982,
        lambda size: fail_workflow(application_failure("x" * size)),
        (
            "BadFailWorkflowExecutionAttributes: "
            "FailWorkflowExecutionCommandAttributes.Failure exceeds size limit."
        ),
    ),
    "the next run's input": (
        968,
        lambda size: continue_as_new(QUEUE, input=inputs(size)),
        (
            "BadContinueAsNewAttributes: "
            "ContinueAsNewWorkflowExecutionCommandAttributes. Input exceeds size limit."
        ),
    ),
    "the next run's memo": (
        1462,
        lambda size: continue_as_new(QUEUE, memo={"fields": {"m": text(size)}}),
        (
            "BadContinueAsNewAttributes: "
            "ContinueAsNewWorkflowExecutionCommandAttributes. Memo exceeds size limit."
        ),
    ),
    "the next run's search attribute": (
        198,
        lambda size: with_attributes(A=size),
        ("BadContinueAsNewAttributes: search attribute A value size 201 exceeds size limit 200"),
    ),
    "a marker's details": (
        925,
        lambda size: record_marker("m", details={"dd": inputs(size), "e": inputs(10)}),
        "BadRecordMarkerAttributes: RecordMarkerCommandAttributes.Details exceeds size limit.",
    ),
    "upserted memo fields": (
        994,
        lambda size: memo(m=size, k=0),
        (
            "BadModifyWorkflowPropertiesAttributes: "
            "ModifyWorkflowPropertiesCommandAttributes exceeds size limit."
        ),
    ),
    "a search attribute": (
        198,
        lambda size: words(A=size),
        "BadSearchAttributes: search attribute A value size 201 exceeds size limit 200",
    ),
}


@pytest.fixture
def driver() -> Driver:
    driver = Driver(SETTINGS)
    driver.search_attributes = dict.fromkeys("ABC", ValueType.TEXT)
    driver.start()
    return driver


def events_since(driver: Driver, first: int) -> list[str]:
    return [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for event in driver.rows.history("run-1")[first - 1 :]
    ]


def assert_terminated(driver: Driver, reason: str) -> None:
    """Checks that the run ended right after its failed workflow task."""
    failed, terminated = driver.rows.history("run-1")[-2:]
    assert failed.workflow_task_failed_event_attributes.failure.message == reason
    attributes = terminated.workflow_execution_terminated_event_attributes
    assert (attributes.reason, attributes.identity) == (reason, "history-service")
    status = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED
    assert driver.run("run-1").state.status == status
    assert not driver.rows.tasks
    Checker(driver).check()


@pytest.mark.parametrize("name", CASES)
def test_what_is_too_large_ends_the_run(driver: Driver, name: str) -> None:
    largest, make, reason = CASES[name]
    taken = driver.take_workflow_task()
    assert driver.complete(taken, start_timer("t", 1), make(largest + 1)) == reason
    assert_terminated(driver, reason)


@pytest.mark.parametrize("name", CASES)
def test_what_is_as_large_as_allowed_is_applied(driver: Driver, name: str) -> None:
    largest, make, _ = CASES[name]
    assert driver.complete(driver.take_workflow_task(), make(largest)) == ""
    Checker(driver).check()


@pytest.mark.parametrize(
    "unlimited",
    [
        cancel_workflow("x" * 2000),
        schedule_activity("a", QUEUE, header={"fields": {"h": text(2000)}}),
        record_marker("m", failure=application_failure("x" * 2000)),
        continue_as_new(QUEUE, last_completion_result=inputs(2000)),
    ],
    ids=["cancellation", "activity header", "marker failure", "last result"],
)
def test_the_real_server_limits_no_more_than_that(driver: Driver, unlimited: Command) -> None:
    assert driver.complete(driver.take_workflow_task(), unlimited) == ""


TOO_MUCH_MEMO = (
    "BadModifyWorkflowPropertiesAttributes: "
    "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit."
)
TOO_MANY_WORDS = "BadSearchAttributes: total size of search attributes 606 exceeds size limit 500"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (memo(a=900), memo(b=524), ""),
        (memo(a=900), memo(b=525), TOO_MUCH_MEMO),
        (memo(a=900), memo(a=960), ""),
        (words(A=150, B=150), words(A=100), ""),
        (words(A=150, B=150), words(C=150), TOO_MANY_WORDS),
    ],
    ids=["just fits", "too much", "replaced", "fewer words", "too many words"],
)
@pytest.mark.parametrize("tasks", [1, 2])
def test_what_is_there_already_counts(
    driver: Driver, first: Command, second: Command, reason: str, tasks: int
) -> None:
    batches = [[first, second]] if tasks == 1 else [[first], [second]]
    answers = []
    for batch in batches:
        answers.append(driver.complete(driver.take_workflow_task(), *batch))
        if driver.run().is_running:
            driver.signal("wake")
    assert answers[-1] == reason
    if reason:
        assert_terminated(driver, reason)


def test_what_is_removed_first_does_not_count(driver: Driver) -> None:
    taken = driver.take_workflow_task()
    assert driver.complete(taken, memo(a=900), forget("a"), memo(b=900)) == ""


def test_the_first_bad_command_decides(driver: Driver) -> None:
    large = CASES["an activity's input"][1](2000)
    answer = driver.complete(driver.take_workflow_task(), start_timer("", 1), large)
    assert answer == "BadStartTimerAttributes: TimerId is not set on StartTimerCommand."
    assert driver.run().is_running


def test_form_is_looked_at_before_size(driver: Driver) -> None:
    bad = schedule_activity("a", QUEUE, input=inputs(2000), start_to_close_timeout={"seconds": -1})
    answer = driver.complete(driver.take_workflow_task(), bad)
    assert answer == "BadScheduleActivityAttributes: invalid StartToCloseTimeout: negative duration"


def test_what_came_meanwhile_is_written_before_the_end(driver: Driver) -> None:
    taken = driver.take_workflow_task()
    driver.signal("meanwhile")
    driver.complete(taken, CASES["an activity's input"][1](2000))
    assert events_since(driver, 4) == [
        "WORKFLOW_TASK_FAILED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_TERMINATED",
    ]


def test_a_run_that_may_be_retried_ends_too(driver: Driver) -> None:
    driver = Driver(SETTINGS)
    driver.start(retry_policy={"maximum_attempts": 3})
    _, make, reason = CASES["a failure"]
    assert driver.complete(driver.take_workflow_task(), make(2000)) == reason
    assert_terminated(driver, reason)
    assert driver.current is driver.run("run-1")


def test_another_attempt_that_is_too_large_runs_out(driver: Driver) -> None:
    driver.complete(driver.take_workflow_task(), start_timer("", 1))
    driver.complete(driver.take_workflow_task(), CASES["a result"][1](2000))
    assert driver.run().is_running
    driver.advance(seconds(10))
    assert driver.complete(driver.take_workflow_task(), CASES["a result"][1](1)) == ""
