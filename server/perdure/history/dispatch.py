"""Getting tasks to workers: at once where one waits in this process, else through matching.

A fused start. While a step is being finished, a poller that waits for the task that the step adds
is reserved, and the start becomes part of the same commit: no second transaction, and no task row.
When the commit is durable the poller is answered; when it fails the poller is put back.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.activity import transitions as activity
from perdure.core.commit import DispatchTask, RunKey, TaskQueueKey, TaskType
from perdure.core.errors import UnavailableError
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task import transitions as workflow_task
from perdure.history.ports import UpdateObserver
from perdure.history.queries import BufferedQueries
from perdure.history.responses import (
    PageLimit,
    StartedActivity,
    StartedWorkflowTask,
    capture_activity,
    capture_workflow_task,
    encode_activity,
    encode_workflow_task,
    find_event,
)
from perdure.history.tokens import TokenMaker
from perdure.persistence.ports import StoreError, WorkflowStore
from perdure.rpc.clients import Encoded, MatchingClient, Poller, Reservation
from perdure.runtime.ports import Ids
from perdure.runtime.retry import Backoff, retry
from perdure.runtime.tasks import TaskSet

Undo = Callable[[DispatchTask, str], Coroutine[Any, Any, None]]
UNDO_RETRIES = Backoff(attempts=8)


@dataclass(slots=True)
class FusedStart:
    """A task that was started in the step that added it."""

    reservation: Reservation
    task: DispatchTask
    change: RunStep
    started: StartedWorkflowTask | StartedActivity | None = None


class Dispatcher:
    """Starts tasks for waiting pollers, and tells matching of the others."""

    def __init__(
        self,
        *,
        matching: MatchingClient,
        store: WorkflowStore,
        queries: BufferedQueries,
        tokens: TokenMaker,
        tasks: TaskSet,
        ids: Ids,
        page: PageLimit,
        undo: Undo,
        observer: UpdateObserver,
    ) -> None:
        self._observer = observer
        self._matching = matching
        self._store = store
        self._queries = queries
        self._tokens = tokens
        self._tasks = tasks
        self._ids = ids
        self._page = page
        self._undo = undo

    def has_poller(self, namespace_id: str, queue: str) -> bool:
        """Tells whether a worker polls a workflow task queue."""
        return self._matching.has_recent_poller(
            TaskQueueKey(namespace_id, queue, TaskType.WORKFLOW)
        )

    def start_fused(self, step: Step) -> list[FusedStart]:
        """Starts the tasks that a step adds, where pollers wait for them."""
        starts: list[FusedStart] = []
        for change in step.runs.values():
            for task in [*change.tasks_added.values(), *change.offers.values()]:
                reservation = self._matching.reserve(task.key.queue)
                if reservation is not None:
                    start_task(change, task, reservation.poller)
                    change.transitions += 1
                    starts.append(FusedStart(reservation, task, change))
        return starts

    def capture(self, starts: Sequence[FusedStart]) -> None:
        """Makes the pollers' answers, from what the finished step left."""
        for start in starts:
            start.started = self.capture_task(start.change, start.task)

    def capture_task(
        self, change: RunStep, task: DispatchTask
    ) -> StartedWorkflowTask | StartedActivity:
        """Makes the answer for a task that is started."""
        if task.key.queue.task_type is TaskType.WORKFLOW:
            return self.capture_workflow_task(change, full_history=not task.sticky)
        return self.capture_activity(change, task.scheduled_event_id)

    def capture_workflow_task(
        self,
        change: RunStep,
        *,
        full_history: bool,
        resend_updates: bool = True,
        repeated: bool = False,
    ) -> StartedWorkflowTask:
        """Makes the answer for a workflow task that a finished step, or an earlier one, started."""
        run = change.run
        started = capture_workflow_task(
            change,
            self._tokens.workflow_task(run),
            full_history=full_history,
            resend_updates=resend_updates,
            repeated=repeated,
        )
        if started.head.messages:
            self._observer.updates_sent(len(started.head.messages))
        # An answer that is given again finds events that came after the start: its worker will not
        # see them, and a query must. The next task, which they bring about, takes it along.
        if not run.buffered:
            started.queries = self._queries.attach(run.key.run_id)
        return started

    def capture_activity(self, change: RunStep, scheduled_event_id: int) -> StartedActivity:
        """Makes the answer for an activity that a step has started."""
        info = change.run.activities[scheduled_event_id]
        return capture_activity(change, info, self._tokens.activity(change.run, info))

    def release(self, starts: Sequence[FusedStart]) -> None:
        """Puts the pollers back: their tasks have not started after all."""
        for start in starts:
            start.reservation.release()

    def deliver(self, starts: Sequence[FusedStart]) -> None:
        """Answers the pollers, now that the starts are durable."""
        for start in starts:
            assert start.started is not None
            encoded = self.encode_now(start.started)
            if encoded is None:
                self._tasks.spawn("deliver-task", self._deliver_later(start))
            else:
                self._hand_over(start, encoded)

    def _hand_over(self, start: FusedStart, encoded: Encoded) -> None:
        if not start.reservation.deliver(encoded, start.task):
            self._tasks.spawn("undo-start", self._undo_start(start))

    async def _deliver_later(self, start: FusedStart) -> None:
        assert start.started is not None
        try:
            encoded = await self.encode(start.started)
        except UnavailableError:
            start.reservation.release()
            await self._undo_start(start)
            return
        self._hand_over(start, encoded)

    async def _undo_start(self, start: FusedStart) -> None:
        request_id = start.reservation.poller.request_id
        try:
            await retry(
                lambda: self._undo(start.task, request_id),
                backoff=UNDO_RETRIES,
                ids=self._ids,
                retryable=(UnavailableError,),
            )
        except UnavailableError:
            # Its own timeout makes the task pending again.
            return

    def offer(self, tasks: Sequence[DispatchTask]) -> None:
        """Tells matching of tasks that are durable."""
        self._matching.add_tasks(tasks)

    def encode_now(self, started: StartedWorkflowTask | StartedActivity) -> Encoded | None:
        """Returns the serialised answer, None when history must be read for it."""
        if isinstance(started, StartedActivity):
            if started.scheduled is None:
                return None
            return Encoded(encode_activity(started, started.scheduled))
        if started.batches is None:
            return None
        return Encoded(encode_workflow_task(started, started.batches, self._page))

    async def encode(self, started: StartedWorkflowTask | StartedActivity) -> Encoded:
        """Returns the serialised answer, reading history for it where need be.

        Raises:
            UnavailableError: The store cannot be read.
        """
        encoded = self.encode_now(started)
        if encoded is not None:
            return encoded
        try:
            if isinstance(started, StartedActivity):
                scheduled = await self._read_scheduled(started.run, started.scheduled_event_id)
                return Encoded(encode_activity(started, scheduled))
            batches = await self._store.read_history(
                started.run, started.first_event_id, started.end_event_id, self._page.batches
            )
        except StoreError as error:
            raise UnavailableError("The store is not available; try again.") from error
        return Encoded(encode_workflow_task(started, batches, self._page))

    async def _read_scheduled(
        self, run: RunKey, event_id: int
    ) -> history.ActivityTaskScheduledEventAttributes:
        batches = await self._store.read_history(run, event_id, event_id + 1, 1)
        assert batches, "a pending activity has a scheduled event"
        event = find_event(history.History.FromString(batches[0].blob), event_id)
        assert event is not None, "a batch holds all the events that it names"
        return event.activity_task_scheduled_event_attributes


def start_task(change: RunStep, task: DispatchTask, poller: Poller) -> None:
    """Starts a pending task for a poller."""
    if task.key.queue.task_type is TaskType.WORKFLOW:
        request = poller.request
        build_id = (
            request.worker_version_capabilities.build_id or request.deployment_options.build_id
        )
        workflow_task.start(
            change, request_id=poller.request_id, identity=poller.identity, build_id=build_id
        )
    else:
        info = change.run.activities[task.scheduled_event_id]
        activity.start(info, change, request_id=poller.request_id, identity=poller.identity)
