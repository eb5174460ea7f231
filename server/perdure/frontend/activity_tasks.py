"""What activity workers do: poll for tasks, heartbeat, and report how attempts ended.

A report that is too large to keep fails the activity instead: trying again would give the same.
"""

from collections.abc import Mapping
from typing import Final

from temporalio.api.common.v1.message_pb2 import Payloads
from temporalio.api.failure.v1.message_pb2 import Failure
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError
from perdure.frontend.deadlines import task_poll_timeout
from perdure.frontend.gates import NamespaceGate, TokenGate
from perdure.frontend.long_polls import LongPolls
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.unavailable import check_deployment_options, refuse_build_id_versioning
from perdure.frontend.validation.failures import replaced_if_large, too_large
from perdure.frontend.validation.identifiers import check_build_id, check_length
from perdure.frontend.validation.task_queues import check_task_queue
from perdure.rpc.clients import Encoded, MatchingClient, Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient

RESULT_TOO_LARGE: Final = "Complete result exceeds size limit."
CANCEL_DETAILS_TOO_LARGE: Final = "Cancel details exceed size limit."
HEARTBEAT_DETAILS_TOO_LARGE: Final = "Heartbeat details exceed size limit."


class ActivityTasks:
    """Handles the RPCs of activity workers that name tasks by their token."""

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
            "PollActivityTaskQueue": self.poll,
            "RecordActivityTaskHeartbeat": self.record_heartbeat,
            "RespondActivityTaskCompleted": self.respond_completed,
            "RespondActivityTaskFailed": self.respond_failed,
            "RespondActivityTaskCanceled": self.respond_canceled,
        }

    async def poll(
        self, request: wf.PollActivityTaskQueueRequest, context: RequestContext
    ) -> Encoded:
        """Waits for an activity task."""
        namespace = await self._namespaces.enter(request.namespace)
        timeout = task_poll_timeout(context, self._settings)
        check_task_queue(
            request.task_queue,
            is_set=request.HasField("task_queue"),
            max_bytes=self._settings.max_id_bytes,
        )
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        capabilities = request.worker_version_capabilities
        check_build_id(capabilities.build_id, self._settings.max_build_id_bytes)
        check_deployment_options(request.deployment_options)
        refuse_build_id_versioning(capabilities)
        answer = await self._long_polls.ask(
            lambda: self._matching.poll_activity_task_queue(namespace, request, timeout)
        )
        return Encoded() if answer is None else answer

    async def record_heartbeat(
        self, request: wf.RecordActivityTaskHeartbeatRequest, _context: RequestContext
    ) -> wf.RecordActivityTaskHeartbeatResponse:
        """Records a heartbeat."""
        namespace = await self._enter(request.namespace, request.task_token)
        if self._is_large(request.details):
            failure = too_large(HEARTBEAT_DETAILS_TOO_LARGE)
            await self._fail(namespace, request.task_token, request.identity, failure)
            return wf.RecordActivityTaskHeartbeatResponse(cancel_requested=True)
        return await self._history.record_activity_task_heartbeat(namespace, request)

    async def respond_completed(
        self, request: wf.RespondActivityTaskCompletedRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskCompletedResponse:
        """Completes an activity."""
        namespace = await self._enter(request.namespace, request.task_token)
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        if self._is_large(request.result):
            failure = too_large(RESULT_TOO_LARGE)
            await self._fail(namespace, request.task_token, request.identity, failure)
            return wf.RespondActivityTaskCompletedResponse()
        return await self._history.respond_activity_task_completed(namespace, request)

    async def respond_failed(
        self, request: wf.RespondActivityTaskFailedRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskFailedResponse:
        """Fails an activity attempt."""
        namespace = await self._enter(request.namespace, request.task_token)
        if request.HasField("failure") and not request.failure.HasField("application_failure_info"):
            raise InvalidArgumentError("Failure must have ApplicationFailureInfo.")
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        failures = shrink_failed_report(request, self._settings)
        response = await self._history.respond_activity_task_failed(namespace, request)
        response.failures.extend(failures)
        return response

    async def respond_canceled(
        self, request: wf.RespondActivityTaskCanceledRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskCanceledResponse:
        """Cancels an activity."""
        namespace = await self._enter(request.namespace, request.task_token)
        check_length("Identity", request.identity, self._settings.max_id_bytes)
        if self._is_large(request.details):
            failure = too_large(CANCEL_DETAILS_TOO_LARGE)
            await self._fail(namespace, request.task_token, request.identity, failure)
            return wf.RespondActivityTaskCanceledResponse()
        return await self._history.respond_activity_task_canceled(namespace, request)

    async def _enter(self, name: str, token: bytes) -> Namespace:
        # Whether the token is an activity's is history's to say, after the request's other fields.
        namespace, _ = await self._tokens.enter(name, token)
        return namespace

    def _is_large(self, payloads: Payloads) -> bool:
        return payloads.ByteSize() > self._settings.max_blob_bytes

    async def _fail(
        self, namespace: Namespace, token: bytes, identity: str, failure: Failure
    ) -> None:
        request = wf.RespondActivityTaskFailedRequest(
            namespace=namespace.name, task_token=token, identity=identity, failure=failure
        )
        await self._history.respond_activity_task_failed(namespace, request)


def shrink_failed_report(
    request: wf.RespondActivityTaskFailedRequest | wf.RespondActivityTaskFailedByIdRequest,
    settings: FrontendSettings,
) -> list[Failure]:
    """Replaces what is too large in a report of failure; returns what the worker is told of it."""
    failures = []
    if request.last_heartbeat_details.ByteSize() > settings.max_blob_bytes:
        failures.append(too_large(HEARTBEAT_DETAILS_TOO_LARGE))
        request.ClearField("last_heartbeat_details")
    replacement = replaced_if_large(
        request.failure,
        max_bytes=settings.max_blob_bytes,
        truncated_bytes=settings.truncated_failure_bytes,
    )
    if replacement is not None:
        failures.append(replacement)
        request.failure.CopyFrom(replacement)
    return failures
