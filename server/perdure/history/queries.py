"""Queries that wait for a run's next workflow task, in memory only.

A query is answered by the worker that has the run's newest state. While a workflow task is pending
or being run, that is whoever completes it, so the query rides along; otherwise it goes through
matching directly.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.api.enums.v1 import failed_cause_pb2
from temporalio.api.enums.v1 import query_pb2 as enums
from temporalio.api.query.v1 import message_pb2 as query_messages

from perdure.core.errors import ResourceExhaustedError

BUSY_WORKFLOW = failed_cause_pb2.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW


@dataclass(slots=True)
class _Waiting:
    query: query_messages.WorkflowQuery
    answer: "asyncio.Future[query_messages.WorkflowQueryResult | None]"


class BufferedQueries:
    """The queries of all runs that wait for a workflow task."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._runs: dict[str, dict[str, _Waiting]] = {}

    def add(
        self, run_id: str, query_id: str, pending: query_messages.WorkflowQuery
    ) -> "asyncio.Future[query_messages.WorkflowQueryResult | None]":
        """Buffers a query.

        Returns:
            A future of the worker's answer, or None: the run can be asked directly now.

        Raises:
            ResourceExhaustedError: The run has as many queries as may wait.
        """
        waiting = self._runs.setdefault(run_id, {})
        if len(waiting) >= self._limit:
            raise ResourceExhaustedError("consistent query buffer is full", BUSY_WORKFLOW)
        answer: asyncio.Future[query_messages.WorkflowQueryResult | None] = (
            asyncio.get_running_loop().create_future()
        )
        waiting[query_id] = _Waiting(pending, answer)
        return answer

    def discard(self, run_id: str, query_id: str) -> None:
        """Forgets a query: nobody waits for it any more."""
        waiting = self._runs.get(run_id, {})
        waiting.pop(query_id, None)
        if not waiting:
            self._runs.pop(run_id, None)

    def attach(self, run_id: str) -> dict[str, query_messages.WorkflowQuery]:
        """Returns the queries that a workflow task takes along."""
        waiting = self._runs.get(run_id)
        if not waiting:
            return {}
        return {query_id: entry.query for query_id, entry in waiting.items()}

    def answered(
        self,
        run_id: str,
        results: Mapping[str, query_messages.WorkflowQueryResult],
        *,
        task_follows: bool,
    ) -> None:
        """Passes a completed workflow task's answers on.

        What it left unanswered waits for the next task, or is asked directly if none follows.
        """
        waiting = self._runs.get(run_id)
        if not waiting:
            return
        for query_id, entry in list(waiting.items()):
            result = results.get(query_id)
            if result is None and task_follows:
                continue
            del waiting[query_id]
            if not entry.answer.done():
                entry.answer.set_result(result)
        if not waiting:
            del self._runs[run_id]

    def release(self, run_id: str) -> None:
        """Lets all of a run's queries be asked directly."""
        self.answered(run_id, {}, task_follows=False)


def failed(result: query_messages.WorkflowQueryResult) -> bool:
    """Tells whether a worker could not answer."""
    return result.result_type == enums.QUERY_RESULT_TYPE_FAILED
