"""What can happen to an update.

    ADMITTED ──send──► SENT ──accept──► ACCEPTED ──complete──► COMPLETED
        │ │             │ │                │
        │ └─ accept     │ └─reject► REJECTED └── abort ──► ABORTED
        └─ reject, abort└── abort ──► ABORTED

A worker may answer for an update that is admitted and not sent: it was sent by an earlier owner of
the run, and its client has asked again since.
"""

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import failed_cause_pb2 as failed_causes
from temporalio.api.enums.v1 import update_pb2 as enums
from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.update.v1 import message_pb2 as update

from perdure.core.commit import ItemKey, ItemKind
from perdure.core.errors import (
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    WorkflowNotReadyError,
)
from perdure.core.transition import transition
from perdure.core.update.state import IN_FLIGHT, UNACCEPTED, Update, UpdateStatus, from_row, status
from perdure.core.workflow.step import RunStep
from perdure.proto import stored_pb2 as stored

ADMITTED, SENT, ACCEPTED, COMPLETED, REJECTED, ABORTED = UpdateStatus


def admit(step: RunStep, request: update.Request) -> Update:
    """Takes in a request that the run does not know yet, in memory only."""
    update_id = request.meta.update_id
    assert update_id not in step.run.updates, "an update is admitted once"
    admitted = Update(update_id, request=request)
    step.run.updates[update_id] = admitted
    step.wakes = True
    return admitted


def record_admitted(step: RunStep, request: update.Request) -> Update:
    """Takes in a request by an event, which the worker reads: a reset carries it over."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED)
    attributes = event.workflow_execution_update_admitted_event_attributes
    attributes.request.CopyFrom(request)
    attributes.origin = enums.UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY
    admitted = Update(request.meta.update_id, admitted_event_id=event.event_id)
    step.run.updates[admitted.update_id] = admitted
    _put(step, admitted)
    return admitted


def restore(step: RunStep, info: stored.UpdateInfo) -> None:
    """Gives a run that begins with another one's history what that says of an update."""
    if info.completed_event_id:
        step.run.completed_updates[info.update_id] = info.completed_event_id
    else:
        step.run.updates[info.update_id] = from_row(info)
    step.put_item(ItemKey(ItemKind.UPDATE, info.update_id), info.SerializeToString())


@transition(status, sources={ADMITTED}, target={SENT})
def send(subject: Update) -> None:
    """Notes that a worker is sent the request."""
    subject.status = SENT


@transition(status, sources={ADMITTED, SENT}, target={ACCEPTED})
def accept(subject: Update, step: RunStep, acceptance: update.Acceptance) -> None:
    """Records that the worker's validator has let the update pass."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
    attributes = event.workflow_execution_update_accepted_event_attributes
    attributes.protocol_instance_id = subject.update_id
    attributes.accepted_request_message_id = request_message_id(subject.update_id)
    attributes.accepted_request_sequencing_event_id = (
        acceptance.accepted_request_sequencing_event_id
    )
    if subject.request is not None:
        attributes.accepted_request.CopyFrom(subject.request)
    subject.request = None
    subject.accepted_event_id = event.event_id
    subject.status = ACCEPTED
    _put(step, subject)


@transition(status, sources={ADMITTED, SENT}, target={REJECTED})
def reject(subject: Update, step: RunStep, failure: failures.Failure) -> None:
    """Ends an update that the worker's validator has refused, as if it had never come."""
    subject.outcome = update.Outcome(failure=failure)
    subject.request = None
    subject.status = REJECTED
    _forget(subject, step)


@transition(status, sources={ACCEPTED}, target={COMPLETED})
def complete(subject: Update, step: RunStep, response: update.Response) -> None:
    """Records the answer of the worker's handler."""
    event = step.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED)
    attributes = event.workflow_execution_update_completed_event_attributes
    attributes.meta.CopyFrom(response.meta)
    attributes.accepted_event_id = subject.accepted_event_id
    attributes.outcome.CopyFrom(response.outcome)
    subject.outcome = response.outcome
    subject.status = COMPLETED
    del step.run.updates[subject.update_id]
    step.run.completed_updates[subject.update_id] = event.event_id
    _put(step, subject, completed_event_id=event.event_id)


@transition(status, sources=UNACCEPTED, target={ABORTED})
def abort(subject: Update, step: RunStep, error: ServiceError) -> None:
    """Ends an update that was not accepted with an error for its client."""
    subject.error = error
    subject.request = None
    subject.status = ABORTED
    step.wakes = True


@transition(status, sources={ACCEPTED}, target={ABORTED})
def fail_with_run(subject: Update, step: RunStep) -> None:
    """Ends an accepted update whose run has closed; its row goes on saying that it was accepted."""
    subject.outcome = update.Outcome(failure=outlived_failure())
    subject.status = ABORTED
    step.wakes = True


def close_with_run(step: RunStep) -> None:
    """Ends the updates of a run that closes; another run may take what was not accepted."""
    follows = bool(step.state.new_run_id)
    error = WorkflowClosingError() if follows else NotFoundError(CLOSED_BEFORE_ACCEPTED)
    for subject in list(step.run.updates.values()):
        if subject.status in UNACCEPTED:
            abort(subject, step, error)
            if follows:
                # Asked for again, it goes to the run that follows.
                _forget(subject, step)
        elif subject.status in IN_FLIGHT:
            fail_with_run(subject, step)


def abort_with_task(step: RunStep) -> None:
    """Ends the updates that came with a workflow task that has been answered badly.

    What has come since is sent with the next one.
    """
    for subject in list(step.run.updates.values()):
        if subject.status is SENT:
            abort(subject, step, WorkflowNotReadyError(TASK_FAILED))
            _forget(subject, step)


def reject_unprocessed(step: RunStep) -> None:
    """Ends the updates that a worker was sent and did not answer: it does not know of updates."""
    for subject in list(step.run.updates.values()):
        if subject.status is SENT:
            reject(subject, step, _unprocessed_failure())


def request_message_id(update_id: str) -> str:
    """Returns the id of the message that brings a worker the request."""
    return f"{update_id}/request"


CLOSED_BEFORE_ACCEPTED = "workflow update was aborted by closing workflow"
TASK_FAILED = "Unable to perform workflow execution update due to unexpected workflow task failure."


class WorkflowClosingError(ResourceExhaustedError):
    """The run is about to close; another one may follow it."""

    def __init__(self) -> None:
        super().__init__(
            "workflow operation can not be applied because workflow is closing",
            failed_causes.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
        )


def outlived_failure() -> failures.Failure:
    """Returns the outcome of an update that was accepted and whose run has closed."""
    return _server_failure(
        "Workflow Update failed because the Workflow completed before the Update completed.",
        "AcceptedUpdateCompletedWorkflow",
    )


def _unprocessed_failure() -> failures.Failure:
    return _server_failure(
        "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow "
        "Update is not supported by the worker.",
        "UnprocessedUpdate",
    )


def _server_failure(message: str, kind: str) -> failures.Failure:
    failure = failures.Failure(message=message, source="Server")
    failure.application_failure_info.type = kind
    failure.application_failure_info.non_retryable = True
    return failure


def _put(step: RunStep, subject: Update, *, completed_event_id: int = 0) -> None:
    info = stored.UpdateInfo(
        update_id=subject.update_id,
        admitted_event_id=subject.admitted_event_id,
        accepted_event_id=subject.accepted_event_id,
        completed_event_id=completed_event_id,
    )
    step.put_item(ItemKey(ItemKind.UPDATE, subject.update_id), info.SerializeToString())


def _forget(subject: Update, step: RunStep) -> None:
    del step.run.updates[subject.update_id]
    if subject.admitted_event_id:
        step.delete_item(ItemKey(ItemKind.UPDATE, subject.update_id))
    step.wakes = True
