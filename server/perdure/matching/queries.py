"""Queries: held in memory while they wait for a poller and then for the worker's answer."""

import asyncio
from collections.abc import Collection

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from perdure.matching.partition import Partition
from perdure.matching.waiting import PendingQuery
from perdure.rpc.clients import NotOwnerError, QueryOutcome, QueryTask


class Queries:
    """The queries of all queues that have no answer yet."""

    __slots__ = ("_pending", "_poller_window")

    def __init__(self, *, poller_window: float) -> None:
        """Starts without queries.

        Args:
            poller_window: How long after a poll, in seconds, a queue counts as having a worker.
        """
        self._pending: dict[str, tuple[PendingQuery, Partition]] = {}
        self._poller_window = poller_window

    async def ask(self, partition: Partition, task: QueryTask, wait_seconds: float) -> QueryOutcome:
        """Returns a worker's answer.

        A queue that has no poller now may have one before the time is up, so only then is it known
        whether it lacks workers or they were late.

        Raises:
            FailedPreconditionError: Nobody answered, and nobody polled lately.
            DeadlineExceededError: Nobody answered within `wait_seconds`.
            NotOwnerError: Another node serves the queue now.
            UnavailableError: The server is shutting down.
        """
        loop = asyncio.get_running_loop()
        query = PendingQuery(task, loop.create_future())
        self._pending[task.query_task_id] = query, partition
        timer = loop.call_later(wait_seconds, self._expire, query, partition)
        try:
            partition.offer_query(query)
            return await query.outcome
        finally:
            timer.cancel()
            partition.withdraw(query)
            self._pending.pop(task.query_task_id, None)

    def answer(self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest) -> None:
        """Passes a worker's answer on.

        Raises:
            NotFoundError: Nobody waits for it.
        """
        query, _ = self._pending.pop(query_task_id, (None, None))
        if query is None or query.outcome.done():
            raise NotFoundError("query task not found, or already expired")
        query.outcome.set_result(QueryOutcome(request))

    def release(self, partitions: Collection[Partition]) -> None:
        """Ends the queries of partitions that another node serves now."""
        for query, partition in self._pending.values():
            if partition in partitions and not query.outcome.done():
                query.outcome.set_exception(NotOwnerError())

    def close(self) -> None:
        """Ends all queries that have no answer."""
        for query, _ in self._pending.values():
            if not query.outcome.done():
                query.outcome.set_exception(UnavailableError("the server is shutting down"))

    def _expire(self, query: PendingQuery, partition: Partition) -> None:
        if query.outcome.done():
            return
        if partition.polled_within(self._poller_window):
            query.outcome.set_exception(DeadlineExceededError("context deadline exceeded"))
            return
        message = "no poller seen for task queue recently, worker may be down"
        query.outcome.set_exception(FailedPreconditionError(message))
