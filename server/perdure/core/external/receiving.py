"""Taking in what another workflow sent, and saying so once and for all.

Rules that hold here: the receipt is written in the commit that has the effect, refusals too, so
that one message has one answer however often it comes. Who the receiver is, and whether it has the
message already, the caller has found out.
"""

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.child import receiving as child
from perdure.core.commit import ReceiptKey, ReceiptRow
from perdure.core.errors import UnimplementedError
from perdure.core.protobuf import seconds
from perdure.core.schedule import receiving as schedule
from perdure.core.slots import slot_of
from perdure.core.workflow import signals
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.proto import stored_pb2 as stored

IDENTITY = "history-service"
LEAST_KEPT = seconds(7 * 86_400)
"""For how long a receipt is kept at least.

A message comes again for as long as its sender's shard has not recorded the answer, so a receipt
must outlive the longest outage of the sender's store between the two: a week leaves time to restore
it. Where closed runs are kept for longer, so are receipts: what a history shows is known.
"""

_WITHOUT_RECEIPT = frozenset({"child_result", "parent_close"})

Outcome = stored.Receipt.Outcome


def receipt_key(message: stored.Message) -> ReceiptKey:
    """Names the receipt of a message."""
    return ReceiptKey(message.namespace_id, message.target.workflow_id, message.id)


def receive(step: Step, run: Run | None, message: stored.Message) -> stored.Receipt:
    """Has a run take a message in that its workflow id has not seen yet.

    Args:
        step: The step of the receiver's workflow id.
        run: The receiver; None when there is no such run.
        message: The message.

    Raises:
        UnimplementedError: What the message says is of a later release.
    """
    if message.WhichOneof("payload") is not None:
        child.hear(step, message)
    match message.WhichOneof("payload"):
        case "child_start":
            receipt = child.take_start(step, message)
        case "child_result":
            return child.take_result(step, message)
        case "parent_close":
            return child.take_parent_close(step, run, message)
        case kind if kind in schedule.KINDS:
            receipt = schedule.take(step, run, message)
        case _:
            receipt = stored.Receipt(outcome=_take(step, run, message))
    _keep(step, receipt_key(message), receipt)
    return receipt


def refuse_start(step: Step, message: stored.Message) -> stored.Receipt:
    """Sees to it that a child is not started any more: its parent has closed.

    Called when the message that starts it has no receipt yet.
    """
    _keep(step, child.start_receipt_key(message), child.NOT_FOUND)
    return child.NOT_FOUND


def _keep(step: Step, key: ReceiptKey, receipt: stored.Receipt) -> None:
    step.add_receipt(
        ReceiptRow(
            key=key,
            slot=slot_of(key.namespace_id, key.workflow_id),
            expiry=step.now + max(step.context.retention, LEAST_KEPT),
            data=receipt.SerializeToString(),
        )
    )


def receipt_needed(message: stored.Message) -> ReceiptKey | None:
    """Names the receipt by which a message that comes again is known; None when none is kept."""
    if message.WhichOneof("payload") in _WITHOUT_RECEIPT:
        return None
    return receipt_key(message)


def _take(step: Step, run: Run | None, message: stored.Message) -> Outcome.ValueType:
    if run is None or _is_sender(run, message):
        return stored.Receipt.OUTCOME_NOT_FOUND
    match message.WhichOneof("payload"):
        case "signal":
            return _take_signal(step, run, message)
        case "cancel_request":
            return _take_cancel_request(step, run, message)
        case _:
            # It is sent again until a release has the workflow that knows better.
            raise UnimplementedError("this release does not know what the message says")


def _is_sender(run: Run, message: stored.Message) -> bool:
    """Tells whether a workflow writes to itself, which the real server does not let it."""
    key = run.key
    sender = (message.sender_namespace_id, message.sender.workflow_id)
    return (key.namespace_id, key.workflow_id) == sender


def _is_refused(run: Run, message: stored.Message) -> bool:
    """Tells whether a message is for a child of its sender only, and the run is none."""
    return message.child_workflow_only and run.start.parent != message.sender


def _take_signal(step: Step, run: Run, message: stored.Message) -> Outcome.ValueType:
    if not run.is_running or _is_refused(run, message):
        return stored.Receipt.OUTCOME_NOT_FOUND
    change = step.edit(run)
    if signals.is_at_limit(change):
        return stored.Receipt.OUTCOME_SIGNAL_LIMIT
    sent = message.signal
    signals.record_signal(
        change,
        history.WorkflowExecutionSignaledEventAttributes(
            signal_name=sent.name,
            input=sent.input if sent.HasField("input") else None,
            header=sent.header if sent.HasField("header") else None,
            identity=IDENTITY,
            request_id=message.id,
            external_workflow_execution=message.sender,
        ),
    )
    return stored.Receipt.OUTCOME_TAKEN


def _take_cancel_request(step: Step, run: Run, message: stored.Message) -> Outcome.ValueType:
    # Who is over, or asked already, needs not be asked: that is as good as done.
    if not run.is_running:
        return stored.Receipt.OUTCOME_TAKEN
    if _is_refused(run, message):
        return stored.Receipt.OUTCOME_NOT_FOUND
    change = step.edit(run)
    if not change.state.cancel_requested:
        signals.record_cancel_request(
            change,
            history.WorkflowExecutionCancelRequestedEventAttributes(
                cause=message.cancel_request.reason,
                external_initiated_event_id=message.initiated_event_id,
                external_workflow_execution=message.sender,
                identity=IDENTITY,
            ),
        )
    return stored.Receipt.OUTCOME_TAKEN
