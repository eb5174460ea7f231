"""Events of a workflow task that is tried again: shown, but not written until it completes."""

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.protobuf import set_duration
from perdure.core.workflow.state import Run
from perdure.core.workflow_task.state import is_started
from perdure.core.workflow_task.transitions import is_held_back


def unwritten_events(run: Run) -> list[bytes]:
    """Returns the serialised events that a reader sees at the end of the history, if any.

    As on the real server they have no time: they may never be written.
    """
    state = run.state
    if not state.HasField("workflow_task") or not run.is_running:
        return []
    task = state.workflow_task
    if not is_held_back(run) or task.scheduled_event_id != state.next_event_id:
        return []
    shown = history.History()
    scheduled = shown.events.add(
        event_id=task.scheduled_event_id, event_type=events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    )
    attributes = scheduled.workflow_task_scheduled_event_attributes
    if run.speculative and state.sticky_task_queue:
        attributes.task_queue.name = state.sticky_task_queue
        attributes.task_queue.kind = queues.TASK_QUEUE_KIND_STICKY
        attributes.task_queue.normal_name = run.start.task_queue
    else:
        attributes.task_queue.name = run.start.task_queue
        attributes.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    set_duration(attributes.start_to_close_timeout, task.start_to_close_timeout)
    attributes.attempt = task.attempt
    if is_started(state):
        started = shown.events.add(
            event_id=task.started_event_id, event_type=events.EVENT_TYPE_WORKFLOW_TASK_STARTED
        )
        written = started.workflow_task_started_event_attributes
        written.scheduled_event_id = task.scheduled_event_id
        written.request_id = task.request_id
        written.history_size_bytes = task.history_size_bytes
    return [shown.SerializeToString()]
