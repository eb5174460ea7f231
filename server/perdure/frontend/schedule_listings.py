"""Listing and counting schedules.

A schedule is listed by the row of its run: a query may name a schedule's own search attributes,
whether it is paused, and its id.
"""

from collections.abc import Mapping
from typing import Final

from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.schedule.v1.message_pb2 import ScheduleListEntry
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import SearchValue, VisibilityRow
from perdure.core.errors import InvalidArgumentError
from perdure.core.schedule.state import DIVISION, INFO_FIELD, WORKFLOW_ID_PREFIX, workflow_id
from perdure.core.visibility import catalogue
from perdure.core.visibility.parser import parse_query
from perdure.core.visibility.query import (
    And,
    Attribute,
    Comparison,
    Not,
    Operator,
    Or,
    ValueType,
    VisibilityFilter,
)
from perdure.frontend.gates import ScheduleGate
from perdure.frontend.listings import cursor_of, token_of
from perdure.frontend.settings import FrontendSettings
from perdure.persistence.ports import VisibilityStore
from perdure.rpc.clients import Namespace
from perdure.rpc.handler import Handler, RequestContext
from perdure.rpc.search_attributes import SearchAttributeRegistry

SCHEDULE_ID: Final = "ScheduleId"
_PAUSED: Final = "TemporalSchedulePaused"
_SERVER_FIELDS: Final = frozenset({_PAUSED, catalogue.NAMESPACE_DIVISION.name})


class ScheduleListings:
    """Handles ListSchedules and CountSchedules."""

    def __init__(
        self,
        *,
        namespaces: ScheduleGate,
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
        return {"ListSchedules": self.list_schedules, "CountSchedules": self.count}

    async def list_schedules(
        self, request: wf.ListSchedulesRequest, _context: RequestContext
    ) -> wf.ListSchedulesResponse:
        """Lists the schedules that a query matches."""
        namespace = await self._namespaces.enter(request.namespace)
        where = await self._where(namespace, request.query)
        most = self._settings.list_page_size
        limit = request.maximum_page_size if 0 < request.maximum_page_size <= most else most
        after = cursor_of(request.next_page_token)
        # One row more than the page tells whether there is another page.
        rows = await self._visibility.list_workflows(namespace.id, where, after, limit + 1)
        response = wf.ListSchedulesResponse(schedules=[_entry(row) for row in rows[:limit]])
        if len(rows) > limit:
            response.next_page_token = token_of(rows[limit - 1])
        return response

    async def count(
        self, request: wf.CountSchedulesRequest, _context: RequestContext
    ) -> wf.CountSchedulesResponse:
        """Counts the schedules that a query matches."""
        namespace = await self._namespaces.enter(request.namespace)
        where = await self._where(namespace, request.query)
        count = await self._visibility.count_workflows(namespace.id, where)
        return wf.CountSchedulesResponse(count=count)

    async def _where(self, namespace: Namespace, text: str) -> VisibilityFilter:
        types = await self._search_attributes.types(namespace.id)
        query = parse_query(text, {SCHEDULE_ID: ValueType.KEYWORD, **types})
        if query.group_by is not None:
            raise _unusable(query.group_by.name)
        return And((_OPEN, _IN_DIVISION, _translated(query.where)))


def _equals(attribute: Attribute, value: SearchValue) -> Comparison:
    return Comparison(attribute, Operator.EQUAL, (value,))


_OPEN: Final = _equals(catalogue.STATUS, enums.WORKFLOW_EXECUTION_STATUS_RUNNING)
_IN_DIVISION: Final = _equals(catalogue.NAMESPACE_DIVISION, DIVISION)


def _unusable(name: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'invalid query filter for schedules: cannot filter on "{name}"')


def _translated(where: VisibilityFilter) -> VisibilityFilter:
    """Returns a condition on schedules as one on their runs.

    Raises:
        InvalidArgumentError: It names what schedules are not listed by.
    """
    match where:
        case And(operands):
            return And(tuple(_translated(each) for each in operands))
        case Or(operands):
            return Or(tuple(_translated(each) for each in operands))
        case Not(operand):
            return Not(_translated(operand))
        case Comparison(attribute, operator, values):
            if attribute.name == SCHEDULE_ID:
                ids = tuple(workflow_id(str(each)) for each in values)
                return Comparison(catalogue.WORKFLOW_ID, operator, ids)
            if attribute.name in _BUILTIN:
                raise _unusable(attribute.name)
    return where


_BUILTIN: Final = frozenset(catalogue.builtin_types()) - {_PAUSED}


def _entry(row: VisibilityRow) -> ScheduleListEntry:
    entry = ScheduleListEntry(schedule_id=row.workflow_id.removeprefix(WORKFLOW_ID_PREFIX))
    entry.memo.MergeFromString(row.memo)
    entry.memo.SetInParent()
    if INFO_FIELD in entry.memo.fields:
        entry.info.ParseFromString(entry.memo.fields[INFO_FIELD].data)
        del entry.memo.fields[INFO_FIELD]
    entry.search_attributes.MergeFromString(row.search_attributes)
    fields = entry.search_attributes.indexed_fields
    for name in _SERVER_FIELDS & set(fields):
        del fields[name]
    if not fields:
        entry.ClearField("search_attributes")
    return entry
