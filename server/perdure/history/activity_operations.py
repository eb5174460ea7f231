"""What operators ask of the activities of a run."""

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.activity import operations
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.execution import Executor
from perdure.history.workflows import run_key
from perdure.rpc.clients import Namespace


class ActivityOperations:
    """Pauses, unpauses and resets activities, and changes their options."""

    def __init__(self, *, executor: Executor) -> None:
        self._executor = executor

    async def pause(
        self, namespace: Namespace, request: wf.PauseActivityRequest
    ) -> wf.PauseActivityResponse:
        """Pauses activities."""

        def act(step: Step, run: Run) -> None:
            operations.pause(step.edit(run), request)

        await self._executor.update(run_key(namespace, request.execution), act)
        return wf.PauseActivityResponse()

    async def unpause(
        self, namespace: Namespace, request: wf.UnpauseActivityRequest
    ) -> wf.UnpauseActivityResponse:
        """Ends the pause of activities."""

        def act(step: Step, run: Run) -> None:
            operations.unpause(step.edit(run), request)

        await self._executor.update(run_key(namespace, request.execution), act)
        return wf.UnpauseActivityResponse()

    async def reset(
        self, namespace: Namespace, request: wf.ResetActivityRequest
    ) -> wf.ResetActivityResponse:
        """Counts attempts of activities anew."""

        def act(step: Step, run: Run) -> None:
            operations.reset(step.edit(run), request)

        await self._executor.update(run_key(namespace, request.execution), act)
        return wf.ResetActivityResponse()

    async def update_options(
        self, namespace: Namespace, request: wf.UpdateActivityOptionsRequest
    ) -> wf.UpdateActivityOptionsResponse:
        """Changes options of activities."""
        response = wf.UpdateActivityOptionsResponse()

        def act(step: Step, run: Run) -> None:
            options = operations.update_options(step.edit(run), request)
            response.activity_options.CopyFrom(options)

        await self._executor.update(run_key(namespace, request.execution), act)
        return response
