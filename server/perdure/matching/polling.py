"""A poll, from request to response.

Theory of operation: a poll takes a match or waits for one, and has history record the start. What
history does not want any more is dropped, and the poll goes on. When history cannot answer, the
task is put back after a pause, and the poll pauses as well: so an outage costs each poller one
attempt per pause, and other tasks are not held up by one that always fails.

Rules that hold here: no task of the event loop is made for a poll, only a future and a timer while
it waits. A poll may be cancelled at every `await`, and then:

- it waited: it leaves the line, and what it had just been given is put back;
- history was recording the start: whether it did is not known, so the start is undone in the
  background (which does nothing if there was none), and the task is offered again;
- a fused start had just been delivered: it is undone in the background.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskType
from perdure.core.errors import ServiceError
from perdure.matching.advice import advice
from perdure.matching.causes import cause_of
from perdure.matching.partition import Partition
from perdure.matching.settings import MatchingSettings
from perdure.matching.waiting import ForwardedTask, Match, PendingQuery, WaitingPoller
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import (
    Encoded,
    ForwardOutcome,
    Poller,
    StaleTask,
)
from perdure.rpc.history_client import HistoryTasks
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.retry import Backoff, retry
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.tracing import Cause, Tracer

EMPTY = Encoded(b"")
"""The response of a poll that got nothing."""

_UNDO_ATTEMPTS = 6


class Polls:
    """Serves polls.

    Attributes:
        history: Who records starts; set before the first poll.
        closed: Nothing can be undone any more.
    """

    __slots__ = (
        "_backoff",
        "_clock",
        "_ids",
        "_incarnation",
        "_settings",
        "_tasks",
        "_tracer",
        "closed",
        "history",
    )

    def __init__(
        self,
        *,
        settings: MatchingSettings,
        clock: Clock,
        ids: Ids,
        tasks: TaskSet,
        incarnation: str,
        tracer: Tracer,
    ) -> None:
        """Makes a server of polls.

        Args:
            settings: Bounds.
            clock: Tells when tasks are dispatched.
            ids: Names polls.
            tasks: Runs what must go on after a poll was cancelled.
            incarnation: The store's, for the tokens of queries.
            tracer: Where spans of tasks that have waited go.
        """
        self.history: HistoryTasks | None = None
        self.closed = False
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._incarnation = incarnation
        self._tracer = tracer
        self._backoff = Backoff(
            initial_seconds=settings.shortest_start_retry,
            maximum_seconds=settings.longest_start_retry,
            attempts=_UNDO_ATTEMPTS,
        )

    async def poll(self, partition: Partition, poller: Poller, wait_seconds: float) -> Encoded:
        """Returns a response with a task or query, or an empty one after `wait_seconds`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + min(wait_seconds, self._settings.long_poll_expiration)
        partition.polls += 1
        partition.last_poll = began
        partition.abandoned = False
        partition.pollers.note(poller.identity, self._clock.now(), poller)
        failures = 0
        try:
            while True:
                match = partition.take()
                if match is None:
                    match = await self._wait(partition, poller, deadline)
                if match is None:
                    if not partition.queue.partition:
                        # Elsewhere it is not over: it goes on at the root.
                        partition.observer.poll_timed_out(loop.time() - began)
                    return EMPTY
                try:
                    response = await self._respond(partition, match, poller, began)
                except StaleTask:
                    continue
                except ServiceError:
                    failures += 1
                    await self._pause(failures, deadline)
                    continue
                return self._advised(partition, match, response, began)
        finally:
            partition.polls -= 1
            partition.last_poll = loop.time()

    async def _wait(self, partition: Partition, poller: Poller, deadline: float) -> Match | None:
        """Waits in the line."""
        loop = asyncio.get_running_loop()
        waiter = WaitingPoller(poller, loop.create_future())
        partition.join(waiter)
        timer = loop.call_at(deadline, partition.end, waiter)
        try:
            match = await waiter.match
            if self._tracer.enabled and waiter.fused_task is not None:
                self._tracer.link(waiter.fused_task.cause)
            return match
        except asyncio.CancelledError:
            self._vanished(partition, waiter)
            raise
        finally:
            timer.cancel()

    def _vanished(self, partition: Partition, waiter: WaitingPoller) -> None:
        """Saves what a poll got at the moment at which it was cancelled."""
        match = partition.vanish(waiter)
        if isinstance(match, Encoded):
            if waiter.fused_task is not None:
                self._undo(waiter.fused_task, waiter.poller.request_id)
        elif match is not None:
            partition.put_back(match)

    async def _respond(
        self, partition: Partition, match: Match, poller: Poller, began: float
    ) -> Encoded:
        """Turns a match into a response; raises StaleTask or ServiceError when it cannot."""
        if isinstance(match, DispatchTask):
            return await self._start(partition, match, poller, began)
        if isinstance(match, ForwardedTask):
            return await self._start_forwarded(partition, match, poller, began)
        partition.observer.poll_succeeded(True, asyncio.get_running_loop().time() - began)
        if isinstance(match, Encoded):
            # A fused start: scheduled and started at one moment.
            partition.observer.task_dispatched(0.0, sync=True)
            return match
        return self._pass_on(match, partition)

    def _advised(
        self, partition: Partition, match: Match, response: Encoded, began: float
    ) -> Encoded:
        loop_time = asyncio.get_running_loop().time()
        tail = advice(
            partition,
            match,
            waited=loop_time - began,
            now=self._clock.now() * 1e-9,
            loop_time=loop_time,
        )
        return Encoded(response + tail) if tail else response

    async def _start(
        self, partition: Partition, task: DispatchTask, poller: Poller, began: float
    ) -> Encoded:
        try:
            response = await self._record(task, poller)
        except StaleTask:
            partition.dropped(task)
            raise
        except asyncio.CancelledError:
            self._undo(task, poller.request_id, partial(partition.put_back, task))
            raise
        except BaseException:
            failures = partition.failed(task)
            partition.put_back_later(task, self._backoff.pause_seconds(failures, self._ids))
            raise
        self._count_start(partition, task, response, began, sync=partition.started(task))
        return response

    async def _start_forwarded(
        self, root: Partition, forwarded: ForwardedTask, poller: Poller, began: float
    ) -> Encoded:
        """Starts a task that another partition keeps, which is told what becomes of it."""
        task = forwarded.task
        try:
            response = await self._record(task, poller)
        except StaleTask:
            forwarded.settle(ForwardOutcome.STALE)
            raise
        except asyncio.CancelledError:
            give_back = partial(forwarded.settle, ForwardOutcome.UNTAKEN)
            self._undo(task, poller.request_id, give_back)
            raise
        except BaseException:
            forwarded.settle(ForwardOutcome.FAILED)
            raise
        forwarded.settle(ForwardOutcome.STARTED)
        self._count_start(root, task, response, began, sync=forwarded.waited_for, forwarded=True)
        return response

    async def _record(self, task: DispatchTask, poller: Poller) -> Encoded:
        assert self.history is not None, "history is attached before the first poll"
        if task.key.queue.task_type is TaskType.WORKFLOW:
            return await self.history.record_workflow_task_started(task, poller)
        return await self.history.record_activity_task_started(task, poller)

    def _count_start(
        self,
        partition: Partition,
        task: DispatchTask,
        response: Encoded,
        began: float,
        *,
        sync: bool,
        forwarded: bool = False,
    ) -> None:
        observer = partition.observer
        observer.poll_succeeded(sync, asyncio.get_running_loop().time() - began)
        now = self._clock.now()
        observer.task_dispatched((now - task.scheduled_time) * 1e-9, sync, forwarded)
        if self._tracer.enabled:
            self._record_wait(task, task.cause or cause_of(response), now)

    def _record_wait(self, task: DispatchTask, cause: Cause, now: int) -> None:
        """Makes the span of a task's way to its worker, below what brought it about."""
        self._tracer.record(
            "matching.dispatch",
            # The clocks of two machines may differ.
            began=min(task.scheduled_time, now),
            ended=now,
            kind="consumer",
            below=cause,
            attributes={
                "temporalTaskQueue": task.key.queue.name,
                "temporalTaskType": task.key.queue.task_type.name,
                "temporalWorkflowID": task.run.workflow_id,
                "temporalRunID": task.run.run_id,
            },
        )

    def _pass_on(self, query: PendingQuery, partition: Partition) -> Encoded:
        """Returns the response that brings a query to a worker."""
        task = query.task
        token = stored.TaskToken(
            kind=stored.TaskToken.KIND_QUERY,
            namespace_id=task.namespace_id,
            workflow_id=task.run.workflow_id,
            run_id=task.run.run_id,
            store_incarnation=self._incarnation,
            task_queue=partition.queue.name,
            query_task_id=task.query_task_id,
        )
        tail = wf.PollWorkflowTaskQueueResponse(task_token=token.SerializeToString())
        return Encoded(task.response_head + tail.SerializeToString())

    async def _pause(self, failures: int, deadline: float) -> None:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        await asyncio.sleep(min(self._backoff.pause_seconds(failures, self._ids), left))

    def _undo(
        self, task: DispatchTask, request_id: str, give_back: Callable[[], None] | None = None
    ) -> None:
        if not self.closed:
            undoing = self._undo_start(task, request_id, give_back)
            self._tasks.spawn(f"undo start in {task.run.workflow_id}", undoing)

    async def _undo_start(
        self, task: DispatchTask, request_id: str, give_back: Callable[[], None] | None
    ) -> None:
        """Makes a task pending again; then `give_back` offers it again where it is in flight."""
        history = self.history
        assert history is not None
        try:
            await retry(
                lambda: history.undo_task_started(task, request_id),
                backoff=self._backoff,
                ids=self._ids,
                retryable=(ServiceError,),
            )
        except ServiceError:
            # Its own timeout makes the task pending again.
            return
        finally:
            if give_back is not None:
                give_back()
