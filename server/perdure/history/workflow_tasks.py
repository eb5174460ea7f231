"""What workers do with workflow tasks: take, complete, fail."""

from dataclasses import dataclass, field

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity import transitions as activity
from perdure.core.commit import DispatchTask, RunKey
from perdure.core.errors import InvalidArgumentError, NotFoundError
from perdure.core.protobuf import length_delimited
from perdure.core.update.messages import count_answers
from perdure.core.workflow import completion
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task import state as workflow_task
from perdure.core.workflow_task import transitions
from perdure.history.dispatch import Dispatcher, start_task
from perdure.history.execution import Executor, beyond
from perdure.history.ports import UpdateObserver
from perdure.history.queries import BufferedQueries
from perdure.history.responses import StartedActivity, StartedWorkflowTask
from perdure.history.speculative import SpeculativeTasks
from perdure.history.tokens import TokenMaker
from perdure.history.workflows import run_key
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace, Poller, StaleTask
from perdure.runtime.ports import Ids

INLINE_REQUEST = "request-from-RespondWorkflowTaskCompleted"
NEW_TASK = wf.RespondWorkflowTaskCompletedResponse.WORKFLOW_TASK_FIELD_NUMBER
EAGER_TASKS = wf.RespondWorkflowTaskCompletedResponse.ACTIVITY_TASKS_FIELD_NUMBER


@dataclass(slots=True)
class _Answered:
    """What a completion came to, captured with its step."""

    change: RunStep
    done: completion.CompletedTask
    inline: bool = False
    heartbeats: bool = False
    expired: bool = False
    task: StartedWorkflowTask | None = None
    eager: list[StartedActivity] = field(default_factory=list)


class WorkflowTasks:
    """Hands out workflow tasks and takes their results."""

    def __init__(
        self,
        *,
        executor: Executor,
        dispatcher: Dispatcher,
        queries: BufferedQueries,
        tokens: TokenMaker,
        ids: Ids,
        speculative: SpeculativeTasks,
        observer: UpdateObserver,
    ) -> None:
        self._observer = observer
        self._executor = executor
        self._speculative = speculative
        self._dispatcher = dispatcher
        self._queries = queries
        self._tokens = tokens
        self._ids = ids

    async def record_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that a workflow task has started; idempotent by the poll's request id.

        Raises:
            StaleTask: The task is not pending any more.
        """
        captured: list[StartedWorkflowTask] = []
        repeated: list[RunStep] = []

        def act(step: Step, run: Run) -> RunStep:
            change = step.edit(run)
            pending = run.state.workflow_task
            if not _is_task(run, task):
                raise StaleTask
            if self._executor.tracer.enabled:
                self._executor.tracer.link(pending.cause)
            if not workflow_task.is_started(run.state):
                start_task(change, task, poller)
            elif pending.request_id != poller.request_id:
                raise StaleTask
            else:
                repeated.append(change)
            return change

        def capture(change: RunStep) -> None:
            captured[:] = [
                self._dispatcher.capture_workflow_task(
                    change, full_history=not task.sticky, repeated=change in repeated
                )
            ]

        try:
            await self._executor.update(task.run, act, capture)
        except NotFoundError:
            raise StaleTask from None
        return await self._dispatcher.encode(captured[0])

    async def undo_started(self, task: DispatchTask, request_id: str) -> None:
        """Makes a started workflow task pending again: its poller never got it.

        The poll may have been put back, and have got a later task: its id alone names no start.
        """

        def act(step: Step, run: Run) -> None:
            if (
                _is_task(run, task)
                and workflow_task.is_started(run.state)
                and run.state.workflow_task.request_id == request_id
            ):
                transitions.undo_start(step.edit(run))

        await self._executor.update(task.run, act)

    async def complete(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskCompletedRequest
    ) -> Encoded:
        """Applies a workflow task's commands, and returns what the worker is to do next.

        Raises:
            InvalidArgumentError: A command is bad; the task was recorded as failed.
            NotFoundError: The task is not being run any more.
        """
        token = self._token(namespace, request.task_token)

        def act(step: Step, run: Run) -> _Answered:
            return self._complete(step, step.edit(run), token, request)

        def capture(answered: _Answered) -> None:
            self._capture(answered, request)

        answered = await self._executor.update(_run(token), act, capture)
        self._answer_queries(token.run_id, answered, request)
        if answered.expired:
            raise NotFoundError("workflow task heartbeat timeout")
        if answered.done.problem is not None:
            raise InvalidArgumentError(answered.done.problem.text())
        if request.messages:
            self._observer.updates_answered(*count_answers(request.messages))
        return await self._encode(answered)

    def _complete(
        self,
        step: Step,
        change: RunStep,
        token: stored.TaskToken,
        request: wf.RespondWorkflowTaskCompletedRequest,
    ) -> _Answered:
        if completion.heartbeats_too_long(change, token, request):
            completion.expire_heartbeats(change)
            return _Answered(change, completion.CompletedTask(), expired=True)
        done = completion.complete_task(step, change, token, request)
        answered = _Answered(change, done)
        for info in done.eager:
            if change.run.is_running:
                activity.start(
                    info, change, request_id=self._ids.request_id(), identity=request.identity
                )
        answered.heartbeats = request.force_create_new_workflow_task
        wants_task = request.return_new_workflow_task and done.problem is None
        if wants_task and change.state.HasField("workflow_task"):
            _start_inline(change, request)
            answered.inline = True
        return answered

    def _capture(
        self, answered: _Answered, request: wf.RespondWorkflowTaskCompletedRequest
    ) -> None:
        change = answered.change
        if answered.done.updates_wait:
            change = beyond(change)
            transitions.schedule_speculative(change)
            _start_inline(change, request)
            self._speculative.watch_run(change.run)
            answered.inline = True
        if answered.inline:
            # Whoever has completed a task knows what came before, and has what it was sent.
            answered.task = self._dispatcher.capture_workflow_task(
                change, full_history=False, resend_updates=not answered.heartbeats
            )
        if change.run.is_running:
            answered.eager = [
                self._dispatcher.capture_activity(change, info.scheduled_event_id)
                for info in answered.done.eager
            ]

    def _answer_queries(
        self,
        run_id: str,
        answered: _Answered,
        request: wf.RespondWorkflowTaskCompletedRequest,
    ) -> None:
        run = answered.change.run
        self._queries.answered(
            run_id,
            request.query_results,
            task_follows=run.is_running and run.state.HasField("workflow_task"),
        )

    async def _encode(self, answered: _Answered) -> Encoded:
        parts: list[bytes] = []
        if answered.task is not None:
            parts.append(length_delimited(NEW_TASK, await self._dispatcher.encode(answered.task)))
        parts += [
            length_delimited(EAGER_TASKS, await self._dispatcher.encode(started))
            for started in answered.eager
        ]
        if event_id := answered.done.reset_history_event_id:
            parts.append(
                wf.RespondWorkflowTaskCompletedResponse(
                    reset_history_event_id=event_id
                ).SerializeToString()
            )
        return Encoded(b"".join(parts))

    async def fail(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskFailedRequest
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """Records a failed workflow task.

        Raises:
            NotFoundError: The task is not being run any more.
        """
        token = self._token(namespace, request.task_token)

        def act(step: Step, run: Run) -> None:
            completion.fail_task(step.edit(run), token, request)

        await self._executor.update(_run(token), act)
        return wf.RespondWorkflowTaskFailedResponse()

    async def reset_sticky(
        self, namespace: Namespace, request: wf.ResetStickyTaskQueueRequest
    ) -> wf.ResetStickyTaskQueueResponse:
        """Forgets the worker that has the run in its cache."""

        def act(step: Step, run: Run) -> None:
            change = step.edit(run)
            if not run.is_running:
                raise NotFoundError("workflow execution already completed")
            if run.state.sticky_task_queue:
                transitions.clear_stickiness(run.state)
                change.touched = True

        await self._executor.update(run_key(namespace, request.execution), act)
        return wf.ResetStickyTaskQueueResponse()

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        """Moves a pending task to the normal queue: nobody polls its worker's own.

        Raises:
            NotFoundError: The run is gone.
        """

        def act(step: Step, run: Run) -> None:
            pending = run.state.workflow_task
            if _is_task(run, task) and pending.sticky and not workflow_task.is_started(run.state):
                transitions.leave_sticky_queue(step.edit(run))

        await self._executor.update(task.run, act)

    def _token(self, namespace: Namespace, blob: bytes) -> stored.TaskToken:
        token = self._tokens.read(blob, completion.TASK_NOT_FOUND)
        if token.kind != stored.TaskToken.KIND_WORKFLOW or token.namespace_id != namespace.id:
            raise NotFoundError(completion.TASK_NOT_FOUND)
        return token


def _start_inline(change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest) -> None:
    """Starts the next task for the worker that has completed one."""
    transitions.start(
        change,
        request_id=INLINE_REQUEST,
        identity=request.identity,
        build_id=completion.build_id(request),
    )


def _is_task(run: Run, task: DispatchTask) -> bool:
    pending = run.state.workflow_task
    return (
        run.is_running
        and run.state.HasField("workflow_task")
        and pending.task_id == task.key.task_id
    )


def _run(token: stored.TaskToken) -> RunKey:
    return RunKey(token.namespace_id, token.workflow_id, token.run_id)
