"""Updates with the official Python SDK, and by the `temporal` CLI."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import FailureError
from temporalio.service import RPCError

from conformance.driver import Driver
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.cli import temporal
from conformance.scenarios.sdk import worker
from conformance.sdk_workflows import Ledger


@scenario
async def sdk_updates(env: ScenarioEnv) -> Recording:
    """Updates that are refused, answered at once, answered by an activity, and that fail."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await _begun(client, driver)
        record.note("added", await handle.execute_update(Ledger.add, 1, id="one"))
        record.note("added again", await handle.execute_update(Ledger.add, 1, id="one"))
        record.note("refused", await _error(handle.execute_update(Ledger.add, 0, id="zero")))
        record.note("greeted", await handle.execute_update(Ledger.add_greeting, "you", id="g"))
        record.note("failed", await _error(handle.execute_update(Ledger.fail, "no", id="f")))
        record.note("unknown", await _error(handle.execute_update("nothing", id="n")))
        record.note("bad argument", await _error(handle.execute_update("add", "x", id="x")))
        started = await handle.start_update(
            Ledger.add, 5, id="five", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        record.note("result", await started.result())
        by_id = handle.get_update_handle("five")
        record.note("by id", await by_id.result())
        await handle.signal(Ledger.done)
        record.note("sum", await handle.result())
        record.note("closed", await by_id.result())
        record.note("late", await _error(handle.execute_update(Ledger.add, 1, id="late")))
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_update_without_cache(env: ScenarioEnv) -> Recording:
    """A worker without a cache reads the whole history for every update."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env, max_cached_workflows=0):
        handle = await _begun(client, driver)
        record.note("added", await handle.execute_update(Ledger.add, 1, id="one"))
        record.note("refused", await _error(handle.execute_update(Ledger.add, 0, id="zero")))
        record.note("greeted", await handle.execute_update(Ledger.add_greeting, "you", id="g"))
        await handle.signal(Ledger.done)
        record.note("sum", await handle.result())
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_update_next_worker(env: ScenarioEnv) -> Recording:
    """The worker goes away; the next one replays the workflow and takes the update."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await _begun(client, driver)
        record.note("first", await handle.execute_update(Ledger.add, 1, id="one"))
    asked = asyncio.create_task(handle.execute_update(Ledger.add, 2, id="two"))
    async with worker(client, env):
        record.note("second", await asked)
        await handle.signal(Ledger.done)
        record.note("sum", await handle.result())
    return record


@scenario
async def sdk_update_outlives_run(env: ScenarioEnv) -> Recording:
    """Accepted updates whose workflow ends; updates around a continue-as-new."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        handle = await _begun(client, driver)
        waiting = await handle.start_update(
            Ledger.wait_for_end, id="w", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        await handle.signal(Ledger.done)
        record.note("sum", await handle.result())
        record.note("accepted", await _error(waiting.result()))
        other = await _begun(client, Driver(env, workflow="other"))
        record.note("before", await other.execute_update(Ledger.add, 1, id="one"))
        await other.signal(Ledger.continue_as_new)
        record.note("after", await other.execute_update(Ledger.add, 2, id="two"))
        await other.signal(Ledger.done)
        record.note("other sum", await other.result())
    return record


@scenario
async def sdk_update_waits_for_next_run(env: ScenarioEnv) -> Recording:
    """An update comes while the task is run by which a workflow continues as new."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    handle = await _start(client, driver)
    await handle.signal(Ledger.continue_as_new)
    asked = asyncio.create_task(handle.execute_update(Ledger.add, 2, id="two"))
    await driver.round_trips()
    async with worker(client, env):
        record.note("answer", await _error(asked))
        await client.get_workflow_handle(driver.workflow_id).signal(Ledger.done)
        record.note("sum", await handle.result())
    return record


@scenario
async def sdk_update_with_start(env: ScenarioEnv) -> Recording:
    """The SDK's update-with-start: of a new workflow, and of one that runs."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        for amount in (1, 2, 0):
            start = WithStartWorkflowOperation(
                Ledger.run,
                10,
                id=driver.workflow_id,
                task_queue=driver.queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            answer = client.execute_update_with_start_workflow(
                Ledger.add, amount, start_workflow_operation=start
            )
            record.note(f"add {amount}", await _error(answer))
        handle = client.get_workflow_handle(driver.workflow_id)
        await handle.signal(Ledger.done)
        record.note("sum", await handle.result())
    return record


@scenario
async def cli_update(env: ScenarioEnv) -> Recording:
    """`temporal workflow update`: execute, start, result, describe; and with a start."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    async with worker(client, env):
        await _begun(client, driver)
        workflow = f"--workflow-id={driver.workflow_id}"
        command = ("workflow", "update")
        add = (workflow, "--name=add", "--input=1", "--update-id=one")
        record.note("execute", await temporal(env, *command, "execute", *add))
        refused = (workflow, "--name=add", "--input=0", "--update-id=zero")
        record.note("refused", await temporal(env, *command, "execute", *refused))
        start = (workflow, "--name=add", "--input=5", "--update-id=five")
        record.note(
            "start", await temporal(env, *command, "start", *start, "--wait-for-stage=accepted")
        )
        five = (workflow, "--update-id=five")
        record.note("result", await temporal(env, *command, "result", *five))
        record.note("describe", await temporal(env, *command, "describe", *five))
        missing = (workflow, "--update-id=missing")
        record.note("missing", await temporal(env, *command, "describe", *missing))
        with_start = (
            f"--workflow-id={env.name('new')}",
            "--type=Ledger",
            f"--task-queue={driver.queue}",
            "--input=100",
            "--id-conflict-policy=UseExisting",
            "--update-name=add",
            "--update-input=1",
            "--update-id=one",
        )
        record.note(
            "with start", await temporal(env, "workflow", "execute-update-with-start", *with_start)
        )
        await client.get_workflow_handle(driver.workflow_id).terminate()
        await client.get_workflow_handle(env.name("new")).terminate()
    return record


async def _begun(client: Client, driver: Driver) -> WorkflowHandle[Ledger, int]:
    """Starts a workflow, and waits until its first task is done: updates get one of their own."""
    handle = await _start(client, driver)
    await driver.event("WORKFLOW_TASK_COMPLETED")
    return handle


async def _start(client: Client, driver: Driver) -> WorkflowHandle[Ledger, int]:
    return await client.start_workflow(
        Ledger.run,
        100,
        id=driver.workflow_id,
        task_queue=driver.queue,
        task_timeout=timedelta(seconds=10),
    )


async def _error(answer: Awaitable[Any]) -> Any:
    """Returns an answer, or what user code sees of its failure."""
    try:
        return await answer
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        message = cause.message if isinstance(cause, FailureError) else str(cause)
        return f"{error}: {type(cause).__name__}: {message}"
    except RPCError as error:
        return f"{error.status.name}: {error.message}"
