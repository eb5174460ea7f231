"""Updates of a workflow that is started for them: one call, both operations or neither."""

import asyncio
from typing import Any

from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario
from conformance.updating import (
    ACCEPTED,
    accept,
    commands_of,
    idle,
    reject,
    respond,
    update,
    update_request,
    update_with_start,
)

USE_EXISTING: dict[str, Any] = {
    "workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"
}
FAIL = {"workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_FAIL"}
TERMINATE = {"workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"}
_RUN_ID = "0190ad5c-6a39-7f4e-8d54-3a5b7f2d1c00"
REJECT = {"workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"}


@scenario
async def update_with_start_of_new(env: ScenarioEnv) -> Recording:
    """The workflow is new: its first task brings the update."""
    record, driver = env.recording(), Driver(env)
    start = USE_EXISTING | {"request_id": env.name("request")}
    asked = asyncio.create_task(update_with_start(driver, start=start))
    task = await driver.poll()
    record.note("task", task)
    answers = [accept(), respond()]
    await driver.complete(task, *commands_of(*answers), messages=answers)
    record.note("answer", await asked)
    await record.call("again", update_with_start(driver, start=start))
    await record.call("again with other start", update_with_start(driver, start=FAIL))
    await driver.signal("end")
    await driver.step(complete_workflow())
    await record.call("again when closed", update_with_start(driver, start=start))
    record.events("history", await driver.history())
    return record


@scenario
async def update_with_start_of_existing(env: ScenarioEnv) -> Recording:
    """The workflow runs: the conflict policy says what happens."""
    record, driver = env.recording(), Driver(env)
    await idle(driver)
    asked = asyncio.create_task(update_with_start(driver, start=USE_EXISTING))
    await driver.step(messages=[reject()])
    record.note("used", await asked)
    asked = asyncio.create_task(update_with_start(driver, start=USE_EXISTING, wait=ACCEPTED))
    await driver.step(messages=[accept()])
    record.note("accepted", await asked)
    await record.call("same update", update_with_start(driver, start=FAIL, wait=ACCEPTED))
    await record.call("refused", update_with_start(driver, start=FAIL, update_id="other"))
    asked = asyncio.create_task(update_with_start(driver, start=TERMINATE, update_id="third"))
    answers = [accept("third"), respond("third")]
    await driver.step(*commands_of(*answers), messages=answers)
    record.note("replaced", await asked)
    await driver.terminate()
    await record.call("reused", update_with_start(driver, start=REJECT, update_id="fourth"))
    return record


@scenario
async def update_with_start_fails(env: ScenarioEnv) -> Recording:
    """The update fails, and the workflow stays started or untouched."""
    record, driver = env.recording(), Driver(env)
    asked = asyncio.create_task(update_with_start(driver, start=USE_EXISTING))
    await driver.step(complete_workflow())
    await record.call("closed without answer", asked)
    driver = Driver(env, workflow="rejected", queue="rejected-queue")
    asked = asyncio.create_task(update_with_start(driver, start=USE_EXISTING))
    await driver.step(messages=[reject()])
    await record.call("rejected", asked)
    driver = Driver(env, workflow="failing", queue="failing-queue")
    await driver.start()
    await driver.fail_task(await driver.poll())
    await driver.fail_task(await driver.poll())
    await driver.poll()
    await record.call("not ready", update_with_start(driver, start=USE_EXISTING))
    driver = Driver(env, workflow="closing", queue="closing-queue")
    await driver.start()
    task = await driver.poll()
    asked = asyncio.create_task(update_with_start(driver, start=USE_EXISTING))
    await driver.round_trips()
    await driver.complete(task, complete_workflow())
    await driver.step(messages=[reject()])
    await record.call("the old run closed", asked)
    return record


@scenario
async def update_with_start_invalid(env: ScenarioEnv) -> Recording:
    """Requests that are not in order."""
    record, driver = env.recording(), Driver(env)
    start, asked = driver.start_request(**USE_EXISTING), update_request(driver)
    lists: dict[str, list[Any]] = {
        "none": [],
        "one": [{"start_workflow": start}],
        "wrong order": [{"update_workflow": asked}, {"start_workflow": start}],
        "three": [{"start_workflow": start}, {"update_workflow": asked}] * 2,
        "empty": [{}, {}],
    }
    for name, operations in lists.items():
        await record.call(name, _multi(env, operations))
    starts: dict[str, dict[str, Any]] = {
        "no workflow id": {"workflow_id": ""},
        "cron": {"cron_schedule": "* * * * *"},
        "eager": {"request_eager_execution": True},
        "delay": {"workflow_start_delay": {"seconds": 1}},
        "no queue": {"task_queue": {}},
        "other id": {"workflow_id": "other"},
        "other namespace": {"namespace": "other"},
        "no namespace": {"namespace": ""},
    }
    for name, fields in starts.items():
        await record.call(name, update_with_start(driver, start=USE_EXISTING | fields))
    execution = {"workflow_id": driver.workflow_id, "run_id": _RUN_ID}
    updates: dict[str, dict[str, Any]] = {
        "update: no id": {"workflow_execution": {}},
        "update: run id": {"workflow_execution": execution},
        "update: first run id": {"first_execution_run_id": _RUN_ID},
        "update: no input": {"request": {"meta": {"update_id": "u"}}},
        "update: other namespace": {"namespace": "other"},
    }
    for name, fields in updates.items():
        await record.call(name, update_with_start(driver, start=USE_EXISTING, **fields))
    await record.call(
        "both", update_with_start(driver, start={"workflow_type": {}}, request={"meta": {}})
    )
    await record.call("no policy", update_with_start(driver, start={}, wait=ACCEPTED, timeout=1.0))
    await record.call("no workflow", update(driver))
    return record


async def _multi(env: ScenarioEnv, operations: list[Any]) -> wf.ExecuteMultiOperationResponse:
    request = build(wf.ExecuteMultiOperationRequest, namespace=NAMESPACE, operations=operations)
    return await call(env, request, wf.ExecuteMultiOperationResponse)
