"""Queries: asking a workflow through its worker, and the worker's answer."""

from collections.abc import Mapping

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.frontend.deadlines import query_timeout
from perdure.frontend.gates import NamespaceGate, TokenGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.identifiers import check_execution
from perdure.frontend.validation.payloads import check_blob
from perdure.proto.stored_pb2 import TaskToken
from perdure.rpc.clients import MatchingClient
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient


class Queries:
    """Handles QueryWorkflow and RespondQueryTaskCompleted."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        tokens: TokenGate,
        history: HistoryClient,
        matching: MatchingClient,
        settings: FrontendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._tokens = tokens
        self._history = history
        self._matching = matching
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {"QueryWorkflow": self.query, "RespondQueryTaskCompleted": self.respond}

    async def query(
        self, request: wf.QueryWorkflowRequest, context: RequestContext
    ) -> wf.QueryWorkflowResponse:
        """Has a worker answer a query."""
        namespace = await self._namespaces.enter(request.namespace)
        check_execution(request.execution, is_set=request.HasField("execution"))
        if not request.HasField("query"):
            raise InvalidArgumentError("WorkflowQuery is not set on request.")
        if not request.query.query_type:
            raise InvalidArgumentError("QueryType is not set on request.")
        check_blob(request.query.query_args, self._settings.max_blob_bytes)
        timeout = query_timeout(context, self._settings)
        return await self._history.query_workflow(namespace, request, timeout)

    async def respond(
        self, request: wf.RespondQueryTaskCompletedRequest, _context: RequestContext
    ) -> wf.RespondQueryTaskCompletedResponse:
        """Passes a worker's answer on to whoever asked."""
        _, token = await self._tokens.enter(request.namespace, request.task_token)
        if token.kind != TaskToken.KIND_QUERY:
            raise NotFoundError("query task not found, or already expired")
        await self._matching.respond_query_task_completed(token.query_task_id, request)
        return wf.RespondQueryTaskCompletedResponse()
