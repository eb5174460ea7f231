"""The outbox row of a message to another workflow."""

from perdure.core.child.tasks import sign
from perdure.core.commit import MessageKey, MessageRow
from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored


def message_key(run: Run, info: stored.ExternalInfo) -> MessageKey:
    """Names the row of a pending item."""
    return MessageKey(info.due, run.slot, info.message_id)


def message_row(run: Run, info: stored.ExternalInfo, message: stored.Message) -> MessageRow:
    """Returns the row of a pending item: `message` says all but who sends it to whom."""
    message.id = info.message_id
    message.namespace_id = info.namespace_id
    message.target.CopyFrom(info.target)
    sign(run, message)
    message.initiated_event_id = info.initiated_event_id
    return MessageRow(message_key(run, info), run.key, message.SerializeToString())
