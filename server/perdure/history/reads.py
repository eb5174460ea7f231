"""Reading histories: pages, long polls, backwards.

Rules that hold here: only what is durable is shown. A page holds whole batches, as many as its size
says, as on the real server; it ends early rather than grow past what a gRPC message may hold.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import HistoryBatch, RunKey
from perdure.core.errors import InvalidArgumentError, UnavailableError
from perdure.core.protobuf import length_delimited
from perdure.core.workflow.state import Run
from perdure.core.workflow.transient import unwritten_events
from perdure.history.entries import WorkflowEntry
from perdure.history.execution import Executor
from perdure.history.responses import PageLimit, first_page, in_memory
from perdure.history.workflows import run_key
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace

HISTORY = wf.GetWorkflowExecutionHistoryResponse.HISTORY_FIELD_NUMBER
NEXT_PAGE = wf.GetWorkflowExecutionHistoryResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER
CLOSE_EVENT = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


@dataclass(slots=True, frozen=True)
class _View:
    """A run at one moment, all of it durable."""

    entry: WorkflowEntry
    change: int
    key: RunKey
    next_event_id: int
    is_running: bool
    close_event_id: int
    tail: list[HistoryBatch]
    unwritten: list[bytes]


def _look(entry: WorkflowEntry, run: Run) -> _View:
    return _View(
        entry=entry,
        change=entry.change,
        key=run.key,
        next_event_id=run.state.next_event_id,
        is_running=run.is_running,
        close_event_id=run.state.close_event_id,
        tail=list(run.tail),
        unwritten=unwritten_events(run),
    )


class HistoryReader:
    """Answers GetWorkflowExecutionHistory and its reverse."""

    def __init__(self, *, executor: Executor, store: WorkflowStore, page: PageLimit) -> None:
        self._executor = executor
        self._store = store
        self._page = page

    async def page(
        self,
        namespace: Namespace,
        request: wf.GetWorkflowExecutionHistoryRequest,
        timeout_seconds: float,
    ) -> Encoded:
        """Returns a page, waiting for a new event or the run's end where that is asked."""
        token = _read_token(request.next_page_token)
        key = run_key(namespace, request.execution)
        if token.run_id:
            key = key._replace(run_id=token.run_id)
        token.wait_new_event = token.wait_new_event or request.wait_new_event
        view = await self._executor.observe(key, _look)
        token.run_id = view.key.run_id
        if request.history_event_filter_type == CLOSE_EVENT:
            return await self._close_event(view, token, timeout_seconds)
        if token.wait_new_event and token.next_event_id:
            view = await self._await_event(view, token.next_event_id, timeout_seconds)
        return await self._forward(view, token, request.maximum_page_size)

    async def _await_event(self, view: _View, next_event_id: int, timeout_seconds: float) -> _View:
        """Waits until the run has an event of that id, or is closed, or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while view.next_event_id <= next_event_id and view.is_running:
            remaining = deadline - loop.time()
            if remaining <= 0:
                break
            await view.entry.changed_since(view.change, remaining)
            view = await self._executor.observe(view.key, _look)
        return view

    async def _await_end(self, view: _View, timeout_seconds: float) -> _View:
        """Waits until the run is closed, or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while view.is_running:
            remaining = deadline - loop.time()
            if remaining <= 0:
                break
            await view.entry.ended(view.key.run_id, remaining)
            view = await self._executor.observe(view.key, _look)
        return view

    async def _close_event(
        self, view: _View, token: stored.HistoryPageToken, timeout_seconds: float
    ) -> Encoded:
        # The real server waits here also where that is not asked.
        view = await self._await_end(view, timeout_seconds)
        if view.is_running:
            if not token.wait_new_event:
                return _encode([], None)
            token.next_event_id = view.next_event_id
            return _encode([], token)
        event_id = view.close_event_id
        batches = await self._batches(view, event_id, event_id + 1, 1)
        parsed = history.History.FromString(batches[0].blob)
        last = [event for event in parsed.events if event.event_id == event_id]
        return _encode([history.History(events=last).SerializeToString()], None)

    async def _forward(
        self, view: _View, token: stored.HistoryPageToken, page_size: int
    ) -> Encoded:
        first = token.next_event_id or 1
        end = token.end_event_id or view.next_event_id
        if token.wait_new_event:
            end = view.next_event_id
        limit = min(page_size, self._page.batches) if page_size > 0 else self._page.batches
        batches = await self._batches(view, first, end, limit)
        blobs, next_event_id = first_page(batches, first, limit, self._page.size_bytes)
        if next_event_id >= end and len(blobs) < limit:
            if token.transient_events:
                blobs.append(token.transient_events)
            elif end == view.next_event_id:
                # Nothing was written since the first page: they follow what that has promised.
                blobs.extend(view.unwritten)
            if not (token.wait_new_event and view.is_running):
                return _encode(blobs, None)
        token.next_event_id = next_event_id
        if not token.wait_new_event:
            token.end_event_id = end
        return _encode(blobs, token)

    async def _batches(
        self, view: _View, first_event_id: int, end_event_id: int, limit: int
    ) -> Sequence[HistoryBatch]:
        kept = in_memory(view.tail, first_event_id, end_event_id)
        if kept is not None:
            return kept[:limit]
        try:
            return await self._store.read_history(view.key, first_event_id, end_event_id, limit)
        except StoreError as error:
            raise UnavailableError("The store is not available; try again.") from error

    async def reverse(
        self, namespace: Namespace, request: wf.GetWorkflowExecutionHistoryReverseRequest
    ) -> Encoded:
        """Returns a page, newest event first."""
        token = _read_token(request.next_page_token)
        key = run_key(namespace, request.execution)
        if token.run_id:
            key = key._replace(run_id=token.run_id)
        view = await self._executor.observe(key, _look)
        end = token.end_event_id or view.next_event_id
        size = request.maximum_page_size
        limit = min(size, self._page.batches) if size > 0 else self._page.batches
        batches = await self._last_batches(view.key, end, limit)
        page = history.History()
        total = 0
        for batch in batches:
            parsed = history.History.FromString(batch.blob)
            page.events.extend(event for event in reversed(parsed.events) if event.event_id < end)
            total += len(batch.blob)
            if total >= self._page.size_bytes:
                break
        oldest = page.events[-1].event_id if page.events else 1
        following = None
        if oldest > 1:
            following = stored.HistoryPageToken(run_id=view.key.run_id, end_event_id=oldest)
        return _encode([page.SerializeToString()], following)

    async def _last_batches(
        self, key: RunKey, end_event_id: int, limit: int
    ) -> Sequence[HistoryBatch]:
        try:
            return await self._store.read_history_reverse(key, end_event_id, limit)
        except StoreError as error:
            raise UnavailableError("The store is not available; try again.") from error


def _read_token(blob: bytes) -> stored.HistoryPageToken:
    try:
        token = stored.HistoryPageToken.FromString(blob)
    except DecodeError:
        raise InvalidArgumentError("Invalid NextPageToken.") from None
    if blob and not token.run_id:
        raise InvalidArgumentError("Invalid NextPageToken.")
    return token


def _encode(blobs: Sequence[bytes], following: stored.HistoryPageToken | None) -> Encoded:
    encoded = length_delimited(HISTORY, *blobs)
    if following is not None:
        encoded += length_delimited(NEXT_PAGE, following.SerializeToString())
    return Encoded(encoded)
