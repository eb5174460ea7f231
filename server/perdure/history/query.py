"""Having a worker answer a query."""

import asyncio
from dataclasses import dataclass
from functools import partial

from temporalio.api.enums.v1 import query_pb2 as query_enums
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.errordetails.v1 import message_pb2 as details
from temporalio.api.query.v1 import message_pb2 as query_messages
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import RunKey, TaskQueueKey, TaskType
from perdure.core.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    QueryFailedError,
    WorkflowNotReadyError,
)
from perdure.core.protobuf import NANOSECONDS_PER_SECOND
from perdure.core.workflow.state import Run
from perdure.history.dispatch import Dispatcher
from perdure.history.entries import WorkflowEntry
from perdure.history.execution import Executor
from perdure.history.queries import BufferedQueries, failed
from perdure.history.responses import StartedWorkflowTask, describe_run, in_memory
from perdure.history.workflows import run_key
from perdure.rpc.clients import MatchingClient, Namespace, QueryTask
from perdure.runtime.ports import Ids

FAILING_ATTEMPT = 3


@dataclass(slots=True, frozen=True)
class _View:
    """How a query is to be answered: refused, directly, or (neither) with the next task.

    `sticky_seconds` is how long the worker may take that has the run in its cache; 0 when any
    worker is asked.
    """

    key: RunKey
    rejection: wf.QueryWorkflowResponse | None = None
    direct: StartedWorkflowTask | None = None
    queue: str = ""
    sticky_seconds: float = 0.0


class Querier:
    """Asks workers for answers: with the next workflow task, or directly."""

    def __init__(
        self,
        *,
        executor: Executor,
        dispatcher: Dispatcher,
        queries: BufferedQueries,
        matching: MatchingClient,
        ids: Ids,
    ) -> None:
        self._executor = executor
        self._dispatcher = dispatcher
        self._queries = queries
        self._matching = matching
        self._ids = ids

    async def query(
        self, namespace: Namespace, request: wf.QueryWorkflowRequest, timeout_seconds: float
    ) -> wf.QueryWorkflowResponse:
        """Has a worker answer a query.

        Raises:
            WorkflowNotReadyError: The run is in no state to be asked.
            QueryFailedError: The worker could not answer.
            DeadlineExceededError: Nobody has answered in time.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        key = run_key(namespace, request.execution)
        may_be_sticky = True
        while True:
            view = await self._executor.observe(
                key, partial(self._look, request=request, may_be_sticky=may_be_sticky)
            )
            if view.rejection is not None:
                return view.rejection
            if view.direct is not None:
                patience = min(deadline, asyncio.get_running_loop().time() + view.sticky_seconds)
                try:
                    return await self._directly(
                        view, view.direct, patience if view.sticky_seconds else deadline
                    )
                except (FailedPreconditionError, DeadlineExceededError):
                    if not view.sticky_seconds or patience == deadline:
                        raise
                    # The worker that has the run in its cache is gone; another one reads it all.
                    may_be_sticky = False
                    continue
            # The task may have ended meanwhile, and the state may be dropped while the query
            # waits: then all is judged anew.
            result = await self._with_next_task(view.key, request.query, deadline)
            if result is not None:
                return _response(result)

    def _look(
        self, _: WorkflowEntry, run: Run, *, request: wf.QueryWorkflowRequest, may_be_sticky: bool
    ) -> _View:
        rejection = _rejection(run, request.query_reject_condition)
        if rejection is not None:
            return _View(run.key, rejection=rejection)
        _check_ready(run)
        if run.is_running and run.state.HasField("workflow_task"):
            return _View(run.key)
        sticky = run.state.sticky_task_queue
        use_sticky = (
            may_be_sticky
            and bool(sticky)
            and self._dispatcher.has_poller(run.key.namespace_id, sticky)
        )
        return _View(
            run.key,
            direct=_direct_task(run, request.query, full_history=not use_sticky),
            queue=sticky if use_sticky else run.start.task_queue,
            sticky_seconds=run.state.sticky_timeout / NANOSECONDS_PER_SECOND if use_sticky else 0.0,
        )

    async def _with_next_task(
        self, key: RunKey, pending: query_messages.WorkflowQuery, deadline: float
    ) -> query_messages.WorkflowQueryResult | None:
        _, run = await self._executor.find(key)
        if not run.is_running or not run.state.HasField("workflow_task"):
            return None
        query_id = self._ids.request_id()
        answer = self._queries.add(key.run_id, query_id, pending)
        try:
            async with asyncio.timeout_at(deadline):
                return await answer
        except TimeoutError:
            raise DeadlineExceededError("query timed out before it could be answered") from None
        finally:
            self._queries.discard(key.run_id, query_id)

    async def _directly(
        self, view: _View, direct: StartedWorkflowTask, deadline: float
    ) -> wf.QueryWorkflowResponse:
        task = QueryTask(
            query_task_id=self._ids.request_id(),
            namespace_id=view.key.namespace_id,
            run=view.key,
            response_head=await self._dispatcher.encode(direct),
        )
        outcome = await self._matching.query(
            TaskQueueKey(view.key.namespace_id, view.queue, TaskType.WORKFLOW),
            task,
            max(deadline - asyncio.get_running_loop().time(), 0),
        )
        answered = outcome.request
        return _response(
            query_messages.WorkflowQueryResult(
                result_type=answered.completed_type,
                answer=answered.query_result,
                error_message=answered.error_message,
                failure=answered.failure if answered.HasField("failure") else None,
            )
        )


def _direct_task(
    run: Run, pending: query_messages.WorkflowQuery, *, full_history: bool
) -> StartedWorkflowTask:
    state = run.state
    head = wf.PollWorkflowTaskQueueResponse(
        previous_started_event_id=state.last_started_event_id, attempt=1, query=pending
    )
    describe_run(head, run)
    end = state.next_event_id
    first = 1 if full_history else end
    return StartedWorkflowTask(run.key, head, first, end, in_memory(run.tail, first, end))


def _rejection(
    run: Run, condition: query_enums.QueryRejectCondition.ValueType
) -> wf.QueryWorkflowResponse | None:
    status = run.state.status
    not_open = not run.is_running
    unclean = not_open and status not in (
        enums.WORKFLOW_EXECUTION_STATUS_COMPLETED,
        enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
    )
    if (condition == query_enums.QUERY_REJECT_CONDITION_NOT_OPEN and not_open) or (
        condition == query_enums.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY and unclean
    ):
        return wf.QueryWorkflowResponse(query_rejected=query_messages.QueryRejected(status=status))
    return None


def _check_ready(run: Run) -> None:
    if not run.is_running and not run.state.last_completed_event_id:
        raise WorkflowNotReadyError("Workflow execution closed before WorkflowTaskStarted event")
    if run.state.first_workflow_task_due:
        raise WorkflowNotReadyError("Workflow task is not scheduled yet.")
    if run.is_running and run.state.workflow_task_attempt >= FAILING_ATTEMPT:
        raise WorkflowNotReadyError(
            "Unable to query workflow due to Workflow Task in failed state."
        )


def _response(result: query_messages.WorkflowQueryResult) -> wf.QueryWorkflowResponse:
    if failed(result):
        raise QueryFailedError(result.error_message, _failure_detail(result))
    response = wf.QueryWorkflowResponse()
    response.query_result.CopyFrom(result.answer)
    return response


def _failure_detail(result: query_messages.WorkflowQueryResult) -> details.QueryFailedFailure:
    return details.QueryFailedFailure(
        failure=result.failure if result.HasField("failure") else None
    )
