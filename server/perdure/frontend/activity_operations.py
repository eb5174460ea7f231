"""What operators do to activities of workflows: pause, unpause, reset, change options.

Each operation has two names. The older one takes one activity, those of a type, or all of a
workflow. The newer one takes one activity, which may also be one that runs by itself: there are
none of these here, so none is found.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity.options import unknown_option
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.protobuf import duration_problem
from perdure.core.uuids import is_uuid
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.priorities import check_priority
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.runtime.ports import Ids

_ByName = (
    wf.PauseActivityRequest
    | wf.UnpauseActivityRequest
    | wf.ResetActivityRequest
    | wf.UpdateActivityOptionsRequest
)
_ByExecution = (
    wf.PauseActivityExecutionRequest
    | wf.UnpauseActivityExecutionRequest
    | wf.ResetActivityExecutionRequest
    | wf.UpdateActivityExecutionOptionsRequest
)
_NO_OPTIONS: Final = "ActivityOptions are not provided"


class ActivityOperations:
    """Handles the operations on activities."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        history: HistoryClient,
        ids: Ids,
        settings: FrontendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._history = history
        self._ids = ids
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "PauseActivity": self.pause,
            "UnpauseActivity": self.unpause,
            "ResetActivity": self.reset,
            "UpdateActivityOptions": self.update_options,
            "PauseActivityExecution": self.pause_execution,
            "UnpauseActivityExecution": self.unpause_execution,
            "ResetActivityExecution": self.reset_execution,
            "UpdateActivityExecutionOptions": self.update_execution_options,
        }

    async def pause(
        self, request: wf.PauseActivityRequest, _context: RequestContext
    ) -> wf.PauseActivityResponse:
        """Pauses activities."""
        namespace = await self._enter(request)
        return await self._history.pause_activity(namespace, request)

    async def unpause(
        self, request: wf.UnpauseActivityRequest, _context: RequestContext
    ) -> wf.UnpauseActivityResponse:
        """Ends the pause of activities."""
        namespace = await self._enter(request)
        return await self._history.unpause_activity(namespace, request)

    async def reset(
        self, request: wf.ResetActivityRequest, _context: RequestContext
    ) -> wf.ResetActivityResponse:
        """Counts attempts of activities anew."""
        namespace = await self._enter(request)
        _check_jitter(request)
        return await self._history.reset_activity(namespace, request)

    async def update_options(
        self, request: wf.UpdateActivityOptionsRequest, _context: RequestContext
    ) -> wf.UpdateActivityOptionsResponse:
        """Changes options of activities."""
        namespace = await self._enter(request)
        self._check_priority(request)
        return await self._history.update_activity_options(namespace, request)

    async def pause_execution(
        self, request: wf.PauseActivityExecutionRequest, _context: RequestContext
    ) -> wf.PauseActivityExecutionResponse:
        """Pauses an activity."""
        namespace = await self._enter_execution(request)
        _check_workflow(request)
        by_name = wf.PauseActivityRequest(
            reason=request.reason, request_id=request.request_id or self._ids.request_id()
        )
        await self._history.pause_activity(namespace, _named(by_name, request))
        return wf.PauseActivityExecutionResponse()

    async def unpause_execution(
        self, request: wf.UnpauseActivityExecutionRequest, _context: RequestContext
    ) -> wf.UnpauseActivityExecutionResponse:
        """Ends the pause of an activity."""
        namespace = await self._enter_execution(request)
        _check_jitter(request)
        _check_workflow(request)
        by_name = wf.UnpauseActivityRequest(jitter=request.jitter)
        await self._history.unpause_activity(namespace, _named(by_name, request))
        return wf.UnpauseActivityExecutionResponse()

    async def reset_execution(
        self, request: wf.ResetActivityExecutionRequest, _context: RequestContext
    ) -> wf.ResetActivityExecutionResponse:
        """Counts attempts of an activity anew."""
        namespace = await self._enter_execution(request)
        _check_jitter(request)
        _check_workflow(request)
        by_name = wf.ResetActivityRequest(
            jitter=request.jitter,
            keep_paused=request.keep_paused,
            reset_heartbeat=request.reset_heartbeat,
            restore_original_options=request.restore_original_options,
        )
        await self._history.reset_activity(namespace, _named(by_name, request))
        return wf.ResetActivityExecutionResponse()

    async def update_execution_options(
        self, request: wf.UpdateActivityExecutionOptionsRequest, _context: RequestContext
    ) -> wf.UpdateActivityExecutionOptionsResponse:
        """Changes options of an activity."""
        namespace = await self._enter_execution(request)
        if not request.restore_original:
            _check_options(request)
        _check_workflow(request)
        by_name = wf.UpdateActivityOptionsRequest(restore_original=request.restore_original)
        if request.HasField("activity_options"):
            by_name.activity_options.CopyFrom(request.activity_options)
        if request.HasField("update_mask"):
            by_name.update_mask.CopyFrom(request.update_mask)
        self._check_priority(by_name)
        answer = await self._history.update_activity_options(namespace, _named(by_name, request))
        return wf.UpdateActivityExecutionOptionsResponse(activity_options=answer.activity_options)

    async def _enter(self, request: _ByName) -> Namespace:
        namespace = await self._namespaces.enter(request.namespace)
        if not request.execution.workflow_id:
            raise InvalidArgumentError("WorkflowId is not set on request.")
        if request.WhichOneof("activity") is None:
            raise InvalidArgumentError(
                "Either Activity.Id or Activity.Type should be set on request."
            )
        run_id = request.execution.run_id
        if run_id and not is_uuid(run_id):
            raise InvalidArgumentError("RunId is not valid UUID.")
        _check_name(request.execution.workflow_id)
        return namespace

    async def _enter_execution(self, request: _ByExecution) -> Namespace:
        namespace = await self._namespaces.enter(request.namespace)
        if not request.activity_id:
            raise InvalidArgumentError("activity ID is required")
        for what, text in (
            ("activity ID", request.activity_id),
            ("identity", request.identity),
            ("request ID", request.request_id),
        ):
            size, limit = len(text.encode()), self._settings.max_id_bytes
            if size > limit:
                raise InvalidArgumentError(
                    f"{what} exceeds length limit. Length={size} Limit={limit}"
                )
        if request.run_id and not is_uuid(request.run_id):
            raise InvalidArgumentError("invalid run id: must be a valid UUID")
        return namespace

    def _check_priority(self, request: wf.UpdateActivityOptionsRequest) -> None:
        if any(path.startswith("priority") for path in request.update_mask.paths):
            priority = request.activity_options.priority
            check_priority(priority, self._settings.max_fairness_key_bytes)


def _check_jitter(
    request: wf.ResetActivityRequest
    | wf.UnpauseActivityExecutionRequest
    | wf.ResetActivityExecutionRequest,
) -> None:
    if problem := duration_problem(request.jitter):
        raise InvalidArgumentError(f"invalid jitter: {problem}")


def _check_options(request: wf.UpdateActivityExecutionOptionsRequest) -> None:
    if not request.HasField("activity_options"):
        raise InvalidArgumentError(_NO_OPTIONS)
    if not request.HasField("update_mask"):
        return
    if not request.update_mask.paths:
        raise InvalidArgumentError("UpdateMask must specify at least one path")
    unknown = unknown_option(request.update_mask.paths)
    if unknown is not None:
        raise InvalidArgumentError(f'unsupported update_mask path: "{unknown}"')


def _check_workflow(request: _ByExecution) -> None:
    if not request.workflow_id:
        raise NotFoundError(f"activity not found for ID: {request.activity_id}")
    _check_name(request.workflow_id)


def _check_name(workflow_id: str) -> None:
    if "\0" in workflow_id:
        raise NotFoundError(f"workflow not found for ID: {workflow_id}")


_Request = TypeVar("_Request", bound=_ByName)


def _named(by_name: _Request, request: _ByExecution) -> _Request:
    by_name.namespace = request.namespace
    by_name.execution.workflow_id = request.workflow_id
    by_name.execution.run_id = request.run_id
    by_name.identity = request.identity
    by_name.id = request.activity_id
    return by_name
