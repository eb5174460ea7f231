"""What a worker is told when a command is bad: nothing of its batch is applied."""

from typing import Any

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.failure.v1 import Failure

from conformance.commands import (
    cancel_activity,
    cancel_timer,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    search_value,
    start_timer,
    upsert_memo,
)
from conformance.rpc import build
from perdure.core.commit import TaskType
from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import seconds
from perdure.core.visibility.query import ValueType
from perdure.core.workflow.settings import WorkflowSettings
from unit.core.checks import Checker
from unit.core.driver import QUEUE, Driver, Taken

LONG = "x" * 1001
NEGATIVE = {"seconds": -1}
MIXED = {"seconds": 1, "nanos": -1}
SIGNS = "duration has seconds and nanos with different signs"
BAD_STATE = "invalid history builder state for action: add-"
SUFFIX = 'WorkflowType=Conformance TaskQueue=name:"queue"  kind:TASK_QUEUE_KIND_NORMAL'
ACTIVITY, TIMER = "BadScheduleActivityAttributes: ", "BadStartTimerAttributes: "
CONTINUE = "BadContinueAsNewAttributes: "


def activity(name: str = "new", **fields: Any) -> Command:
    return schedule_activity(name, QUEUE, **fields)


def attributes(**values: str) -> dict[str, Any]:
    fields = {name: search_value("Int", value) for name, value in values.items()}
    return {"search_attributes": {"indexed_fields": fields}}


@pytest.fixture
def driver() -> Driver:
    """A run with an activity of event 5 and the timer "t"; its next workflow task is pending."""
    driver = Driver(WorkflowSettings(max_pending_activities=3))
    driver.search_attributes = {"Number": ValueType.INT}
    driver.start()
    driver.complete(
        driver.take_workflow_task(), schedule_activity("a", QUEUE), start_timer("t", 60)
    )
    driver.signal("wake")
    return driver


@pytest.fixture
def taken(driver: Driver) -> Taken:
    return driver.take_workflow_task()


BAD = {
    "activity without queue": (
        [activity(task_queue={})],
        f"{ACTIVITY}missing task queue name",
    ),
    "activity on a reserved queue": (
        [activity(task_queue={"name": "/_sys/x"})],
        f"{ACTIVITY}task queue name cannot start with reserved prefix /_sys/",
    ),
    "activity without id": ([activity("")], f"{ACTIVITY}activityId is not set"),
    "activity without type": (
        [activity(activity_type={})],
        f"{ACTIVITY}activityType is not set",
    ),
    "activity with a long id": (
        [activity(LONG)],
        f"{ACTIVITY}activityId exceeds length limit. Length=1001 Limit=1000",
    ),
    "activity without timeouts": (
        [activity(start_to_close_timeout={})],
        (
            f"{ACTIVITY}a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the "
            "activity. ActivityId=new ActivityType=Work"
        ),
    ),
    "activity with a negative timeout": (
        [activity(heartbeat_timeout=NEGATIVE)],
        f"{ACTIVITY}invalid HeartbeatTimeout: negative duration",
    ),
    "activity with a timeout of two signs": (
        [activity(start_to_close_timeout=MIXED)],
        f"{ACTIVITY}invalid StartToCloseTimeout: {SIGNS}",
    ),
    "activity with a policy of two signs": (
        [activity(retry_policy={"initial_interval": {"seconds": -1, "nanos": 1}})],
        f"{ACTIVITY}invalid InitialInterval set on retry policy: {SIGNS}",
    ),
    "timer of two signs": (
        [command("START_TIMER", {"timer_id": "u", "start_to_fire_timeout": MIXED})],
        (f"{TIMER}An invalid StartToFireTimeout is set on StartTimerCommand: {SIGNS}. TimerId=u"),
    ),
    "continue-as-new with a backoff of two signs": (
        [continue_as_new(QUEUE, backoff_start_interval=MIXED)],
        (
            f"{CONTINUE}Invalid BackoffStartInterval on ContinueAsNewWorkflowExecutionCommand: "
            f"{SIGNS}. {SUFFIX}"
        ),
    ),
    "continue-as-new with a policy of two signs": (
        [continue_as_new(QUEUE, retry_policy={"initial_interval": MIXED})],
        (
            f"{CONTINUE}invalid WorkflowRetryPolicy on ContinueAsNewWorkflowExecutionCommand: "
            f"invalid InitialInterval set on retry policy: {SIGNS}. {SUFFIX}"
        ),
    ),
    "activity with a bad policy": (
        [activity(retry_policy={"maximum_attempts": -1})],
        f"{ACTIVITY}MaximumAttempts cannot be negative on retry policy.",
    ),
    "activity whose id is taken": (
        [activity("a")],
        f"ScheduleActivityDuplicateId: {BAD_STATE}activitytask-scheduled-event, ActivityID: a",
    ),
    "two activities of one id": (
        [activity(), activity()],
        f"ScheduleActivityDuplicateId: {BAD_STATE}activitytask-scheduled-event, ActivityID: new",
    ),
    "too many activities": (
        [activity(name) for name in "bcd"],
        (
            "PendingActivitiesLimitExceeded: the number of pending activities, 3, has reached "
            "the per-workflow limit of 3"
        ),
    ),
    "cancel of no activity": (
        [cancel_activity(0)],
        (
            "BadRequestCancelActivityAttributes: "
            "ScheduledEventId is not set on RequestCancelActivityTaskCommand."
        ),
    ),
    "cancel of an unknown activity": (
        [cancel_activity(99)],
        (
            f"BadRequestCancelActivityAttributes: {BAD_STATE}activitytask-cancel-requested-event, "
            "ScheduledEventID: 99"
        ),
    ),
    "cancel of an activity twice": (
        [cancel_activity(5), cancel_activity(5)],
        (
            f"BadRequestCancelActivityAttributes: {BAD_STATE}activitytask-cancel-requested-event, "
            "ScheduledEventID: 5"
        ),
    ),
    "timer without id": ([start_timer("", 1)], f"{TIMER}TimerId is not set on StartTimerCommand."),
    "timer with a long id": (
        [start_timer(LONG, 1)],
        (
            f"{TIMER}TimerId on StartTimerCommand exceeds length limit. "
            f"TimerId={LONG} Length=1001 Limit=1000"
        ),
    ),
    "timer of negative time": (
        [start_timer("u", -1)],
        (
            f"{TIMER}An invalid StartToFireTimeout is set on StartTimerCommand: negative duration. "
            "TimerId=u"
        ),
    ),
    "timer whose id is taken": (
        [start_timer("t", 1)],
        f"StartTimerDuplicateId: {BAD_STATE}timer-started-event, TimerID: t",
    ),
    "cancel of a timer without id": (
        [cancel_timer("")],
        "BadCancelTimerAttributes: TimerId is not set on CancelTimerCommand.",
    ),
    "cancel of a timer twice": (
        [cancel_timer("t"), cancel_timer("t")],
        f"BadCancelTimerAttributes: {BAD_STATE}timer-canceled-event, TimerID: t",
    ),
    "failure without failure": (
        [command("FAIL_WORKFLOW_EXECUTION", {})],
        "BadFailWorkflowExecutionAttributes: Failure is not set on FailWorkflowExecutionCommand.",
    ),
    "continue-as-new in negative time": (
        [continue_as_new(QUEUE, workflow_task_timeout=NEGATIVE)],
        (
            f"{CONTINUE}Invalid WorkflowTaskTimeout on ContinueAsNewWorkflowExecutionCommand: "
            f"negative duration. {SUFFIX}"
        ),
    ),
    "continue-as-new with a bad policy": (
        [continue_as_new(QUEUE, retry_policy={"backoff_coefficient": 0.1})],
        (
            f"{CONTINUE}invalid WorkflowRetryPolicy on ContinueAsNewWorkflowExecutionCommand: "
            f"BackoffCoefficient cannot be less than 1 on retry policy.. {SUFFIX}"
        ),
    ),
    "continue-as-new of a long type": (
        [continue_as_new(QUEUE, workflow_type={"name": LONG})],
        (
            f"{CONTINUE}WorkflowType on ContinueAsNewWorkflowExecutionCommand exceeds length "
            f"limit. WorkflowType={LONG} Length=1001 Limit=1000"
        ),
    ),
    "continue-as-new with an unknown attribute": (
        [continue_as_new(QUEUE, **attributes(Nope="1"), workflow_run_timeout=NEGATIVE)],
        "BadSearchAttributes: Namespace default has no mapping defined for search attribute Nope",
    ),
    "continue-as-new with an attribute of another type": (
        [continue_as_new(QUEUE, **attributes(Number='"a"'))],
        (
            "BadSearchAttributes: invalid SearchAttributes on "
            "ContinueAsNewWorkflowExecutionCommand: invalid value for search attribute Number of "
            f"type Int: a. {SUFFIX}"
        ),
    ),
    "marker without attributes": (
        [Command(command_type="COMMAND_TYPE_RECORD_MARKER")],  # type: ignore[arg-type]
        (
            "BadRecordMarkerAttributes: RecordMarkerCommandAttributes is not set on "
            "RecordMarkerCommand."
        ),
    ),
    "marker without name": (
        [record_marker("")],
        "BadRecordMarkerAttributes: MarkerName is not set on RecordMarkerCommand.",
    ),
    "memo without fields": (
        [upsert_memo()],
        (
            "BadModifyWorkflowPropertiesAttributes: "
            "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand."
        ),
    ),
    "search attributes without fields": (
        [command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", {"search_attributes": {}})],
        "BadSearchAttributes: IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_command_fails_the_task(driver: Driver, taken: Taken, name: str) -> None:
    bad, text = BAD[name]
    before = len(driver.rows.history("run-1"))
    assert driver.complete(taken, record_marker("first"), *bad) == text
    (failed,) = driver.rows.history("run-1")[before:]
    attributes = failed.workflow_task_failed_event_attributes
    assert attributes.failure == build(Failure, message=text, server_failure_info={})
    assert driver.run().state.workflow_task.attempt == 2


GOOD = {
    "ids are free again": [cancel_timer("t"), start_timer("t", 1), cancel_timer("t")],
    "a timer starts anew": [cancel_timer("t"), start_timer("t", 1)],
    "an activity of the same task": [activity(), cancel_activity(11)],
    "one after other commands": [
        record_marker("m"),
        activity("b"),
        activity(),
        cancel_activity(13),
    ],
    "an activity starts anew": [cancel_activity(5), activity("a")],
    "an activity of the same task starts anew": [activity(), cancel_activity(11), activity()],
    "the limit does not count what is over": [
        cancel_activity(5),
        *(activity(name) for name in "bcd"),
    ],
    "a pending activity": [cancel_activity(5)],
    "a close after all of it is over": [cancel_activity(5), cancel_timer("t"), complete_workflow()],
    "nothing but a close": [fail_workflow(Failure(message="broken"))],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_command_may_build_on_those_before_it(driver: Driver, taken: Taken, name: str) -> None:
    assert driver.complete(taken, *GOOD[name]) == ""
    Checker(driver).check()


def test_the_id_of_a_started_activity_stays_taken(driver: Driver, taken: Taken) -> None:
    driver.take_activity()
    answer = driver.complete(taken, cancel_activity(5), activity("a"))
    assert answer.startswith("ScheduleActivityDuplicateId: ")


def test_what_the_worker_has_not_seen_forbids_a_close(driver: Driver, taken: Taken) -> None:
    driver.signal("unseen")
    assert driver.complete(taken, complete_workflow()) == "UnhandledCommand"
    assert driver.run().is_running


@pytest.mark.parametrize("after", [start_timer("u", 1), complete_workflow()])
def test_nothing_follows_a_close(driver: Driver, taken: Taken, after: Command) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^invalid command sequence: "):
        driver.complete(taken, complete_workflow(), after)
    assert driver.complete(taken, complete_workflow()) == ""


@pytest.mark.parametrize(("number", "name"), [(0, "Unspecified"), (99, "99")])
def test_unknown_commands_are_refused(driver: Driver, taken: Taken, number: int, name: str) -> None:
    unknown = Command(command_type=number)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=rf"^unknown command type: {name}$"):
        driver.complete(taken, unknown)
    assert driver.complete(taken) == ""


def test_a_worker_that_errs_again_waits_for_its_next_attempt(driver: Driver, taken: Taken) -> None:
    assert driver.complete(taken, start_timer("", 1)) != ""
    second = driver.take_workflow_task()
    before = driver.rows.history("run-1")
    assert (
        driver.complete(second, start_timer("", 1))
        == f"{TIMER}TimerId is not set on StartTimerCommand."
    )
    assert not driver.pending(TaskType.WORKFLOW)
    assert driver.rows.history("run-1") == before
    driver.advance(seconds(10))
    third = driver.take_workflow_task()
    assert driver.run().state.workflow_task.attempt == 3
    assert driver.complete(third, complete_workflow()) == ""
    Checker(driver).check()
