"""Eager starts: the first workflow task comes with the answer."""

from typing import Any

from conformance.commands import complete_workflow
from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def eager_start_described(env: ScenarioEnv) -> Recording:
    """Eager: the task in the answer is a started one, and is given again to the same request."""
    record, driver = env.recording(), Driver(env)
    fields: dict[str, Any] = {
        "request_eager_execution": True,
        "request_id": env.name("request"),
        "input": payloads("in"),
    }
    answer = await record.call("start", driver.start(**fields))
    record.note("described", await driver.describe())
    await record.call("again", driver.start(**fields))
    assert answer is not None
    await driver.complete(answer.eager_workflow_task, complete_workflow())
    await record.call("again when closed", driver.start(**fields))
    record.events("history", await driver.history())
    return record


@scenario
async def eager_start_not_given(env: ScenarioEnv) -> Recording:
    """Eager: a start that waits, or that finds a run, has no task in its answer."""
    record = env.recording()
    asked: dict[str, dict[str, Any]] = {
        "delay": {"workflow_start_delay": {"seconds": 3600}},
        "cron": {"cron_schedule": "@every 100h"},
        "retry policy": {"retry_policy": {"maximum_attempts": 2}},
    }
    for name, fields in asked.items():
        driver = Driver(env, workflow=f"wf-{name}")
        await record.call(name, driver.start(request_eager_execution=True, **fields))
        record.events(f"{name}: history", await driver.history())
        await driver.terminate()
    driver = Driver(env)
    await driver.start()
    await record.call("open", driver.start(request_eager_execution=True))
    policy = "WORKFLOW_ID_CONFLICT_POLICY_"
    for name in ("USE_EXISTING", "TERMINATE_EXISTING"):
        await record.call(
            name,
            driver.start(
                request_eager_execution=True, workflow_id_conflict_policy=f"{policy}{name}"
            ),
        )
    record.events("last run", await driver.history())
    await driver.terminate()
    return record
