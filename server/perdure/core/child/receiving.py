"""Taking in what passes between parents and children.

Rules that hold here: a start has a receipt, for the id of the child may be free again when the
message comes once more. The other messages need none: they name a child for good, and what they ask
for is done once.
"""

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.child.state import find
from perdure.core.child.transitions import record_end, record_started
from perdure.core.commit import ReceiptKey
from perdure.core.errors import WorkflowExecutionAlreadyStartedError
from perdure.core.workflow import signals
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.start import start_workflow
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.proto import stored_pb2 as stored

IDENTITY = "history-service"
NOT_FOUND = stored.Receipt(outcome=stored.Receipt.OUTCOME_NOT_FOUND)
TAKEN = stored.Receipt(outcome=stored.Receipt.OUTCOME_TAKEN)


def take_start(step: Step, message: stored.Message) -> stored.Receipt:
    """Starts a child, unless the policies of its workflow id refuse it."""

    def adopt(attributes: history.WorkflowExecutionStartedEventAttributes) -> None:
        attributes.parent_workflow_namespace = message.child_start.parent_namespace
        attributes.parent_workflow_namespace_id = message.sender_namespace_id
        attributes.parent_workflow_execution.CopyFrom(message.sender)
        attributes.parent_initiated_event_id = message.initiated_event_id
        attributes.root_workflow_execution.CopyFrom(message.child_start.root)

    try:
        result = start_workflow(
            step, message.namespace_id, message.child_start.request, adopt=adopt
        )
    except WorkflowExecutionAlreadyStartedError:
        return stored.Receipt(outcome=stored.Receipt.OUTCOME_ALREADY_EXISTS)
    return stored.Receipt(outcome=stored.Receipt.OUTCOME_TAKEN, started_run_id=result.first_run_id)


def hear(step: Step, message: stored.Message) -> None:
    """Records that a child has started, when that is not known and a message comes from it."""
    parent, info = step.current, find(step.current, message)
    if parent is None or info is None or info.started_run_id:
        return
    change = step.edit(parent)
    record_started(change, info, message.child.first_run_id)
    signals.after_external_event(change)


def take_result(step: Step, message: stored.Message) -> stored.Receipt:
    """Records how a child has ended, unless its parent has closed, or knows.

    Who has pending children is open, and so the current run: the one that has started the child, or
    one that has it from there by a reset.
    """
    parent, info = step.current, find(step.current, message)
    if parent is None or info is None:
        return NOT_FOUND
    change = step.edit(parent)
    record_end(change, info, message.sender, message.child_result.close_event)
    signals.after_external_event(change)
    return TAKEN


def take_parent_close(step: Step, run: Run | None, message: stored.Message) -> stored.Receipt:
    """Does to a child what its parent's policy says; `run` is the current one of its id."""
    closing = message.parent_close
    if run is None or not run.is_running or run.start.first_run_id != closing.first_run_id:
        return NOT_FOUND
    change = step.edit(run)
    if closing.policy == enums.PARENT_CLOSE_POLICY_TERMINATE:
        terminate(change, Termination("by parent close policy", identity=IDENTITY))
    elif not change.state.cancel_requested:
        signals.record_cancel_request(
            change,
            history.WorkflowExecutionCancelRequestedEventAttributes(
                external_workflow_execution=message.sender, identity=IDENTITY
            ),
        )
    return TAKEN


def start_receipt_key(message: stored.Message) -> ReceiptKey:
    """Names the receipt of the start of a child that hears that its parent has closed."""
    return ReceiptKey(
        message.namespace_id, message.target.workflow_id, message.parent_close.start_message_id
    )
