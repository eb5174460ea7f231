"""What workflow workers do: poll for tasks, answer them, go away."""

from collections.abc import Mapping

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.frontend.deadlines import task_poll_timeout
from perdure.frontend.gates import NamespaceGate, TokenGate
from perdure.frontend.long_polls import LongPolls
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.unavailable import (
    check_deployment_options,
    refuse_build_id_versioning,
    refuse_paginated_completion,
)
from perdure.frontend.validation.failures import replaced_if_large
from perdure.frontend.validation.identifiers import check_build_id, check_length, refuse_nul
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.proto.stored_pb2 import TaskToken
from perdure.rpc.clients import Encoded, MatchingClient, Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient


class WorkflowTasks:
    """Handles the RPCs of workflow workers."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        tokens: TokenGate,
        history: HistoryClient,
        matching: MatchingClient,
        settings: FrontendSettings,
        long_polls: LongPolls,
    ) -> None:
        self._namespaces = namespaces
        self._tokens = tokens
        self._history = history
        self._matching = matching
        self._settings = settings
        self._long_polls = long_polls

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "PollWorkflowTaskQueue": self.poll,
            "RespondWorkflowTaskCompleted": self.respond_completed,
            "RespondWorkflowTaskFailed": self.respond_failed,
            "ShutdownWorker": self.shutdown_worker,
        }

    async def poll(
        self, request: wf.PollWorkflowTaskQueueRequest, context: RequestContext
    ) -> Encoded:
        """Waits for a workflow or query task."""
        namespace = await self._namespaces.enter(request.namespace)
        timeout = task_poll_timeout(context, self._settings)
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        capabilities = request.worker_version_capabilities
        check_build_id(capabilities.build_id, self._settings.max_build_id_bytes)
        check_deployment_options(request.deployment_options)
        check_task_queue(
            request.task_queue,
            is_set=request.HasField("task_queue"),
            max_bytes=self._settings.max_id_bytes,
        )
        refuse_build_id_versioning(capabilities)
        answer = await self._long_polls.ask(
            lambda: self._matching.poll_workflow_task_queue(namespace, request, timeout)
        )
        return Encoded() if answer is None else answer

    async def respond_completed(
        self, request: wf.RespondWorkflowTaskCompletedRequest, _context: RequestContext
    ) -> Encoded:
        """Applies a workflow task's commands."""
        namespace = await self._enter(request.namespace, request.task_token)
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        check_build_id(request.worker_version_stamp.build_id, self._settings.max_build_id_bytes)
        check_deployment_options(request.deployment_options)
        refuse_paginated_completion(request)
        refuse_nul("taskQueue", request.sticky_attributes.worker_task_queue.name)
        return await self._history.respond_workflow_task_completed(namespace, request)

    async def respond_failed(
        self, request: wf.RespondWorkflowTaskFailedRequest, _context: RequestContext
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """Records a failed workflow task."""
        namespace = await self._enter(request.namespace, request.task_token)
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        check_build_id(request.worker_version.build_id, self._settings.max_build_id_bytes)
        replacement = replaced_if_large(
            request.failure,
            max_bytes=self._settings.max_blob_bytes,
            truncated_bytes=self._settings.truncated_failure_bytes,
        )
        if replacement is not None:
            request.failure.CopyFrom(replacement)
        return await self._history.respond_workflow_task_failed(namespace, request)

    async def shutdown_worker(
        self, request: wf.ShutdownWorkerRequest, _context: RequestContext
    ) -> wf.ShutdownWorkerResponse:
        """Ends the polls of a worker that is going away."""
        namespace = await self._namespaces.enter(request.namespace)
        for queue in (request.task_queue, request.sticky_task_queue):
            if queue and request.worker_instance_key:
                await self._matching.cancel_polls(namespace.id, queue, request.worker_instance_key)
        if request.sticky_task_queue:
            await self._matching.abandon_queue(namespace.id, request.sticky_task_queue)
        if request.HasField("worker_heartbeat"):
            heartbeat = wf.RecordWorkerHeartbeatRequest(
                namespace=request.namespace,
                identity=request.identity,
                worker_heartbeat=[request.worker_heartbeat],
            )
            await self._matching.record_worker_heartbeat(namespace, heartbeat)
        return wf.ShutdownWorkerResponse()

    async def _enter(self, name: str, token: bytes) -> Namespace:
        namespace, parsed = await self._tokens.enter(name, token)
        if parsed.kind != TaskToken.KIND_WORKFLOW:
            raise NotFoundError("Workflow task not found.")
        return namespace
