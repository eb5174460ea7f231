"""How a run ends: by its own command, by a client, or by time.

    RUNNING ── complete | fail | cancel | continue_as_new | terminate | time_out ─► closed

Closing deletes the run's tasks, timers and undelivered messages in the same commit, which also
tells its children and its parent. A failure or a run timeout of a run with a retry policy, any end
by itself of a run with a cron schedule, and
continue-as-new, create the next run in that commit too.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures

from perdure.core.activity.tasks import dispatch_key as activity_key
from perdure.core.child import transitions as child
from perdure.core.commit import ItemKey, ItemKind
from perdure.core.external.transitions import forget_all
from perdure.core.protobuf import capped_ns, set_duration
from perdure.core.schedule.reports import report_close
from perdure.core.transition import transition
from perdure.core.update.transitions import close_with_run
from perdure.core.workflow.status import RunStatus, status_of
from perdure.core.workflow.step import RunStep
from perdure.core.workflow_task.transitions import discard

RUNNING, CLOSED = RunStatus.RUNNING, RunStatus.CLOSED


def _close(step: RunStep, status: enums.WorkflowExecutionStatus.ValueType, event_id: int) -> None:
    run, state = step.run, step.state
    state.status = status
    state.close_time = step.now
    state.close_event_id = event_id
    state.first_workflow_task_due = 0
    for activity in list(run.activities.values()):
        if not activity.started_time and not activity.retry_due:
            step.delete_task(activity_key(run, activity))
        step.delete_activity(activity)
    for timer_id in list(run.timers):
        del run.timers[timer_id]
        step.delete_item(ItemKey(ItemKind.TIMER, timer_id))
    forget_all(step)
    close_with_run(step)
    child.leave(step)
    child.report(step)
    run.deadlines.clear()
    report_close(step, step.batch.events[-1])
    step.visibility_changed = True


@transition(status_of, sources={RUNNING}, target={CLOSED})
def complete(
    step: RunStep,
    attributes: commands.CompleteWorkflowExecutionCommandAttributes,
    completed_event_id: int,
    new_run_id: str = "",
) -> None:
    """Closes the run with a result."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)
    written = event.workflow_execution_completed_event_attributes
    written.workflow_task_completed_event_id = completed_event_id
    written.new_execution_run_id = new_run_id
    if attributes.HasField("result"):
        written.result.CopyFrom(attributes.result)
    step.state.new_run_id = new_run_id
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, event.event_id)


@transition(status_of, sources={RUNNING}, target={CLOSED})
def fail(
    step: RunStep,
    failure: failures.Failure,
    completed_event_id: int,
    retry_state: enums.RetryState.ValueType,
    new_run_id: str = "",
) -> None:
    """Closes the run with a failure; a new run follows where `new_run_id` says so."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    written = event.workflow_execution_failed_event_attributes
    written.failure.CopyFrom(failure)
    written.retry_state = retry_state
    written.workflow_task_completed_event_id = completed_event_id
    written.new_execution_run_id = new_run_id
    step.state.new_run_id = new_run_id
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_FAILED, event.event_id)


@transition(status_of, sources={RUNNING}, target={CLOSED})
def cancel(
    step: RunStep,
    attributes: commands.CancelWorkflowExecutionCommandAttributes,
    completed_event_id: int,
) -> None:
    """Closes the run as cancelled."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED)
    written = event.workflow_execution_canceled_event_attributes
    written.workflow_task_completed_event_id = completed_event_id
    if attributes.HasField("details"):
        written.details.CopyFrom(attributes.details)
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_CANCELED, event.event_id)


@dataclass(slots=True, frozen=True)
class Termination:
    """Who ends a run from outside, and why."""

    reason: str
    identity: str
    details: common.Payloads | None = None
    links: tuple[common.Link, ...] = ()


@transition(status_of, sources={RUNNING}, target={CLOSED})
def terminate(step: RunStep, termination: Termination) -> None:
    """Closes the run from outside, whatever it is doing."""
    discard(step)
    step.flush_buffer()
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED)
    written = event.workflow_execution_terminated_event_attributes
    written.reason = termination.reason
    written.identity = termination.identity
    if termination.details is not None:
        written.details.CopyFrom(termination.details)
    event.links.extend(termination.links)
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, event.event_id)


@transition(status_of, sources={RUNNING}, target={CLOSED})
def time_out(step: RunStep, retry_state: enums.RetryState.ValueType, new_run_id: str = "") -> None:
    """Closes the run because its time is up; a new run follows where `new_run_id` says so."""
    discard(step)
    step.flush_buffer()
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT)
    event.workflow_execution_timed_out_event_attributes.retry_state = retry_state
    event.workflow_execution_timed_out_event_attributes.new_execution_run_id = new_run_id
    step.state.new_run_id = new_run_id
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, event.event_id)


def run_timeout_failure() -> failures.Failure:
    """Returns the failure that a run's timeout is for the run that follows it."""
    failure = failures.Failure(message="workflow timeout", source="Server")
    failure.timeout_failure_info.timeout_type = enums.TIMEOUT_TYPE_START_TO_CLOSE
    return failure


def continued_timeouts(
    step: RunStep, attributes: commands.ContinueAsNewWorkflowExecutionCommandAttributes
) -> tuple[int, int]:
    """Returns the run timeout and the workflow task timeout of the run that follows.

    As at a start, a run may not outlast the execution, nor a workflow task its run.
    """
    start = step.run.start
    run_timeout = capped_ns(attributes.workflow_run_timeout) or start.run_timeout
    if start.execution_timeout:
        run_timeout = min(run_timeout or start.execution_timeout, start.execution_timeout)
    task_timeout = capped_ns(attributes.workflow_task_timeout) or start.task_timeout
    task_timeout = min(task_timeout, step.context.settings.max_workflow_task_timeout)
    return run_timeout, min(task_timeout, run_timeout or task_timeout)


@transition(status_of, sources={RUNNING}, target={CLOSED})
def continue_as_new(
    step: RunStep,
    attributes: commands.ContinueAsNewWorkflowExecutionCommandAttributes,
    completed_event_id: int,
    new_run_id: str,
) -> None:
    """Closes the run in favour of a new one."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
    written = event.workflow_execution_continued_as_new_event_attributes
    written.new_execution_run_id = new_run_id
    written.workflow_type.name = attributes.workflow_type.name or step.run.start.workflow_type
    written.task_queue.name = attributes.task_queue.name or step.run.start.task_queue
    written.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    run_timeout, task_timeout = continued_timeouts(step, attributes)
    set_duration(written.workflow_run_timeout, run_timeout)
    set_duration(written.workflow_task_timeout, task_timeout)
    if attributes.HasField("backoff_start_interval"):
        set_duration(written.backoff_start_interval, capped_ns(attributes.backoff_start_interval))
    written.workflow_task_completed_event_id = completed_event_id
    written.initiator = attributes.initiator
    written.inherit_build_id = attributes.inherit_build_id
    for name in (
        "input",
        "failure",
        "last_completion_result",
        "header",
        "memo",
        "search_attributes",
    ):
        if attributes.HasField(name):
            getattr(written, name).CopyFrom(getattr(attributes, name))
    step.state.new_run_id = new_run_id
    _close(step, enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, event.event_id)
