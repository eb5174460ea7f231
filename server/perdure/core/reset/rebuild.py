"""A run's state, told from its events alone.

Theory of operation. Every event has a line in one table: what it does to what the run has pending,
or that it does nothing to it. An event without a line is of a feature that this fold does not know:
it is refused rather than passed over, because a state that lacks something would be wrong for ever.
What lives in memory and rows only (attempts of activities, heartbeats, stickiness, receipts) is not
in the events, and begins anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflow.v1 import message_pb2 as workflow

from perdure.core.child.transitions import initiated_child
from perdure.core.errors import UnimplementedError
from perdure.core.protobuf import duration_ns, timestamp_ns
from perdure.core.workflow.buffer import child_close_attributes
from perdure.core.workflow.upserts import merge
from perdure.proto import stored_pb2 as stored

NAME_PREFIX = "EVENT_TYPE_"


@dataclass(slots=True)
class Rebuilt:
    """What a run's events up to some point say.

    Attributes:
        run_id: The run that the state is for; its own reset points name it.
        max_reset_points: How many reset points are kept.
        attributes: Memo and search attributes.
        state: Counters, and the last workers' marks. No workflow task is in it.
        scheduled_task: The scheduled event's id of a workflow task that has not ended; 0 for none.
        started_task: The started event's id of that task; 0 when no worker has it.
        task_timeout: Its start-to-close timeout, in nanoseconds.
        activities: Pending activities by scheduled event, as if no worker had ever had them.
        timers: Pending timers by started event.
        initiated: Events of messages to other workflows whose outcome is not known.
        signal_requests: Request ids of the signals that clients sent.
        updates: What the run has accepted, completed, or taken over from an earlier reset, by id.
        children: Pending children by initiated event.
        child_starts: Those initiated events, of the children that are not known to have started.
        attached: Start requests that were attached to the run, by id.
    """

    run_id: str
    max_reset_points: int
    attributes: stored.Attributes = field(default_factory=stored.Attributes)
    state: stored.RunState = field(default_factory=stored.RunState)
    scheduled_task: int = 0
    started_task: int = 0
    task_timeout: int = 0
    activities: dict[int, stored.ActivityInfo] = field(default_factory=dict)
    timers: dict[int, stored.TimerInfo] = field(default_factory=dict)
    initiated: dict[int, history.HistoryEvent] = field(default_factory=dict)
    signal_requests: set[str] = field(default_factory=set)
    updates: dict[str, stored.UpdateInfo] = field(default_factory=dict)
    children: dict[int, stored.ChildInfo] = field(default_factory=dict)
    child_starts: dict[int, history.HistoryEvent] = field(default_factory=dict)
    attached: dict[str, stored.AttachedRequest] = field(default_factory=dict)

    def apply(self, event: history.HistoryEvent) -> None:
        """Takes in the next event.

        Raises:
            UnimplementedError: The event is of a feature that histories are not rebuilt for.
        """
        tell = _TELL.get(event.event_type)
        if tell is None:
            name = events.EventType.Name(event.event_type).removeprefix(NAME_PREFIX)
            raise UnimplementedError(
                f"a history with an event of type {name} is not rebuilt by this server yet; "
                "choose a point before it"
            )
        tell(self, event)
        self.state.next_event_id = event.event_id + 1
        self.state.last_event_time = max(self.state.last_event_time, timestamp_ns(event.event_time))


def _started(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_started_event_attributes
    rebuilt.attributes.memo.CopyFrom(attributes.memo)
    rebuilt.attributes.search_attributes.CopyFrom(attributes.search_attributes)
    rebuilt.state.auto_reset_points.extend(attributes.prev_auto_reset_points.points)


def _task_scheduled(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_task_scheduled_event_attributes
    rebuilt.scheduled_task, rebuilt.started_task = event.event_id, 0
    rebuilt.task_timeout = duration_ns(attributes.start_to_close_timeout)


def _task_started(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    rebuilt.started_task = event.event_id


def _task_ended(rebuilt: Rebuilt, _event: history.HistoryEvent) -> None:
    rebuilt.scheduled_task = rebuilt.started_task = 0


def _task_completed(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes, state = event.workflow_task_completed_event_attributes, rebuilt.state
    _task_ended(rebuilt, event)
    state.last_started_event_id = attributes.started_event_id
    state.last_completed_event_id = event.event_id
    if attributes.HasField("sdk_metadata"):
        state.sdk_name = attributes.sdk_metadata.sdk_name or state.sdk_name
        state.sdk_version = attributes.sdk_metadata.sdk_version or state.sdk_version
    build = state.build_id = attributes.worker_version.build_id
    checksum = attributes.binary_checksum
    points = state.auto_reset_points
    if all((point.build_id, point.binary_checksum) != (build, checksum) for point in points):
        point = workflow.ResetPointInfo(
            build_id=build,
            binary_checksum=checksum,
            run_id=rebuilt.run_id,
            first_workflow_task_completed_id=event.event_id,
            create_time=event.event_time,
            resettable=True,
        )
        points.append(point)
        if len(points) > rebuilt.max_reset_points:
            del points[0]


def _activity_scheduled(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.activity_task_scheduled_event_attributes
    info = stored.ActivityInfo(
        scheduled_event_id=event.event_id,
        activity_id=attributes.activity_id,
        activity_type=attributes.activity_type.name,
        task_queue=attributes.task_queue.name,
        schedule_to_close_timeout=duration_ns(attributes.schedule_to_close_timeout),
        schedule_to_start_timeout=duration_ns(attributes.schedule_to_start_timeout),
        start_to_close_timeout=duration_ns(attributes.start_to_close_timeout),
        heartbeat_timeout=duration_ns(attributes.heartbeat_timeout),
        retry_policy=attributes.retry_policy,
        attempt=1,
    )
    if attributes.HasField("priority"):
        info.priority.CopyFrom(attributes.priority)
    if event.HasField("user_metadata"):
        info.user_metadata.CopyFrom(event.user_metadata)
    rebuilt.activities[event.event_id] = info


def _activity_cancel_requested(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.activity_task_cancel_requested_event_attributes
    info = rebuilt.activities.get(attributes.scheduled_event_id)
    if info is not None:
        info.cancel_requested = True
        info.cancel_requested_event_id = event.event_id


def _activity_closed(field_name: str) -> Callable[[Rebuilt, history.HistoryEvent], None]:
    def tell(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
        del rebuilt.activities[getattr(event, field_name).scheduled_event_id]

    return tell


def _timer_started(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.timer_started_event_attributes
    rebuilt.timers[event.event_id] = stored.TimerInfo(
        timer_id=attributes.timer_id,
        started_event_id=event.event_id,
        due=timestamp_ns(event.event_time) + duration_ns(attributes.start_to_fire_timeout),
    )


def _timer_fired(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    del rebuilt.timers[event.timer_fired_event_attributes.started_event_id]


def _timer_canceled(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    del rebuilt.timers[event.timer_canceled_event_attributes.started_event_id]


def _initiated(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    rebuilt.initiated[event.event_id] = event


def _settled(field_name: str) -> Callable[[Rebuilt, history.HistoryEvent], None]:
    def tell(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
        del rebuilt.initiated[getattr(event, field_name).initiated_event_id]

    return tell


def _child_initiated(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    rebuilt.children[event.event_id] = initiated_child(rebuilt.run_id, event)
    rebuilt.child_starts[event.event_id] = event


def _child_started(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.child_workflow_execution_started_event_attributes
    del rebuilt.child_starts[attributes.initiated_event_id]
    info = rebuilt.children[attributes.initiated_event_id]
    info.started_run_id = attributes.workflow_execution.run_id
    info.started_event_id = event.event_id
    info.ClearField("header")
    info.ClearField("control")


def _child_failed(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.start_child_workflow_execution_failed_event_attributes
    del rebuilt.child_starts[attributes.initiated_event_id]
    del rebuilt.children[attributes.initiated_event_id]


def _child_ended(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = child_close_attributes(event)
    assert attributes is not None, "the table names the ends of children"
    del rebuilt.children[attributes.initiated_event_id]


def _options_updated(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_options_updated_event_attributes
    if attributes.HasField("priority"):
        rebuilt.state.priority.CopyFrom(attributes.priority)
    if request_id := attributes.attached_request_id:
        rebuilt.attached[request_id] = stored.AttachedRequest(
            request_id=request_id, event_id=event.event_id
        )


def _signaled(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_signaled_event_attributes
    rebuilt.state.signal_count += 1
    # What another workflow sent is told apart by receipts.
    if attributes.request_id and not attributes.HasField("external_workflow_execution"):
        rebuilt.signal_requests.add(attributes.request_id)


def _update_admitted(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_update_admitted_event_attributes
    _update(rebuilt, attributes.request.meta.update_id).admitted_event_id = event.event_id


def _update_accepted(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_update_accepted_event_attributes
    _update(rebuilt, attributes.protocol_instance_id).accepted_event_id = event.event_id


def _update_completed(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    attributes = event.workflow_execution_update_completed_event_attributes
    _update(rebuilt, attributes.meta.update_id).completed_event_id = event.event_id


def _update(rebuilt: Rebuilt, update_id: str) -> stored.UpdateInfo:
    return rebuilt.updates.setdefault(update_id, stored.UpdateInfo(update_id=update_id))


def _cancel_requested(rebuilt: Rebuilt, _event: history.HistoryEvent) -> None:
    rebuilt.state.cancel_requested = True


def _search_attributes_upserted(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    merge(
        rebuilt.attributes.search_attributes.indexed_fields,
        event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields,
    )


def _properties_modified(rebuilt: Rebuilt, event: history.HistoryEvent) -> None:
    merge(
        rebuilt.attributes.memo.fields,
        event.workflow_properties_modified_event_attributes.upserted_memo.fields,
    )


def _nothing(_rebuilt: Rebuilt, _event: history.HistoryEvent) -> None:
    """The event changes nothing that is pending."""


_TELL: dict[int, Callable[[Rebuilt, history.HistoryEvent], None]] = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: _started,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: _nothing,
    events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: _task_scheduled,
    events.EVENT_TYPE_WORKFLOW_TASK_STARTED: _task_started,
    events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: _task_completed,
    events.EVENT_TYPE_WORKFLOW_TASK_FAILED: _task_ended,
    events.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: _task_ended,
    events.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: _activity_scheduled,
    events.EVENT_TYPE_ACTIVITY_TASK_STARTED: _nothing,
    events.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: _activity_cancel_requested,
    events.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _activity_closed(
        "activity_task_completed_event_attributes"
    ),
    events.EVENT_TYPE_ACTIVITY_TASK_FAILED: _activity_closed(
        "activity_task_failed_event_attributes"
    ),
    events.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: _activity_closed(
        "activity_task_timed_out_event_attributes"
    ),
    events.EVENT_TYPE_ACTIVITY_TASK_CANCELED: _activity_closed(
        "activity_task_canceled_event_attributes"
    ),
    events.EVENT_TYPE_TIMER_STARTED: _timer_started,
    events.EVENT_TYPE_TIMER_FIRED: _timer_fired,
    events.EVENT_TYPE_TIMER_CANCELED: _timer_canceled,
    events.EVENT_TYPE_MARKER_RECORDED: _nothing,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _signaled,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: _update_admitted,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: _update_accepted,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: _update_completed,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_requested,
    events.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: _search_attributes_upserted,
    events.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: _properties_modified,
    events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _initiated,
    events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: _initiated,
    events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED: _settled(
        "external_workflow_execution_signaled_event_attributes"
    ),
    events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _settled(
        "signal_external_workflow_execution_failed_event_attributes"
    ),
    events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _settled(
        "external_workflow_execution_cancel_requested_event_attributes"
    ),
    events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED: _settled(
        "request_cancel_external_workflow_execution_failed_event_attributes"
    ),
    events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: _child_initiated,
    events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _child_failed,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: _child_started,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _child_ended,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _child_ended,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _child_ended,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _child_ended,
    events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _child_ended,
    events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED: _options_updated,
}
