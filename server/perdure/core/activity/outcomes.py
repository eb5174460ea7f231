"""What a worker's answer about an activity does to the run, and what its timeouts do.

A task token names the attempt that it was given with; an answer to any other attempt is refused.
Answers by activity id speak of whatever attempt there is. How each attempt ended is noted for
whoever counts, when and as the real server counts it.
"""

from collections.abc import Callable
from typing import NamedTuple

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core import retry
from perdure.core.activity import transitions
from perdure.core.activity.state import ActivityStatus, next_timeout, status
from perdure.core.commit import ActivityEnding, ActivityOutcome
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.workflow.signals import after_external_event, require_open
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

NOT_PENDING = "invalid activityID or activity already timed out or invoking workflow is completed"
NO_TIME_LEFT = (
    "Not enough time to schedule next retry before activity ScheduleToClose timeout, "
    "giving up retrying"
)
_TIMEOUT_NAMES = {
    enums.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose",
    enums.TIMEOUT_TYPE_SCHEDULE_TO_START: "ScheduleToStart",
    enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "ScheduleToClose",
    enums.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat",
}

Find = Callable[[RunStep], stored.ActivityInfo]


def by_token(token: stored.TaskToken) -> Find:
    """Finds the activity that a token was given for, if that attempt still runs."""

    def find(change: RunStep) -> stored.ActivityInfo:
        require_open(change)
        activity = change.run.activities.get(token.scheduled_event_id)
        if (
            activity is None
            or status(activity) is not ActivityStatus.STARTED
            or activity.attempt != token.attempt
            or activity.nonce != token.nonce
        ):
            raise NotFoundError(NOT_PENDING)
        return activity

    return find


def by_id(activity_id: str) -> Find:
    """Finds a pending activity by its id."""

    def find(change: RunStep) -> stored.ActivityInfo:
        require_open(change)
        event_id = change.run.activity_ids.get(activity_id)
        if event_id is None:
            raise NotFoundError(
                f"cannot find pending activity with ActivityID {activity_id}, "
                "check workflow execution history for more details"
            )
        return change.run.activities[event_id]

    return find


def complete(
    change: RunStep,
    find: Find,
    result: common.Payloads | None,
    identity: str,
    build_id: str = "",
) -> stored.ActivityInfo:
    """Completes an activity."""
    activity = find(change)
    started_time = _ensure_started(change, activity, identity)
    activity.build_id = build_id

    def fill(event: history.HistoryEvent, started_event_id: int) -> None:
        attributes = event.activity_task_completed_event_attributes
        attributes.scheduled_event_id = activity.scheduled_event_id
        attributes.started_event_id = started_event_id
        attributes.identity = identity
        if result is not None:
            attributes.result.CopyFrom(result)

    transitions.close(activity, change, events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, fill)
    _note(change, activity, ActivityEnding.COMPLETED, started_time)
    after_external_event(change)
    return activity


def _ensure_started(change: RunStep, activity: stored.ActivityInfo, identity: str) -> int:
    """Returns when a worker took the attempt, 0 when none had."""
    taken = activity.started_time
    # Answered by id before any worker took it: the history shows it as started by who answered.
    if status(activity) is ActivityStatus.BACKING_OFF:
        transitions.retry_comes(activity, change)
    if status(activity) in (ActivityStatus.SCHEDULED, ActivityStatus.PAUSED):
        transitions.start(activity, change, request_id="", identity=identity)
    return taken


def _note(
    change: RunStep,
    activity: stored.ActivityInfo,
    ending: ActivityEnding,
    started_time: int,
    *,
    timeout: str = "",
    attempt: int = 1,
) -> None:
    """Notes how an attempt ended, after the transition that ended it."""
    change.outcomes.append(
        ActivityOutcome(
            ending=ending,
            activity_type=activity.activity_type,
            task_queue=activity.task_queue,
            workflow_type=change.run.start.workflow_type,
            closed=status(activity) is ActivityStatus.CLOSED,
            start_to_close=change.now - started_time if started_time else None,
            schedule_to_close=change.now - activity.scheduled_time,
            timeout=timeout,
            attempt=attempt,
        )
    )


def fail(
    change: RunStep,
    find: Find,
    failure: failures.Failure,
    identity: str,
    *,
    heartbeat_details: common.Payloads | None = None,
    build_id: str = "",
) -> retry.Decision:
    """Ends an attempt with a failure; the activity backs off, or fails for good."""
    activity = find(change)
    started_time = _ensure_started(change, activity, identity)
    activity.build_id = build_id
    if heartbeat_details is not None:
        activity.heartbeat_details.CopyFrom(heartbeat_details)
    decision = _decide(change, activity, failure)
    if decision.retries:
        transitions.back_off(activity, change, failure, decision.delay)
        _note(change, activity, ActivityEnding.FAILED, started_time)
        return decision

    def fill(event: history.HistoryEvent, started_event_id: int) -> None:
        attributes = event.activity_task_failed_event_attributes
        attributes.failure.CopyFrom(failure)
        attributes.scheduled_event_id = activity.scheduled_event_id
        attributes.started_event_id = started_event_id
        attributes.identity = identity
        attributes.retry_state = decision.state

    transitions.close(activity, change, events.EVENT_TYPE_ACTIVITY_TASK_FAILED, fill)
    _note(change, activity, ActivityEnding.FAILED, started_time)
    after_external_event(change)
    return decision


def _decide(
    change: RunStep, activity: stored.ActivityInfo, failure: failures.Failure
) -> retry.Decision:
    if activity.cancel_requested:
        return retry.Decision(enums.RETRY_STATE_CANCEL_REQUESTED)
    if activity.HasField("pause") and retry.is_retryable(failure, activity.retry_policy):
        # It is kept, though it has no attempts or no time left: an operator may change that.
        return retry.Decision(enums.RETRY_STATE_IN_PROGRESS)
    timeout = activity.schedule_to_close_timeout
    return retry.decide(
        activity.retry_policy,
        attempt=activity.attempt,
        failure=failure,
        now=change.now,
        expiration=activity.scheduled_time + timeout if timeout else 0,
    )


def cancel(
    change: RunStep, find: Find, details: common.Payloads | None, identity: str
) -> stored.ActivityInfo:
    """Ends an activity as cancelled, as its workflow had asked.

    Raises:
        InvalidArgumentError: Its workflow had not.
    """
    activity = find(change)
    if not activity.cancel_requested:
        raise InvalidArgumentError(
            "unable to mark activity as canceled without activity being request canceled first"
        )
    requested = activity.cancel_requested_event_id
    started_time = _ensure_started(change, activity, identity)

    def fill(event: history.HistoryEvent, started_event_id: int) -> None:
        attributes = event.activity_task_canceled_event_attributes
        attributes.scheduled_event_id = activity.scheduled_event_id
        attributes.started_event_id = started_event_id
        attributes.latest_cancel_requested_event_id = requested
        attributes.identity = identity
        if details is not None:
            attributes.details.CopyFrom(details)

    transitions.close(activity, change, events.EVENT_TYPE_ACTIVITY_TASK_CANCELED, fill)
    _note(change, activity, ActivityEnding.CANCELED, started_time)
    after_external_event(change)
    return activity


class HeartbeatAnswer(NamedTuple):
    """What a worker learns by a heartbeat: what has been done to its activity meanwhile."""

    cancel_requested: bool
    activity_paused: bool
    activity_reset: bool


def heartbeat(
    change: RunStep, find: Find, details: common.Payloads | None, identity: str
) -> HeartbeatAnswer:
    """Records a heartbeat."""
    activity = find(change)
    if status(activity) is not ActivityStatus.STARTED:
        raise NotFoundError(NOT_PENDING)
    transitions.heartbeat(activity, change, details, identity)
    return HeartbeatAnswer(activity.cancel_requested, activity.HasField("pause"), activity.is_reset)


def time_passed(change: RunStep, activity: stored.ActivityInfo) -> None:
    """Does what has come due: the next attempt, or a timeout."""
    timeout = next_timeout(activity)
    if timeout is not None and timeout[0] <= change.now:
        _time_out(change, activity, timeout[1])
    elif activity.retry_due:
        transitions.retry_comes(activity, change)


def _time_out(
    change: RunStep, activity: stored.ActivityInfo, timeout_type: enums.TimeoutType.ValueType
) -> None:
    started_time, name = activity.started_time, _TIMEOUT_NAMES[timeout_type]
    attempt = activity.attempt
    failure = timeout_failure(timeout_type)
    if timeout_type in (
        enums.TIMEOUT_TYPE_SCHEDULE_TO_START,
        enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
    ):
        decision = retry.Decision(enums.RETRY_STATE_TIMEOUT)
    else:
        decision = _decide(change, activity, failure)
    if decision.retries:
        transitions.back_off(activity, change, failure, decision.delay)
        _note(
            change, activity, ActivityEnding.TIMED_OUT, started_time, timeout=name, attempt=attempt
        )
        return
    if (
        decision.state == enums.RETRY_STATE_TIMEOUT
        and timeout_type != enums.TIMEOUT_TYPE_SCHEDULE_TO_START
    ):
        failure = timeout_failure(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE)
        failure.message = NO_TIME_LEFT
    if activity.HasField("heartbeat_details"):
        failure.timeout_failure_info.last_heartbeat_details.CopyFrom(activity.heartbeat_details)
    if activity.HasField("last_failure"):
        failure.cause.CopyFrom(activity.last_failure)

    def fill(event: history.HistoryEvent, started_event_id: int) -> None:
        attributes = event.activity_task_timed_out_event_attributes
        attributes.failure.CopyFrom(failure)
        attributes.scheduled_event_id = activity.scheduled_event_id
        attributes.started_event_id = started_event_id
        attributes.retry_state = decision.state

    transitions.close(activity, change, events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, fill)
    _note(change, activity, ActivityEnding.TIMED_OUT, started_time, timeout=name, attempt=attempt)
    after_external_event(change)


def timeout_failure(timeout_type: enums.TimeoutType.ValueType) -> failures.Failure:
    """Returns the failure that a timeout is recorded as."""
    failure = failures.Failure(
        message=f"activity {_TIMEOUT_NAMES[timeout_type]} timeout", source="Server"
    )
    failure.timeout_failure_info.timeout_type = timeout_type
    return failure
