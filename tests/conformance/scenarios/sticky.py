"""Sticky task queues: incremental histories, fallback when the worker is gone, resets."""

import asyncio

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, start_timer
from conformance.driver import WORKER, Driver, payloads
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario


@scenario
async def sticky_incremental(env: ScenarioEnv) -> Recording:
    """A sticky worker gets only the events since its last task, and queries without history."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60), **driver.sticky())
    record.note("describe", (await driver.describe()).execution_config)
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.round_trips()
    await driver.signal("wake")
    task = await poll
    record.note("sticky task", task)
    await driver.complete(task, **driver.sticky())
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.round_trips()
    query = asyncio.create_task(driver.query())
    task = await poll
    record.note("sticky query", task)
    await driver.answer_query(
        task, completed_type="QUERY_RESULT_TYPE_ANSWERED", query_result=payloads("yes")
    )
    await record.call("result", query)
    await driver.signal("end")
    await driver.step(complete_workflow(), sticky=True)
    record.events("history", await driver.history())
    return record


@scenario
async def sticky_timeout(env: ScenarioEnv) -> Recording:
    """Nobody polls the sticky queue in time: the task goes to the normal queue, history and all."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.step(start_timer("t", 60), **driver.sticky(seconds=1))
    await driver.signal("one")
    await driver.complete(await poll, **driver.sticky(seconds=1))
    await driver.signal("two")
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def sticky_reset(env: ScenarioEnv) -> Recording:
    """ResetStickyTaskQueue: later tasks go to the normal queue at once."""
    record, driver = env.recording(), Driver(env)
    await record.call("missing", driver.reset_sticky())
    await driver.start()
    await driver.step(start_timer("t", 60), **driver.sticky())
    await record.call("reset", driver.reset_sticky())
    await record.call("again", driver.reset_sticky())
    await driver.signal("wake")
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, complete_workflow())
    await record.call("closed", driver.reset_sticky())
    record.events("history", await driver.history())
    return record


@scenario
async def sticky_worker_shut_down(env: ScenarioEnv) -> Recording:
    """ShutdownWorker: the sticky queue is gone, its next task goes to the normal queue."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.step(start_timer("t", 60), **driver.sticky())
    await driver.signal("one")
    await driver.complete(await poll, **driver.sticky())
    request = build(
        wf.ShutdownWorkerRequest,
        namespace=NAMESPACE,
        sticky_task_queue=driver.sticky_queue,
        identity=WORKER,
        reason="conformance",
    )
    await record.call("shut down", call(env, request, wf.ShutdownWorkerResponse))
    await driver.signal("two")
    task = await driver.poll()
    record.note("task", task)
    await driver.complete(task, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def sticky_cleared_by_failure(env: ScenarioEnv) -> Recording:
    """A workflow task that fails or times out ends stickiness."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_task_timeout={"seconds": 1})
    await driver.step(start_timer("t", 60), **driver.sticky())
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.round_trips()
    await driver.signal("one")
    await driver.fail_task(
        await poll, cause="WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE"
    )
    task = await driver.poll()
    record.note("after failure", task)
    await driver.complete(task, **driver.sticky())
    poll = asyncio.create_task(driver.poll(sticky=True))
    await driver.round_trips()
    await driver.signal("two")
    await poll
    record.note("after timeout", await driver.poll())
    await driver.terminate()
    record.events("history", await driver.history())
    return record
