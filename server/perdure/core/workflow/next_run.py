"""The run that follows a run: by continue-as-new, or as the next attempt of a failed one.

A run of a cron chain is followed by another also when it completed, or failed for good.

The chain's identity (first run id, execution timeout's end, retry policy, cron) is carried on; what
the command leaves out is the old run's.
"""

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata

from perdure.core import retry
from perdure.core.child.state import carry_parent
from perdure.core.protobuf import capped_ns, set_duration, set_limit, set_timestamp
from perdure.core.workflow import cron
from perdure.core.workflow.callbacks import callbacks_of
from perdure.core.workflow.close import continued_timeouts
from perdure.core.workflow.start import NewRun, begin
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import NeedsStartEvent, RunStep, Step
from perdure.core.workflow_task.transitions import schedule_if_needed


def retry_decision(step: RunStep, failure: failures.Failure | None) -> retry.Decision:
    """Decides whether a failed or timed-out run has another attempt."""
    start = step.run.start
    if not start.HasField("retry_policy"):
        return retry.Decision(enums.RETRY_STATE_RETRY_POLICY_NOT_SET)
    return retry.decide(
        start.retry_policy,
        attempt=start.attempt,
        failure=failure,
        now=step.now,
        expiration=start.execution_expiration_time,
    )


def start_event(run: Run) -> history.WorkflowExecutionStartedEventAttributes:
    """Returns the first event's attributes.

    Raises:
        NeedsStartEvent: The event is not in memory.
    """
    if run.start_event is None:
        raise NeedsStartEvent(run)
    return run.start_event.workflow_execution_started_event_attributes


def begin_retry(
    step: Step, change: RunStep, run_id: str, failure: failures.Failure, delay: int
) -> None:
    """Creates the next attempt of a run, which waits out the retry interval."""
    old = start_event(change.run)
    attributes = history.WorkflowExecutionStartedEventAttributes()
    attributes.CopyFrom(old)
    attributes.attempt = change.run.start.attempt + 1
    attributes.initiator = enums.CONTINUE_AS_NEW_INITIATOR_RETRY
    attributes.continued_failure.CopyFrom(failure)
    _begin(step, change, run_id, attributes, delay)


def is_scheduled(run: Run) -> bool:
    """Tells whether a run belongs to a cron chain: its end needs its first event."""
    return bool(run.start.cron_schedule)


def begin_scheduled(
    step: Step,
    change: RunStep,
    run_id: str,
    *,
    result: common.Payloads | None = None,
    failure: failures.Failure | None = None,
) -> None:
    """Creates the next run of a cron chain, which waits for its time.

    Args:
        step: The step.
        change: The run that has ended, by itself or because its time was up.
        run_id: The new run's id.
        result: What the run completed with. Otherwise the last result there was stays.
        failure: Why it failed, if it did.
    """
    start, attributes = change.run.start, history.WorkflowExecutionStartedEventAttributes()
    attributes.CopyFrom(start_event(change.run))
    attributes.attempt = 1
    attributes.initiator = enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
    attributes.ClearField("continued_failure")
    if failure is None:
        attributes.ClearField("last_completion_result")
    else:
        attributes.continued_failure.CopyFrom(failure)
    if result is not None:
        attributes.last_completion_result.CopyFrom(result)
    delay = cron.backoff(start.cron_schedule, start.execution_time, change.now)
    _begin(step, change, run_id, attributes, delay)


def begin_continued(
    step: Step,
    change: RunStep,
    run_id: str,
    command: commands.ContinueAsNewWorkflowExecutionCommandAttributes,
) -> None:
    """Creates the run that a continue-as-new command asks for."""
    start = change.run.start
    attributes = history.WorkflowExecutionStartedEventAttributes(
        attempt=1,
        identity="",
        cron_schedule=command.cron_schedule,
        initiator=command.initiator or enums.CONTINUE_AS_NEW_INITIATOR_WORKFLOW,
    )
    attributes.workflow_type.name = command.workflow_type.name or start.workflow_type
    attributes.task_queue.name = command.task_queue.name or start.task_queue
    attributes.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    for name in ("input", "header", "memo", "search_attributes", "last_completion_result"):
        if command.HasField(name):
            getattr(attributes, name).CopyFrom(getattr(command, name))
    if command.HasField("failure"):
        attributes.continued_failure.CopyFrom(command.failure)
    if command.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(retry.with_defaults(command.retry_policy))
    if (priority := change.run.priority) is not None:
        attributes.priority.CopyFrom(priority)
    set_limit(
        attributes.workflow_execution_timeout,
        start.execution_timeout,
        given=start.HasField("execution_timeout"),
    )
    run_timeout, task_timeout = continued_timeouts(change, command)
    set_duration(attributes.workflow_run_timeout, run_timeout)
    set_duration(attributes.workflow_task_timeout, task_timeout)
    _begin(step, change, run_id, attributes, capped_ns(command.backoff_start_interval))


def _carry_reset_points(
    change: RunStep, attributes: history.WorkflowExecutionStartedEventAttributes
) -> None:
    """Passes reset points on; those of the run that ends expire with its history."""
    attributes.ClearField("prev_auto_reset_points")
    attributes.prev_auto_reset_points.SetInParent()
    for point in change.state.auto_reset_points:
        if not point.HasField("expire_time"):
            set_timestamp(point.expire_time, change.now + change.context.retention)
    attributes.prev_auto_reset_points.points.extend(change.state.auto_reset_points)


def _begin(
    step: Step,
    change: RunStep,
    run_id: str,
    attributes: history.WorkflowExecutionStartedEventAttributes,
    delay: int,
) -> None:
    old = change.run
    backoff = max(
        delay, step.context.settings.min_run_interval - (change.now - old.start.execution_time), 0
    )
    attributes.identity = ""
    attributes.eager_execution_accepted = False
    attributes.workflow_id = old.key.workflow_id
    del attributes.completion_callbacks[:]
    attributes.completion_callbacks.extend(each.callback for each in callbacks_of(old))
    attributes.original_execution_run_id = run_id
    attributes.continued_execution_run_id = old.key.run_id
    attributes.first_execution_run_id = old.start.first_run_id
    set_duration(attributes.first_workflow_task_backoff, backoff)
    if old.start.execution_expiration_time:
        set_timestamp(
            attributes.workflow_execution_expiration_time, old.start.execution_expiration_time
        )
    _carry_reset_points(change, attributes)
    carry_parent(old.start, attributes)
    new = NewRun(
        run_id,
        attributes,
        step.context.ids.request_id(),
        metadata=_metadata(old, attributes),
        backoff=backoff,
    )
    following = begin(step, old.key._replace(run_id=run_id), new)
    if old.start.HasField("scheduled_by"):
        following.run.start.scheduled_by.CopyFrom(old.start.scheduled_by)
    schedule_if_needed(following)


def _metadata(
    old: Run, attributes: history.WorkflowExecutionStartedEventAttributes
) -> user_metadata.UserMetadata | None:
    # It describes the run that was asked for, and as on the real server not those by schedule.
    if attributes.initiator == enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE:
        return None
    return old.start.user_metadata if old.start.HasField("user_metadata") else None
