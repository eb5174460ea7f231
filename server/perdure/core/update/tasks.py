"""What a worker is sent of a run's updates, as messages beside the history."""

from google.protobuf.any_pb2 import Any
from temporalio.api.protocol.v1 import message_pb2 as protocol

from perdure.core.update import transitions
from perdure.core.update.state import UNACCEPTED, UpdateStatus
from perdure.core.workflow.state import Run


def wait_for_task(run: Run) -> bool:
    """Tells whether updates wait that no worker was sent."""
    return any(each.status is UpdateStatus.ADMITTED for each in run.updates.values())


def outgoing(
    run: Run, started_event_id: int, *, resend: bool, repeated: bool = False
) -> list[protocol.Message]:
    """Returns the messages of a workflow task that has started, and notes that they are sent.

    Args:
        run: The run.
        started_event_id: Of the task. The worker handles updates after the event before it.
        resend: Whether to send again what a worker was sent and has not answered: else only the
            worker that has it goes on with the task.
        repeated: Whether the answer is given again: its worker may have the first one, and what
            has come since is left for the next task.
    """
    messages = []
    for update in run.updates.values():
        if update.status not in UNACCEPTED:
            continue
        if update.status is UpdateStatus.ADMITTED:
            if repeated:
                continue
            transitions.send(update)
        elif not resend:
            continue
        if update.request is None:
            # The worker has read it in an event.
            continue
        body = Any()
        body.Pack(update.request)
        messages.append(
            protocol.Message(
                id=transitions.request_message_id(update.update_id),
                protocol_instance_id=update.update_id,
                event_id=started_event_id - 1,
                body=body,
            )
        )
    return messages
