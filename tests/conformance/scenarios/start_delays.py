"""Starts whose first workflow task waits: by a delay of the client's."""

from typing import Any

from conformance.commands import complete_workflow
from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_HOUR = {"seconds": 3600}


@scenario
async def start_delay_passes(env: ScenarioEnv) -> Recording:
    """A delayed start has no workflow task until the delay has passed."""
    record, driver = env.recording(), Driver(env)
    delay = {"seconds": 1, "nanos": 500_000_000}
    await record.call(
        "start", driver.start(workflow_start_delay=delay, workflow_run_timeout={"seconds": 30})
    )
    record.note("described", await driver.describe())
    await record.call("cancel", driver.cancel())
    record.events("before", await driver.history())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    record.note("described closed", await driver.describe())
    return record


@scenario
async def start_delay_ended_by_signal(env: ScenarioEnv) -> Recording:
    """A signal does not end the delay of a start; a signal-with-start does."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_start_delay=_HOUR, workflow_execution_timeout={"seconds": 7200})
    await record.call("signal", driver.signal("wait", input=payloads("a while")))
    record.events("waits", await driver.history())
    await record.call("query", driver.query(timeout=2.0))
    await record.call("signal with start", driver.signal_with_start("go"))
    task = await driver.poll()
    record.note("described", await driver.describe())
    await driver.complete(task, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def start_delay_of_signal_with_start(env: ScenarioEnv) -> Recording:
    """Signal-with-start may be delayed; only a later signal ends the delay."""
    record, driver = env.recording(), Driver(env)
    await record.call("first", driver.signal_with_start("a", workflow_start_delay=_HOUR))
    record.note("described", (await driver.describe()).workflow_execution_info)
    record.events("before", await driver.history())
    await record.call("second", driver.signal_with_start("b", workflow_start_delay=_HOUR))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    other = Driver(env, workflow="terminated")
    await other.start(workflow_start_delay=_HOUR)
    await record.call("terminate", other.terminate())
    record.events("terminated", await other.history())
    return record


@scenario
async def start_delay_refused(env: ScenarioEnv) -> Recording:
    """A delay may be zero, but neither negative nor together with a cron schedule."""
    record = env.recording()
    asked: dict[str, dict[str, Any]] = {
        "zero": {"workflow_start_delay": {}},
        "negative": {"workflow_start_delay": {"seconds": -1}},
        "with cron": {"workflow_start_delay": _HOUR, "cron_schedule": "* * * * *"},
        "zero with cron": {"workflow_start_delay": {}, "cron_schedule": "* * * * *"},
    }
    for name, fields in asked.items():
        driver = Driver(env, workflow=f"wf-{name}")
        started = await record.call(name, driver.start(**fields))
        await record.call(f"{name}, signal", driver.signal_with_start("s", **fields))
        if started is not None:
            await driver.terminate()
            record.events(f"{name}: history", await driver.history())
    return record
