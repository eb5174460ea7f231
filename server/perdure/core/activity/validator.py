"""What a ScheduleActivityTask command must look like, and the timeouts that follow from it.

Texts are the real server's: they reach the worker as the message of the failed workflow task.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import message_pb2 as commands

from perdure.core import retry
from perdure.core.protobuf import duration_ns
from perdure.core.workflow.settings import WorkflowSettings


@dataclass(slots=True, frozen=True)
class ActivityTimeouts:
    """An activity's timeouts, in nanoseconds; 0 means none."""

    schedule_to_close: int
    schedule_to_start: int
    start_to_close: int
    heartbeat: int


def schedule_problem(
    attributes: commands.ScheduleActivityTaskCommandAttributes, settings: WorkflowSettings
) -> str | None:
    """Returns what is wrong with a ScheduleActivityTask command."""
    activity_id, activity_type = attributes.activity_id, attributes.activity_type.name
    if not activity_id:
        return "ActivityId is not set on ScheduleActivityTaskCommand."
    if not activity_type:
        return f"ActivityType is not set on ScheduleActivityTaskCommand. ActivityId={activity_id}"
    suffix = f" ActivityId={activity_id} ActivityType={activity_type}"
    for name, value in (("ActivityId", activity_id), ("ActivityType", activity_type)):
        if len(value.encode()) > settings.max_id_length:
            return (
                f"{name} on ScheduleActivityTaskCommand exceeds length limit."
                f"{suffix} Length={len(value.encode())} Limit={settings.max_id_length}"
            )
    return _retry_problem(attributes, suffix) or _timeout_problem(attributes, suffix)


def _retry_problem(
    attributes: commands.ScheduleActivityTaskCommandAttributes, suffix: str
) -> str | None:
    found = retry.problem(attributes.retry_policy)
    if found is None:
        return None
    return f"Invalid ActivityRetryPolicy for SchedulingActivity: {found}.{suffix}"


def _timeout_problem(
    attributes: commands.ScheduleActivityTaskCommandAttributes, suffix: str
) -> str | None:
    for name, duration in (
        ("ScheduleToCloseTimeout", attributes.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", attributes.schedule_to_start_timeout),
        ("StartToCloseTimeout", attributes.start_to_close_timeout),
        ("HeartbeatTimeout", attributes.heartbeat_timeout),
    ):
        if duration_ns(duration) < 0:
            return f"Invalid {name} for ScheduleActivityTaskCommand: negative duration.{suffix}"
    if not duration_ns(attributes.schedule_to_close_timeout) and not duration_ns(
        attributes.start_to_close_timeout
    ):
        return (
            "A valid StartToClose or ScheduleToCloseTimeout is not set on "
            f"ScheduleActivityTaskCommand.{suffix}"
        )
    return None


def derive_timeouts(
    attributes: commands.ScheduleActivityTaskCommandAttributes, run_timeout: int
) -> ActivityTimeouts:
    """Fills in the timeouts that were not given; none outlasts the run (0 = unlimited)."""
    close = duration_ns(attributes.schedule_to_close_timeout)
    to_start = duration_ns(attributes.schedule_to_start_timeout)
    start_to_close = duration_ns(attributes.start_to_close_timeout)
    heartbeat = duration_ns(attributes.heartbeat_timeout)
    if close:
        to_start = min(to_start or close, close)
        start_to_close = min(start_to_close or close, close)
    else:
        to_start = to_start or run_timeout
        close = run_timeout
    if run_timeout:
        close = min(close, run_timeout)
        to_start = min(to_start, run_timeout)
        start_to_close = min(start_to_close, run_timeout)
    return ActivityTimeouts(close, to_start, start_to_close, min(heartbeat, start_to_close))
