"""Timeouts: their form, and the values that follow from each other."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import NANOSECONDS_PER_SECOND, duration_ns, set_duration

# Longer timeouts are cut to a hundred years, as on the real server.
_LONGEST_NS: Final = 100 * 365 * 86_400 * NANOSECONDS_PER_SECOND


def duration_problem(duration: Duration) -> str | None:
    """Returns what is wrong with a duration, or None."""
    if duration.seconds > 0 > duration.nanos or duration.seconds < 0 < duration.nanos:
        return "duration has seconds and nanos with different signs"
    if duration.seconds < 0 or duration.nanos < 0:
        return "negative duration"
    return None


def check_duration(field: str, duration: Duration) -> None:
    """Checks a timeout or delay, whose field is named in the error."""
    if problem := duration_problem(duration):
        raise InvalidArgumentError(f"An invalid {field}Seconds is set on request. cause: {problem}")


def settle_timeouts(
    *,
    execution: Duration,
    run: Duration,
    task: Duration,
    default_task_seconds: float,
    max_task_seconds: float,
) -> None:
    """Writes the effective timeouts of a workflow into a request.

    A run lasts no longer than the whole execution, a workflow task no longer than its run and
    `max_task_seconds`. Zero stays "unlimited" for the first two.
    """
    execution_ns = min(duration_ns(execution), _LONGEST_NS)
    run_ns = min(duration_ns(run), _LONGEST_NS)
    task_ns = duration_ns(task) or int(default_task_seconds * NANOSECONDS_PER_SECOND)
    if execution_ns:
        run_ns = min(run_ns or execution_ns, execution_ns)
        set_duration(execution, execution_ns)
    task_ns = min(task_ns, int(max_task_seconds * NANOSECONDS_PER_SECOND))
    if run_ns:
        task_ns = min(task_ns, run_ns)
        set_duration(run, run_ns)
    set_duration(task, task_ns)
