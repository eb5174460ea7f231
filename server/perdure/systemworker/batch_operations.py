"""What a job does to one workflow. After a crash it may be done twice, and counts as once."""

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Namespace
from perdure.rpc.history_client import HistoryClient
from perdure.systemworker.reset_points import reset_point


class BatchOperation:
    """The operation that one job asks for."""

    def __init__(
        self, *, namespace: Namespace, job: stored.BatchJob, history: HistoryClient
    ) -> None:
        self._namespace = namespace
        self._job = job
        self._history = history
        kind = job.request.WhichOneof("operation")
        assert kind is not None, "the frontend takes no job without an operation"
        self._asked = getattr(job.request, kind)
        self._apply = _APPLY[kind]

    async def apply(self, execution: WorkflowExecution) -> None:
        """Does it to one workflow; one that is closed or gone has nothing done to it.

        Raises:
            ServiceError: It did not work out.
        """
        try:
            await self._apply(self, execution)
        except NotFoundError:
            return

    def _request_id(self, execution: WorkflowExecution) -> str:
        """Returns the same id for the same run whenever the job comes to it.

        Requests are told apart by workflow id, of which a job may reach several runs.
        """
        own = self._job.run_id
        return f"{own}/{execution.run_id}" if execution.run_id else own

    async def terminate(self, execution: WorkflowExecution) -> None:
        """Terminates a workflow."""
        await self._history.terminate_workflow_execution(
            self._namespace,
            wf.TerminateWorkflowExecutionRequest(
                workflow_execution=execution,
                reason=self._job.request.reason,
                identity=self._asked.identity,
            ),
        )

    async def cancel(self, execution: WorkflowExecution) -> None:
        """Asks a workflow to cancel itself."""
        await self._history.request_cancel_workflow_execution(
            self._namespace,
            wf.RequestCancelWorkflowExecutionRequest(
                workflow_execution=execution,
                identity=self._asked.identity,
                request_id=self._request_id(execution),
            ),
        )

    async def signal(self, execution: WorkflowExecution) -> None:
        """Signals a workflow."""
        request = wf.SignalWorkflowExecutionRequest(
            workflow_execution=execution,
            signal_name=self._asked.signal,
            identity=self._asked.identity,
            request_id=self._request_id(execution),
        )
        for field in ("input", "header"):
            if self._asked.HasField(field):
                getattr(request, field).CopyFrom(getattr(self._asked, field))
        await self._history.signal_workflow_execution(self._namespace, request)

    async def delete(self, execution: WorkflowExecution) -> None:
        """Deletes a workflow; an open one is terminated first."""
        await self._history.delete_workflow_execution(
            self._namespace, wf.DeleteWorkflowExecutionRequest(workflow_execution=execution)
        )

    async def reset(self, execution: WorkflowExecution) -> None:
        """Resets a workflow to the point that the job names."""
        asked = self._asked
        await self._history.reset_workflow_execution(
            self._namespace,
            wf.ResetWorkflowExecutionRequest(
                workflow_execution=execution,
                reason=self._job.request.reason,
                identity=asked.identity,
                request_id=self._request_id(execution),
                workflow_task_finish_event_id=await reset_point(
                    self._history, self._namespace, execution, asked
                ),
                reset_reapply_type=asked.options.reset_reapply_type or asked.reset_reapply_type,
                reset_reapply_exclude_types=asked.options.reset_reapply_exclude_types,
            ),
        )


_Apply = Callable[[Any, WorkflowExecution], Awaitable[None]]
_APPLY: dict[str, _Apply] = {
    "termination_operation": BatchOperation.terminate,
    "cancellation_operation": BatchOperation.cancel,
    "signal_operation": BatchOperation.signal,
    "deletion_operation": BatchOperation.delete,
    "reset_operation": BatchOperation.reset,
}
