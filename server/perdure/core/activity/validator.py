"""What a ScheduleActivityTask command must look like, and the timeouts that follow from it.

Texts are the real server's: they reach the worker as the message of the failed workflow task.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import message_pb2 as commands

from perdure.core import retry
from perdure.core.protobuf import capped_ns, duration_ns, duration_problem
from perdure.core.workflow.settings import WorkflowSettings

RESERVED_PREFIX = "/_sys/"


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
    if not attributes.task_queue.name:
        return "missing task queue name"
    if attributes.task_queue.name.startswith(RESERVED_PREFIX):
        return f"task queue name cannot start with reserved prefix {RESERVED_PREFIX}"
    for name, value in (("activityId", activity_id), ("activityType", activity_type)):
        if not value:
            return f"{name} is not set"
        if len(value.encode()) > settings.max_id_length:
            return (
                f"{name} exceeds length limit. "
                f"Length={len(value.encode())} Limit={settings.max_id_length}"
            )
    return retry.problem(attributes.retry_policy) or _timeout_problem(attributes)


def _timeout_problem(
    attributes: commands.ScheduleActivityTaskCommandAttributes,
) -> str | None:
    for name, duration in (
        ("ScheduleToCloseTimeout", attributes.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", attributes.schedule_to_start_timeout),
        ("StartToCloseTimeout", attributes.start_to_close_timeout),
        ("HeartbeatTimeout", attributes.heartbeat_timeout),
    ):
        if found := duration_problem(duration):
            return f"invalid {name}: {found}"
    if not duration_ns(attributes.schedule_to_close_timeout) and not duration_ns(
        attributes.start_to_close_timeout
    ):
        return (
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. "
            f"ActivityId={attributes.activity_id} ActivityType={attributes.activity_type.name}"
        )
    return None


def derive_timeouts(
    attributes: commands.ScheduleActivityTaskCommandAttributes, run_timeout: int
) -> ActivityTimeouts:
    """Fills in the timeouts that were not given; none outlasts the run (0 = unlimited)."""
    close = capped_ns(attributes.schedule_to_close_timeout)
    to_start = capped_ns(attributes.schedule_to_start_timeout)
    start_to_close = capped_ns(attributes.start_to_close_timeout)
    heartbeat = capped_ns(attributes.heartbeat_timeout)
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
