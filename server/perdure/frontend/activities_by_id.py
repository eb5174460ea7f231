"""Reports on activities that are named by workflow id and activity id instead of a token.

An activity without a workflow id would be one that runs by itself; there are none here, so it is
not found, as on the real server when it does not exist.
"""

from collections.abc import Mapping

from temporalio.api.common.v1.message_pb2 import Payloads
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.uuids import is_uuid
from perdure.frontend.activity_tasks import (
    CANCEL_DETAILS_TOO_LARGE,
    HEARTBEAT_DETAILS_TOO_LARGE,
    RESULT_TOO_LARGE,
    shrink_failed_report,
)
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.failures import too_large
from perdure.frontend.validation.identifiers import check_length
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient

_Report = (
    wf.RespondActivityTaskCompletedByIdRequest
    | wf.RespondActivityTaskFailedByIdRequest
    | wf.RespondActivityTaskCanceledByIdRequest
    | wf.RecordActivityTaskHeartbeatByIdRequest
)


class ActivitiesById:
    """Handles the RPCs that name activities by their ids."""

    def __init__(
        self, *, namespaces: NamespaceGate, history: HistoryClient, settings: FrontendSettings
    ) -> None:
        self._namespaces = namespaces
        self._history = history
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "RecordActivityTaskHeartbeatById": self.record_heartbeat,
            "RespondActivityTaskCompletedById": self.respond_completed,
            "RespondActivityTaskFailedById": self.respond_failed,
            "RespondActivityTaskCanceledById": self.respond_canceled,
        }

    async def record_heartbeat(
        self, request: wf.RecordActivityTaskHeartbeatByIdRequest, _context: RequestContext
    ) -> wf.RecordActivityTaskHeartbeatByIdResponse:
        """Records a heartbeat."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_names(request)
        if self._is_large(request.details):
            await self._fail(namespace, request, HEARTBEAT_DETAILS_TOO_LARGE)
            return wf.RecordActivityTaskHeartbeatByIdResponse(cancel_requested=True)
        return await self._history.record_activity_task_heartbeat_by_id(namespace, request)

    async def respond_completed(
        self, request: wf.RespondActivityTaskCompletedByIdRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskCompletedByIdResponse:
        """Completes an activity."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check(request)
        if self._is_large(request.result):
            await self._fail(namespace, request, RESULT_TOO_LARGE)
            return wf.RespondActivityTaskCompletedByIdResponse()
        return await self._history.respond_activity_task_completed_by_id(namespace, request)

    async def respond_failed(
        self, request: wf.RespondActivityTaskFailedByIdRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskFailedByIdResponse:
        """Fails an activity attempt."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check(request)
        failures = shrink_failed_report(request, self._settings)
        response = await self._history.respond_activity_task_failed_by_id(namespace, request)
        response.failures.extend(failures)
        return response

    async def respond_canceled(
        self, request: wf.RespondActivityTaskCanceledByIdRequest, _context: RequestContext
    ) -> wf.RespondActivityTaskCanceledByIdResponse:
        """Cancels an activity."""
        namespace = await self._namespaces.enter(request.namespace)
        self._check(request)
        if self._is_large(request.details):
            await self._fail(namespace, request, CANCEL_DETAILS_TOO_LARGE)
            return wf.RespondActivityTaskCanceledByIdResponse()
        return await self._history.respond_activity_task_canceled_by_id(namespace, request)

    def _check(self, request: _Report) -> None:
        if request.activity_id:
            check_length("Identity", request.identity, self._settings.max_id_bytes)
        _check_names(request)

    def _is_large(self, payloads: Payloads) -> bool:
        return payloads.ByteSize() > self._settings.max_blob_bytes

    async def _fail(self, namespace: Namespace, report: _Report, message: str) -> None:
        request = wf.RespondActivityTaskFailedByIdRequest(
            namespace=namespace.name,
            workflow_id=report.workflow_id,
            run_id=report.run_id,
            activity_id=report.activity_id,
            identity=report.identity,
            failure=too_large(message),
        )
        await self._history.respond_activity_task_failed_by_id(namespace, request)


def _check_names(request: _Report) -> None:
    if not request.activity_id:
        raise InvalidArgumentError("ActivityId is not set on request.")
    if request.run_id and not is_uuid(request.run_id):
        raise InvalidArgumentError("RunId is not valid UUID.")
    if not request.workflow_id:
        raise NotFoundError(f"activity not found for ID: {request.activity_id}")
    if "\0" in request.workflow_id:
        raise NotFoundError(f"workflow not found for ID: {request.workflow_id}")
