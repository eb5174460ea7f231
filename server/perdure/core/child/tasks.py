"""The outbox rows of messages between parents and children."""

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.child.state import start_key
from perdure.core.commit import MessageKey, MessageRow
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored


def sign(run: Run, message: stored.Message) -> None:
    """Says who sends a message, and whose child that is."""
    message.sender_namespace_id = run.key.namespace_id
    message.sender.CopyFrom(run.execution())
    start = run.start
    if start.HasField("parent"):
        message.child.parent_run_id = start.parent.run_id
        message.child.initiated_event_id = start.parent_initiated_event_id
        message.child.first_run_id = start.first_run_id


def start_row(run: Run, info: stored.ChildInfo, start: stored.Message.ChildStart) -> MessageRow:
    """Returns the row of the message that starts a child."""
    message = stored.Message(
        id=info.message_id,
        namespace_id=info.namespace_id,
        initiated_event_id=info.initiated_event_id,
        child_start=start,
    )
    message.target.workflow_id = info.workflow_id
    sign(run, message)
    return MessageRow(start_key(run, info), run.key, message.SerializeToString())


def result_row(step: RunStep, close_event: history.HistoryEvent) -> MessageRow:
    """Returns the row of the message that tells a parent how its child has ended."""
    start = step.run.start
    message = stored.Message(
        namespace_id=start.parent_namespace_id,
        target=start.parent,
        initiated_event_id=start.parent_initiated_event_id,
    )
    message.child_result.close_event.CopyFrom(close_event)
    return _row(step, message)


def parent_close_row(step: RunStep, info: stored.ChildInfo) -> MessageRow:
    """Returns the row of the message that tells a child that its parent has closed."""
    message = stored.Message(
        namespace_id=info.namespace_id, initiated_event_id=info.initiated_event_id
    )
    message.target.workflow_id = info.workflow_id
    message.parent_close.policy = info.parent_close_policy
    message.parent_close.first_run_id = info.started_run_id
    message.parent_close.start_message_id = info.message_id
    return _row(step, message)


def next_due(step: RunStep) -> int:
    """Returns when the next message of a step may be sent: after those before it."""
    # Rows are read by due time: what was sent first comes first.
    return step.context.now + len(step.messages_added)


def _row(step: RunStep, message: stored.Message) -> MessageRow:
    message.id = step.context.ids.request_id()
    sign(step.run, message)
    key = MessageKey(next_due(step), step.run.slot, message.id)
    return MessageRow(key, step.run.key, message.SerializeToString())
