"""Starting workflows, with and without a signal."""

from collections.abc import Mapping

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility import attributes
from perdure.core.workflow import cron
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.unavailable import refuse_unavailable_start
from perdure.frontend.validation.callbacks import check_callbacks, check_conflict_options
from perdure.frontend.validation.durations import check_duration, settle_timeouts
from perdure.frontend.validation.identifiers import (
    check_length,
    check_workflow_id,
    is_too_long,
    refuse_nul,
)
from perdure.frontend.validation.links import check_links
from perdure.frontend.validation.payloads import check_blob, check_memo
from perdure.frontend.validation.policies import settle_policies
from perdure.frontend.validation.priorities import check_priority
from perdure.frontend.validation.retries import check_retry_policy
from perdure.frontend.validation.task_queues import check_start_queue
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.runtime.ports import Ids

Start = wf.StartWorkflowExecutionRequest | wf.SignalWithStartWorkflowExecutionRequest


class Starts:
    """Handles StartWorkflowExecution and SignalWithStartWorkflowExecution."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        search_attributes: SearchAttributeRegistry,
        history: HistoryClient,
        ids: Ids,
        settings: FrontendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._search_attributes = search_attributes
        self._history = history
        self._ids = ids
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "StartWorkflowExecution": self.start,
            "SignalWithStartWorkflowExecution": self.signal_with_start,
        }

    async def start(
        self, request: wf.StartWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.StartWorkflowExecutionResponse:
        """Starts a workflow."""
        namespace = await self._namespaces.enter(request.namespace)
        await self.prepare(namespace, request)
        return await self._history.start_workflow_execution(namespace, request)

    async def prepare(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> None:
        """Checks a start, and fills in what the client left to the server."""
        limit = self._settings.max_id_bytes
        check_workflow_id(request.workflow_id, limit)
        if request.HasField("retry_policy"):
            check_retry_policy(request.retry_policy)
        _check_delay(request)
        _check_cron(request)
        _check_workflow_type(request, limit)
        self._check_queue(request)
        _check_timeouts(request)
        check_length("RequestId", request.request_id, limit)
        settle_policies(request, default_conflict=enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
        await self._check_attributes(namespace, request)
        check_priority(request.priority, self._settings.max_fairness_key_bytes)
        check_links(request.links, self._settings)
        check_conflict_options(request.on_conflict_options)
        check_callbacks(request.completion_callbacks)
        self._check_sizes(request)
        refuse_unavailable_start(request)
        self._settle(request)

    async def signal_with_start(
        self, request: wf.SignalWithStartWorkflowExecutionRequest, _context: RequestContext
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """Signals a workflow, which is started if it does not run."""
        namespace = await self._namespaces.enter(request.namespace)
        limit = self._settings.max_id_bytes
        check_workflow_id(request.workflow_id, limit)
        _check_signal_to_start(request, limit)
        self._check_queue(request)
        _check_length_with_sizes("Request ID", request.request_id, limit)
        _check_timeouts(request)
        if request.HasField("retry_policy"):
            check_retry_policy(request.retry_policy)
        _check_delay(request)
        _check_cron(request)
        if request.workflow_id_conflict_policy == enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL:
            _refuse_conflict_failure(request)
        settle_policies(request, default_conflict=enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
        await self._check_attributes(namespace, request)
        check_priority(request.priority, self._settings.max_fairness_key_bytes)
        check_links(request.links, self._settings)
        self._check_sizes(request)
        check_blob(request.signal_input, self._settings.max_blob_bytes)
        refuse_unavailable_start(request)
        self._settle(request)
        return await self._history.signal_with_start_workflow_execution(namespace, request)

    def _check_queue(self, request: Start) -> None:
        check_start_queue(
            request.task_queue,
            is_set=request.HasField("task_queue"),
            max_bytes=self._settings.max_id_bytes,
        )

    async def _check_attributes(self, namespace: Namespace, request: Start) -> None:
        if not request.search_attributes.indexed_fields:
            return
        types = await self._search_attributes.types(namespace.id)
        attributes.validate(
            request.search_attributes,
            types,
            namespace=namespace.name,
            limits=self._settings.search_attributes,
        )
        attributes.add_types(request.search_attributes, types)

    def _check_sizes(self, request: Start) -> None:
        check_memo(request.memo, self._settings.max_memo_bytes)
        check_blob(request.input, self._settings.max_blob_bytes)

    def _settle(self, request: Start) -> None:
        """Fills in what the client left to the server."""
        if not request.request_id:
            request.request_id = self._ids.request_id()
        settle_timeouts(
            execution=request.workflow_execution_timeout,
            run=request.workflow_run_timeout,
            task=request.workflow_task_timeout,
            default_task_seconds=self._settings.default_workflow_task_seconds,
            max_task_seconds=self._settings.max_workflow_task_seconds,
        )


def _check_delay(request: Start) -> None:
    if not request.HasField("workflow_start_delay"):
        return
    if request.cron_schedule:
        raise InvalidArgumentError("CronSchedule and WorkflowStartDelay may not be used together.")
    check_duration("WorkflowStartDelay", request.workflow_start_delay)


def _check_cron(request: Start) -> None:
    try:
        cron.check(request.cron_schedule)
    except cron.CronError as error:
        raise InvalidArgumentError(str(error)) from None


def _check_timeouts(request: Start) -> None:
    check_duration("WorkflowExecutionTimeout", request.workflow_execution_timeout)
    check_duration("WorkflowRunTimeout", request.workflow_run_timeout)
    check_duration("WorkflowTaskTimeout", request.workflow_task_timeout)


def _check_workflow_type(request: Start, max_bytes: int) -> None:
    if not request.workflow_type.name:
        raise InvalidArgumentError("WorkflowType is not set on request.")
    check_length("WorkflowType", request.workflow_type.name, max_bytes)


def _check_signal_to_start(
    request: wf.SignalWithStartWorkflowExecutionRequest, max_bytes: int
) -> None:
    if not request.signal_name:
        raise InvalidArgumentError("signal not set")
    _check_length_with_sizes("signal name", request.signal_name, max_bytes)
    if not request.workflow_type.name:
        raise InvalidArgumentError("workflow type not set")
    _check_length_with_sizes("workflow type name", request.workflow_type.name, max_bytes)


def _check_length_with_sizes(field: str, text: str, max_bytes: int) -> None:
    if is_too_long(text, max_bytes):
        size = len(text.encode())
        raise InvalidArgumentError(f"{field} exceeds maximum allowed length ({size}/{max_bytes})")
    refuse_nul(field, text)


def _refuse_conflict_failure(request: wf.SignalWithStartWorkflowExecutionRequest) -> None:
    # With the old reuse policy the pair itself is what is wrong.
    if request.workflow_id_reuse_policy != enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
        raise InvalidArgumentError(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported"
            " for this operation."
        )
