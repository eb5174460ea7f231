"""What happens to a run when time passes."""

from temporalio.api.enums.v1 import workflow_pb2 as enums

from perdure.core.activity.outcomes import time_passed
from perdure.core.outcomes import WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.core.schedule import transitions as schedule
from perdure.core.timer import transitions as timer
from perdure.core.workflow import close, deletion
from perdure.core.workflow.next_run import (
    begin_retry,
    begin_scheduled,
    is_scheduled,
    retry_decision,
    start_event,
)
from perdure.core.workflow.signals import after_external_event
from perdure.core.workflow.state import Deadline, DeadlineKind
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task import transitions
from perdure.core.workflow_task.events import make_durable
from perdure.core.workflow_task.state import is_started


def fire_due(step: Step, change: RunStep) -> None:
    """Does everything that has come due in a run.

    Raises:
        NeedsStartEvent: The run's time is up and another one may follow.
    """
    run = change.run
    expires = run.start.run_expiration_time
    follows = run.start.HasField("retry_policy") or is_scheduled(run)
    if expires and expires <= change.now and follows and run.is_running:
        start_event(run)
    # Whatever comes of it, a step by a timer row is written: so is a speculative task, and first,
    # so that its own deadline is among those that are looked at.
    make_durable(change)
    while (deadline := run.pop_due(change.now)) is not None:
        _fire(step, change, deadline)


def _fire(step: Step, change: RunStep, deadline: Deadline) -> None:
    match deadline.kind:
        case DeadlineKind.EXECUTION:
            close.time_out(change, enums.RETRY_STATE_TIMEOUT)
        case DeadlineKind.RUN:
            _run_expires(step, change)
        case DeadlineKind.FIRST_WORKFLOW_TASK:
            change.state.first_workflow_task_due = 0
            transitions.schedule_if_needed(change)
        case DeadlineKind.WORKFLOW_TASK:
            expire_workflow_task(change)
        case DeadlineKind.ACTIVITY:
            time_passed(change, change.run.activities[deadline.event_id])
        case DeadlineKind.DELETION:
            deletion.delete(change)
        case DeadlineKind.TIMER:
            timer.fire(change, change.run.timers[deadline.timer_id])
            after_external_event(change)
        case DeadlineKind.SCHEDULE:
            schedule.wake(change)


def expire_workflow_task(change: RunStep) -> None:
    """Ends a workflow task that nobody has started or completed in time; another one follows."""
    attempt = change.state.workflow_task.attempt
    if is_started(change.state):
        timeout = "StartToClose"
        transitions.time_out(change)
    else:
        timeout = "ScheduleToStart"
        transitions.expire_sticky(change)
    change.task_outcomes.append(
        WorkflowTaskOutcome(WorkflowTaskEnding.TIMED_OUT, attempt, timeout=timeout)
    )
    transitions.schedule(change)


def _run_expires(step: Step, change: RunStep) -> None:
    failure = close.run_timeout_failure()
    decision = retry_decision(change, failure)
    if not decision.retries and not is_scheduled(change.run):
        close.time_out(change, decision.state)
        return
    run_id = step.context.ids.run_id()
    close.time_out(change, decision.state, run_id)
    if decision.retries:
        begin_retry(step, change, run_id, failure, decision.delay)
    else:
        begin_scheduled(step, change, run_id, failure=failure)
