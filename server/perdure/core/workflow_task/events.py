"""The events of a workflow task: what its scheduled and started events say, and those held back.

A task of a later attempt, or a speculative one, holds its first two events back until it is known
whether they are needed.
"""

from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.outcomes import WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.core.protobuf import set_duration, set_timestamp
from perdure.core.workflow.state import Deadline, DeadlineKind
from perdure.core.workflow_task.state import deadline
from perdure.core.workflow_task.tasks import dispatch_task
from perdure.proto import stored_pb2 as stored

if TYPE_CHECKING:
    from perdure.core.workflow.step import RunStep


def fill_scheduled(step: "RunStep", event: history.HistoryEvent, task: stored.WorkflowTask) -> None:
    """Fills in a WorkflowTaskScheduled event."""
    attributes = event.workflow_task_scheduled_event_attributes
    normal, sticky = step.run.start.task_queue, step.state.sticky_task_queue
    if sticky and task.attempt == 1:
        attributes.task_queue.name = sticky
        attributes.task_queue.kind = queues.TASK_QUEUE_KIND_STICKY
        attributes.task_queue.normal_name = normal
    else:
        attributes.task_queue.name = normal
        attributes.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    set_duration(attributes.start_to_close_timeout, task.start_to_close_timeout)
    attributes.attempt = task.attempt


def fill_started(step: "RunStep", event: history.HistoryEvent, task: stored.WorkflowTask) -> None:
    """Fills in a WorkflowTaskStarted event."""
    settings, state = step.context.settings, step.state
    attributes = event.workflow_task_started_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.identity = task.identity
    attributes.request_id = task.request_id
    attributes.history_size_bytes = task.history_size_bytes
    if task.build_id:
        attributes.worker_version.build_id = task.build_id
    if task.suggest_continue_as_new:
        attributes.suggest_continue_as_new = True
        if state.next_event_id > settings.suggest_continue_as_new_events:
            attributes.suggest_continue_as_new_reasons.append(
                enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_HISTORY_EVENTS
            )
        if state.history_size_bytes >= settings.suggest_continue_as_new_bytes:
            attributes.suggest_continue_as_new_reasons.append(
                enums.SUGGEST_CONTINUE_AS_NEW_REASON_HISTORY_SIZE_TOO_LARGE
            )
        if has_many_updates(step):
            attributes.suggest_continue_as_new_reasons.append(
                enums.SUGGEST_CONTINUE_AS_NEW_REASON_TOO_MANY_UPDATES
            )


def has_many_updates(step: "RunStep") -> bool:
    """Tells whether a run has had so many updates that it should continue as a new one."""
    settings, run = step.context.settings, step.run
    bound = settings.max_total_updates * settings.suggest_continue_as_new_updates
    return 0 < bound <= len(run.updates) + len(run.completed_updates)


def write_held_back(step: "RunStep") -> None:
    """Writes the events that a started task has held back."""
    task = step.state.workflow_task
    scheduled = step.event(events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    fill_scheduled(step, scheduled, task)
    started = step.event(events.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    fill_started(step, started, task)
    task.scheduled_event_id, task.started_event_id = scheduled.event_id, started.event_id
    set_timestamp(scheduled.event_time, task.scheduled_time)
    set_timestamp(started.event_time, task.started_time)


def make_durable(step: "RunStep", *, identity: str = "", build_id: str = "") -> None:
    """Turns a speculative task into a normal one, because something is written beside it.

    Its events come before whatever that is.

    Args:
        step: The run's step.
        identity: Who ends the task, where that is why; as on the real server it stands in the
            started event.
        build_id: Of the worker that ends it.
    """
    run, task = step.run, step.state.workflow_task
    if not run.speculative:
        return
    run.speculative = False
    step.state.first_workflow_task_due = 0
    if task.started_event_id:
        step.task_outcomes.append(WorkflowTaskOutcome(WorkflowTaskEnding.STARTED, task.attempt))
        task.identity, task.build_id = identity, build_id
        write_held_back(step)
    else:
        event = step.event(events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
        fill_scheduled(step, event, task)
        set_timestamp(event.event_time, task.scheduled_time)
        task.scheduled_event_id = event.event_id
        task.schedule_to_start_timeout = step.state.sticky_timeout if task.sticky else 0
        # Matching may hold the task already; now it has a row.
        step.offers.clear()
        step.add_task(dispatch_task(run, task))
    if due := deadline(step.state):
        run.add_deadline(Deadline(due, DeadlineKind.WORKFLOW_TASK))
