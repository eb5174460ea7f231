"""An operator who pauses the activities of a workflow now and then, and lets them go on again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

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
    history, namespace = frontend.history, frontend.namespace
    execution = common.WorkflowExecution(workflow_id=workflow_id)
    while True:
        await asyncio.sleep(generator.expovariate(1 / 2))
        pause = wf.PauseActivityRequest(
            namespace=namespace.name,
            execution=execution,
            identity="operator",
            type=ACTIVITY_TYPE,
            request_id=f"{generator.getrandbits(64):016x}",
        )
        once = partial(history.pause_activity, namespace, pause)
        await _insist(frontend, workflow_id, "pause", once)
        await asyncio.sleep(generator.uniform(0.05, 3.0))
        unpause = wf.UnpauseActivityRequest(
            namespace=namespace.name,
            execution=execution,
            identity="operator",
            unpause_all=True,
        )
        unpause.jitter.FromMilliseconds(generator.choice((0, 0, 500)))
        again = partial(history.unpause_activity, namespace, unpause)
        await _insist(frontend, workflow_id, "unpause", again)


async def _insist(
    frontend: Frontend, workflow_id: str, what: str, call: Callable[[], Awaitable[object]]
) -> None:
    try:
        await frontend.insist(call)
    except ServiceError as error:
        text = f"{what} refused: {error.code.name} {error.message}"
        if error.code in REFUSALS:
            frontend.trace.note(workflow_id, text)
        else:
            frontend.trace.violation(f"{workflow_id}: {text}")
    else:
        frontend.trace.note(workflow_id, f"{what} acknowledged")
