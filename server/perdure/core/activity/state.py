"""A pending activity: waiting for a worker, run by one, or waiting for its next attempt.

Theory of operation. Attempts live here and not in the history: the started event is written with
the event that closes the activity. Four timeouts bound it; whichever comes first is its deadline.
While it backs off, its deadline is the next attempt, unless schedule-to-close comes earlier.
While it is paused it has none, and what a worker has of it goes on; timeouts count on meanwhile.
"""

from enum import Enum, auto

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.proto import stored_pb2 as stored


class ActivityStatus(Enum):
    """What a pending activity is doing."""

    SCHEDULED = auto()
    STARTED = auto()
    BACKING_OFF = auto()
    PAUSED = auto()
    CLOSED = auto()


def status(activity: stored.ActivityInfo) -> ActivityStatus:
    """Returns what an activity is doing."""
    if activity.started_time:
        return ActivityStatus.STARTED
    if activity.attempt == 0:
        return ActivityStatus.CLOSED
    if activity.HasField("pause"):
        return ActivityStatus.PAUSED
    if activity.retry_due:
        return ActivityStatus.BACKING_OFF
    return ActivityStatus.SCHEDULED


def deadline(activity: stored.ActivityInfo) -> int:
    """Returns when something happens to the activity by itself; 0 for never."""
    if activity.HasField("pause"):
        return 0
    due = activity.retry_due
    timeout = next_timeout(activity)
    if timeout is not None and (not due or timeout[0] < due):
        return timeout[0]
    return due


def next_timeout(activity: stored.ActivityInfo) -> tuple[int, enums.TimeoutType.ValueType] | None:
    """Returns the timeout that comes first, with its due time."""
    candidates: list[tuple[int, enums.TimeoutType.ValueType]] = []
    if activity.schedule_to_close_timeout:
        candidates.append(
            (
                activity.scheduled_time + activity.schedule_to_close_timeout,
                enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
            )
        )
    if activity.started_time:
        if activity.start_to_close_timeout:
            candidates.append(
                (
                    activity.started_time + activity.start_to_close_timeout,
                    enums.TIMEOUT_TYPE_START_TO_CLOSE,
                )
            )
        if activity.heartbeat_timeout:
            # A heartbeat of an earlier attempt is older than this one's start.
            last_sign = max(activity.started_time, activity.last_heartbeat_time)
            candidates.append(
                (last_sign + activity.heartbeat_timeout, enums.TIMEOUT_TYPE_HEARTBEAT)
            )
    elif activity.schedule_to_start_timeout and not activity.retry_due:
        candidates.append(
            (
                activity.attempt_scheduled_time + activity.schedule_to_start_timeout,
                enums.TIMEOUT_TYPE_SCHEDULE_TO_START,
            )
        )
    return min(candidates, default=None)
