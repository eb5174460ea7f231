"""An update of a workflow that is started for it if need be: both happen, or neither."""

from dataclasses import dataclass

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import MultiOperationError, ServiceError, operation_aborted
from perdure.core.update import outcomes
from perdure.core.workflow.start import StartResult, start_workflow
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step


@dataclass(slots=True, frozen=True)
class Begun:
    """What an update with a start came to: the run that has the update, and whether it is new."""

    start: StartResult
    found: outcomes.Found
    is_new: bool


def start_and_update(
    step: Step,
    namespace_id: str,
    start: wf.StartWorkflowExecutionRequest,
    asked: update.Request,
) -> Begun:
    """Updates the open run that the request may use, or else a new one.

    Raises:
        MultiOperationError: The policies refuse another run, or the run refuses the update.
    """
    existing = step.current
    if existing is not None and (found := _usable(existing, start, asked)) is not None:
        return found
    if existing is not None and existing.is_running and _may_use(existing, start, asked):
        try:
            found = _begun(existing, outcomes.request(step.edit(existing), asked))
        except ServiceError as error:
            raise update_failed(error, started=False) from error
        return found
    try:
        result = start_workflow(step, namespace_id, start)
    except ServiceError as error:
        raise MultiOperationError([error, operation_aborted()]) from error
    # A start that is repeated answers for its run, even if that is closed: it refuses the update.
    run = step.new_current or existing
    assert run is not None, "a start makes a run, or answers for one"
    try:
        found_there = outcomes.request(step.edit(run), asked)
    except ServiceError as error:
        raise update_failed(error, started=False) from error
    return Begun(result, found_there, is_new=run is not existing)


def update_failed(error: ServiceError, *, started: bool) -> MultiOperationError:
    """Returns the error of an update that has failed beside a start that is done, or given up."""
    return MultiOperationError([None if started else operation_aborted(), error])


def _usable(
    existing: Run, start: wf.StartWorkflowExecutionRequest, asked: update.Request
) -> Begun | None:
    """Returns an update that the workflow's newest run has completed, whatever the policies say."""
    found = outcomes.find(existing, asked.meta.update_id)
    if found is None or not found.completed_event_id:
        return None
    return _begun(existing, found)


def _may_use(existing: Run, start: wf.StartWorkflowExecutionRequest, asked: update.Request) -> bool:
    return (
        start.request_id == existing.start.request_id
        or outcomes.find(existing, asked.meta.update_id) is not None
        or start.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
    )


def _begun(existing: Run, found: outcomes.Found) -> Begun:
    result = StartResult(
        existing.key.run_id, False, existing.state.status, existing.start.first_run_id
    )
    return Begun(result, found, is_new=False)
