"""Signals and cancel requests: events that clients send to an open run."""

from collections.abc import Iterable

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.workflow.start import StartResult, start_workflow
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task.state import is_started
from perdure.core.workflow_task.transitions import Failure, fail, schedule_if_needed

ALREADY_COMPLETED = "workflow execution already completed"


def require_open(change: RunStep) -> None:
    """Raises NotFoundError when the run is closed."""
    if not change.run.is_running:
        raise NotFoundError(ALREADY_COMPLETED)


def signal(change: RunStep, request: wf.SignalWorkflowExecutionRequest) -> None:
    """Records a signal, unless its request id has been seen.

    One that comes again is well received also when the run is closed by now: it may be what closed
    it, and its sender asks only because the first answer was lost.

    Raises:
        NotFoundError: The run is closed.
        InvalidArgumentError: The run has had as many signals as one may.
    """
    if request.request_id and request.request_id in change.run.signal_requests:
        return
    require_open(change)
    _check_signal_limit(change)
    record_signal(
        change,
        history.WorkflowExecutionSignaledEventAttributes(
            signal_name=request.signal_name,
            input=request.input if request.HasField("input") else None,
            identity=request.identity,
            request_id=request.request_id,
            header=request.header if request.HasField("header") else None,
        ),
        request.request_id,
        request.links,
    )


def _check_signal_limit(change: RunStep) -> None:
    if is_at_limit(change):
        raise InvalidArgumentError("exceeded workflow execution limit for signal events")


def is_at_limit(change: RunStep) -> bool:
    """Tells whether a run has had as many signals as one may."""
    return change.state.signal_count >= change.context.settings.max_signals


def record_signal(
    change: RunStep,
    attributes: history.WorkflowExecutionSignaledEventAttributes,
    request_id: str = "",
    links: Iterable[common.Link] = (),
) -> None:
    """Records a signal to an open run; a request id is remembered by the run."""

    def fill(event: history.HistoryEvent) -> None:
        event.workflow_execution_signaled_event_attributes.CopyFrom(attributes)
        event.links.extend(links)

    change.external_event(events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, fill)
    change.state.signal_count += 1
    if request_id:
        change.run.signal_requests.add(request_id)
        change.put_item(ItemKey(ItemKind.SIGNAL_REQUEST, request_id), b"")
    after_external_event(change)


def after_external_event(change: RunStep) -> None:
    """Sees to it that the worker learns of an event, and that the buffer stays bounded."""
    state, settings = change.state, change.context.settings
    over = (
        state.buffered_event_count > settings.max_buffered_events
        or state.buffered_event_bytes > settings.max_buffered_bytes
    )
    if over and is_started(state):
        fail(
            change,
            Failure(
                causes.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, identity="history-service"
            ),
        )
        # As on the real server, the next task counts as another attempt though events are new.
        change.flush_buffer()
    schedule_if_needed(change)


def request_cancel(change: RunStep, request: wf.RequestCancelWorkflowExecutionRequest) -> None:
    """Records a cancel request; a second one, or one of a closed run, changes nothing."""
    if change.state.cancel_requested or not change.run.is_running:
        return
    attributes = history.WorkflowExecutionCancelRequestedEventAttributes(
        cause=request.reason, identity=request.identity
    )
    record_cancel_request(change, attributes, request.links)


def record_cancel_request(
    change: RunStep,
    attributes: history.WorkflowExecutionCancelRequestedEventAttributes,
    links: Iterable[common.Link] = (),
) -> None:
    """Records the first cancel request to an open run, which begins if it still waits to."""
    change.state.cancel_requested = True
    _end_backoff(change)

    def fill(event: history.HistoryEvent) -> None:
        event.workflow_execution_cancel_requested_event_attributes.CopyFrom(attributes)
        event.links.extend(links)

    change.external_event(events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, fill)
    after_external_event(change)


def _end_backoff(change: RunStep) -> None:
    """Has a run whose first workflow task waits (start delay, retry, cron) wait no longer."""
    change.state.first_workflow_task_due = 0


def signal_with_start(
    step: Step, namespace_id: str, request: wf.SignalWithStartWorkflowExecutionRequest
) -> StartResult:
    """Signals the running run, or starts one that has the signal in its history.

    Unlike a signal alone it ends the wait for the run's first workflow task, if there is one.

    Raises:
        WorkflowExecutionAlreadyStartedError: The reuse policy refuses a new run.
    """
    start = start_request(request)
    existing = step.current
    if existing is not None and existing.is_running and not _replaces(start):
        change = step.edit(existing)
        if not request.request_id or request.request_id not in existing.signal_requests:
            _check_signal_limit(change)
            _end_backoff(change)
            record_signal(change, _attributes(request), request.request_id, request.links)
        return StartResult(
            existing.key.run_id, False, existing.state.status, existing.start.first_run_id
        )

    def add_signal(change: RunStep) -> None:
        record_signal(change, _attributes(request), request.request_id, request.links)

    return start_workflow(step, namespace_id, start, before_first_task=add_signal)


def _replaces(start: wf.StartWorkflowExecutionRequest) -> bool:
    return (
        start.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
        or start.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    )


def _attributes(
    request: wf.SignalWithStartWorkflowExecutionRequest,
) -> history.WorkflowExecutionSignaledEventAttributes:
    return history.WorkflowExecutionSignaledEventAttributes(
        signal_name=request.signal_name,
        input=request.signal_input if request.HasField("signal_input") else None,
        identity=request.identity,
        request_id=request.request_id,
        header=request.header if request.HasField("header") else None,
    )


def start_request(
    request: wf.SignalWithStartWorkflowExecutionRequest,
) -> wf.StartWorkflowExecutionRequest:
    """Returns the start that a signal-with-start request contains."""
    start = wf.StartWorkflowExecutionRequest()
    for field, value in request.ListFields():
        if field.name in _SHARED_FIELDS:
            if field.is_repeated:
                getattr(start, field.name).extend(value)
            elif field.message_type is not None:
                getattr(start, field.name).CopyFrom(value)
            else:
                setattr(start, field.name, value)
    return start


_SHARED_FIELDS = frozenset(wf.StartWorkflowExecutionRequest.DESCRIPTOR.fields_by_name) & frozenset(
    wf.SignalWithStartWorkflowExecutionRequest.DESCRIPTOR.fields_by_name
)
