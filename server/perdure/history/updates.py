"""Updates: taking them in, and waiting for what becomes of them.

Rules that hold here: an update lives in its run, and whoever waits for it looks at the run again
whenever something of it has changed; so nothing is answered that is not durable, and what the
waiters hold is bounded by the updates that a run may have in flight. When the run leaves memory
(a commit was lost, the shard went elsewhere), the update is taken in again by its id.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import update_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.update.v1 import message_pb2 as update_messages
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import RunKey
from perdure.core.errors import (
    AbortedError,
    MultiOperationError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from perdure.core.update import outcomes
from perdure.core.update.outcomes import ADMITTED, COMPLETED, Found, Progress
from perdure.core.update.transitions import CLOSED_BEFORE_ACCEPTED, WorkflowClosingError
from perdure.core.update.with_start import Begun, start_and_update, update_failed
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.entries import WorkflowEntry
from perdure.history.execution import Executor
from perdure.history.ports import UpdateObserver
from perdure.history.responses import find_event, in_memory
from perdure.history.workflows import check_chain, link_to_start, run_key
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.rpc.clients import Namespace

Stage = enums.UpdateWorkflowExecutionLifecycleStage


@dataclass(slots=True, frozen=True)
class _View:
    """An update at one moment, all of it durable."""

    entry: WorkflowEntry
    change: int
    progress: Progress


class _Forgotten(Exception):
    """The run has left memory, and what was admitted with it."""


class Updates:
    """Takes in updates and waits for them."""

    def __init__(
        self, *, executor: Executor, store: WorkflowStore, observer: UpdateObserver
    ) -> None:
        self._executor = executor
        self._store = store
        self._observer = observer

    async def update(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionRequest, timeout: float
    ) -> wf.UpdateWorkflowExecutionResponse:
        """Updates a run, and waits up to `timeout` seconds for the stage that is asked for.

        Raises:
            NotFoundError: There is no such run, or it closes and takes no more updates.
        """
        key = run_key(namespace, request.workflow_execution)

        def act(step: Step, run: Run) -> Found:
            check_chain(run, request.first_execution_run_id)
            return outcomes.request(step.edit(run), request.request)

        wanted = request.wait_policy.lifecycle_stage
        self._observer.update_requested(namespace.name, completed=wanted == COMPLETED)
        deadline = asyncio.get_running_loop().time() + timeout
        found = await self._executor.update(key, act)
        self._count(found)
        while True:
            try:
                reached = await self._reached(found, wanted, deadline)
            except (_Forgotten, WorkflowClosingError):
                found = await self._again(key, act, deadline)
            else:
                return _update_response(namespace, found.run.key, request.request, reached)

    def _count(self, found: Found) -> None:
        if found.is_new:
            in_flight = found.run.updates.values()
            self._observer.update_admitted(sum(each.size_bytes for each in in_flight))

    async def _again(
        self, key: RunKey, act: Callable[[Step, Run], Found], deadline: float
    ) -> Found:
        """Takes an update in again, as soon as its run does not want to close any more."""
        while True:
            _check_time(deadline)
            entry, change = await self._executor.observe(
                key, lambda entry, _: (entry, entry.change)
            )
            try:
                return await self._executor.update(key, act)
            except WorkflowClosingError:
                remaining = deadline - asyncio.get_running_loop().time()
                if remaining <= 0:
                    raise
                await entry.changed_since(change, remaining)

    async def poll(
        self, namespace: Namespace, request: wf.PollWorkflowExecutionUpdateRequest, timeout: float
    ) -> wf.PollWorkflowExecutionUpdateResponse:
        """Waits up to `timeout` seconds for an update to reach a stage.

        Raises:
            NotFoundError: The run knows no such update.
        """
        update_id = request.update_ref.update_id
        key = run_key(namespace, request.update_ref.workflow_execution)

        def look(_: WorkflowEntry, run: Run) -> Found:
            found = outcomes.find(run, update_id)
            if found is None:
                raise NotFoundError(f'update "{update_id}" not found')
            return found

        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            found = await self._executor.observe(key, look)
            try:
                reached = await self._reached(found, request.wait_policy.lifecycle_stage, deadline)
            except _Forgotten:
                _check_time(deadline)
                continue
            response = wf.PollWorkflowExecutionUpdateResponse(
                outcome=reached.outcome, stage=reached.stage
            )
            _refer(response.update_ref, found.run.key, update_id)
            return response

    async def start_and_update(
        self, namespace: Namespace, request: wf.ExecuteMultiOperationRequest, timeout: float
    ) -> wf.ExecuteMultiOperationResponse:
        """Updates a workflow, which is started if need be; waits up to `timeout` seconds.

        Raises:
            MultiOperationError: One of the two has failed.
        """
        start = request.operations[0].start_workflow
        asked = request.operations[1].update_workflow
        deadline = asyncio.get_running_loop().time() + timeout
        closed_once = False
        wanted = asked.wait_policy.lifecycle_stage
        self._observer.update_requested(namespace.name, completed=wanted == COMPLETED)
        while True:
            begun = await self._executor.start(
                namespace.id,
                start.workflow_id,
                lambda step: start_and_update(step, namespace.id, start, asked.request),
                assume_new=True,
            )
            self._count(begun.found)
            try:
                reached = await self._reached(begun.found, wanted, deadline)
            except (_Forgotten, WorkflowClosingError):
                _check_time(deadline)
            except ServiceError as error:
                if begun.is_new or error.message != CLOSED_BEFORE_ACCEPTED:
                    raise update_failed(error, started=begun.is_new) from error
                if closed_once:
                    raise _closed_again(error) from error
                # A run that was there closes: now one is started.
                closed_once = True
            else:
                return _both(namespace, start, asked, begun, reached)

    async def _reached(self, found: Found, wanted: Stage.ValueType, deadline: float) -> Progress:
        """Waits until an update has come as far as is wanted, or has ended, or time is up.

        Raises:
            _Forgotten: The run has left memory.
            ServiceError: The update was aborted.
        """
        subject, run = found.update, found.run
        if subject is None:
            return Progress(COMPLETED, await self._recorded(run, found.completed_event_id))

        def look(entry: WorkflowEntry, held: Run) -> _View:
            if held is not run:
                raise _Forgotten
            return _View(entry, entry.change, outcomes.progress(subject, run))

        loop = asyncio.get_running_loop()
        while True:
            view = await self._executor.observe(run.key, look)
            reached = view.progress
            if reached.error is not None:
                raise reached.error
            remaining = deadline - loop.time()
            if reached.stage >= wanted or remaining <= 0:
                return reached
            await view.entry.changed_since(view.change, remaining)

    async def _recorded(self, run: Run, event_id: int) -> update_messages.Outcome:
        """Returns how an update ended, by the event that says so."""
        batches = in_memory(run.tail, event_id, event_id + 1)
        if batches is None:
            try:
                batches = list(await self._store.read_history(run.key, event_id, event_id + 1, 1))
            except StoreError as error:
                raise UnavailableError("The store is not available; try again.") from error
        event = find_event(history.History.FromString(batches[0].blob), event_id)
        assert event is not None, "a batch holds all the events that it names"
        return event.workflow_execution_update_completed_event_attributes.outcome


def _check_time(deadline: float) -> None:
    if asyncio.get_running_loop().time() >= deadline:
        raise UnavailableError("workflow update was aborted")


def _closed_again(error: ServiceError) -> MultiOperationError:
    return update_failed(AbortedError(error.message), started=False)


def _refer(reference: update_messages.UpdateRef, key: RunKey, update_id: str) -> None:
    reference.workflow_execution.workflow_id = key.workflow_id
    reference.workflow_execution.run_id = key.run_id
    reference.update_id = update_id


def _update_response(
    namespace: Namespace, key: RunKey, asked: update_messages.Request, reached: Progress
) -> wf.UpdateWorkflowExecutionResponse:
    response = wf.UpdateWorkflowExecutionResponse(outcome=reached.outcome, stage=reached.stage)
    _refer(response.update_ref, key, asked.meta.update_id)
    if reached.stage != ADMITTED:
        _link(response.link, namespace, key, asked, reached)
    return response


def _link(
    link: common.Link,
    namespace: Namespace,
    key: RunKey,
    asked: update_messages.Request,
    reached: Progress,
) -> None:
    if reached.outcome is not None and reached.outcome.HasField("failure"):
        link.workflow.namespace = namespace.name
        link.workflow.workflow_id = key.workflow_id
        link.workflow.run_id = key.run_id
        link.workflow.reason = "Update rejected"
        return
    event = link.workflow_event
    event.namespace = namespace.name
    event.workflow_id = key.workflow_id
    event.run_id = key.run_id
    event.request_id_ref.request_id = asked.request_id
    event.request_id_ref.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED


def _both(
    namespace: Namespace,
    start: wf.StartWorkflowExecutionRequest,
    asked: wf.UpdateWorkflowExecutionRequest,
    begun: Begun,
    reached: Progress,
) -> wf.ExecuteMultiOperationResponse:
    response = wf.ExecuteMultiOperationResponse()
    started = response.responses.add().start_workflow
    started.run_id = begun.start.run_id
    started.started = begun.start.started
    started.status = begun.start.status
    if begun.is_new:
        started.first_execution_run_id = begun.start.first_run_id
    updated = response.responses.add().update_workflow
    updated.CopyFrom(_update_response(namespace, begun.found.run.key, asked.request, reached))
    if begun.found.update is None:
        # As on the real server: what was completed earlier links to nothing.
        updated.ClearField("link")
    else:
        link_to_start(started.link, namespace, start.workflow_id, begun.start)
    return response
