"""Eager starts: the first workflow task is started in the commit that creates the run.

A client that runs a worker of its own asks for it and gets the task with the answer. A run that
waits before its first task (start delay, cron) has none to give. A repeated request gets the task
again for as long as it is the one that was given.
"""

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task.state import is_started
from perdure.core.workflow_task.transitions import start


def is_wanted(request: wf.StartWorkflowExecutionRequest, backoff: int) -> bool:
    """Tells whether a new run's first task comes with the answer, after its `backoff`."""
    return request.request_eager_execution and not backoff


def start_first_task(change: RunStep, request: wf.StartWorkflowExecutionRequest) -> RunStep:
    """Starts the task that has just been scheduled; the request is its poll."""
    start(change, request_id=request.request_id, identity=request.identity)
    # As on the real server, where the history has no size yet.
    task, event = change.state.workflow_task, change.batch.events[-1]
    task.history_size_bytes = 0
    event.workflow_task_started_event_attributes.history_size_bytes = 0
    return change


def given_before(
    step: Step, existing: Run, request: wf.StartWorkflowExecutionRequest
) -> RunStep | None:
    """Returns the run's step when a repeated request is to get the first task again."""
    task = existing.state.workflow_task
    if (
        request.request_eager_execution
        and existing.is_running
        and is_started(existing.state)
        and not existing.state.last_completed_event_id
        and task.attempt == 1
        and task.request_id == request.request_id
    ):
        return step.edit(existing)
    return None
