"""A worker that runs simulated programs: workflow tasks, sticky ones too, and queries.

Theory of operation: a run that was worked on stays in a small cache, and further tasks of it come
through the worker's own (sticky) queue with the new events only. What does not fit the cached state
is read again from the beginning, as an SDK does.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import failed_cause_pb2 as causes
from temporalio.api.enums.v1 import query_pb2 as query_enums
from temporalio.api.enums.v1 import task_queue_pb2 as queue_enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.proto import stored_pb2 as stored
from simulation.commands import TASK_QUEUE, application_failure, duration, json_payloads
from simulation.faults import FaultPlan
from simulation.interpreter import HistoryError, Interpreter, StaleStateError
from simulation.ledger import Ledger, lasting_events
from simulation.rpc import RETRYABLE, Frontend
from simulation.updates import answers

POLL_SECONDS = 60.0
CACHED_RUNS = 4
STICKY_SECONDS = 5.0
TASK_SECONDS = 10.0

Task = wf.PollWorkflowTaskQueueResponse


class WorkflowWorker:
    """Polls, replays, decides, answers. Ends when its tasks are cancelled."""

    def __init__(self, *, name: str, frontend: Frontend, faults: FaultPlan, ledger: Ledger) -> None:
        self.name = name
        self._frontend = frontend
        self._faults = faults
        self._ledger = ledger
        self._sticky_queue = f"{name}-sticky"
        self._cache: OrderedDict[str, Interpreter] = OrderedDict()
        self._newest: dict[str, tuple[int, int, str]] = {}

    async def run(self, pollers: int) -> None:
        """Works with a number of pollers on each of its two queues."""
        async with asyncio.TaskGroup() as group:
            for _ in range(pollers):
                group.create_task(self._poll_for_ever(self._queue(sticky=False)))
                group.create_task(self._poll_for_ever(self._queue(sticky=True)))

    def _queue(self, *, sticky: bool) -> taskqueue.TaskQueue:
        if not sticky:
            return taskqueue.TaskQueue(name=TASK_QUEUE, kind=queue_enums.TASK_QUEUE_KIND_NORMAL)
        return taskqueue.TaskQueue(
            name=self._sticky_queue,
            kind=queue_enums.TASK_QUEUE_KIND_STICKY,
            normal_name=TASK_QUEUE,
        )

    async def _poll_for_ever(self, queue: taskqueue.TaskQueue) -> None:
        frontend = self._frontend
        request = wf.PollWorkflowTaskQueueRequest(
            namespace=frontend.namespace.name, task_queue=queue, identity=self.name
        )
        while True:
            try:
                data = await frontend.once(
                    lambda: frontend.front.poll_workflow_task_queue(request, POLL_SECONDS),
                    seconds=POLL_SECONDS + 10,
                )
            except RETRYABLE:
                await asyncio.sleep(frontend.generator.uniform(0.05, 0.2))
                continue
            task = Task.FromString(data)
            while task.task_token:
                task = await self._handle(task)

    async def _handle(self, task: Task) -> Task:
        """Works on a task; returns the next one if the server sent it with its answer."""
        run_id = task.workflow_execution.run_id
        if task.HasField("query"):
            await self._answer(task)
            return Task()
        name = f"{task.started_event_id}"
        nonce = _nonce(task)
        if task.messages:
            # Of a task that only brings updates nothing may be left: the next one has its number,
            # and its time too where the clock is behind.
            name = f"{name} of start {nonce}"
        self._ledger.delivered("workflow task", run_id, name, task.attempt)
        number = (task.started_event_id, task.attempt)
        if number >= self._newest.get(run_id, (0, 0, ""))[:2]:
            self._newest[run_id] = (*number, nonce)
        count = len(task.history.events)
        self._frontend.trace.note(
            self.name, f"task {name} attempt {task.attempt} of {run_id} with {count} events"
        )
        if self._toss(self._faults.worker_vanishes):
            return Task()
        if self._toss(self._faults.worker_is_slow):
            await asyncio.sleep(TASK_SECONDS * 1.2)
        if self._toss(self._faults.workflow_task_fails):
            await self._fail(task, "simulated")
            return Task()
        return await self._decide(task)

    async def _decide(self, task: Task) -> Task:
        run_id = task.workflow_execution.run_id
        if self._newest[run_id] != (task.started_event_id, task.attempt, _nonce(task)):
            # This worker was slow: the task has timed out, and another one has come.
            self._frontend.trace.note(self.name, f"task of {run_id} is old")
            return Task()
        state = await self._state(task)
        if state is None:
            return Task()
        try:
            made = state.decide()
        except StaleStateError as error:
            # The server gives out a task only when the last one has ended.
            self._frontend.trace.violation(f"{run_id}: a second task while one is decided: {error}")
            return Task()
        request = wf.RespondWorkflowTaskCompletedRequest(
            namespace=self._frontend.namespace.name,
            task_token=task.task_token,
            commands=made,
            messages=answers(
                [*state.updates.admitted.values(), *task.messages], state.updates.tokens
            ),
            identity=self.name,
            return_new_workflow_task=self._toss(0.5),
            force_create_new_workflow_task=state.wants_new_task,
        )
        if self._toss(0.8):
            request.sticky_attributes.worker_task_queue.CopyFrom(self._queue(sticky=True))
            request.sticky_attributes.schedule_to_start_timeout.CopyFrom(duration(STICKY_SECONDS))
        for query_id in task.queries:
            answer = request.query_results[query_id]
            answer.result_type = query_enums.QUERY_RESULT_TYPE_ANSWERED
            answer.answer.CopyFrom(json_payloads(state.describe()))
        return await self._complete(task, request, state)

    async def _complete(
        self, task: Task, request: wf.RespondWorkflowTaskCompletedRequest, state: Interpreter
    ) -> Task:
        frontend, run_id = self._frontend, task.workflow_execution.run_id
        # Until the answer is there nobody may go on with a decision that may not come about.
        self._cache.pop(run_id, None)
        data = await frontend.attempt(
            self.name,
            f"completion {task.started_event_id} of {run_id}",
            lambda: frontend.history.respond_workflow_task_completed(frontend.namespace, request),
        )
        if data is None:
            return Task()
        answer = wf.RespondWorkflowTaskCompletedResponse.FromString(data)
        if answer.reset_history_event_id:
            # The task is as if it had never been, and so is what was decided with it.
            return answer.workflow_task
        self._ledger.completed_task(run_id, task.started_event_id)
        if self._newest[run_id] == (task.started_event_id, task.attempt, _nonce(task)):
            self._cache[run_id] = state
        while len(self._cache) > CACHED_RUNS:
            self._cache.popitem(last=False)
        return answer.workflow_task

    async def _state(self, task: Task) -> Interpreter | None:
        """Returns the program's state with all of the task's events applied."""
        run_id = task.workflow_execution.run_id
        state = self._cache.pop(run_id, None)
        if state is not None and _may_be_lost(task, state):
            self._frontend.trace.note(self.name, f"task of {run_id} has a known number")
            state = None
        try:
            if state is None:
                return await self._replay(task)
            events = await self._events(task, task.history.events)
            try:
                state.apply_all(events)
            except (StaleStateError, HistoryError):
                return await self._replay(task)
        except HistoryError as error:
            self._frontend.trace.violation(f"worker cannot replay {run_id}: {error}")
            await self._fail(task, str(error))
            return None
        except RETRYABLE:
            return None
        except NotFoundError:
            if run_id not in self._ledger.deleted:
                self._frontend.trace.violation(f"worker cannot find {run_id}")
            return None
        return state

    async def _replay(self, task: Task) -> Interpreter:
        state = Interpreter()
        events = list(task.history.events)
        if not events or events[0].event_id != 1:
            events = await self._read_history(task)
        else:
            events = await self._events(task, events)
        state.apply_all(events)
        return state

    async def _events(
        self, task: Task, first: Iterable[history.HistoryEvent]
    ) -> list[history.HistoryEvent]:
        """Returns the task's events, all pages of them."""
        events = list(first)
        token = task.next_page_token
        while token:
            page = await self._page(task.workflow_execution, token)
            events += page.history.events
            token = page.next_page_token
        # The last two events of a repeated task are not in the history yet; nor may be those of one
        # that brings updates.
        lasting = events[:-2] if task.attempt > 1 or task.messages else events
        self._ledger.saw_history(task.workflow_execution.run_id, lasting_events(lasting))
        return events

    async def _read_history(self, task: Task) -> list[history.HistoryEvent]:
        """Reads the history up to the task from its beginning."""
        events: list[history.HistoryEvent] = []
        token = b""
        while True:
            page = await self._page(task.workflow_execution, token)
            events += page.history.events
            token = page.next_page_token
            if not token:
                break
        known = {event.event_id for event in events}
        events += [event for event in task.history.events if event.event_id not in known]
        if task.started_event_id:
            events = [event for event in events if event.event_id <= task.started_event_id]
        return events

    async def _page(
        self, execution: common.WorkflowExecution, token: bytes
    ) -> wf.GetWorkflowExecutionHistoryResponse:
        frontend = self._frontend
        request = wf.GetWorkflowExecutionHistoryRequest(
            namespace=frontend.namespace.name, execution=execution, next_page_token=token
        )
        data = await frontend.once(
            lambda: frontend.history.get_workflow_execution_history(
                frontend.namespace, request, 0.0
            )
        )
        return wf.GetWorkflowExecutionHistoryResponse.FromString(data)

    async def _answer(self, task: Task) -> None:
        """Answers a query that came by itself."""
        frontend = self._frontend
        run_id = task.workflow_execution.run_id
        state = await self._state(task)
        if state is None:
            return
        self._cache[run_id] = state
        request = wf.RespondQueryTaskCompletedRequest(
            namespace=frontend.namespace.name,
            task_token=task.task_token,
            completed_type=query_enums.QUERY_RESULT_TYPE_ANSWERED,
            query_result=json_payloads(state.describe()),
        )
        respond: Callable[[], Awaitable[object]] = lambda: (  # noqa: E731
            frontend.front.respond_query_task_completed(request)
        )
        await frontend.attempt(self.name, f"query of {run_id}", respond)

    async def _fail(self, task: Task, reason: str) -> None:
        frontend = self._frontend
        self._cache.pop(task.workflow_execution.run_id, None)
        request = wf.RespondWorkflowTaskFailedRequest(
            namespace=frontend.namespace.name,
            task_token=task.task_token,
            cause=causes.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
            failure=application_failure(reason),
            identity=self.name,
        )
        await frontend.attempt(
            self.name,
            f"failure of task {task.started_event_id}",
            lambda: frontend.history.respond_workflow_task_failed(frontend.namespace, request),
        )

    def _toss(self, probability: float) -> bool:
        return probability > 0 and self._frontend.generator.random() < probability


def _may_be_lost(task: Task, state: Interpreter) -> bool:
    """Tells whether a task can be one that the server has lost, and given its number to another.

    A task that only brings updates is in memory, and dies with its run there. It may be on its way
    to the worker then, and come after the one that has its number now. The worker works on both;
    the server must take one answer only, which is the ledger's to check.
    """
    return bool(task.messages) and task.started_event_id <= state.last_event_id


def _nonce(task: Task) -> str:
    """Returns what tells a start of a task from all others."""
    return stored.TaskToken.FromString(task.task_token).nonce
