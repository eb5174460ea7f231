"""What pauses, resets and new options leave of a pending activity, and of its rows."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import schedule_activity
from conformance.driver import application_failure, payloads
from perdure.core.activity import operations
from perdure.core.activity.state import ActivityStatus, deadline, status
from perdure.core.commit import TaskType
from perdure.core.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from perdure.core.protobuf import seconds
from perdure.core.workflow.step import RunStep, Step
from perdure.proto import stored_pb2 as stored
from unit.core.driver import Driver

SLOW = {"initial_interval": {"seconds": 600}}


def running(*names: str, **activity: Any) -> Driver:
    """Returns a driver whose workflow has scheduled activities."""
    driver = Driver()
    driver.start()
    commands = [schedule_activity(name, "others", **activity) for name in names or ("a",)]
    assert driver.complete(driver.take_workflow_task(), *commands) == ""
    return driver


def pause(driver: Driver, request_id: str = "", **names: str) -> None:
    request = wf.PauseActivityRequest(request_id=request_id, **names)
    driver.update("", lambda _, change: operations.pause(change, request))


def unpause(driver: Driver, **fields: Any) -> None:
    request = wf.UnpauseActivityRequest(**fields)
    driver.update("", lambda _, change: operations.unpause(change, request))


def reset(driver: Driver, **fields: Any) -> None:
    request = wf.ResetActivityRequest(**fields)
    driver.update("", lambda _, change: operations.reset(change, request))


def change_options(driver: Driver, options: ActivityOptions, *paths: str) -> ActivityOptions:
    request = wf.UpdateActivityOptionsRequest(
        id="a", activity_options=options, update_mask=FieldMask(paths=paths)
    )

    def act(_: Step, change: RunStep) -> ActivityOptions:
        return operations.update_options(change, request)

    return driver.update("", act)


def activity(driver: Driver, name: str = "a") -> stored.ActivityInfo:
    run = driver.current
    assert run is not None
    return run.activities[run.activity_ids[name]]


def pause_info(driver: Driver) -> bytes | None:
    run = driver.current
    assert run is not None
    found = run.attributes.search_attributes.indexed_fields.get(operations.PAUSE_INFO)
    return None if found is None else bytes(found.data)


def test_a_pause_takes_the_row_and_every_deadline_and_the_end_of_it_brings_them_back() -> None:
    driver = running(schedule_to_start_timeout={"seconds": 1})
    pause(driver, id="a")
    assert status(activity(driver)) is ActivityStatus.PAUSED
    assert deadline(activity(driver)) == 0
    driver.advance(seconds(3_600))
    unpause(driver, id="a")
    assert driver.take_activity().token.attempt == 1


def test_a_paused_attempt_that_fails_waits_though_it_was_the_last() -> None:
    driver = running(retry_policy={"maximum_attempts": 1})
    taken = driver.take_activity()
    pause(driver, id="a")
    assert driver.heartbeat(taken).activity_paused
    driver.fail_activity(taken, application_failure("no"))
    assert status(activity(driver)) is ActivityStatus.PAUSED
    driver.advance(seconds(3_600))
    assert status(activity(driver)) is ActivityStatus.PAUSED


def test_a_pause_of_several_changes_none_where_one_is_refused() -> None:
    driver = running("a", "b")
    pause(driver, "first", id="a")
    with pytest.raises(FailedPreconditionError, match="already paused"):
        pause(driver, "second", type="Work")
    assert not activity(driver, "b").HasField("pause")
    pause(driver, "first", type="Work")
    assert activity(driver, "b").pause.request_id == "first"


def test_a_reset_drops_heartbeats_only_with_the_next_attempt() -> None:
    driver = running(retry_policy=SLOW)
    taken = driver.take_activity()
    driver.heartbeat(taken, payloads("half"))
    reset(driver, id="a", reset_heartbeat=True)
    assert driver.heartbeat(taken, payloads("more")).activity_reset
    assert activity(driver).HasField("heartbeat_details")
    driver.fail_activity(taken, application_failure("no"))
    assert not activity(driver).HasField("heartbeat_details")
    assert not activity(driver).is_reset


def test_an_attempt_after_the_first_is_lost_to_its_worker_by_a_reset() -> None:
    driver = running(retry_policy=SLOW)
    driver.fail_activity(driver.take_activity(), application_failure("one"))
    driver.advance(seconds(600))
    taken = driver.take_activity()
    reset(driver, id="a")
    with pytest.raises(NotFoundError):
        driver.complete_activity(taken)


def test_jitter_is_a_backoff_that_a_reset_ends() -> None:
    driver = running(retry_policy=SLOW)
    reset(driver, id="a", jitter=Duration(seconds=60))
    if status(activity(driver)) is ActivityStatus.BACKING_OFF:
        assert activity(driver).retry_due <= driver.now + seconds(60)
    reset(driver, id="a")
    assert driver.take_activity().token.attempt == 1


def test_options_move_a_waiting_task_and_are_restored() -> None:
    driver = running()
    options = ActivityOptions()
    options.task_queue.name = "elsewhere"
    change_options(driver, options, "taskQueue.name")
    assert activity(driver).task_queue == "elsewhere"
    request = wf.UpdateActivityOptionsRequest(id="a", restore_original=True)
    driver.update("", lambda _, change: operations.update_options(change, request))
    assert activity(driver).task_queue == "others"
    assert driver.take_activity().token.attempt == 1


def test_unsound_options_change_nothing() -> None:
    driver = running()
    options = ActivityOptions()
    options.retry_policy.maximum_attempts = -1
    with pytest.raises(InvalidArgumentError, match="MaximumAttempts"):
        change_options(driver, options, "retry_policy.maximum_attempts")
    assert activity(driver).retry_policy.maximum_attempts == 0


def test_what_is_paused_is_a_search_attribute_until_nothing_is() -> None:
    driver = running("a", "b")
    pause(driver, type="Work")
    assert pause_info(driver) == b'["property:activityType=Work"]'
    unpause(driver, id="a")
    assert pause_info(driver) == b'["property:activityType=Work"]'
    reset(driver, id="b")
    assert pause_info(driver) is None


def test_a_paused_activity_that_is_failed_by_id_stays_paused() -> None:
    driver = running()
    pause(driver, id="a")
    driver.fail_activity("a", application_failure("no"))
    assert status(activity(driver)) is ActivityStatus.PAUSED
    assert activity(driver).attempt == 2
    driver.complete_activity("a")
    assert not driver.pending(TaskType.ACTIVITY)
