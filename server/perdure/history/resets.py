"""Resets of workflows: reading what a run has been, and beginning another one with it.

The histories are read before the step, page by page, so that other workflows go on meanwhile; the
step then makes sure that nothing has happened since, or the reading begins again.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import HistoryBatch, RunKey
from perdure.core.errors import InvalidArgumentError, UnavailableError
from perdure.core.reset.begin import Past, begin_reset, cut
from perdure.core.reset.reapply import of_base, wanted_types
from perdure.core.reset.rebuild import Rebuilt
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.entries import WorkflowEntry
from perdure.history.execution import Executor
from perdure.history.workflows import run_key
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.rpc.clients import Namespace
from perdure.runtime.ports import Ids

READINGS = 5
"""How often histories are read again because the workflow went on meanwhile."""
PAGE_BATCHES = 256


class _View(NamedTuple):
    """A run at one moment, all of it durable."""

    key: RunKey
    next_event_id: int
    continued_as: str


def _look(_: WorkflowEntry, run: Run) -> _View:
    continued = run.state.status == enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
    return _View(run.key, run.state.next_event_id, run.state.new_run_id if continued else "")


class Resets:
    """Resets workflows."""

    def __init__(
        self, *, executor: Executor, store: WorkflowStore, ids: Ids, settings: WorkflowSettings
    ) -> None:
        self._executor = executor
        self._store = store
        self._ids = ids
        self._max_reset_points = settings.max_auto_reset_points

    async def reset(
        self, namespace: Namespace, request: wf.ResetWorkflowExecutionRequest
    ) -> wf.ResetWorkflowExecutionResponse:
        """Begins a run with another one's history up to a workflow task.

        Raises:
            InvalidArgumentError: There is no such point, or no workflow task is pending there.
            NotFoundError: There is no such run.
            UnavailableError: The workflow goes on faster than its history can be read.
        """
        key = run_key(namespace, request.workflow_execution)
        for _ in range(READINGS):
            view = await self._executor.observe(key, _look)
            past = await self._read(view, request)

            def act(step: Step, base: Run, past: Past = past) -> str:
                current = step.current
                assert current is not None, "who has a run has a current one"
                if current.state.reset_request_id == request.request_id:
                    return current.key.run_id
                if not past.is_complete(current):
                    return ""
                return begin_reset(step, base, past, request).key.run_id

            run_id = await self._executor.update(view.key, act)
            if run_id:
                return wf.ResetWorkflowExecutionResponse(run_id=run_id)
        raise UnavailableError("The workflow goes on while it is being reset; try again.")

    async def _read(self, view: _View, request: wf.ResetWorkflowExecutionRequest) -> Past:
        target = request.workflow_task_finish_event_id
        if not 1 < target < view.next_event_id:
            raise InvalidArgumentError(
                "Workflow task finish ID must be > 1 && <= workflow last event ID."
            )
        rebuilt = Rebuilt(self._ids.run_id(), self._max_reset_points)
        past = Past(rebuilt)
        wanted = wanted_types(request)
        passed_on = of_base(wanted)
        at_boundary = False
        async for batch in self._batches(view.key, view.next_event_id):
            parsed = history.History.FromString(batch.blob).events
            for event in parsed:
                if event.event_id < target:
                    rebuilt.apply(event)
                elif event.event_type in passed_on:
                    past.later.append(event)
            past.batches += cut([batch], target - 1)
            at_boundary = at_boundary or batch.last_event_id == target - 1
        _check_point(rebuilt, target, at_boundary=at_boundary)
        await self._read_chain(view, past, wanted)
        return past

    async def _read_chain(
        self, view: _View, past: Past, wanted: frozenset[events.EventType.ValueType]
    ) -> None:
        """Reads what the runs say that continued the one that is reset."""
        while view.continued_as:
            key = view.key._replace(run_id=view.continued_as)
            view = await self._executor.observe(key, _look)
            async for batch in self._batches(key, view.next_event_id):
                parsed = history.History.FromString(batch.blob).events
                past.later += [event for event in parsed if event.event_type in wanted]
        past.tip = (view.key.run_id, view.next_event_id)

    async def _batches(self, key: RunKey, end: int) -> AsyncIterator[HistoryBatch]:
        first = 1
        while first < end:
            try:
                page = await self._store.read_history(key, first, end, PAGE_BATCHES)
            except StoreError as error:
                raise UnavailableError("The store is not available; try again.") from error
            if not page:
                raise UnavailableError("The run is being deleted; try again.")
            for batch in page:
                yield batch
            first = page[-1].last_event_id + 1


def _check_point(rebuilt: Rebuilt, target: int, *, at_boundary: bool) -> None:
    if rebuilt.scheduled_task:
        return
    if not at_boundary:
        raise InvalidArgumentError(
            f"StateRebuilder unable to Rebuild mutable state to event ID: {target - 1}, "
            "version: 0, this event must be at the boundary"
        )
    raise InvalidArgumentError(
        "Can only reset workflow to event ID in range "
        f"[WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: {target}"
    )
