"""Listing and counting workflows."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

from google.protobuf.message import DecodeError
from temporalio.api.common.v1.message_pb2 import Payload
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.filter.v1.message_pb2 import StartTimeFilter
from temporalio.api.workflow.v1.message_pb2 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import set_duration, set_timestamp, timestamp_ns
from perdure.core.visibility import catalogue
from perdure.core.visibility.checking import STATUS_NAMES
from perdure.core.visibility.parser import ParsedQuery, outside_divisions, parse_query
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Operator,
    VisibilityFilter,
)
from perdure.core.visibility.values import clamped
from perdure.frontend.gates import NamespaceGate
from perdure.frontend.settings import FrontendSettings
from perdure.persistence.ports import VisibilityCursor, VisibilityStore
from perdure.proto.stored_pb2 import VisibilityPageToken
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.rpc.status import MaskedError

_OldRequest = wf.ListOpenWorkflowExecutionsRequest | wf.ListClosedWorkflowExecutionsRequest
_UNREADABLE: Final = "page-token"


class Listings:
    """Handles the RPCs that list and count workflows."""

    def __init__(
        self,
        *,
        namespaces: NamespaceGate,
        search_attributes: SearchAttributeRegistry,
        visibility: VisibilityStore,
        settings: FrontendSettings,
    ) -> None:
        self._namespaces = namespaces
        self._search_attributes = search_attributes
        self._visibility = visibility
        self._settings = settings

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by RPC name."""
        return {
            "ListWorkflowExecutions": self.list_workflows,
            "ScanWorkflowExecutions": self.scan,
            "CountWorkflowExecutions": self.count,
            "ListOpenWorkflowExecutions": self.list_open,
            "ListClosedWorkflowExecutions": self.list_closed,
            "ListArchivedWorkflowExecutions": self.list_archived,
        }

    async def list_workflows(
        self, request: wf.ListWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.ListWorkflowExecutionsResponse:
        """Lists the runs that a query matches."""
        namespace = await self._namespaces.enter(request.namespace)
        query = await self._parse(namespace, request.query)
        infos, token = await self._page(
            namespace, query.visible, request.page_size, request.next_page_token
        )
        return wf.ListWorkflowExecutionsResponse(executions=infos, next_page_token=token)

    async def scan(
        self, request: wf.ScanWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.ScanWorkflowExecutionsResponse:
        """Lists the runs that a query matches, as it does ListWorkflowExecutions."""
        namespace = await self._namespaces.enter(request.namespace)
        query = await self._parse(namespace, request.query)
        infos, token = await self._page(
            namespace, query.visible, request.page_size, request.next_page_token
        )
        return wf.ScanWorkflowExecutionsResponse(executions=infos, next_page_token=token)

    async def count(
        self, request: wf.CountWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.CountWorkflowExecutionsResponse:
        """Counts the runs that a query matches, in groups if it asks for that."""
        namespace = await self._namespaces.enter(request.namespace)
        query = await self._parse(namespace, request.query)
        if query.group_by is None:
            count = await self._visibility.count_workflows(namespace.id, query.visible)
            return wf.CountWorkflowExecutionsResponse(count=count)
        counts = await self._visibility.count_workflows_by(
            namespace.id, query.visible, query.group_by
        )
        return _grouped(query.group_by, counts)

    async def list_open(
        self, request: wf.ListOpenWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.ListOpenWorkflowExecutionsResponse:
        """Lists runs that are open."""
        namespace = await self._namespaces.enter(request.namespace)
        running = Comparison(
            catalogue.STATUS, Operator.EQUAL, (enums.WORKFLOW_EXECUTION_STATUS_RUNNING,)
        )
        infos, token = await self._page(
            namespace,
            outside_divisions(And((running, *_old_filters(request)))),
            request.maximum_page_size,
            request.next_page_token,
        )
        return wf.ListOpenWorkflowExecutionsResponse(executions=infos, next_page_token=token)

    async def list_closed(
        self, request: wf.ListClosedWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.ListClosedWorkflowExecutionsResponse:
        """Lists runs that are closed."""
        namespace = await self._namespaces.enter(request.namespace)
        filters = _old_filters(request)
        running = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
        closed: VisibilityFilter = Comparison(catalogue.STATUS, Operator.NOT_EQUAL, (running,))
        if request.HasField("status_filter"):
            status = request.status_filter.status
            if status in (enums.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED, running):
                raise InvalidArgumentError(
                    "StatusFilter must be specified and must be not Running."
                )
            closed = Comparison(catalogue.STATUS, Operator.EQUAL, (status,))
        infos, token = await self._page(
            namespace,
            outside_divisions(And((closed, *filters))),
            request.maximum_page_size,
            request.next_page_token,
        )
        return wf.ListClosedWorkflowExecutionsResponse(executions=infos, next_page_token=token)

    async def list_archived(
        self, request: wf.ListArchivedWorkflowExecutionsRequest, _context: RequestContext
    ) -> wf.ListArchivedWorkflowExecutionsResponse:
        """Refuses: nothing is archived."""
        await self._namespaces.enter(request.namespace)
        raise InvalidArgumentError("Cluster is not configured for visibility archival.")

    async def _parse(self, namespace: Namespace, query: str) -> ParsedQuery:
        types = await self._search_attributes.types(namespace.id)
        return parse_query(query, types, self._settings.queries)

    async def _page(
        self, namespace: Namespace, where: VisibilityFilter, size: int, token: bytes
    ) -> tuple[list[WorkflowExecutionInfo], bytes]:
        most = self._settings.list_page_size
        limit = size if 0 < size <= most else most
        # One row more than the page tells whether there is another page.
        rows = await self._visibility.list_workflows(
            namespace.id, where, cursor_of(token), limit + 1
        )
        infos = [_info(row) for row in rows[:limit]]
        return infos, token_of(rows[limit - 1]) if len(rows) > limit else b""


def _grouped(
    attribute: Attribute, counts: Mapping[SearchValue | None, int]
) -> wf.CountWorkflowExecutionsResponse:
    response = wf.CountWorkflowExecutionsResponse(count=sum(counts.values()))
    groups: Counter[int | str] = Counter()
    for value, count in counts.items():
        # Those without the attribute are counted with those whose value is empty.
        assert value is None or isinstance(value, int | str), value
        groups[value or ""] += count
    for value, count in sorted(groups.items()):
        name = STATUS_NAMES[int(value)] if attribute == catalogue.STATUS else str(value)
        group = response.groups.add(count=count)
        group.group_values.append(_keyword(name))
    return response


def cursor_of(token: bytes) -> VisibilityCursor | None:
    """Returns where a page token goes on; None for the first page."""
    if not token:
        return None
    try:
        parsed = VisibilityPageToken.FromString(token)
    except DecodeError:
        # The real server does not expect this either, and says no more.
        raise MaskedError(_UNREADABLE) from None
    return VisibilityCursor(parsed.close_time, parsed.start_time, parsed.run_id)


def token_of(row: VisibilityRow) -> bytes:
    """Returns the token of the page after a row."""
    return VisibilityPageToken(
        close_time=row.close_time, start_time=row.start_time, run_id=row.run_id
    ).SerializeToString()


def _info(row: VisibilityRow) -> WorkflowExecutionInfo:
    info = WorkflowExecutionInfo(task_queue=row.task_queue)
    info.status = row.status  # type: ignore[assignment]
    info.execution.workflow_id = row.workflow_id
    info.execution.run_id = row.run_id
    info.type.name = row.workflow_type
    set_timestamp(info.start_time, row.start_time)
    set_timestamp(info.execution_time, row.execution_time)
    info.memo.MergeFromString(row.memo)
    info.memo.SetInParent()
    info.search_attributes.SetInParent()
    if row.search_attributes:
        info.search_attributes.MergeFromString(row.search_attributes)
    if row.parent_workflow_id:
        info.parent_execution.workflow_id = row.parent_workflow_id
        info.parent_execution.run_id = row.parent_run_id
    info.root_execution.workflow_id = row.root_workflow_id or row.workflow_id
    info.root_execution.run_id = row.root_run_id or row.run_id
    if row.close_time:
        set_timestamp(info.close_time, row.close_time)
        set_duration(info.execution_duration, max(0, row.close_time - row.execution_time))
        info.history_length = row.history_length
        info.history_size_bytes = row.history_size_bytes
        info.state_transition_count = row.state_transition_count
    return info


def _old_filters(request: _OldRequest) -> list[VisibilityFilter]:
    filters: list[VisibilityFilter] = []
    if request.HasField("start_time_filter"):
        filters += _started_between(request.start_time_filter)
    if request.HasField("execution_filter"):
        # The real server does not look at the run's id either.
        filters.append(_equals(catalogue.WORKFLOW_ID, request.execution_filter.workflow_id))
    if request.HasField("type_filter"):
        filters.append(_equals(catalogue.WORKFLOW_TYPE, request.type_filter.name))
    return filters


def _started_between(wanted: StartTimeFilter) -> list[VisibilityFilter]:
    earliest = timestamp_ns(wanted.earliest_time) if wanted.HasField("earliest_time") else None
    latest = timestamp_ns(wanted.latest_time) if wanted.HasField("latest_time") else None
    if earliest is not None and latest is not None and earliest > latest:
        raise InvalidArgumentError(
            "EarliestTime in StartTimeFilter should not be larger than LatestTime."
        )
    bounds = ((Operator.GREATER_EQUAL, earliest), (Operator.LESS_EQUAL, latest))
    return [
        Comparison(catalogue.START_TIME, operator, (clamped(bound),))
        for operator, bound in bounds
        if bound is not None
    ]


def _equals(attribute: Attribute, value: SearchValue) -> Comparison:
    return Comparison(attribute, Operator.EQUAL, (value,))


def _keyword(text: str) -> Payload:
    payload = Payload(data=json.dumps(text, ensure_ascii=False).encode())
    payload.metadata["encoding"] = b"json/plain"
    payload.metadata["type"] = b"Keyword"
    return payload
