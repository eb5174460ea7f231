"""What the commands of a workflow task must look like.

All commands are checked before any is applied, so that a task with a bad one changes nothing but
its own failure. Texts are the real server's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.protocol.v1 import message_pb2 as protocol

from perdure.core import retry
from perdure.core.activity.state import ActivityStatus, status
from perdure.core.activity.validator import schedule_problem
from perdure.core.child import validator as child
from perdure.core.errors import InvalidArgumentError
from perdure.core.external import validator as external
from perdure.core.protobuf import duration_problem
from perdure.core.timer.transitions import fires_from_buffer
from perdure.core.update.validator import MessageChecks
from perdure.core.visibility.attributes import add_types, check_names, check_values
from perdure.core.workflow import cron, sizes
from perdure.core.workflow.buffer import closed_in_buffer
from perdure.core.workflow.problems import Cause, CommandProblem, camel_case, pending_problem
from perdure.core.workflow.step import RunStep
from perdure.core.workflow.upserts import merge
from perdure.core.workflow_task.transitions import is_held_back
from perdure.proto import stored_pb2 as stored

TRANSIENT_EVENTS = 2

CLOSING = frozenset(
    {
        types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION,
        types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION,
        types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
    }
)


@dataclass(slots=True)
class _Seen:
    """What earlier commands of the same task do to what later ones may refer to.

    `next_event_id` is the id that the command being looked at will write its event under: a later
    command may cancel an activity that an earlier one schedules.
    """

    step: RunStep
    next_event_id: int
    cancelable: set[int]
    scheduled: dict[int, str] = field(default_factory=dict)
    activity_ids: set[str] = field(default_factory=set)
    activity_ids_freed: set[str] = field(default_factory=set)
    timers_started: set[str] = field(default_factory=set)
    timers_canceled: set[str] = field(default_factory=set)
    pending_activities: int = 0
    pending_children: int = 0
    children_started: set[str] = field(default_factory=set)
    pending_signals: int = 0
    pending_cancels: int = 0
    unseen: int = 0
    """Buffered events that the worker has not seen and that no command has undone."""
    upserted: stored.Attributes | None = None

    def merged(self) -> stored.Attributes:
        """Returns the run's memo and search attributes as earlier commands leave them."""
        if self.upserted is None:
            self.upserted = stored.Attributes()
            self.upserted.CopyFrom(self.step.run.attributes)
        return self.upserted


def first_problem(
    step: RunStep, batch: Sequence[commands.Command], messages: Sequence[protocol.Message] = ()
) -> CommandProblem | None:
    """Returns what is wrong with the first bad command or message, None when all are good."""
    _check_sequence(batch)
    unwritten = TRANSIENT_EVENTS if is_held_back(step.run) else 0
    checks = MessageChecks(step, messages)
    seen = _Seen(
        step,
        next_event_id=step.state.next_event_id + unwritten + 1,
        cancelable=_cancelable(step),
        pending_activities=len(step.run.activities),
        pending_children=len(step.run.children),
        pending_signals=len(step.run.external_signals),
        pending_cancels=len(step.run.external_cancels),
        unseen=len(step.run.buffered),
    )
    for command in batch:
        if command.command_type == types.COMMAND_TYPE_PROTOCOL_MESSAGE:
            found, events = checks.named(command.protocol_message_command_attributes.message_id)
            if found is not None:
                return found
            seen.next_event_id += events
            continue
        check = _CHECKS.get(command.command_type)
        if check is None:
            raise InvalidArgumentError(f"unknown command type: {_type_name(command)}")
        if command.command_type in CLOSING:
            found = _check_closing(seen) or check(seen, command)
        else:
            found = check(seen, command)
        if found is not None:
            return found
        seen.next_event_id += 1
    closing = bool(batch) and batch[-1].command_type in CLOSING
    return checks.rest(closing=closing)


def _check_sequence(batch: Sequence[commands.Command]) -> None:
    for command in batch[:-1]:
        if command.command_type in CLOSING:
            names = ", ".join(_type_name(each) for each in batch)
            raise InvalidArgumentError(
                f"invalid command sequence: [{names}], command {_type_name(command)} "
                "must be the last command."
            )


def _cancelable(step: RunStep) -> set[int]:
    open_ones = {
        event_id
        for event_id, activity in step.run.activities.items()
        if not activity.cancel_requested
    }
    return open_ones | set(closed_in_buffer(step.run.buffered))


def _type_name(command: commands.Command) -> str:
    try:
        return camel_case(
            types.CommandType.Name(command.command_type).removeprefix("COMMAND_TYPE_")
        )
    except ValueError:
        return str(command.command_type)


def _check_closing(seen: _Seen) -> CommandProblem | None:
    if seen.unseen:
        return CommandProblem(Cause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND)
    return None


def _check_schedule_activity(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.schedule_activity_task_command_attributes
    settings = seen.step.context.settings
    bad = schedule_problem(attributes, settings)
    if bad is not None:
        return CommandProblem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES, bad
        )
    if found := sizes.activity_problem(attributes, settings):
        return found
    if found := pending_problem(
        Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED,
        seen.pending_activities,
        settings.max_pending_activities,
    ):
        return found
    seen.pending_activities += 1
    activity_id = attributes.activity_id
    pending = activity_id in seen.step.run.activity_ids
    if (pending and activity_id not in seen.activity_ids_freed) or (
        activity_id in seen.activity_ids
    ):
        return CommandProblem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
            _bad_state("add-activitytask-scheduled-event", f"ActivityID: {activity_id}"),
        )
    seen.activity_ids.add(activity_id)
    seen.scheduled[seen.next_event_id] = activity_id
    seen.cancelable.add(seen.next_event_id)
    return None


def _check_cancel_activity(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    event_id = command.request_cancel_activity_task_command_attributes.scheduled_event_id
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES
    if event_id <= 0:
        return CommandProblem(
            cause, "ScheduledEventId is not set on RequestCancelActivityTaskCommand."
        )
    if event_id not in seen.cancelable:
        return CommandProblem(
            cause,
            _bad_state("add-activitytask-cancel-requested-event", f"ScheduledEventID: {event_id}"),
        )
    seen.cancelable.discard(event_id)
    _free_activity_id(seen, event_id)
    return None


def _free_activity_id(seen: _Seen, event_id: int) -> None:
    # What no worker has started is over as soon as it is cancelled.
    activity = seen.step.run.activities.get(event_id)
    if activity is not None and status(activity) is not ActivityStatus.STARTED:
        seen.activity_ids_freed.add(activity.activity_id)
        seen.pending_activities -= 1
    elif event_id in seen.scheduled:
        seen.activity_ids.discard(seen.scheduled[event_id])
        seen.pending_activities -= 1


def _check_start_timer(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.start_timer_command_attributes
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES
    timer_id = attributes.timer_id
    if not timer_id:
        return CommandProblem(cause, "TimerId is not set on StartTimerCommand.")
    if found := _too_long(seen, "StartTimerCommand", "TimerId", timer_id):
        return CommandProblem(cause, found)
    if found := duration_problem(attributes.start_to_fire_timeout):
        return CommandProblem(
            cause,
            f"An invalid StartToFireTimeout is set on StartTimerCommand: {found}. "
            f"TimerId={timer_id}",
        )
    known = seen.step.run.timers.keys() - seen.timers_canceled
    if timer_id in known or timer_id in seen.timers_started:
        return CommandProblem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID,
            _bad_state("add-timer-started-event", f"TimerID: {timer_id}"),
        )
    seen.timers_started.add(timer_id)
    return None


def _check_cancel_timer(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    timer_id = command.cancel_timer_command_attributes.timer_id
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES
    if not timer_id:
        return CommandProblem(cause, "TimerId is not set on CancelTimerCommand.")
    if timer_id in seen.timers_started:
        seen.timers_started.discard(timer_id)
        seen.timers_canceled.add(timer_id)
        return None
    pending = timer_id in seen.step.run.timers
    if timer_id in seen.timers_canceled or not (pending or fires_from_buffer(seen.step, timer_id)):
        return CommandProblem(cause, _bad_state("add-timer-canceled-event", f"TimerID: {timer_id}"))
    if not pending:
        # Its firing is taken out of the buffer.
        seen.unseen -= 1
    seen.timers_canceled.add(timer_id)
    return None


def _check_start_child(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.start_child_workflow_execution_command_attributes
    settings = seen.step.context.settings
    found = (
        child.start_problem(seen.step, attributes)
        or sizes.child_problem(attributes, settings)
        or pending_problem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED,
            seen.pending_children,
            settings.max_pending_children,
        )
    )
    seen.pending_children += 1
    seen.children_started.add(attributes.workflow_id)
    return found


def _check_signal(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.signal_external_workflow_execution_command_attributes
    context = seen.step.context
    found = (
        external.signal_problem(attributes, context)
        or pending_problem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED,
            seen.pending_signals,
            context.settings.max_pending_signals,
        )
        or sizes.signal_problem(attributes, context.settings)
    )
    seen.pending_signals += 1
    return found


def _check_cancel_request(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.request_cancel_external_workflow_execution_command_attributes
    context = seen.step.context
    found = (
        external.cancel_problem(attributes, context)
        or external.early_cancel_problem(attributes, seen.children_started)
        or pending_problem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED,
            seen.pending_cancels,
            context.settings.max_pending_cancels,
        )
    )
    seen.pending_cancels += 1
    return found


def _bad_state(action: str, subject: str) -> str:
    return f"invalid history builder state for action: {action}, {subject}"


def _too_long(seen: _Seen, command: str, name: str, value: str) -> str | None:
    limit, length = seen.step.context.settings.max_id_length, len(value.encode())
    if length <= limit:
        return None
    return f"{name} on {command} exceeds length limit. {name}={value} Length={length} Limit={limit}"


def _check_complete(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.complete_workflow_execution_command_attributes
    return sizes.completion_problem(attributes, seen.step.context.settings)


def _check_fail(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.fail_workflow_execution_command_attributes
    if attributes.HasField("failure"):
        return sizes.failure_problem(attributes, seen.step.context.settings)
    return CommandProblem(
        Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_FAIL_WORKFLOW_EXECUTION_ATTRIBUTES,
        "Failure is not set on FailWorkflowExecutionCommand.",
    )


def _check_continue_as_new(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.continue_as_new_workflow_execution_command_attributes
    name = "ContinueAsNewWorkflowExecutionCommand"
    if found := _unknown_attribute(seen, attributes):
        return CommandProblem(Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES, found)
    if found := _continuation_problem(seen, attributes, name):
        return CommandProblem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CONTINUE_AS_NEW_ATTRIBUTES, found
        )
    if found := _attribute_problem(seen, attributes):
        return CommandProblem(
            Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
            f"invalid SearchAttributes on {name}: {found}. {_continued_as(seen, attributes)}",
        )
    return sizes.continuation_problem(attributes, seen.step.context.settings)


def _continuation_problem(
    seen: _Seen, attributes: commands.ContinueAsNewWorkflowExecutionCommandAttributes, name: str
) -> str | None:
    workflow_type = attributes.workflow_type.name or seen.step.run.start.workflow_type
    if found := _too_long(seen, name, "WorkflowType", workflow_type):
        return found
    suffix = _continued_as(seen, attributes)
    for field_name, value in (
        ("WorkflowRunTimeout", attributes.workflow_run_timeout),
        ("WorkflowTaskTimeout", attributes.workflow_task_timeout),
        ("BackoffStartInterval", attributes.backoff_start_interval),
    ):
        if found := duration_problem(value):
            return f"Invalid {field_name} on {name}: {found}. {suffix}"
    try:
        cron.check(attributes.cron_schedule)
    except cron.CronError as error:
        return str(error)
    if found := retry.problem(attributes.retry_policy):
        return f"invalid WorkflowRetryPolicy on {name}: {found}. {suffix}"
    return None


def _continued_as(
    seen: _Seen, attributes: commands.ContinueAsNewWorkflowExecutionCommandAttributes
) -> str:
    start = seen.step.run.start
    workflow_type = attributes.workflow_type.name or start.workflow_type
    queue = attributes.task_queue.name or start.task_queue
    return f'WorkflowType={workflow_type} TaskQueue=name:"{queue}"  kind:TASK_QUEUE_KIND_NORMAL'


_SearchAttributes = (
    commands.UpsertWorkflowSearchAttributesCommandAttributes
    | commands.ContinueAsNewWorkflowExecutionCommandAttributes
)


def _unknown_attribute(seen: _Seen, attributes: _SearchAttributes) -> str | None:
    context = seen.step.context
    try:
        check_names(
            attributes.search_attributes, context.search_attributes, namespace=context.namespace
        )
    except InvalidArgumentError as error:
        return error.message
    return None


def _attribute_problem(seen: _Seen, attributes: _SearchAttributes) -> str | None:
    context = seen.step.context
    try:
        check_values(
            attributes.search_attributes,
            context.search_attributes,
            context.settings.search_attributes,
        )
    except InvalidArgumentError as error:
        return error.message
    return None


def _check_marker(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES
    if not command.HasField("record_marker_command_attributes"):
        return CommandProblem(
            cause, "RecordMarkerCommandAttributes is not set on RecordMarkerCommand."
        )
    name = command.record_marker_command_attributes.marker_name
    if not name:
        return CommandProblem(cause, "MarkerName is not set on RecordMarkerCommand.")
    if found := _too_long(seen, "RecordMarkerCommand", "MarkerName", name):
        return CommandProblem(cause, found)
    return sizes.marker_problem(
        command.record_marker_command_attributes, seen.step.context.settings
    )


def _check_upsert_search(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.upsert_workflow_search_attributes_command_attributes
    cause = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
    if not attributes.HasField("search_attributes"):
        return CommandProblem(
            cause,
            "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand.",
        )
    if not attributes.search_attributes.indexed_fields:
        return CommandProblem(
            cause, "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand."
        )
    if found := _unknown_attribute(seen, attributes) or _attribute_problem(seen, attributes):
        return CommandProblem(cause, found)
    context, merged = seen.step.context, seen.merged().search_attributes
    upserted = common.SearchAttributes()
    upserted.CopyFrom(attributes.search_attributes)
    add_types(upserted, context.search_attributes)
    merge(merged.indexed_fields, upserted.indexed_fields)
    return sizes.search_problem(upserted.indexed_fields, merged, context.settings)


def _check_modify_properties(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    attributes = command.modify_workflow_properties_command_attributes
    if upserted := attributes.upserted_memo.fields:
        memo = seen.merged().memo
        merge(memo.fields, upserted)
        return sizes.properties_problem(upserted, memo, seen.step.context.settings)
    missing = "UpsertedMemo.Fields" if attributes.HasField("upserted_memo") else "UpsertedMemo"
    return CommandProblem(
        Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_MODIFY_WORKFLOW_PROPERTIES_ATTRIBUTES,
        f"{missing} is not set on ModifyWorkflowPropertiesCommand.",
    )


def _accept(seen: _Seen, command: commands.Command) -> CommandProblem | None:
    return None


_Check = Callable[[_Seen, commands.Command], CommandProblem | None]
_CHECKS: dict[int, _Check] = {
    types.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: _check_schedule_activity,
    types.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: _check_cancel_activity,
    types.COMMAND_TYPE_START_TIMER: _check_start_timer,
    types.COMMAND_TYPE_CANCEL_TIMER: _check_cancel_timer,
    types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: _check_start_child,
    types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: _check_signal,
    types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: _check_cancel_request,
    types.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION: _check_complete,
    types.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION: _check_fail,
    types.COMMAND_TYPE_CANCEL_WORKFLOW_EXECUTION: _accept,
    types.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: _check_continue_as_new,
    types.COMMAND_TYPE_RECORD_MARKER: _check_marker,
    types.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: _check_upsert_search,
    types.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES: _check_modify_properties,
}
