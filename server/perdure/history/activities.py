"""What workers do with activities: take, heartbeat, complete, fail, cancel; by token or by id."""

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity import outcomes
from perdure.core.activity.state import ActivityStatus, status
from perdure.core.activity.transitions import undo_start
from perdure.core.commit import DispatchTask, RunKey
from perdure.core.errors import NotFoundError
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import RunStep, Step
from perdure.history.dispatch import Dispatcher, start_task
from perdure.history.execution import Executor
from perdure.history.responses import StartedActivity
from perdure.history.tokens import TokenMaker
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace, Poller, StaleTask

Target = tuple[RunKey, outcomes.Find]


class Activities:
    """Hands out activity tasks and takes their results."""

    def __init__(self, *, executor: Executor, dispatcher: Dispatcher, tokens: TokenMaker) -> None:
        self._executor = executor
        self._dispatcher = dispatcher
        self._tokens = tokens

    async def record_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that an activity task has started; idempotent by the poll's request id.

        Raises:
            StaleTask: The attempt is not pending any more.
        """
        captured: list[StartedActivity] = []

        def act(step: Step, run: Run) -> RunStep:
            change = step.edit(run)
            info = run.activities.get(task.scheduled_event_id)
            if info is None or info.task_id != task.key.task_id or not run.is_running:
                raise StaleTask
            if self._executor.tracer.enabled:
                self._executor.tracer.link(info.cause)
            match status(info):
                case ActivityStatus.SCHEDULED:
                    start_task(change, task, poller)
                case ActivityStatus.STARTED if info.request_id == poller.request_id:
                    pass
                case _:
                    raise StaleTask
            return change

        def capture(change: RunStep) -> None:
            captured[:] = [self._dispatcher.capture_activity(change, task.scheduled_event_id)]

        try:
            await self._executor.update(task.run, act, capture)
        except NotFoundError:
            raise StaleTask from None
        return await self._dispatcher.encode(captured[0])

    async def undo_started(self, task: DispatchTask, request_id: str) -> None:
        """Makes a started attempt pending again: its poller never got it.

        The poll may have been put back, and have got a later task: its id alone names no start.
        """

        def act(step: Step, run: Run) -> None:
            info = run.activities.get(task.scheduled_event_id)
            if (
                info is not None
                and info.task_id == task.key.task_id
                and status(info) is ActivityStatus.STARTED
                and info.request_id == request_id
            ):
                undo_start(info, step.edit(run))

        await self._executor.update(task.run, act)

    def by_token(self, namespace: Namespace, blob: bytes) -> Target:
        """Returns the activity that a token was given for.

        Raises:
            NotFoundError: The token is not one of an activity of this namespace.
        """
        token = self._tokens.read(blob, outcomes.NOT_PENDING)
        if token.kind != stored.TaskToken.KIND_ACTIVITY or token.namespace_id != namespace.id:
            raise NotFoundError(outcomes.NOT_PENDING)
        key = RunKey(token.namespace_id, token.workflow_id, token.run_id)
        return key, outcomes.by_token(token)

    def by_id(
        self, namespace: Namespace, workflow_id: str, run_id: str, activity_id: str
    ) -> Target:
        """Returns the pending activity of an id; an empty run id names the current run."""
        return RunKey(namespace.id, workflow_id, run_id), outcomes.by_id(activity_id)

    async def complete(
        self,
        target: Target,
        request: wf.RespondActivityTaskCompletedRequest
        | wf.RespondActivityTaskCompletedByIdRequest,
    ) -> None:
        """Completes an activity."""
        key, find = target

        def act(step: Step, run: Run) -> None:
            result = request.result if request.HasField("result") else None
            outcomes.complete(step.edit(run), find, result, request.identity, _build_id(request))

        await self._executor.update(key, act)

    async def fail(
        self,
        target: Target,
        request: wf.RespondActivityTaskFailedRequest | wf.RespondActivityTaskFailedByIdRequest,
    ) -> None:
        """Ends an attempt with a failure."""
        key, find = target
        details = (
            request.last_heartbeat_details if request.HasField("last_heartbeat_details") else None
        )

        def act(step: Step, run: Run) -> None:
            outcomes.fail(
                step.edit(run),
                find,
                request.failure,
                request.identity,
                heartbeat_details=details,
                build_id=_build_id(request),
            )

        await self._executor.update(key, act)

    async def cancel(self, target: Target, details: common.Payloads | None, identity: str) -> None:
        """Ends an activity as cancelled."""
        key, find = target

        def act(step: Step, run: Run) -> None:
            outcomes.cancel(step.edit(run), find, details, identity)

        await self._executor.update(key, act)

    async def heartbeat(
        self, target: Target, details: common.Payloads | None, identity: str
    ) -> outcomes.HeartbeatAnswer:
        """Records a heartbeat; returns what has been done to the activity meanwhile."""
        key, find = target

        def act(step: Step, run: Run) -> outcomes.HeartbeatAnswer:
            return outcomes.heartbeat(step.edit(run), find, details, identity)

        return await self._executor.update(key, act)


def _build_id(
    request: wf.RespondActivityTaskCompletedRequest
    | wf.RespondActivityTaskCompletedByIdRequest
    | wf.RespondActivityTaskFailedRequest
    | wf.RespondActivityTaskFailedByIdRequest,
) -> str:
    """Returns which build of the worker has answered; who answers by id does not say."""
    if isinstance(
        request,
        wf.RespondActivityTaskCompletedByIdRequest | wf.RespondActivityTaskFailedByIdRequest,
    ):
        return ""
    return request.worker_version.build_id or request.deployment_options.build_id
