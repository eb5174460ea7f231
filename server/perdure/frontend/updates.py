"""Updates: asking a workflow to change, and waiting; the workflow may be started for it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from temporalio.api.enums.v1 import update_pb2 as enums
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    MultiOperationError,
    NamespaceNotFoundError,
    PermissionDeniedError,
    ServiceError,
    UnavailableError,
    UnimplementedError,
    operation_aborted,
)
from perdure.core.uuids import is_uuid
from perdure.frontend.deadlines import update_timeout
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.long_polls import LongPolls
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.starts import Starts
from perdure.frontend.validation.identifiers import check_execution, is_too_long, refuse_nul
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.runtime.ports import Ids

T = TypeVar("T")

_COMPLETED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
_ADMITTED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
_UNSPECIFIED = enums.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_UNSPECIFIED


class Updates:
    """Handles UpdateWorkflowExecution, PollWorkflowExecutionUpdate and ExecuteMultiOperation."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        history: HistoryClient,
        starts: Starts,
        ids: Ids,
        settings: FrontendSettings,
        long_polls: LongPolls,
    ) -> None:
        self._namespaces = namespaces
        self._history = history
        self._starts = starts
        self._ids = ids
        self._settings = settings
        self._long_polls = long_polls

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "UpdateWorkflowExecution": self.update,
            "PollWorkflowExecutionUpdate": self.poll,
            "ExecuteMultiOperation": self.execute_multi_operation,
        }

    async def update(
        self, request: wf.UpdateWorkflowExecutionRequest, context: RequestContext
    ) -> wf.UpdateWorkflowExecutionResponse:
        """Updates a workflow, and waits for the stage that the client wants to see."""
        namespace = await self._namespaces.enter(request.namespace)
        self._prepare(request)
        timeout = update_timeout(context, self._settings)
        answer = await self._wait(
            lambda: self._history.update_workflow_execution(namespace, request, timeout)
        )
        _check_deadline(context, answer.stage, request.wait_policy)
        return answer

    async def poll(
        self, request: wf.PollWorkflowExecutionUpdateRequest, context: RequestContext
    ) -> wf.PollWorkflowExecutionUpdateResponse:
        """Waits for an update to reach a stage."""
        namespace = await self._namespaces.enter(request.namespace)
        if not request.HasField("update_ref"):
            raise InvalidArgumentError("UpdateRef is not set on request.")
        reference = request.update_ref
        run_id = reference.workflow_execution.run_id
        if run_id and not is_uuid(run_id):
            raise InvalidArgumentError("RunId is not valid UUID.")
        check_execution(
            reference.workflow_execution, is_set=reference.HasField("workflow_execution")
        )
        timeout = update_timeout(context, self._settings)
        answer = await self._wait(
            lambda: self._history.poll_workflow_execution_update(namespace, request, timeout)
        )
        _check_deadline(context, answer.stage, request.wait_policy)
        return answer

    async def execute_multi_operation(
        self, request: wf.ExecuteMultiOperationRequest, context: RequestContext
    ) -> wf.ExecuteMultiOperationResponse:
        """Updates a workflow, which is started if it does not run."""
        namespace = await self._namespaces.enter(request.namespace)
        kinds = [operation.WhichOneof("operation") for operation in request.operations]
        if kinds != ["start_workflow", "update_workflow"]:
            raise InvalidArgumentError("Operations have to be exactly [Start, Update].")
        start = request.operations[0].start_workflow
        asked = request.operations[1].update_workflow
        errors = [
            await self._start_problem(namespace, start),
            self._update_problem(namespace, asked),
        ]
        if errors == [None, None] and start.workflow_id != asked.workflow_execution.workflow_id:
            errors[1] = InvalidArgumentError(
                "WorkflowId is not consistent with previous operation(s)."
            )
        if any(errors):
            raise MultiOperationError([error or operation_aborted() for error in errors])
        timeout = update_timeout(context, self._settings)
        answer = await self._wait(
            lambda: self._history.execute_multi_operation(namespace, request, timeout)
        )
        _check_deadline(context, answer.responses[1].update_workflow.stage, asked.wait_policy)
        return answer

    async def _wait(self, ask: Callable[[], Awaitable[T]]) -> T:
        answer = await self._long_polls.ask(ask)
        if answer is None:
            # The client asks for the same update again, elsewhere.
            raise UnavailableError("the server is shutting down")
        return answer

    async def _start_problem(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> ServiceError | None:
        try:
            _check_namespace(namespace, request.namespace)
            if request.cron_schedule:
                raise InvalidArgumentError("CronSchedule is not allowed.")
            if request.request_eager_execution:
                raise InvalidArgumentError("RequestEagerExecution is not supported.")
            if request.HasField("workflow_start_delay"):
                raise InvalidArgumentError("WorkflowStartDelay is not supported.")
            await self._starts.prepare(namespace, request)
        except ServiceError as error:
            return error
        return None

    def _update_problem(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionRequest
    ) -> ServiceError | None:
        try:
            _check_namespace(namespace, request.namespace)
            self._prepare(request)
            if request.first_execution_run_id:
                raise InvalidArgumentError("FirstExecutionRunId is not allowed.")
            if request.workflow_execution.run_id:
                raise InvalidArgumentError("RunId is not allowed.")
        except ServiceError as error:
            return error
        return None

    def _prepare(self, request: wf.UpdateWorkflowExecutionRequest) -> None:
        """Checks an update, and fills in what the client left to the server."""
        check_execution(request.workflow_execution, is_set=request.HasField("workflow_execution"))
        asked = request.request
        if not asked.HasField("meta"):
            raise InvalidArgumentError("Update meta is not set on request.")
        if is_too_long(asked.meta.update_id, self._settings.max_id_bytes):
            raise InvalidArgumentError("UpdateId length exceeds limit.")
        refuse_nul("UpdateId", asked.meta.update_id)
        if not asked.HasField("input"):
            raise InvalidArgumentError("Update input is not set on request.")
        if not asked.input.name:
            raise InvalidArgumentError("Update name is not set on request.")
        if asked.completion_callbacks:
            _refuse_callbacks(asked)
        if not asked.meta.update_id:
            asked.meta.update_id = self._ids.request_id()
        policy = request.wait_policy
        if policy.lifecycle_stage == _UNSPECIFIED:
            policy.lifecycle_stage = _COMPLETED
        if policy.lifecycle_stage == _ADMITTED:
            raise PermissionDeniedError(
                "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is "
                "not supported."
            )


def _refuse_callbacks(asked: update.Request) -> None:
    if not asked.request_id:
        raise InvalidArgumentError(
            "invalid *update.Request: request_id is required when completion_callbacks are set"
        )
    raise UnimplementedError(
        "completion callbacks of updates are not implemented by this server yet"
    )


def _check_namespace(namespace: Namespace, name: str) -> None:
    if not name:
        raise NamespaceNotFoundError(name)
    if name != namespace.name:
        raise InvalidArgumentError("Operation namespace did not match request's namespace.")


def _check_deadline(
    context: RequestContext,
    stage: enums.UpdateWorkflowExecutionLifecycleStage.ValueType,
    policy: update.WaitPolicy,
) -> None:
    """Refuses to answer less than was asked for when the client's own time is up."""
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0 and stage < policy.lifecycle_stage:
        raise DeadlineExceededError("context deadline exceeded")
