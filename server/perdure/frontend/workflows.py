"""What clients do with workflows that exist: signal, cancel, terminate, describe, read history."""

from collections.abc import Mapping

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError
from perdure.core.uuids import is_uuid
from perdure.frontend.continuations import as_continued, follows_next_run
from perdure.frontend.deadlines import history_poll_timeout
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.long_polls import LongPolls
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.unavailable import check_post_reset_operations
from perdure.frontend.validation.identifiers import check_execution, check_length, refuse_nul
from perdure.frontend.validation.links import check_links
from perdure.frontend.validation.options import check_mask, check_options
from perdure.frontend.validation.payloads import check_blob
from perdure.frontend.validation.priorities import check_priority
from perdure.proto.stored_pb2 import HistoryPageToken
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient

CLOSE_EVENT = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
_HistoryRequest = (
    wf.GetWorkflowExecutionHistoryRequest | wf.GetWorkflowExecutionHistoryReverseRequest
)


class Workflows:
    """Handles the RPCs about one workflow."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        history: HistoryClient,
        settings: FrontendSettings,
        long_polls: LongPolls,
    ) -> None:
        self._namespaces = namespaces
        self._history = history
        self._settings = settings
        self._long_polls = long_polls

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "SignalWorkflowExecution": self.signal,
            "RequestCancelWorkflowExecution": self.request_cancel,
            "TerminateWorkflowExecution": self.terminate,
            "DeleteWorkflowExecution": self.delete,
            "UpdateWorkflowExecutionOptions": self.update_options,
            "ResetWorkflowExecution": self.reset,
            "DescribeWorkflowExecution": self.describe,
            "GetWorkflowExecutionHistory": self.get_history,
            "GetWorkflowExecutionHistoryReverse": self.get_history_reverse,
            "ResetStickyTaskQueue": self.reset_sticky_task_queue,
        }

    async def signal(
        self, request: wf.SignalWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals a run."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        if not request.signal_name:
            raise InvalidArgumentError("SignalName is not set on request.")
        check_length("SignalName", request.signal_name, self._settings.max_id_bytes)
        check_length("RequestId", request.request_id, self._settings.max_id_bytes)
        check_links(request.links, self._settings)
        check_blob(request.input, self._settings.max_blob_bytes)
        return await self._history.signal_workflow_execution(namespace, request)

    async def request_cancel(
        self, request: wf.RequestCancelWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """Asks a run to cancel itself."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        check_links(request.links, self._settings)
        return await self._history.request_cancel_workflow_execution(namespace, request)

    async def terminate(
        self, request: wf.TerminateWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.TerminateWorkflowExecutionResponse:
        """Ends a run at once."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        check_links(request.links, self._settings)
        return await self._history.terminate_workflow_execution(namespace, request)

    async def delete(
        self, request: wf.DeleteWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run with all that is stored of it."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        return await self._history.delete_workflow_execution(namespace, request)

    async def update_options(
        self, request: wf.UpdateWorkflowExecutionOptionsRequest, _context: RequestContext
    ) -> wf.UpdateWorkflowExecutionOptionsResponse:
        """Changes options of an open run."""
        namespace = await self._namespaces.enter(request.namespace)
        execution = request.workflow_execution
        if not execution.workflow_id:
            raise InvalidArgumentError("WorkflowId is not set on request.")
        if execution.run_id and not is_uuid(execution.run_id):
            raise InvalidArgumentError("RunId is not valid UUID.")
        refuse_nul("WorkflowId", execution.workflow_id)
        check_options(request)
        options = request.workflow_execution_options
        check_priority(options.priority, self._settings.max_fairness_key_bytes)
        check_mask(request.update_mask, options)
        return await self._history.update_workflow_execution_options(namespace, request)

    async def reset(
        self, request: wf.ResetWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.ResetWorkflowExecutionResponse:
        """Begins a run with another one's history up to a workflow task."""
        namespace = await self._namespaces.enter(request.namespace)
        if not request.request_id:
            raise InvalidArgumentError("RequestId is not set on request.")
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        check_length("RequestId", request.request_id, self._settings.max_id_bytes)
        check_post_reset_operations(request.post_reset_operations)
        return await self._history.reset_workflow_execution(namespace, request)

    async def describe(
        self, request: wf.DescribeWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.DescribeWorkflowExecutionResponse:
        """Describes a run."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.execution, is_set=request.HasField("execution"))
        return await self._history.describe_workflow_execution(namespace, request)

    async def get_history(
        self, request: wf.GetWorkflowExecutionHistoryRequest, context: RequestContext
    ) -> Encoded:
        """Returns a page of history; with `wait_new_event`, it may wait for one."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check_history(request)
        timeout = history_poll_timeout(context, self._settings)
        read = self._history.get_workflow_execution_history
        answer = await self._long_polls.ask(lambda: read(namespace, request, timeout))
        if answer is None:
            answer = await read(namespace, request, 0.0)
        waits_for_close = request.history_event_filter_type == CLOSE_EVENT
        if waits_for_close and not follows_next_run(context.metadata):
            return as_continued(answer)
        return answer

    async def get_history_reverse(
        self, request: wf.GetWorkflowExecutionHistoryReverseRequest, _context: RequestContext
    ) -> Encoded:
        """Returns a page of history, newest event first."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check_history(request)
        return await self._history.get_workflow_execution_history_reverse(namespace, request)

    async def reset_sticky_task_queue(
        self, request: wf.ResetStickyTaskQueueRequest, _context: RequestContext
    ) -> wf.ResetStickyTaskQueueResponse:
        """Forgets the worker that has the run in its cache."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.execution, is_set=request.HasField("execution"))
        return await self._history.reset_sticky_task_queue(namespace, request)

    def _check_history(self, request: _HistoryRequest) -> None:
        check_execution(request.execution, is_set=request.HasField("execution"))
        if request.next_page_token:
            try:
                HistoryPageToken.FromString(request.next_page_token)
            except DecodeError:
                raise InvalidArgumentError("Invalid NextPageToken.") from None
        most = self._settings.history_page_events
        if not 0 < request.maximum_page_size <= most:
            request.maximum_page_size = most
