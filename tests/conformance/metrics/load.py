"""A fixed load by the official SDK: the same calls, in the same order, against any server.

One thing runs at a time, so that how often each RPC is called does not hang on how fast a server
is. Long polls are not counted: how often workers ask is theirs to choose.
"""

from collections.abc import Awaitable

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

from conformance.metrics import workflows as wf
from conformance.scenario import IDENTITY, NAMESPACE

QUEUE = "metrics-load"
ROUNDS = 3
LAST_RPC = "CountWorkflowExecutions"
"""Called once, after everything else."""


async def run(address: str) -> None:
    """Puts the load on the server at `address`."""
    # Heartbeats of the worker come when time has passed, not when something has happened.
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=None)
    client = await Client.connect(address, namespace=NAMESPACE, identity=IDENTITY, runtime=runtime)
    async with Worker(client, task_queue=QUEUE, workflows=wf.WORKFLOWS, activities=wf.ACTIVITIES):
        for number in range(ROUNDS):
            await _round(client, f"metrics-{number}")
    await client.count_workflows()


async def _round(client: Client, name: str) -> None:
    await client.execute_workflow(wf.Greets.run, "you", id=f"{name}-greets", task_queue=QUEUE)
    await client.execute_workflow(wf.Sleeps.run, id=f"{name}-sleeps", task_queue=QUEUE)
    await client.execute_workflow(wf.Retries.run, id=f"{name}-retries", task_queue=QUEUE)
    await client.execute_workflow(wf.Continues.run, 2, id=f"{name}-continues", task_queue=QUEUE)
    await client.execute_workflow(wf.Parent.run, "you", id=f"{name}-parent", task_queue=QUEUE)
    fails = client.execute_workflow(wf.Fails.run, id=f"{name}-fails", task_queue=QUEUE)
    await _refused(fails, WorkflowFailureError)
    late = client.execute_workflow(wf.TimesOut.run, id=f"{name}-late", task_queue=QUEUE)
    await _refused(late, WorkflowFailureError)
    await _talk(client, f"{name}-waits")
    await _end(client, f"{name}-ends")


async def _talk(client: Client, workflow_id: str) -> None:
    """Queries, updates and signals a workflow, and starts it when it runs already."""
    waits = await _waiting(client, workflow_id)
    assert await waits.query(wf.Waits.updates) == 0
    assert await waits.execute_update(wf.Waits.update) == 1
    again = client.start_workflow(
        wf.Waits.run,
        id=workflow_id,
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    await _refused(again, WorkflowAlreadyStartedError)
    await waits.signal(wf.Waits.go)
    assert await waits.result() == 1


async def _end(client: Client, workflow_id: str) -> None:
    """Terminates one workflow and cancels another; asks for one that never was."""
    terminated = await _waiting(client, f"{workflow_id}-terminated")
    await terminated.terminate("no need")
    cancelled = await _waiting(client, f"{workflow_id}-cancelled")
    await cancelled.cancel()
    await _refused(cancelled.result(), WorkflowFailureError)
    await _refused(client.get_workflow_handle("metrics-nobody").describe(), RPCError)


async def _waiting(client: Client, workflow_id: str) -> WorkflowHandle[wf.Waits, int]:
    """Returns a workflow whose first workflow task is done."""
    waits = await client.start_workflow(wf.Waits.run, id=workflow_id, task_queue=QUEUE)
    async for event in waits.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return waits
    raise AssertionError("its first workflow task never came")


async def _refused(call: Awaitable[object], error: type[BaseException]) -> None:
    try:
        await call
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")
