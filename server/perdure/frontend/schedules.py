"""Schedules: what clients ask of them."""

from collections.abc import Mapping
from typing import Final

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflow.v1.message_pb2 import NewWorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    QueryFailedError,
)
from perdure.core.schedule.cron import InvalidSpecError
from perdure.core.schedule.spec import canonical
from perdure.core.schedule.state import workflow_id
from perdure.core.visibility import attributes
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.validation.durations import check_duration
from perdure.frontend.validation.identifiers import check_length, check_workflow_id
from perdure.frontend.validation.payloads import check_blob, check_memo
from perdure.frontend.validation.priorities import check_priority
from perdure.frontend.validation.task_queues import check_start_queue
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.runtime.ports import Ids

SUFFIX_BYTES: Final = len("-2006-01-02T15:04:05Z")
"""What is added to the ids of the workflows that a schedule starts."""
_REUSE_POLICIES: Final = frozenset(
    {
        enums.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED,
        enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    }
)


class Schedules:
    """Handles the RPCs that create, describe, change and delete one schedule."""

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
            "CreateSchedule": self.create,
            "DescribeSchedule": self.describe,
            "UpdateSchedule": self.update,
            "PatchSchedule": self.patch,
            "ListScheduleMatchingTimes": self.matching_times,
            "DeleteSchedule": self.delete,
        }

    async def create(
        self, request: wf.CreateScheduleRequest, _context: RequestContext
    ) -> wf.CreateScheduleResponse:
        """Creates a schedule."""
        namespace = await self._namespaces.enter(request.namespace)
        limit = self._settings.max_id_bytes
        if not request.request_id:
            raise InvalidArgumentError("RequestId is not set on request.")
        _check_id(request.schedule_id)
        check_workflow_id(workflow_id(request.schedule_id), limit)
        check_length("RequestId", request.request_id, limit)
        await self._check_attributes(namespace, request)
        check_memo(request.memo, self._settings.max_memo_bytes)
        await self._check_schedule(namespace, request.schedule)
        return await self._history.create_schedule(namespace, request)

    async def describe(
        self, request: wf.DescribeScheduleRequest, _context: RequestContext
    ) -> wf.DescribeScheduleResponse:
        """Describes a schedule."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_id(request.schedule_id)
        return await self._history.describe_schedule(namespace, request)

    async def update(
        self, request: wf.UpdateScheduleRequest, _context: RequestContext
    ) -> wf.UpdateScheduleResponse:
        """Replaces a schedule's definition."""
        namespace = await self._namespaces.enter(request.namespace)
        if not request.schedule.action.HasField("start_workflow"):
            raise InvalidArgumentError("Only StartWorkflow action is supported for schedules")
        if request.HasField("memo"):
            raise FailedPreconditionError(
                "memo updates are not supported on workflow-backed schedules"
            )
        _check_id(request.schedule_id)
        check_length("RequestId", request.request_id, self._settings.max_id_bytes)
        await self._check_attributes(namespace, request)
        await self._check_schedule(namespace, request.schedule)
        if not request.request_id:
            request.request_id = self._ids.request_id()
        return await self._history.update_schedule(namespace, request)

    async def patch(
        self, request: wf.PatchScheduleRequest, _context: RequestContext
    ) -> wf.PatchScheduleResponse:
        """Triggers, backfills, pauses or unpauses a schedule."""
        namespace = await self._namespaces.enter(request.namespace)
        if not request.HasField("patch"):
            raise InvalidArgumentError("Patch is not set on request.")
        _check_id(request.schedule_id)
        check_length("RequestId", request.request_id, self._settings.max_id_bytes)
        if not request.request_id:
            request.request_id = self._ids.request_id()
        return await self._history.patch_schedule(namespace, request)

    async def matching_times(
        self, request: wf.ListScheduleMatchingTimesRequest, _context: RequestContext
    ) -> wf.ListScheduleMatchingTimesResponse:
        """Returns the times of a schedule in a range."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_id(request.schedule_id)
        if not (request.HasField("start_time") and request.HasField("end_time")):
            # It must exist before anything else is wrong.
            await self._history.describe_schedule(
                namespace, wf.DescribeScheduleRequest(schedule_id=request.schedule_id)
            )
            raise QueryFailedError("missing or invalid query")
        return await self._history.list_schedule_matching_times(namespace, request)

    async def delete(
        self, request: wf.DeleteScheduleRequest, _context: RequestContext
    ) -> wf.DeleteScheduleResponse:
        """Ends a schedule; the workflows that it has started go on."""
        namespace = await self._namespaces.enter(request.namespace)
        _check_id(request.schedule_id)
        return await self._history.delete_schedule(namespace, request)

    async def _check_attributes(
        self,
        namespace: Namespace,
        holder: wf.CreateScheduleRequest | wf.UpdateScheduleRequest | NewWorkflowExecutionInfo,
    ) -> None:
        if not holder.search_attributes.indexed_fields:
            return
        types = await self._search_attributes.types(namespace.id)
        attributes.validate(
            holder.search_attributes,
            types,
            namespace=namespace.name,
            limits=self._settings.search_attributes,
        )
        attributes.add_types(holder.search_attributes, types)

    async def _check_schedule(self, namespace: Namespace, given: schedule.Schedule) -> None:
        if given.action.HasField("start_workflow"):
            await self._check_action(namespace, given.action.start_workflow)
        try:
            canonical(given.spec)
        except InvalidSpecError as error:
            raise InvalidArgumentError(f"Invalid schedule spec: {error}") from None

    async def _check_action(self, namespace: Namespace, action: NewWorkflowExecutionInfo) -> None:
        limit = self._settings.max_id_bytes
        if action.workflow_id:
            check_workflow_id(action.workflow_id + "-" * SUFFIX_BYTES, limit)
        if not action.workflow_type.name:
            raise InvalidArgumentError("WorkflowType is not set on request.")
        check_length("WorkflowType", action.workflow_type.name, limit)
        check_start_queue(action.task_queue, is_set=action.HasField("task_queue"), max_bytes=limit)
        check_duration("WorkflowExecutionTimeout", action.workflow_execution_timeout)
        check_duration("WorkflowRunTimeout", action.workflow_run_timeout)
        check_duration("WorkflowTaskTimeout", action.workflow_task_timeout)
        if action.cron_schedule:
            raise InvalidArgumentError("Scheduled workflow must not contain CronSchedule")
        if action.workflow_id_reuse_policy not in _REUSE_POLICIES:
            raise InvalidArgumentError("Scheduled workflow must not contain WorkflowIDReusePolicy")
        await self._check_attributes(namespace, action)
        check_priority(action.priority, self._settings.max_fairness_key_bytes)
        check_memo(action.memo, self._settings.max_memo_bytes)
        check_blob(action.input, self._settings.max_blob_bytes)


def _check_id(schedule_id: str) -> None:
    if not schedule_id:
        raise InvalidArgumentError("Can't load workflow execution.  WorkflowId not set.")
    if "\0" in schedule_id:
        raise NotFoundError(f"workflow not found for ID: {workflow_id(schedule_id)}")
