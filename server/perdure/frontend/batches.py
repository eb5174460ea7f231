"""Batch operations: what clients ask of the jobs that work on many workflows."""

from collections.abc import Mapping
from typing import Final

from temporalio.api.batch.v1.message_pb2 import BatchOperationInfo
from temporalio.api.common.v1.message_pb2 import Execution, WorkflowExecution
from temporalio.api.enums.v1 import batch_operation_pb2 as enums
from temporalio.api.enums.v1 import common_pb2 as kinds
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, UnimplementedError
from perdure.core.protobuf import set_timestamp
from perdure.core.visibility.parser import parse_query
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.listings import cursor_of
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.identifiers import check_execution, check_length
from perdure.proto import stored_pb2 as stored
from perdure.rpc.batch_jobs import RUNNING, BatchJobs
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.runtime.ports import Clock, Ids

OPERATIONS: Final[Mapping[str, enums.BatchOperationType.ValueType]] = {
    "termination_operation": enums.BATCH_OPERATION_TYPE_TERMINATE_WORKFLOW,
    "signal_operation": enums.BATCH_OPERATION_TYPE_SIGNAL_WORKFLOW,
    "cancellation_operation": enums.BATCH_OPERATION_TYPE_CANCEL_WORKFLOW,
    "deletion_operation": enums.BATCH_OPERATION_TYPE_DELETE_WORKFLOW,
    "reset_operation": enums.BATCH_OPERATION_TYPE_RESET_WORKFLOW,
}
"""What jobs can do, by the field that asks for it."""
_MISSING: Final = (
    "must provide required parameters: BatchType,Reason,Namespace, AND one of "
    "(Query OR Executions OR TargetExecutions)"
)
_DEFAULT_PAGE: Final = 100


class Batches:
    """Handles StartBatchOperation and what is asked of jobs."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        search_attributes: SearchAttributeRegistry,
        jobs: BatchJobs,
        ids: Ids,
        clock: Clock,
        settings: FrontendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._search_attributes = search_attributes
        self._jobs = jobs
        self._ids = ids
        self._clock = clock
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "StartBatchOperation": self.start,
            "StopBatchOperation": self.stop,
            "DescribeBatchOperation": self.describe,
            "ListBatchOperations": self.list_jobs,
        }

    async def start(
        self, request: wf.StartBatchOperationRequest, _context: RequestContext
    ) -> wf.StartBatchOperationResponse:
        """Starts a job, which goes on after this has been answered."""
        namespace = await self._namespaces.enter(request.namespace)
        _settle_executions(request)
        self._check_operation(request)
        if request.visibility_query:
            types = await self._search_attributes.types(namespace.id)
            parse_query(request.visibility_query, types, self._settings.queries)
        job = stored.BatchJob(
            request=request,
            state=RUNNING,
            start_time=self._clock.now(),
            run_id=self._ids.run_id(),
            start_request_id=self._ids.request_id(),
        )
        await self._jobs.start(
            namespace.id, job, most_running=self._settings.max_concurrent_batches
        )
        return wf.StartBatchOperationResponse()

    def _check_operation(self, request: wf.StartBatchOperationRequest) -> None:
        operation = request.WhichOneof("operation")
        named = bool(request.visibility_query) + bool(request.target_executions)
        if operation is None or not request.reason or not named:
            raise InvalidArgumentError(_MISSING)
        _check_job_id(request.job_id, self._settings.max_id_bytes)
        _check_executions(request)
        if named > 1:
            raise InvalidArgumentError(
                "visibility query, executions, and target executions are mutually exclusive"
            )
        most = self._settings.max_batch_executions
        if len(request.target_executions) > most:
            raise InvalidArgumentError(
                f"a batch operation may name {most} executions, not "
                f"{len(request.target_executions)}: use a query"
            )
        _check_details(request, operation)
        if operation not in OPERATIONS:
            raise UnimplementedError(
                f"batch operations of kind {operation} are not implemented by this server yet"
            )

    async def stop(
        self, request: wf.StopBatchOperationRequest, _context: RequestContext
    ) -> wf.StopBatchOperationResponse:
        """Stops a job."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_job_id(request.job_id, self._settings.max_id_bytes)
        if not request.reason:
            raise InvalidArgumentError("Reason is not set on request.")
        await self._jobs.stop(namespace.id, request.job_id)
        return wf.StopBatchOperationResponse()

    async def describe(
        self, request: wf.DescribeBatchOperationRequest, _context: RequestContext
    ) -> wf.DescribeBatchOperationResponse:
        """Says how far a job is."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_job_id(request.job_id, self._settings.max_id_bytes)
        job = await self._jobs.find(namespace.id, request.job_id)
        started = job.request
        response = wf.DescribeBatchOperationResponse(
            operation_type=_type(job),
            job_id=started.job_id,
            state=job.state,
            total_operation_count=job.total,
            complete_operation_count=job.complete,
            failure_operation_count=job.failed,
            identity=getattr(started, started.WhichOneof("operation") or "").identity,
            reason=started.reason,
            query=started.visibility_query,
            executions=started.target_executions,
        )
        set_timestamp(response.start_time, job.start_time)
        set_timestamp(response.close_time, job.close_time)
        return response

    async def list_jobs(
        self, request: wf.ListBatchOperationsRequest, _context: RequestContext
    ) -> wf.ListBatchOperationsResponse:
        """Lists jobs, newest first."""
        namespace = await self._namespaces.enter(request.namespace)
        after = cursor_of(request.next_page_token)
        jobs = [
            job
            for job in await self._jobs.newest_first(namespace.id)
            if after is None or (job.start_time, job.run_id) < (after.start_time, after.run_id)
        ]
        most = self._settings.list_page_size
        size = request.page_size if 0 < request.page_size <= most else _DEFAULT_PAGE
        response = wf.ListBatchOperationsResponse(operation_info=map(_info, jobs[:size]))
        if len(jobs) > size:
            last = jobs[size - 1]
            response.next_page_token = stored.VisibilityPageToken(
                start_time=last.start_time, run_id=last.run_id
            ).SerializeToString()
        return response


def _check_job_id(job_id: str, max_bytes: int) -> None:
    if not job_id:
        raise InvalidArgumentError("JobId is not set on request.")
    check_length("JobId", job_id, max_bytes)


def _settle_executions(request: wf.StartBatchOperationRequest) -> None:
    """Writes the executions of older clients where newer ones have them."""
    if request.executions and request.target_executions:
        raise InvalidArgumentError(
            "visibility query, executions, and target executions are mutually exclusive"
        )
    for old in request.executions:
        request.target_executions.append(
            Execution(
                type=kinds.EXECUTION_TYPE_WORKFLOW, business_id=old.workflow_id, run_id=old.run_id
            )
        )
    del request.executions[:]


def _check_executions(request: wf.StartBatchOperationRequest) -> None:
    for execution in request.target_executions:
        if execution.type not in {
            kinds.EXECUTION_TYPE_UNSPECIFIED,
            kinds.EXECUTION_TYPE_WORKFLOW,
        }:
            raise UnimplementedError(
                "batch operations on anything but workflows are not implemented by this server yet"
            )
        named = WorkflowExecution(workflow_id=execution.business_id, run_id=execution.run_id)
        check_execution(named, is_set=True)


def _check_details(request: wf.StartBatchOperationRequest, operation: str) -> None:
    if operation == "signal_operation" and not request.signal_operation.signal:
        raise InvalidArgumentError("must provide signal name")
    if operation == "update_workflow_options_operation" and not (
        request.update_workflow_options_operation.HasField("workflow_execution_options")
    ):
        raise InvalidArgumentError("must provide UpdateOptions")
    reset = request.reset_operation
    if operation == "reset_operation" and not (
        reset.reset_type or reset.options.WhichOneof("target")
    ):
        raise InvalidArgumentError("unknown batch reset type Unspecified")


def _type(job: stored.BatchJob) -> enums.BatchOperationType.ValueType:
    return OPERATIONS[job.request.WhichOneof("operation") or ""]


def _info(job: stored.BatchJob) -> BatchOperationInfo:
    info = BatchOperationInfo(job_id=job.request.job_id, state=job.state, operation_type=_type(job))
    set_timestamp(info.start_time, job.start_time)
    set_timestamp(info.close_time, job.close_time)
    return info
