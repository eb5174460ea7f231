"""Applying the commands of a completed workflow task, which have all been validated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata

from perdure.core.activity import transitions as activity
from perdure.core.activity.state import ActivityStatus, status
from perdure.core.child import transitions as child
from perdure.core.external import transitions as external
from perdure.core.timer import transitions as timer
from perdure.core.update import outcomes as updates
from perdure.core.update.messages import Inbox
from perdure.core.visibility.attributes import add_types
from perdure.core.workflow import close
from perdure.core.workflow.next_run import (
    begin_continued,
    begin_retry,
    begin_scheduled,
    is_scheduled,
    retry_decision,
    start_event,
)
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow.upserts import merge
from perdure.core.workflow.validator import CLOSING
from perdure.proto import stored_pb2 as stored


@dataclass(slots=True)
class Applied:
    """What applying commands came to, besides the changes themselves.

    Attributes:
        eager: Activities to be started at once for the worker that asked for them.
        needs_task: Whether something happened that the worker must be told.
    """

    eager: list[stored.ActivityInfo] = field(default_factory=list)
    needs_task: bool = False


@dataclass(slots=True)
class _Application:
    step: Step
    change: RunStep
    identity: str
    completed_event_id: int
    inbox: Inbox
    applied: Applied = field(default_factory=Applied)


def prepare(change: RunStep, batch: Sequence[commands.Command]) -> None:
    """Makes sure that everything needed to apply the commands is in memory.

    Raises:
        NeedsStartEvent: Another run may follow, for which this one's first event is needed.
    """
    completes = any(
        command.command_type == types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION for command in batch
    )
    fails = any(
        command.command_type == types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION for command in batch
    )
    retried = fails and change.run.start.HasField("retry_policy")
    if retried or ((fails or completes) and is_scheduled(change.run)):
        start_event(change.run)


def apply(
    step: Step,
    change: RunStep,
    batch: Sequence[commands.Command],
    identity: str,
    completed_event_id: int,
    *,
    inbox: Inbox,
) -> Applied:
    """Applies commands in order, with the messages that they name; the others come last.

    Nothing follows a command that closes the run but refusals of updates.
    """
    application = _Application(step, change, identity, completed_event_id, inbox)
    for command in batch:
        closing = command.command_type in CLOSING
        if closing:
            # The updates that no message speaks of end with the run.
            for message in inbox.take_rest():
                updates.answer(change, message, closing=True)
            change.flush_buffer()
        written = len(change.batch.events)
        _APPLY[command.command_type](application, command)
        if command.event_group_markers and len(change.batch.events) > written:
            change.batch.events[written].event_group_markers.extend(command.event_group_markers)
        if closing:
            break
    for message in inbox.take_rest():
        updates.answer(change, message)
    return application.applied


def _metadata(command: commands.Command) -> user_metadata.UserMetadata | None:
    return command.user_metadata if command.HasField("user_metadata") else None


def _schedule_activity(application: _Application, command: commands.Command) -> None:
    attributes = command.schedule_activity_task_command_attributes
    info = activity.schedule(
        application.change, attributes, _metadata(command), application.completed_event_id
    )
    if attributes.request_eager_execution:
        application.change.put_activity(info)
        application.applied.eager.append(info)
    else:
        activity.dispatch(application.change, info)


def _cancel_activity(application: _Application, command: commands.Command) -> None:
    change = application.change
    event_id = command.request_cancel_activity_task_command_attributes.scheduled_event_id
    info = change.run.activities.get(event_id)
    if info is None:
        # Its end is in the buffer: the worker learns of it with the next task.
        event = change.event(events.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
        requested = event.activity_task_cancel_requested_event_attributes
        requested.scheduled_event_id = event_id
        requested.workflow_task_completed_event_id = application.completed_event_id
        return
    activity.request_cancel(info, change, application.completed_event_id)
    if status(info) is not ActivityStatus.STARTED:
        _cancel_unstarted(application, info)


def _cancel_unstarted(application: _Application, info: stored.ActivityInfo) -> None:
    scheduled, requested = info.scheduled_event_id, info.cancel_requested_event_id

    def fill(event: history.HistoryEvent, started_event_id: int) -> None:
        attributes = event.activity_task_canceled_event_attributes
        attributes.scheduled_event_id = scheduled
        attributes.started_event_id = started_event_id
        attributes.latest_cancel_requested_event_id = requested
        attributes.identity = application.identity
        attributes.details.CopyFrom(
            common.Payloads(
                payloads=[
                    common.Payload(
                        metadata={"encoding": b"json/plain"}, data=b'"ACTIVITY_ID_NOT_STARTED"'
                    )
                ]
            )
        )

    activity.close(info, application.change, events.EVENT_TYPE_ACTIVITY_TASK_CANCELED, fill)
    application.applied.eager = [
        eager for eager in application.applied.eager if eager.scheduled_event_id != scheduled
    ]
    application.applied.needs_task = True


def _start_timer(application: _Application, command: commands.Command) -> None:
    timer.start(
        application.change,
        command.start_timer_command_attributes,
        _metadata(command),
        application.completed_event_id,
    )


def _cancel_timer(application: _Application, command: commands.Command) -> None:
    timer.cancel(
        application.change,
        command.cancel_timer_command_attributes.timer_id,
        application.identity,
        application.completed_event_id,
    )


def _signal_external(application: _Application, command: commands.Command) -> None:
    external.initiate_signal(
        application.change,
        command.signal_external_workflow_execution_command_attributes,
        _metadata(command),
        application.completed_event_id,
    )


def _cancel_external(application: _Application, command: commands.Command) -> None:
    external.initiate_cancel(
        application.change,
        command.request_cancel_external_workflow_execution_command_attributes,
        _metadata(command),
        application.completed_event_id,
    )


def _start_child(application: _Application, command: commands.Command) -> None:
    child.initiate(
        application.change,
        command.start_child_workflow_execution_command_attributes,
        _metadata(command),
        application.completed_event_id,
    )


def _complete(application: _Application, command: commands.Command) -> None:
    step, change = application.step, application.change
    attributes = command.complete_workflow_execution_command_attributes
    run_id = step.context.ids.run_id() if is_scheduled(change.run) else ""
    close.complete(change, attributes, application.completed_event_id, run_id)
    if run_id:
        result = attributes.result if attributes.HasField("result") else None
        begin_scheduled(step, change, run_id, result=result)


def _fail(application: _Application, command: commands.Command) -> None:
    step, change = application.step, application.change
    failure = command.fail_workflow_execution_command_attributes.failure
    decision = retry_decision(change, failure)
    follows = decision.retries or is_scheduled(change.run)
    run_id = step.context.ids.run_id() if follows else ""
    close.fail(change, failure, application.completed_event_id, decision.state, run_id)
    if decision.retries:
        begin_retry(step, change, run_id, failure, decision.delay)
    elif follows:
        begin_scheduled(step, change, run_id, failure=failure)


def _cancel(application: _Application, command: commands.Command) -> None:
    close.cancel(
        application.change,
        command.cancel_workflow_execution_command_attributes,
        application.completed_event_id,
    )


def _continue_as_new(application: _Application, command: commands.Command) -> None:
    attributes = command.continue_as_new_workflow_execution_command_attributes
    run_id = application.step.context.ids.run_id()
    close.continue_as_new(application.change, attributes, application.completed_event_id, run_id)
    begin_continued(application.step, application.change, run_id, attributes)


def _record_marker(application: _Application, command: commands.Command) -> None:
    attributes = command.record_marker_command_attributes
    event = application.change.event(events.EVENT_TYPE_MARKER_RECORDED)
    written = event.marker_recorded_event_attributes
    written.marker_name = attributes.marker_name
    written.workflow_task_completed_event_id = application.completed_event_id
    for name, details in attributes.details.items():
        written.details[name].CopyFrom(details)
    if attributes.HasField("header"):
        written.header.CopyFrom(attributes.header)
    if attributes.HasField("failure"):
        written.failure.CopyFrom(attributes.failure)
    if (metadata := _metadata(command)) is not None:
        event.user_metadata.CopyFrom(metadata)


def _upsert_search_attributes(application: _Application, command: commands.Command) -> None:
    attributes = command.upsert_workflow_search_attributes_command_attributes
    change = application.change
    event = change.event(events.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES)
    written = event.upsert_workflow_search_attributes_event_attributes
    written.workflow_task_completed_event_id = application.completed_event_id
    written.search_attributes.CopyFrom(attributes.search_attributes)
    add_types(written.search_attributes, change.context.search_attributes)
    merge(
        change.run.attributes.search_attributes.indexed_fields,
        written.search_attributes.indexed_fields,
    )
    change.put_attributes()


def _modify_properties(application: _Application, command: commands.Command) -> None:
    attributes = command.modify_workflow_properties_command_attributes
    change = application.change
    event = change.event(events.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
    written = event.workflow_properties_modified_event_attributes
    written.workflow_task_completed_event_id = application.completed_event_id
    written.upserted_memo.CopyFrom(attributes.upserted_memo)
    merge(change.run.attributes.memo.fields, attributes.upserted_memo.fields)
    change.put_attributes()


def _take_message(application: _Application, command: commands.Command) -> None:
    message_id = command.protocol_message_command_attributes.message_id
    message = application.inbox.take(message_id)
    assert message is not None, "messages are checked before they are applied"
    updates.answer(application.change, message)


_APPLY: dict[int, Callable[[_Application, commands.Command], None]] = {
    types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: _schedule_activity,
    types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: _cancel_activity,
    types.COMMAND_TYPE_START_TIMER: _start_timer,
    types.COMMAND_TYPE_CANCEL_TIMER: _cancel_timer,
    types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: _start_child,
    types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: _signal_external,
    types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: _cancel_external,
    types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: _complete,
    types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: _fail,
    types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: _cancel,
    types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: _continue_as_new,
    types.COMMAND_TYPE_RECORD_MARKER: _record_marker,
    types.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: _upsert_search_attributes,
    types.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: _modify_properties,
    types.COMMAND_TYPE_PROTOCOL_MESSAGE: _take_message,
}
