"""What operators do to the activities of a run: pause, unpause, reset, change options.

Rules that hold here: an operation finds its activities and checks all of them before it changes
the first. None of them is an event: the history does not show them. Which activities are paused is
a search attribute of the run, brought up to date by each operation, and, as on the real server,
not by the end of an activity.
"""

import json
from collections.abc import Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.activity.v1.message_pb2 import ActivityOptions
from temporalio.api.common.v1.message_pb2 import Payload
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity import transitions
from perdure.core.activity.options import merged, original_options, set_options
from perdure.core.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from perdure.core.protobuf import capped_ns
from perdure.core.workflow.signals import require_open
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

NO_SUCH_ACTIVITY: Final = (
    "Can't find pending activity with such ID. Invalid activityID or activity already completed"
)
PAUSE_INFO: Final = "TemporalPauseInfo"


_Selection = (
    wf.PauseActivityRequest
    | wf.UnpauseActivityRequest
    | wf.ResetActivityRequest
    | wf.UpdateActivityOptionsRequest
)


def _selected(change: RunStep, request: _Selection) -> Sequence[stored.ActivityInfo]:
    run = change.run
    match request.WhichOneof("activity"):
        case "id":
            event_id = run.activity_ids.get(request.id)
            found = [] if event_id is None else [run.activities[event_id]]
        case "type":
            found = [each for each in run.activities.values() if each.activity_type == request.type]
        case _:
            found = list(run.activities.values())
    if not found:
        raise NotFoundError(NO_SUCH_ACTIVITY)
    return found


def pause(change: RunStep, request: wf.PauseActivityRequest) -> None:
    """Pauses activities; the request that has paused one may come again.

    Raises:
        NotFoundError: The run is closed, or has no such activity.
        FailedPreconditionError: One is paused by another request.
    """
    require_open(change)
    found = _selected(change, request)
    unpaused = [each for each in found if not each.HasField("pause")]
    for activity in found:
        if activity.HasField("pause") and activity.pause.request_id != request.request_id:
            raise FailedPreconditionError("activity is already paused")
    by = stored.ActivityPause(
        time=change.now,
        identity=request.identity,
        reason=request.reason,
        request_id=request.request_id,
    )
    for activity in unpaused:
        transitions.pause(activity, change, by)
    if unpaused:
        _note_paused(change)


def unpause(change: RunStep, request: wf.UnpauseActivityRequest) -> None:
    """Ends the pause of activities; those that are not paused stay as they are.

    Raises:
        NotFoundError: The run is closed, or has no such activity.
    """
    require_open(change)
    paused = [each for each in _selected(change, request) if each.HasField("pause")]
    for activity in paused:
        if request.reset_heartbeat:
            transitions.drop_heartbeat(activity)
        transitions.unpause(
            activity,
            change,
            delay=_delay(change, request.jitter),
            reset_attempts=request.reset_attempts,
        )
    if paused:
        _note_paused(change)


def reset(change: RunStep, request: wf.ResetActivityRequest) -> None:
    """Counts attempts anew, and has what waits tried at once.

    Raises:
        NotFoundError: The run is closed, or has no such activity.
    """
    require_open(change)
    for activity in _selected(change, request):
        if request.restore_original_options:
            _restore(change, activity, keep_priority=True)
        transitions.reset(
            activity,
            change,
            delay=_delay(change, request.jitter),
            drops_heartbeat=request.reset_heartbeat,
            keep_paused=request.keep_paused,
        )
    _note_paused(change)


def update_options(change: RunStep, request: wf.UpdateActivityOptionsRequest) -> ActivityOptions:
    """Changes options, or restores the first ones; returns those of the last activity changed.

    Raises:
        NotFoundError: The run is closed, or has no such activity.
        InvalidArgumentError: The request contradicts itself, or the options are not sound.
    """
    require_open(change)
    if request.restore_original:
        if request.update_mask.paths:
            raise InvalidArgumentError("Both UpdateMask and RestoreOriginal are provided")
        restored = [
            _restore(change, activity, keep_priority=False)
            for activity in _selected(change, request)
        ]
        return restored[-1]
    if not request.HasField("activity_options"):
        raise InvalidArgumentError("ActivityOptions are not provided")
    if not request.HasField("update_mask"):
        raise InvalidArgumentError("UpdateMask is not provided")
    settings, paths = change.context.settings, request.update_mask.paths
    changed = [
        (activity, merged(activity, request.activity_options, paths, settings))
        for activity in _selected(change, request)
    ]
    for activity, options in changed:
        _set(change, activity, options)
    return changed[-1][1]


def _restore(
    change: RunStep, activity: stored.ActivityInfo, *, keep_priority: bool
) -> ActivityOptions:
    options = ActivityOptions()
    options.CopyFrom(original_options(activity))
    if keep_priority:
        options.priority.CopyFrom(activity.priority)
    _set(change, activity, options)
    return options


def _set(change: RunStep, activity: stored.ActivityInfo, options: ActivityOptions) -> None:
    transitions.reschedule(activity, change, lambda each: set_options(each, options))


def _delay(change: RunStep, jitter: Duration) -> int:
    return int(capped_ns(jitter) * change.context.ids.random()) if capped_ns(jitter) > 0 else 0


def _note_paused(change: RunStep) -> None:
    """Writes which types of activities are paused into the run's search attributes."""
    fields = change.run.attributes.search_attributes.indexed_fields
    paused = [each for each in change.run.activities.values() if each.HasField("pause")]
    types = sorted({f"property:activityType={activity.activity_type}" for activity in paused})
    if not types:
        if PAUSE_INFO in fields:
            del fields[PAUSE_INFO]
            change.put_attributes()
        return
    value = Payload(
        metadata={"encoding": b"json/plain", "type": b"KeywordList"},
        data=json.dumps(types, separators=(",", ":"), ensure_ascii=False).encode(),
    )
    if fields.get(PAUSE_INFO) != value:
        fields[PAUSE_INFO].CopyFrom(value)
        change.put_attributes()
