"""Reading histories: pages, long polls, backwards.

Rules that hold here: only what is durable is shown. A page holds whole batches, as many as its size
says, as on the real server; it ends early rather than grow past what a gRPC message may hold.
"""

import asyncio
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import HistoryBatch, RunKey
from perdure.core.errors import InvalidArgumentError, UnavailableError
from perdure.core.protobuf import length_delimited
from perdure.core.workflow.state import Run
from perdure.core.workflow.transient import unwritten_events
from perdure.history.execution import Executor
from perdure.history.responses import PageLimit, first_page, in_memory
from perdure.history.workflows import run_key
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace

HISTORY = wf.GetWorkflowExecutionHistoryResponse.HISTORY_FIELD_NUMBER
NEXT_PAGE = wf.GetWorkflowExecutionHistoryResponse.NEXT_PAGE_TOKEN_FIELD_NUMBER
CLOSE_EVENT = enums.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


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
        _, run = await self._executor.read(key)
        token.run_id = run.key.run_id
        if request.history_event_filter_type == CLOSE_EVENT:
            return await self._close_event(run, token, timeout_seconds)
        if token.wait_new_event and token.next_event_id:
            run = await self._await_event(run, token.next_event_id, timeout_seconds)
        return await self._forward(run, token, request.maximum_page_size)

    async def _await_event(self, run: Run, next_event_id: int, timeout_seconds: float) -> Run:
        """Waits until the run has an event of that id, or is closed, or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        key = run.key
        while True:
            entry, run = await self._executor.read(key)
            remaining = deadline - loop.time()
            if run.state.next_event_id > next_event_id or not run.is_running or remaining <= 0:
                return run
            await entry.changed(remaining)

    async def _close_event(
        self, run: Run, token: stored.HistoryPageToken, timeout_seconds: float
    ) -> Encoded:
        # The real server waits here also where that is not asked.
        if run.is_running:
            run = await self._await_event(run, _NEVER, timeout_seconds)
        if run.is_running:
            if not token.wait_new_event:
                return _encode([], None)
            token.next_event_id = run.state.next_event_id
            return _encode([], token)
        event_id = run.state.close_event_id
        batches = await self._batches(run, event_id, event_id + 1, 1)
        parsed = history.History.FromString(batches[0].blob)
        last = [event for event in parsed.events if event.event_id == event_id]
        return _encode([history.History(events=last).SerializeToString()], None)

    async def _forward(self, run: Run, token: stored.HistoryPageToken, page_size: int) -> Encoded:
        first = token.next_event_id or 1
        end = token.end_event_id or run.state.next_event_id
        if token.wait_new_event:
            end = run.state.next_event_id
        limit = min(page_size, self._page.batches) if page_size > 0 else self._page.batches
        batches = await self._batches(run, first, end, limit)
        blobs, next_event_id = first_page(batches, first, limit, self._page.size_bytes)
        at_end = next_event_id >= end and len(blobs) < limit
        if at_end:
            if token.transient_events:
                blobs.append(token.transient_events)
            elif not token.end_event_id or token.wait_new_event:
                blobs.extend(unwritten_events(run))
            if not (token.wait_new_event and run.is_running):
                return _encode(blobs, None)
        token.next_event_id = next_event_id
        if not token.wait_new_event:
            token.end_event_id = end
        return _encode(blobs, token)

    async def _batches(
        self, run: Run, first_event_id: int, end_event_id: int, limit: int
    ) -> Sequence[HistoryBatch]:
        kept = in_memory(run, first_event_id, end_event_id)
        if kept is not None:
            return kept[:limit]
        try:
            return await self._store.read_history(run.key, first_event_id, end_event_id, limit)
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
        _, run = await self._executor.read(key)
        end = token.end_event_id or run.state.next_event_id
        size = request.maximum_page_size
        limit = min(size, self._page.batches) if size > 0 else self._page.batches
        batches = await self._last_batches(run.key, end, limit)
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
            following = stored.HistoryPageToken(run_id=run.key.run_id, end_event_id=oldest)
        return _encode([page.SerializeToString()], following)

    async def _last_batches(
        self, key: RunKey, end_event_id: int, limit: int
    ) -> Sequence[HistoryBatch]:
        try:
            return await self._store.read_history_reverse(key, end_event_id, limit)
        except StoreError as error:
            raise UnavailableError("The store is not available; try again.") from error


_NEVER = 2**62


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
