"""What DescribeWorkflowExecution says of a run in its different states."""

from temporalio.api.enums.v1 import (
    PendingActivityState,
    PendingWorkflowTaskState,
    WorkflowExecutionStatus,
)
from temporalio.api.workflow.v1 import PendingActivityInfo

from conformance.commands import cancel_activity, complete_workflow, schedule_activity, upsert_memo
from conformance.driver import application_failure, payload, payloads
from perdure.core.protobuf import duration_ns, seconds, timestamp_ns
from perdure.core.workflow.describe import NEVER_SECONDS, describe
from unit.core.driver import EPOCH_START, QUEUE, Driver

LIMITS = {
    "workflow_execution_timeout": {"seconds": 100},
    "workflow_run_timeout": {"seconds": 60},
}


def test_a_run_that_has_just_started() -> None:
    driver = Driver()
    driver.start()
    shown = describe(driver.run())
    info, task = shown.workflow_execution_info, shown.pending_workflow_task
    assert info.execution.run_id == info.first_run_id == info.root_execution.run_id == "run-1"
    assert info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    assert (info.history_length, info.state_transition_count) == (2, 1)
    assert timestamp_ns(info.start_time) == timestamp_ns(info.execution_time) == EPOCH_START
    assert not info.HasField("close_time")
    assert task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    assert timestamp_ns(task.scheduled_time) == EPOCH_START
    assert not task.HasField("started_time")
    assert not shown.workflow_extended_info.HasField("execution_expiration_time")
    assert shown.workflow_extended_info.run_expiration_time.seconds == NEVER_SECONDS
    assert shown.workflow_extended_info.request_id_infos["start"].event_id == 1


def test_limits_and_when_they_are_reached() -> None:
    driver = Driver()
    driver.start(**LIMITS)
    shown = describe(driver.run())
    extended, config = shown.workflow_extended_info, shown.execution_config
    assert timestamp_ns(extended.execution_expiration_time) == EPOCH_START + seconds(100)
    assert timestamp_ns(extended.run_expiration_time) == EPOCH_START + seconds(60)
    assert duration_ns(config.workflow_execution_timeout) == seconds(100)
    assert duration_ns(config.workflow_run_timeout) == seconds(60)
    assert duration_ns(config.default_workflow_task_timeout) == seconds(10)


def test_a_workflow_task_that_is_tried_again() -> None:
    driver = Driver()
    driver.start()
    driver.take_workflow_task()
    driver.advance(seconds(12))
    driver.take_workflow_task()
    task = describe(driver.run()).pending_workflow_task
    assert task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
    assert task.attempt == 2
    assert timestamp_ns(task.scheduled_time) == EPOCH_START + seconds(10)
    assert timestamp_ns(task.started_time) == EPOCH_START + seconds(12)


def test_an_activity_through_its_states() -> None:
    driver = Driver()
    driver.start()
    driver.complete(
        driver.take_workflow_task(),
        schedule_activity(
            "a", QUEUE, schedule_to_close_timeout={"seconds": 60}, heartbeat_timeout={"seconds": 9}
        ),
    )

    def activity() -> PendingActivityInfo:
        (pending,) = describe(driver.run()).pending_activities
        return pending

    assert activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    assert timestamp_ns(activity().expiration_time) == EPOCH_START + seconds(60)
    assert activity().attempt == 1

    taken = driver.take_activity()
    driver.advance(seconds(2))
    driver.heartbeat(taken, payloads("half"))
    assert activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    assert timestamp_ns(activity().last_started_time) == EPOCH_START
    assert timestamp_ns(activity().last_heartbeat_time) == EPOCH_START + seconds(2)
    assert activity().heartbeat_details == payloads("half")
    assert activity().last_worker_identity == "worker"

    driver.fail_activity(taken, application_failure("broken"))
    assert activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    assert activity().attempt == 2
    assert activity().last_failure.message == "broken"
    assert timestamp_ns(activity().next_attempt_schedule_time) == EPOCH_START + seconds(3)
    assert duration_ns(activity().current_retry_interval) == seconds(1)

    driver.advance(seconds(1))
    driver.take_activity()
    driver.signal("wake")
    driver.complete(driver.take_workflow_task(), cancel_activity(5))
    assert activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    assert not activity().HasField("next_attempt_schedule_time")


def test_activities_are_shown_in_the_order_of_their_schedules_also_after_a_restart() -> None:
    driver = Driver()
    driver.start()
    names = [f"activity {number}" for number in range(12)]
    driver.complete(
        driver.take_workflow_task(), *(schedule_activity(name, QUEUE) for name in names)
    )
    driver.fail_activity(driver.take_activity(), application_failure("broken"))

    def shown() -> list[str]:
        return [pending.activity_id for pending in describe(driver.run()).pending_activities]

    assert shown() == names
    driver.forget()
    assert shown() == names


def test_a_closed_run_has_nothing_pending() -> None:
    driver = Driver()
    driver.start(memo={"fields": {"old": payload("1")}})
    driver.request_cancel()
    driver.advance(seconds(3))
    driver.complete(
        driver.take_workflow_task(),
        schedule_activity("a", QUEUE),
        upsert_memo(old="", new="2"),
        complete_workflow(),
    )
    shown = describe(driver.run())
    info = shown.workflow_execution_info
    assert info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
    assert timestamp_ns(info.close_time) == EPOCH_START + seconds(3)
    assert duration_ns(info.execution_duration) == seconds(3)
    assert dict(info.memo.fields) == {"new": payload("2")}
    assert info.history_length == len(driver.rows.history("run-1"))
    assert not shown.pending_activities
    assert not shown.HasField("pending_workflow_task")
    assert shown.workflow_extended_info.cancel_requested
