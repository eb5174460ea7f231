"""What happens to a run's updates: a client asks, a worker answers."""

from dataclasses import dataclass

from temporalio.api.enums.v1 import update_pb2 as enums
from temporalio.api.protocol.v1 import message_pb2 as protocol
from temporalio.api.update.v1 import message_pb2 as update

from perdure.core.errors import NotFoundError, ServiceError, WorkflowNotReadyError
from perdure.core.update import transitions
from perdure.core.update.messages import body_of, request_in
from perdure.core.update.state import UNACCEPTED, Update, UpdateStatus
from perdure.core.update.validator import check_limits
from perdure.core.workflow.signals import ALREADY_COMPLETED
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep
from perdure.core.workflow_task.state import is_started
from perdure.core.workflow_task.transitions import schedule_speculative

FAILING_ATTEMPT = 3

Stage = enums.UpdateWorkflowExecutionLifecycleStage
ADMITTED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
ACCEPTED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED


@dataclass(slots=True, frozen=True)
class Found:
    """An update of a run: one that is in flight or has just ended, or one that is history.

    Attributes:
        run: The run, as it was in memory.
        update: The update; None for one that was completed earlier.
        completed_event_id: The event that says how that one ended.
        is_new: Whether it has just been admitted.
    """

    run: Run
    update: Update | None = None
    completed_event_id: int = 0
    is_new: bool = False


def request(step: RunStep, asked: update.Request) -> Found:
    """Takes an update in, unless the run knows it already, and sees to it that a worker gets it.

    Raises:
        NotFoundError: The run is closed, and has accepted no such update.
        WorkflowNotReadyError: The run's workflow tasks keep failing.
        ResourceExhaustedError: The run is closing, or has as many updates as it may.
        FailedPreconditionError: The run has had as many updates as it may.
    """
    run = step.run
    known = find(run, asked.meta.update_id)
    if not run.is_running:
        if known is None:
            raise NotFoundError(ALREADY_COMPLETED)
        return known
    if run.state.workflow_task_attempt >= FAILING_ATTEMPT:
        raise WorkflowNotReadyError(
            "Unable to perform workflow execution update due to Workflow Task in failed state."
        )
    if run.close_attempted and is_started(run.state):
        raise transitions.WorkflowClosingError
    if known is not None:
        return known
    check_limits(step, asked)
    admitted = transitions.admit(step, asked)
    if not run.state.HasField("workflow_task"):
        # Also of a run whose first task waits: an update does not wait with it.
        schedule_speculative(step)
    return Found(run, admitted, is_new=True)


def find(run: Run, update_id: str) -> Found | None:
    """Returns an update that a run knows."""
    known = run.updates.get(update_id)
    if known is not None:
        return Found(run, known)
    completed = run.completed_updates.get(update_id)
    return Found(run, completed_event_id=completed) if completed else None


@dataclass(slots=True, frozen=True)
class Progress:
    """How far an update has come, as its client is told."""

    stage: Stage.ValueType
    outcome: update.Outcome | None = None
    error: ServiceError | None = None


def progress(subject: Update, run: Run) -> Progress:
    """Returns how far an update has come that is not one of the completed ones of an old run."""
    if subject.error is not None:
        return Progress(ADMITTED, error=subject.error)
    if subject.outcome is not None:
        return Progress(COMPLETED, subject.outcome)
    if subject.status in UNACCEPTED:
        return Progress(ADMITTED)
    assert subject.status is UpdateStatus.ACCEPTED, "what has ended has an outcome or an error"
    if not run.is_running:
        return Progress(COMPLETED, update.Outcome(failure=transitions.outlived_failure()))
    return Progress(ACCEPTED)


def answer(step: RunStep, message: protocol.Message, *, closing: bool = False) -> None:
    """Applies a worker's answer, which was found to be sound.

    A run that is closing takes only rejections.
    """
    body = body_of(message)
    assert body is not None, "messages are checked before they are applied"
    if closing and not isinstance(body, update.Rejection):
        return
    subject = step.run.updates.get(message.protocol_instance_id)
    if subject is None:
        subject = _resurrected(step, message.protocol_instance_id, request_in(body))
    if isinstance(body, update.Acceptance):
        transitions.accept(subject, step, body)
    elif isinstance(body, update.Rejection):
        transitions.reject(subject, step, body.failure)
    else:
        transitions.complete(subject, step, body)


def _resurrected(step: RunStep, update_id: str, asked: update.Request | None) -> Update:
    # It was sent by an earlier owner of the run, with a task that has outlived it.
    assert asked is not None, "messages are checked before they are applied"
    admitted = Update(update_id, request=asked)
    step.run.updates[update_id] = admitted
    return admitted
