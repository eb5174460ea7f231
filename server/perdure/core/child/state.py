"""A child of a run: pending from the command that starts it until its end is known.

The parent's half is a `ChildInfo` per child, under the event that initiated it. The child's half is
in its `RunStart`, and is carried along its chain of runs: who its parent is, and which event of the
parent's run started it. The pair names a child for good, whatever becomes of its workflow id.
"""

from enum import Enum, auto

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import MessageKey
from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored


class ChildStatus(Enum):
    """What its parent knows of a child."""

    INITIATED = auto()
    STARTED = auto()
    CLOSED = auto()


def status(run: Run, info: stored.ChildInfo) -> ChildStatus:
    """Returns what a run knows of a child."""
    if info.initiated_event_id not in run.children:
        return ChildStatus.CLOSED
    return ChildStatus.STARTED if info.started_run_id else ChildStatus.INITIATED


def start_key(run: Run, info: stored.ChildInfo) -> MessageKey:
    """Names the row of the message that starts a child."""
    return MessageKey(info.due, run.slot, info.message_id)


def find(run: Run | None, message: stored.Message) -> stored.ChildInfo | None:
    """Returns the pending child of a run that has sent a message; None when it is none.

    A child names the run that has started it. That may be an earlier one: the run may have been
    begun by a reset, and have the child from there. Once it has started its first run tells it.
    """
    if run is None or not message.HasField("child"):
        return None
    info = run.children.get(message.child.initiated_event_id)
    sender = (message.sender_namespace_id, message.sender.workflow_id)
    if info is None or (info.namespace_id, info.workflow_id) != sender:
        return None
    if info.started_run_id:
        return info if info.started_run_id == message.child.first_run_id else None
    senders = (run.key.run_id, *info.earlier_run_ids)
    return info if message.child.parent_run_id in senders else None


def carry_parent(
    start: stored.RunStart, attributes: history.WorkflowExecutionStartedEventAttributes
) -> None:
    """Passes a child's parent and root on to the run that follows it."""
    if start.HasField("parent"):
        attributes.parent_workflow_execution.CopyFrom(start.parent)
        attributes.parent_workflow_namespace = start.parent_namespace
        attributes.parent_workflow_namespace_id = start.parent_namespace_id
        attributes.parent_initiated_event_id = start.parent_initiated_event_id
    if start.HasField("root"):
        attributes.root_workflow_execution.CopyFrom(start.root)


def keep_parent(
    attributes: history.WorkflowExecutionStartedEventAttributes, start: stored.RunStart
) -> None:
    """Takes a child's parent over from its first event."""
    if attributes.HasField("parent_workflow_execution"):
        start.parent.CopyFrom(attributes.parent_workflow_execution)
        start.parent_namespace = attributes.parent_workflow_namespace
        start.parent_namespace_id = attributes.parent_workflow_namespace_id
        start.parent_initiated_event_id = attributes.parent_initiated_event_id
