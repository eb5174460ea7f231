"""What a workflow tells the schedule that has started it: that it is over.

Only the last run of a chain says so: the ones before it, whatever ends them, are followed by
another run of the same action.
"""

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import MessageKey, MessageRow
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

_NEXT_RUN = "new_execution_run_id"


def report_close(step: RunStep, event: history.HistoryEvent) -> None:
    """Sends the schedule of a run that closes how it has ended.

    Args:
        step: The run's step; it has closed.
        event: The event that closed it.
    """
    start = step.run.start
    if not start.HasField("scheduled_by") or step.is_reset:
        return
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    if getattr(attributes, _NEXT_RUN, ""):
        return
    by, run = start.scheduled_by, step.run
    closed = stored.Message.ScheduledClosed(
        start_id=by.start_id,
        workflow_id=run.key.workflow_id,
        first_run_id=start.first_run_id,
        start_time=start.start_time,
        status=step.state.status,
    )
    for name in ("result", "failure"):
        if name in attributes.DESCRIPTOR.fields_by_name and attributes.HasField(name):
            getattr(closed, name).CopyFrom(getattr(attributes, name))
    message = stored.Message(
        id=step.context.ids.request_id(),
        namespace_id=run.key.namespace_id,
        target=by.schedule,
        sender_namespace_id=run.key.namespace_id,
        sender=run.execution(),
        scheduled_closed=closed,
    )
    key = MessageKey(step.context.now + len(step.messages_added), run.slot, message.id)
    step.add_message(MessageRow(key, run.key, message.SerializeToString()))
