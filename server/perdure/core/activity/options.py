"""An activity's options as operators see and change them.

A field mask names what is taken over of new options, in snake case or camel case. As on the real
server, one RPC passes over names that it does not know, the other refuses them. Texts are the real
server's.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from temporalio.api.activity.v1.message_pb2 import ActivityOptions
from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.enums.v1 import task_queue_pb2 as queues

from perdure.core.activity.validator import derive_timeouts, schedule_problem
from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import capped_ns, set_duration
from perdure.core.workflow.settings import WorkflowSettings
from perdure.proto import stored_pb2 as stored

_TIMEOUTS: Final = (
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
)
_POLICY: Final = ("initial_interval", "backoff_coefficient", "maximum_interval", "maximum_attempts")
_PRIORITY: Final = ("priority_key", "fairness_key", "fairness_weight")


def options_of(activity: stored.ActivityInfo) -> ActivityOptions:
    """Returns an activity's options as they are now."""
    options = ActivityOptions()
    options.task_queue.name = activity.task_queue
    for name in _TIMEOUTS:
        set_duration(getattr(options, name), getattr(activity, name))
    options.retry_policy.CopyFrom(activity.retry_policy)
    if activity.priority.ByteSize():
        options.priority.CopyFrom(activity.priority)
    return options


def unknown_option(paths: Iterable[str]) -> str | None:
    """Returns the first name of a mask that the RPC on one execution does not know."""
    return next((path for path in paths if _snake_case(path) not in _KNOWN), None)


def merged(
    activity: stored.ActivityInfo,
    given: ActivityOptions,
    paths: Iterable[str],
    settings: WorkflowSettings,
) -> ActivityOptions:
    """Returns an activity's options with what a mask names taken over from other ones.

    Raises:
        InvalidArgumentError: They are no options that an activity may have.
    """
    options = options_of(activity)
    options.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    for path in paths:
        apply = _APPLY.get(_snake_case(path))
        if apply is not None:
            apply(options, given)
    attributes = _as_command(activity, options)
    if problem := schedule_problem(attributes, settings):
        raise InvalidArgumentError(problem)
    timeouts = derive_timeouts(attributes, run_timeout=0)
    set_duration(options.schedule_to_close_timeout, timeouts.schedule_to_close)
    set_duration(options.schedule_to_start_timeout, timeouts.schedule_to_start)
    set_duration(options.start_to_close_timeout, timeouts.start_to_close)
    set_duration(options.heartbeat_timeout, timeouts.heartbeat)
    return options


def set_options(activity: stored.ActivityInfo, options: ActivityOptions) -> None:
    """Gives an activity options that have been checked; it remembers its first ones."""
    if not activity.HasField("original_options"):
        activity.original_options.CopyFrom(options_of(activity))
    activity.task_queue = options.task_queue.name
    for name in _TIMEOUTS:
        setattr(activity, name, capped_ns(getattr(options, name)))
    activity.retry_policy.CopyFrom(options.retry_policy)
    activity.priority.CopyFrom(options.priority)


def original_options(activity: stored.ActivityInfo) -> ActivityOptions:
    """Returns the options that an activity was scheduled with."""
    if activity.HasField("original_options"):
        return activity.original_options
    return options_of(activity)


def _as_command(
    activity: stored.ActivityInfo, options: ActivityOptions
) -> commands.ScheduleActivityTaskCommandAttributes:
    attributes = commands.ScheduleActivityTaskCommandAttributes(
        activity_id=activity.activity_id,
        task_queue=options.task_queue,
        retry_policy=options.retry_policy,
        **{name: getattr(options, name) for name in _TIMEOUTS},
    )
    attributes.activity_type.name = activity.activity_type
    return attributes


def _snake_case(path: str) -> str:
    return re.sub(r"(?<=[a-z])[A-Z]", lambda match: "_" + match.group(), path).lower()


_Apply = Callable[[ActivityOptions, ActivityOptions], None]


def _timeout(name: str) -> _Apply:
    def apply(options: ActivityOptions, given: ActivityOptions) -> None:
        getattr(options, name).CopyFrom(getattr(given, name))

    return apply


def _part(whole: str, name: str, missing: str) -> _Apply:
    def apply(options: ActivityOptions, given: ActivityOptions) -> None:
        if not given.HasField(whole):  # type: ignore[arg-type]
            raise InvalidArgumentError(missing)
        source, target = getattr(given, whole), getattr(options, whole)
        field = source.DESCRIPTOR.fields_by_name[name]
        if field.message_type is None:
            setattr(target, name, getattr(source, name))
        else:
            getattr(target, name).CopyFrom(getattr(source, name))

    return apply


def _all_of(parts: Iterable[_Apply]) -> _Apply:
    applied = tuple(parts)

    def apply(options: ActivityOptions, given: ActivityOptions) -> None:
        for part in applied:
            part(options, given)

    return apply


def _replace_priority(options: ActivityOptions, given: ActivityOptions) -> None:
    options.priority.CopyFrom(given.priority)


_RETRY = {
    f"retry_policy.{name}": _part("retry_policy", name, "RetryPolicy is not provided")
    for name in _POLICY
}
_QUEUE_NAME: Final = _part("task_queue", "name", "TaskQueue is not provided")
_APPLY: Final[dict[str, _Apply]] = {
    **{name: _timeout(name) for name in _TIMEOUTS},
    "task_queue": _QUEUE_NAME,
    "task_queue.name": _QUEUE_NAME,
    **_RETRY,
    "retry_policy": _all_of(_RETRY.values()),
    **{
        f"priority.{name}": _part("priority", name, "Priority is not provided")
        for name in _PRIORITY
    },
    "priority": _replace_priority,
}
"""What each name of a mask takes over. A policy's non-retryable error types stay."""

_KNOWN: Final = frozenset({*_APPLY, "start_delay"} - {"task_queue"})
"""The names that the RPC on one execution knows; a delay is for activities without a workflow."""
