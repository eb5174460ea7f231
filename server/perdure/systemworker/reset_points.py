"""Where a job resets a workflow to: the end of one of its workflow tasks."""

from collections.abc import AsyncIterator

from temporalio.api.batch.v1.message_pb2 import BatchOperationReset
from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import reset_pb2 as resets
from temporalio.api.history.v1.message_pb2 import HistoryEvent
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError
from perdure.rpc.clients import Namespace
from perdure.rpc.history_client import HistoryClient

_PAGE_EVENTS = 256


async def reset_point(
    history: HistoryClient,
    namespace: Namespace,
    execution: WorkflowExecution,
    asked: BatchOperationReset,
) -> int:
    """Returns the id of the event that a run is reset to.

    Raises:
        InvalidArgumentError: The run has no such point.
        ServiceError: Its history cannot be read.
    """
    match asked.options.WhichOneof("target"):
        case "workflow_task_id":
            return asked.options.workflow_task_id
        case "build_id":
            return await _of_build(history, namespace, execution, asked.options.build_id)
        case "last_workflow_task":
            newest_first = True
        case "first_workflow_task":
            newest_first = False
        case _:
            newest_first = asked.reset_type == resets.RESET_TYPE_LAST_WORKFLOW_TASK
    if newest_first:
        return await _first_task(_newest_first(history, namespace, execution))
    return await _first_task(_oldest_first(history, namespace, execution))


async def _of_build(
    history: HistoryClient, namespace: Namespace, execution: WorkflowExecution, build_id: str
) -> int:
    described = await history.describe_workflow_execution(
        namespace, wf.DescribeWorkflowExecutionRequest(execution=execution)
    )
    info = described.workflow_execution_info
    for point in info.auto_reset_points.points:
        if point.build_id == build_id and point.run_id == info.execution.run_id:
            return point.first_workflow_task_completed_id
    raise InvalidArgumentError(f"can't find reset point for build ID {build_id}")


async def _first_task(told: AsyncIterator[HistoryEvent]) -> int:
    """Returns the first workflow task's end; where none has ended, where that would be."""
    unfinished = 0
    async for event in told:
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return event.event_id
        if event.event_type == events.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED and not unfinished:
            unfinished = event.event_id + 1
    if not unfinished:
        raise InvalidArgumentError("unable to find any scheduled or completed task")
    return unfinished


async def _oldest_first(
    history: HistoryClient, namespace: Namespace, execution: WorkflowExecution
) -> AsyncIterator[HistoryEvent]:
    request = wf.GetWorkflowExecutionHistoryRequest(
        execution=execution, maximum_page_size=_PAGE_EVENTS
    )
    while True:
        data = await history.get_workflow_execution_history(namespace, request, 0.0)
        page = wf.GetWorkflowExecutionHistoryResponse.FromString(data)
        for event in page.history.events:
            yield event
        if not page.next_page_token:
            return
        request.next_page_token = page.next_page_token


async def _newest_first(
    history: HistoryClient, namespace: Namespace, execution: WorkflowExecution
) -> AsyncIterator[HistoryEvent]:
    request = wf.GetWorkflowExecutionHistoryReverseRequest(
        execution=execution, maximum_page_size=_PAGE_EVENTS
    )
    while True:
        data = await history.get_workflow_execution_history_reverse(namespace, request)
        page = wf.GetWorkflowExecutionHistoryReverseResponse.FromString(data)
        for event in page.history.events:
            yield event
        if not page.next_page_token:
            return
        request.next_page_token = page.next_page_token
