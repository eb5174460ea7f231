"""What can happen to a child, on its parent's side, and what a child tells its parent.

    (command) ── initiate ─► INITIATED ── record_started ─► STARTED ── record_end ─► CLOSED
                                 │                             │
                                 ├── record_failed ─► CLOSED   │
                                 └──── leave (the parent closes) ─┴─► CLOSED

Theory of operation. The commit with the initiated event adds the row of a message that starts the
child in its own slot, and the commit with the outcome deletes it. The child does not wait for its
parent to hear of that: whatever comes from it later says whose child it is, so a parent that hears
of its child's end, or gets a signal from it, first records that it has started. A parent that
closes tells those children for whom its policy asks for that; one whose start is still under way
is refused at its own workflow id, or found there and treated alike.
"""

from collections.abc import Callable

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core import retry
from perdure.core.child.state import ChildStatus, start_key, status
from perdure.core.child.tasks import next_due, parent_close_row, result_row, start_row
from perdure.core.child.validator import derive_timeouts
from perdure.core.commit import ItemKey, ItemKind
from perdure.core.protobuf import set_duration, set_limit
from perdure.core.transition import InvalidTransitionError
from perdure.core.visibility.attributes import add_types
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

INITIATED, STARTED = ChildStatus.INITIATED, ChildStatus.STARTED
Initiated = history.StartChildWorkflowExecutionInitiatedEventAttributes
Outcome = stored.Receipt.Outcome

_CAUSES: dict[Outcome.ValueType, causes.StartChildWorkflowExecutionFailedCause.ValueType] = {
    stored.Receipt.OUTCOME_NAMESPACE_NOT_FOUND: (
        causes.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND
    ),
}
_ALREADY_EXISTS = causes.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS
"""Also for what a refusal of a later release is taken that this one does not know."""


def initiate(
    step: RunStep,
    attributes: commands.StartChildWorkflowExecutionCommandAttributes,
    metadata: user_metadata.UserMetadata | None,
    completed_event_id: int,
) -> None:
    """Has a child started (its command has been validated)."""
    event = step.event(events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED)
    initiated = event.start_child_workflow_execution_initiated_event_attributes
    _fill_initiated(step, initiated, attributes)
    initiated.workflow_task_completed_event_id = completed_event_id
    if metadata is not None:
        event.user_metadata.CopyFrom(metadata)
    run = step.run
    info = initiated_child(run.key.run_id, event)
    info.due = next_due(step)
    run.children[info.initiated_event_id] = info
    _put(step, info)
    _send_start(step, info, event)


def _send_start(step: RunStep, info: stored.ChildInfo, event: history.HistoryEvent) -> None:
    """Adds the message that starts a child, as its initiated event says."""
    run = step.run
    initiated = event.start_child_workflow_execution_initiated_event_attributes
    metadata = event.user_metadata if event.HasField("user_metadata") else None
    start = stored.Message.ChildStart(
        request=_start_request(step, info, initiated, metadata),
        root=run.start.root if run.start.HasField("root") else run.execution(),
        parent_namespace=step.context.namespace,
    )
    step.add_message(start_row(run, info, start))


def initiated_child(run_id: str, event: history.HistoryEvent) -> stored.ChildInfo:
    """Returns a child of a run as its initiated event says."""
    attributes = event.start_child_workflow_execution_initiated_event_attributes
    info = stored.ChildInfo(
        initiated_event_id=event.event_id,
        # As the real server names the request; it is in the child's description.
        message_id=f"{run_id}:{event.event_id}:0",
        namespace_id=attributes.namespace_id,
        namespace=attributes.namespace,
        workflow_id=attributes.workflow_id,
        workflow_type=attributes.workflow_type.name,
        parent_close_policy=attributes.parent_close_policy,
        control=attributes.control,
    )
    if attributes.HasField("header"):
        info.header.CopyFrom(attributes.header)
    return info


def restore(step: RunStep, info: stored.ChildInfo, initiated: history.HistoryEvent | None) -> None:
    """Gives a run that begins with another one's history a child that was pending there.

    Args:
        step: The step of the new run.
        info: The child, which is the run's from now on.
        initiated: The event that initiated it, when it is not known to have started: it is asked
            for again.
    """
    info.due = next_due(step)
    step.run.children[info.initiated_event_id] = info
    _put(step, info)
    if initiated is not None:
        _send_start(step, info, initiated)


def hand_over(step: RunStep, info: stored.ChildInfo) -> None:
    """Parts from a child that another run has from now on: it is not told that this one closes."""
    if status(step.run, info) is INITIATED:
        step.delete_message(start_key(step.run, info))
    _forget(step, info)


def record_again(step: RunStep, event: history.HistoryEvent) -> None:
    """Records what another run has heard of a child that this run has from it, if it still waits.

    Args:
        step: The step of the run.
        event: Of a type in `HEARD`.
    """
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    info = step.run.children.get(attributes.initiated_event_id)
    if info is None:
        return
    if event.event_type == events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
        record_started(step, info, attributes.workflow_execution.run_id)
        return

    def fill(written: history.HistoryEvent) -> None:
        told = getattr(written, event.WhichOneof("attributes") or "")
        told.CopyFrom(attributes)
        if event.event_type != events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
            told.started_event_id = info.started_event_id

    step.external_event(event.event_type, fill)
    if status(step.run, info) is INITIATED:
        step.delete_message(start_key(step.run, info))
    _forget(step, info)


def record_started(step: RunStep, info: stored.ChildInfo, run_id: str) -> None:
    """Records that a child has started, under the id of its first run."""
    _require(step, info, INITIATED)

    def fill(event: history.HistoryEvent) -> None:
        written = event.child_workflow_execution_started_event_attributes
        written.namespace, written.namespace_id = info.namespace, info.namespace_id
        written.initiated_event_id = info.initiated_event_id
        written.workflow_execution.workflow_id = info.workflow_id
        written.workflow_execution.run_id = run_id
        written.workflow_type.name = info.workflow_type
        if info.HasField("header"):
            written.header.CopyFrom(info.header)

    if step.external_event(events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, fill):
        info.started_event_id = step.state.next_event_id - 1
    info.started_run_id = run_id
    info.ClearField("header")
    info.ClearField("control")
    step.delete_message(start_key(step.run, info))
    _put(step, info)


def record_failed(step: RunStep, info: stored.ChildInfo, outcome: Outcome.ValueType) -> None:
    """Records that a child could not be started."""
    _require(step, info, INITIATED)

    def fill(event: history.HistoryEvent) -> None:
        written = event.start_child_workflow_execution_failed_event_attributes
        written.namespace, written.namespace_id = info.namespace, info.namespace_id
        written.workflow_id = info.workflow_id
        written.workflow_type.name = info.workflow_type
        written.cause = _CAUSES.get(outcome, _ALREADY_EXISTS)
        written.control = info.control
        written.initiated_event_id = info.initiated_event_id

    step.external_event(events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, fill)
    step.delete_message(start_key(step.run, info))
    _forget(step, info)


def record_end(
    step: RunStep,
    info: stored.ChildInfo,
    execution: common.WorkflowExecution,
    close_event: history.HistoryEvent,
) -> None:
    """Records how a child has ended: `execution` is the last run of its chain."""
    _require(step, info, STARTED)
    event_type, fill_end = _ENDS[close_event.event_type]

    def fill(event: history.HistoryEvent) -> None:
        written = fill_end(event, close_event)
        written.namespace, written.namespace_id = info.namespace, info.namespace_id
        written.workflow_execution.CopyFrom(execution)
        written.workflow_type.name = info.workflow_type
        written.initiated_event_id = info.initiated_event_id
        written.started_event_id = info.started_event_id

    step.external_event(event_type, fill)
    _forget(step, info)


def leave(step: RunStep) -> None:
    """Parts from all children: the run closes.

    What is started by the task that closes a run never leaves, as on the real server.
    """
    for info in list(step.run.children.values()):
        key = start_key(step.run, info)
        if key in step.messages_added:
            step.delete_message(key)
        elif info.parent_close_policy != enums.PARENT_CLOSE_POLICY_ABANDON:
            if status(step.run, info) is INITIATED:
                step.delete_message(key)
            step.add_message(parent_close_row(step, info))
        _forget(step, info)


def report(step: RunStep) -> None:
    """Has the parent of a run that has just closed told of it, unless another run follows."""
    if not step.run.start.HasField("parent") or step.is_reset:
        return
    close_event = step.batch.events[-1]
    attributes = getattr(close_event, close_event.WhichOneof("attributes") or "")
    if not getattr(attributes, "new_execution_run_id", ""):
        step.add_message(result_row(step, close_event))


def _require(step: RunStep, info: stored.ChildInfo, wanted: ChildStatus) -> None:
    found = status(step.run, info)
    if found is not wanted:
        raise InvalidTransitionError(f"a child that is {found.name} is not {wanted.name}")


def _item(info: stored.ChildInfo) -> ItemKey:
    return ItemKey(ItemKind.CHILD, str(info.initiated_event_id))


def _put(step: RunStep, info: stored.ChildInfo) -> None:
    step.put_item(_item(info), info.SerializeToString())


def _forget(step: RunStep, info: stored.ChildInfo) -> None:
    del step.run.children[info.initiated_event_id]
    step.delete_item(_item(info))


def _fill_initiated(
    step: RunStep,
    initiated: Initiated,
    attributes: commands.StartChildWorkflowExecutionCommandAttributes,
) -> None:
    context = step.context
    initiated.namespace = attributes.namespace or context.namespace
    initiated.namespace_id = (
        context.find_namespace(attributes.namespace)
        if attributes.namespace
        else step.run.key.namespace_id
    )
    initiated.workflow_id = attributes.workflow_id
    initiated.workflow_type.name = attributes.workflow_type.name
    initiated.task_queue.name = attributes.task_queue.name or step.run.start.task_queue
    initiated.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    timeouts = derive_timeouts(attributes, context.settings)
    set_limit(
        initiated.workflow_execution_timeout,
        timeouts.execution,
        given=attributes.HasField("workflow_execution_timeout"),
    )
    set_duration(initiated.workflow_run_timeout, timeouts.run)
    set_duration(initiated.workflow_task_timeout, timeouts.task)
    initiated.parent_close_policy = (
        attributes.parent_close_policy or enums.PARENT_CLOSE_POLICY_TERMINATE
    )
    initiated.workflow_id_reuse_policy = (
        attributes.workflow_id_reuse_policy or enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    )
    initiated.control = attributes.control
    initiated.cron_schedule = attributes.cron_schedule
    initiated.inherit_build_id = attributes.inherit_build_id
    if attributes.HasField("retry_policy"):
        initiated.retry_policy.CopyFrom(retry.with_defaults(attributes.retry_policy))
    for name in ("input", "header", "memo", "search_attributes", "priority"):
        if attributes.HasField(name):
            getattr(initiated, name).CopyFrom(getattr(attributes, name))
    if initiated.search_attributes.indexed_fields:
        add_types(initiated.search_attributes, context.search_attributes)


def _start_request(
    step: RunStep,
    info: stored.ChildInfo,
    initiated: Initiated,
    metadata: user_metadata.UserMetadata | None,
) -> wf.StartWorkflowExecutionRequest:
    request = wf.StartWorkflowExecutionRequest(
        namespace=initiated.namespace,
        workflow_id=initiated.workflow_id,
        workflow_type=initiated.workflow_type,
        task_queue=initiated.task_queue,
        request_id=info.message_id,
        workflow_id_reuse_policy=initiated.workflow_id_reuse_policy,
        workflow_run_timeout=initiated.workflow_run_timeout,
        workflow_task_timeout=initiated.workflow_task_timeout,
        cron_schedule=initiated.cron_schedule,
        user_metadata=metadata,
    )
    for name in (
        "input",
        "header",
        "memo",
        "search_attributes",
        "retry_policy",
        "workflow_execution_timeout",
    ):
        if initiated.HasField(name):
            getattr(request, name).CopyFrom(getattr(initiated, name))
    priority = common.Priority()
    priority.CopyFrom(step.run.start.priority)
    # What the command leaves at zero is the parent's.
    priority.MergeFrom(initiated.priority)
    if priority.ByteSize():
        request.priority.CopyFrom(priority)
    return request


_EndAttributes = (
    history.ChildWorkflowExecutionCompletedEventAttributes
    | history.ChildWorkflowExecutionFailedEventAttributes
    | history.ChildWorkflowExecutionCanceledEventAttributes
    | history.ChildWorkflowExecutionTimedOutEventAttributes
    | history.ChildWorkflowExecutionTerminatedEventAttributes
)


def _completed(event: history.HistoryEvent, close: history.HistoryEvent) -> _EndAttributes:
    written = event.child_workflow_execution_completed_event_attributes
    attributes = close.workflow_execution_completed_event_attributes
    if attributes.HasField("result"):
        written.result.CopyFrom(attributes.result)
    return written


def _failed(event: history.HistoryEvent, close: history.HistoryEvent) -> _EndAttributes:
    written = event.child_workflow_execution_failed_event_attributes
    attributes = close.workflow_execution_failed_event_attributes
    written.failure.CopyFrom(attributes.failure)
    written.retry_state = attributes.retry_state
    return written


def _canceled(event: history.HistoryEvent, close: history.HistoryEvent) -> _EndAttributes:
    written = event.child_workflow_execution_canceled_event_attributes
    attributes = close.workflow_execution_canceled_event_attributes
    if attributes.HasField("details"):
        written.details.CopyFrom(attributes.details)
    return written


def _timed_out(event: history.HistoryEvent, close: history.HistoryEvent) -> _EndAttributes:
    written = event.child_workflow_execution_timed_out_event_attributes
    written.retry_state = close.workflow_execution_timed_out_event_attributes.retry_state
    return written


def _terminated(event: history.HistoryEvent, close: history.HistoryEvent) -> _EndAttributes:
    return event.child_workflow_execution_terminated_event_attributes


_Fill = Callable[[history.HistoryEvent, history.HistoryEvent], _EndAttributes]
_ENDS: dict[int, tuple[events.EventType.ValueType, _Fill]] = {
    events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: (
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        _completed,
    ),
    events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: (
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
        _failed,
    ),
    events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: (
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
        _canceled,
    ),
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: (
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
        _timed_out,
    ),
    events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: (
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
        _terminated,
    ),
}

HEARD = frozenset(
    {
        events.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
        events.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED,
        *(event_type for event_type, _ in _ENDS.values()),
    }
)
"""The types of the events by which a parent hears of its children."""
