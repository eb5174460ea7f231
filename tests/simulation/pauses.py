"""An operator who pauses the activities of a workflow now and then, and lets them go on again."""

import asyncio
import random

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import Code, ServiceError
from simulation.commands import ACTIVITY_TYPE
from simulation.rpc import Frontend

REFUSALS = (Code.NOT_FOUND, Code.FAILED_PRECONDITION)
"""Nothing is pending, or the workflow is closed; or an earlier pause still holds."""


async def pause_now_and_then(
    frontend: Frontend, workflow_id: str, generator: random.Random
) -> None:
    """Pauses whatever is pending for a moment, for ever.

    A request that is late may pause something after its end was asked for: the next end is for
    that as well.
    """
    execution = common.WorkflowExecution(workflow_id=workflow_id)
    names = {"namespace": frontend.namespace.name, "execution": execution, "identity": "operator"}
    while True:
        await asyncio.sleep(generator.expovariate(1 / 6))
        pause = wf.PauseActivityRequest(
            **names, type=ACTIVITY_TYPE, request_id=f"{generator.getrandbits(64):016x}"
        )
        try:
            await frontend.insist(
                lambda pause=pause: frontend.history.pause_activity(frontend.namespace, pause)  # type: ignore[misc]
            )
        except ServiceError as error:
            _judge(frontend, workflow_id, "pause", error)
        await asyncio.sleep(generator.uniform(0.05, 3.0))
        unpause = wf.UnpauseActivityRequest(**names, unpause_all=True)
        unpause.jitter.FromMilliseconds(generator.choice((0, 0, 500)))
        try:
            await frontend.insist(
                lambda unpause=unpause: frontend.history.unpause_activity(  # type: ignore[misc]
                    frontend.namespace, unpause
                )
            )
        except ServiceError as error:
            _judge(frontend, workflow_id, "unpause", error)
        else:
            frontend.trace.note(workflow_id, "activities go on")


def _judge(frontend: Frontend, workflow_id: str, what: str, error: ServiceError) -> None:
    text = f"{what} refused: {error.code.name} {error.message}"
    if error.code in REFUSALS:
        frontend.trace.note(workflow_id, text)
    else:
        frontend.trace.violation(f"{workflow_id}: {text}")
