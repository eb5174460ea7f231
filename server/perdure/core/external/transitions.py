"""What can happen to a signal or cancel request to another workflow, on its sender's side.

    (command) ── initiate ─► pending ── resolve (delivered or refused) ─► (event)
                                └────── forget_all (the run closes) ────► (nothing)

Theory of operation. The commit with the initiated event adds the message's row, and the commit with
the outcome deletes it. In between history delivers it, again and again until somebody answers. A
run that closes takes its messages with it, as on the real server: what is sent by the task that
closes a run never leaves.
"""

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.external.state import ExternalKind, find, pending
from perdure.core.external.tasks import message_key, message_row
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

Outcome = stored.Receipt.Outcome
SignalFailed = causes.SignalExternalWorkflowExecutionFailedCause
CancelFailed = causes.CancelExternalWorkflowExecutionFailedCause

_UNKNOWN = stored.Receipt.OUTCOME_NOT_FOUND
"""For what a refusal of a later release is taken that this one does not know."""

_ITEMS = {
    ExternalKind.SIGNAL: ItemKind.EXTERNAL_SIGNAL,
    ExternalKind.CANCEL_REQUEST: ItemKind.EXTERNAL_CANCEL,
}
_SIGNAL_CAUSES: dict[Outcome.ValueType, SignalFailed.ValueType] = {
    stored.Receipt.OUTCOME_NOT_FOUND: (
        causes.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
    ),
    stored.Receipt.OUTCOME_NAMESPACE_NOT_FOUND: (
        causes.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND
    ),
    stored.Receipt.OUTCOME_SIGNAL_LIMIT: (
        causes.SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_SIGNAL_COUNT_LIMIT_EXCEEDED
    ),
}
_CANCEL_CAUSES: dict[Outcome.ValueType, CancelFailed.ValueType] = {
    stored.Receipt.OUTCOME_NOT_FOUND: (
        causes.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_EXTERNAL_WORKFLOW_EXECUTION_NOT_FOUND
    ),
    stored.Receipt.OUTCOME_NAMESPACE_NOT_FOUND: (
        causes.CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED_CAUSE_NAMESPACE_NOT_FOUND
    ),
}


def initiate_signal(
    step: RunStep,
    attributes: commands.SignalExternalWorkflowExecutionCommandAttributes,
    metadata: user_metadata.UserMetadata | None,
    completed_event_id: int,
) -> None:
    """Sends a signal (its command has been validated)."""
    event = step.event(events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED)
    initiated = event.signal_external_workflow_execution_initiated_event_attributes
    initiated.workflow_task_completed_event_id = completed_event_id
    initiated.namespace = attributes.namespace
    initiated.namespace_id = _namespace_id(step, attributes.namespace)
    initiated.workflow_execution.CopyFrom(attributes.execution)
    initiated.signal_name = attributes.signal_name
    initiated.control = attributes.control
    initiated.child_workflow_only = attributes.child_workflow_only
    message = stored.Message(child_workflow_only=attributes.child_workflow_only)
    message.signal.name = attributes.signal_name
    if attributes.HasField("input"):
        initiated.input.CopyFrom(attributes.input)
        message.signal.input.CopyFrom(attributes.input)
    if attributes.HasField("header"):
        initiated.header.CopyFrom(attributes.header)
        message.signal.header.CopyFrom(attributes.header)
    if metadata is not None:
        event.user_metadata.CopyFrom(metadata)
    info = _info(step, event, initiated)
    _send(step, ExternalKind.SIGNAL, info, message)


def initiate_cancel(
    step: RunStep,
    attributes: commands.RequestCancelExternalWorkflowExecutionCommandAttributes,
    metadata: user_metadata.UserMetadata | None,
    completed_event_id: int,
) -> None:
    """Sends a cancel request (its command has been validated)."""
    event = step.event(events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED)
    initiated = event.request_cancel_external_workflow_execution_initiated_event_attributes
    initiated.workflow_task_completed_event_id = completed_event_id
    initiated.namespace = attributes.namespace
    initiated.namespace_id = _namespace_id(step, attributes.namespace)
    initiated.workflow_execution.workflow_id = attributes.workflow_id
    initiated.workflow_execution.run_id = attributes.run_id
    initiated.control = attributes.control
    initiated.child_workflow_only = attributes.child_workflow_only
    initiated.reason = attributes.reason
    if metadata is not None:
        event.user_metadata.CopyFrom(metadata)
    message = stored.Message(child_workflow_only=attributes.child_workflow_only)
    message.cancel_request.reason = attributes.reason
    info = _info(step, event, initiated)
    _send(step, ExternalKind.CANCEL_REQUEST, info, message)


def send_again(step: RunStep, event: history.HistoryEvent) -> None:
    """Sends what an initiated event says: the run has it from another run, whose outcome it lacks.

    The receiver takes it for another message, as on the real server.
    """
    if event.event_type == events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED:
        signal = event.signal_external_workflow_execution_initiated_event_attributes
        message = stored.Message(child_workflow_only=signal.child_workflow_only)
        message.signal.name = signal.signal_name
        if signal.HasField("input"):
            message.signal.input.CopyFrom(signal.input)
        if signal.HasField("header"):
            message.signal.header.CopyFrom(signal.header)
        _send(step, ExternalKind.SIGNAL, _info(step, event, signal), message)
        return
    request = event.request_cancel_external_workflow_execution_initiated_event_attributes
    message = stored.Message(child_workflow_only=request.child_workflow_only)
    message.cancel_request.reason = request.reason
    _send(step, ExternalKind.CANCEL_REQUEST, _info(step, event, request), message)


def resolve(
    step: RunStep, message_id: str, initiated_event_id: int, outcome: Outcome.ValueType
) -> bool:
    """Records what came of a message.

    Returns:
        Whether it was pending; if not, nothing is recorded.
    """
    kind = find(step.run, message_id, initiated_event_id)
    if kind is None:
        return False
    info = pending(step.run, kind)[initiated_event_id]
    _forget(step, kind, info)
    if kind is ExternalKind.SIGNAL:
        _record_signal(step, info, outcome)
    else:
        _record_cancel(step, info, outcome)
    return True


def forget_all(step: RunStep) -> None:
    """Takes back whatever is pending: the run closes."""
    for kind in ExternalKind:
        for info in list(pending(step.run, kind).values()):
            _forget(step, kind, info)


def _namespace_id(step: RunStep, name: str) -> str:
    return step.context.find_namespace(name) if name else step.run.key.namespace_id


def _info(
    step: RunStep,
    event: history.HistoryEvent,
    initiated: history.SignalExternalWorkflowExecutionInitiatedEventAttributes
    | history.RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
) -> stored.ExternalInfo:
    return stored.ExternalInfo(
        initiated_event_id=event.event_id,
        message_id=step.context.ids.request_id(),
        # Rows are read by due time: what was sent first comes first.
        due=step.context.now + len(step.messages_added),
        namespace_id=initiated.namespace_id,
        namespace=initiated.namespace or step.context.namespace,
        target=initiated.workflow_execution,
        control=initiated.control,
    )


def _send(
    step: RunStep, kind: ExternalKind, info: stored.ExternalInfo, message: stored.Message
) -> None:
    pending(step.run, kind)[info.initiated_event_id] = info
    step.put_item(_item(kind, info), info.SerializeToString())
    step.add_message(message_row(step.run, info, message))


def _forget(step: RunStep, kind: ExternalKind, info: stored.ExternalInfo) -> None:
    del pending(step.run, kind)[info.initiated_event_id]
    step.delete_item(_item(kind, info))
    step.delete_message(message_key(step.run, info))


def _item(kind: ExternalKind, info: stored.ExternalInfo) -> ItemKey:
    return ItemKey(_ITEMS[kind], str(info.initiated_event_id))


def _record_signal(step: RunStep, info: stored.ExternalInfo, outcome: Outcome.ValueType) -> None:
    def fill_taken(event: history.HistoryEvent) -> None:
        written = event.external_workflow_execution_signaled_event_attributes
        _fill(written, info)
        written.control = info.control

    def fill_failed(event: history.HistoryEvent) -> None:
        written = event.signal_external_workflow_execution_failed_event_attributes
        _fill(written, info)
        written.control = info.control
        written.cause = _SIGNAL_CAUSES.get(outcome, _SIGNAL_CAUSES[_UNKNOWN])

    if outcome == stored.Receipt.OUTCOME_TAKEN:
        step.external_event(events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED, fill_taken)
    else:
        step.external_event(
            events.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, fill_failed
        )


def _record_cancel(step: RunStep, info: stored.ExternalInfo, outcome: Outcome.ValueType) -> None:
    def fill_taken(event: history.HistoryEvent) -> None:
        _fill(event.external_workflow_execution_cancel_requested_event_attributes, info)

    def fill_failed(event: history.HistoryEvent) -> None:
        written = event.request_cancel_external_workflow_execution_failed_event_attributes
        _fill(written, info)
        written.cause = _CANCEL_CAUSES.get(outcome, _CANCEL_CAUSES[_UNKNOWN])

    if outcome == stored.Receipt.OUTCOME_TAKEN:
        step.external_event(
            events.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED, fill_taken
        )
    else:
        step.external_event(
            events.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED, fill_failed
        )


_OutcomeAttributes = (
    history.ExternalWorkflowExecutionSignaledEventAttributes
    | history.SignalExternalWorkflowExecutionFailedEventAttributes
    | history.ExternalWorkflowExecutionCancelRequestedEventAttributes
    | history.RequestCancelExternalWorkflowExecutionFailedEventAttributes
)


def _fill(written: _OutcomeAttributes, info: stored.ExternalInfo) -> None:
    written.initiated_event_id = info.initiated_event_id
    written.namespace = info.namespace
    written.namespace_id = info.namespace_id
    written.workflow_execution.CopyFrom(info.target)
