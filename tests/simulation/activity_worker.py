"""A worker that runs the activities of simulated programs, as each attempt is told to behave."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.api.taskqueue.v1 import message_pb2 as taskqueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import ServiceError
from simulation.commands import TASK_QUEUE, application_failure, json_payloads
from simulation.faults import FaultPlan
from simulation.ledger import Ledger
from simulation.programs import Activity, Behaviour, decode_activity
from simulation.rpc import RETRYABLE, Frontend

POLL_SECONDS = 60.0
HEARTBEAT_SECONDS = 0.15
HEARTBEATS = 5

Task = wf.PollActivityTaskQueueResponse
Started = Callable[[Task], Awaitable[None]]
"""Called with each task before it runs: checks that the store knows of it."""


class ActivityWorker:
    """Polls, runs, reports. Ends when its tasks are cancelled."""

    def __init__(
        self,
        *,
        name: str,
        frontend: Frontend,
        faults: FaultPlan,
        ledger: Ledger,
        on_task: Started,
    ) -> None:
        self.name = name
        self._frontend = frontend
        self._faults = faults
        self._ledger = ledger
        self._on_task = on_task

    async def run(self, pollers: int) -> None:
        """Works with a number of pollers, each of which runs one task at a time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(pollers):
                group.create_task(self._poll_for_ever())

    async def _poll_for_ever(self) -> None:
        frontend = self._frontend
        request = wf.PollActivityTaskQueueRequest(
            namespace=frontend.namespace.name,
            task_queue=taskqueue.TaskQueue(name=TASK_QUEUE),
            identity=self.name,
        )
        while True:
            try:
                data = await frontend.once(
                    lambda: frontend.front.poll_activity_task_queue(request, POLL_SECONDS),
                    seconds=POLL_SECONDS + 10,
                )
            except RETRYABLE:
                await asyncio.sleep(frontend.generator.uniform(0.05, 0.2))
                continue
            task = Task.FromString(data)
            if task.task_token:
                await self._handle(task)

    async def _handle(self, task: Task) -> None:
        frontend = self._frontend
        run_id = task.workflow_execution.run_id
        self._ledger.delivered("activity", run_id, task.activity_id, task.attempt)
        await self._on_task(task)
        activity = decode_activity(task.input.payloads[0].data)
        behaviour = activity.behaviour(task.attempt)
        frontend.trace.note(
            self.name, f"runs {task.activity_id} attempt {task.attempt} of {run_id}: {behaviour}"
        )
        if _toss(frontend, self._faults.worker_vanishes):
            return
        if _toss(frontend, self._faults.worker_is_slow):
            await asyncio.sleep(activity.start_to_close * 1.2)
        await self._behave(task, activity, behaviour)

    async def _behave(self, task: Task, activity: Activity, behaviour: Behaviour) -> None:
        match behaviour:
            case Behaviour.VANISH:
                return
            case Behaviour.FAIL | Behaviour.FAIL_FOR_GOOD:
                await self._fail(task, for_good=behaviour is Behaviour.FAIL_FOR_GOOD)
                return
            case Behaviour.OVERRUN:
                await asyncio.sleep(activity.start_to_close * 1.2)
            case Behaviour.BEAT:
                if not await self._beat(task):
                    return
            case _:
                await asyncio.sleep(self._frontend.generator.choice((0.0, 0.01, 0.3)))
        await self._complete(task, by_id=behaviour is Behaviour.COMPLETE_BY_ID)

    async def _beat(self, task: Task) -> bool:
        """Sends heartbeats; returns whether the activity is still wanted."""
        frontend = self._frontend
        for number in range(HEARTBEATS):
            await asyncio.sleep(HEARTBEAT_SECONDS)
            request = wf.RecordActivityTaskHeartbeatRequest(
                namespace=frontend.namespace.name,
                task_token=task.task_token,
                details=json_payloads(number),
                identity=self.name,
            )
            try:
                answer = await frontend.once(
                    lambda request=request: frontend.history.record_activity_task_heartbeat(  # type: ignore[misc]
                        frontend.namespace, request
                    )
                )
            except RETRYABLE:
                continue
            except ServiceError as error:
                frontend.trace.note(self.name, f"heartbeat refused: {error.message}")
                return False
            if answer.cancel_requested:
                await self._cancel(task)
                return False
        return True

    async def _complete(self, task: Task, *, by_id: bool) -> None:
        frontend, history = self._frontend, self._frontend.history
        result = json_payloads(task.activity_id)
        execution = task.workflow_execution
        by_token_request = wf.RespondActivityTaskCompletedRequest(
            namespace=frontend.namespace.name,
            task_token=task.task_token,
            result=result,
            identity=self.name,
        )
        by_id_request = wf.RespondActivityTaskCompletedByIdRequest(
            namespace=frontend.namespace.name,
            workflow_id=execution.workflow_id,
            run_id=execution.run_id,
            activity_id=task.activity_id,
            result=result,
            identity=self.name,
        )

        def call() -> Awaitable[object]:
            if by_id:
                return history.respond_activity_task_completed_by_id(
                    frontend.namespace, by_id_request
                )
            return history.respond_activity_task_completed(frontend.namespace, by_token_request)

        answer = await frontend.attempt(self.name, f"result of {task.activity_id}", call)
        if answer is not None and not by_id:
            self._ledger.completed_activity(execution.run_id, task.activity_id, task.attempt)

    async def _fail(self, task: Task, *, for_good: bool) -> None:
        frontend = self._frontend
        await asyncio.sleep(frontend.generator.choice((0.0, 0.02)))
        request = wf.RespondActivityTaskFailedRequest(
            namespace=frontend.namespace.name,
            task_token=task.task_token,
            failure=application_failure(f"attempt {task.attempt}", non_retryable=for_good),
            identity=self.name,
        )
        await frontend.attempt(
            self.name,
            f"failure of {task.activity_id}",
            lambda: frontend.history.respond_activity_task_failed(frontend.namespace, request),
        )

    async def _cancel(self, task: Task) -> None:
        frontend = self._frontend
        request = wf.RespondActivityTaskCanceledRequest(
            namespace=frontend.namespace.name, task_token=task.task_token, identity=self.name
        )
        await frontend.attempt(
            self.name,
            f"cancellation of {task.activity_id}",
            lambda: frontend.history.respond_activity_task_canceled(frontend.namespace, request),
        )


def _toss(frontend: Frontend, probability: float) -> bool:
    return probability > 0 and frontend.generator.random() < probability
