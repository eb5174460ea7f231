"""Runs whose first workflow task waits, and what clients ask of them."""

from collections.abc import Awaitable, Callable

from conformance.commands import continue_as_new, fail_workflow
from conformance.driver import Driver, application_failure, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_LONG = {"seconds": 3600}


@scenario
async def start_delay_and_other_requests(env: ScenarioEnv) -> Recording:
    """A delayed run is cancelled, asked, and ended before it has begun."""
    record = env.recording()
    driver = Driver(env)
    await driver.start(
        workflow_start_delay=_LONG,
        workflow_execution_timeout={"seconds": 60},
        workflow_run_timeout={"seconds": 30},
    )
    await record.call("cancel", driver.cancel())
    record.events("cancel requested", await driver.history())
    record.note("cancel requested, described", await driver.describe())
    await record.call("terminate", driver.terminate())
    record.events("terminated", await driver.history())
    await record.call("start again", driver.start())
    await driver.step(continue_as_new(driver.queue, input=payloads("two")))
    record.events("no delay after it", await driver.history())
    return record


@scenario
async def retry_backoff_and_other_requests(env: ScenarioEnv) -> Recording:
    """What requests do to a run that waits out the interval before a retry."""
    record = env.recording()
    policy = {"initial_interval": _LONG, "maximum_interval": _LONG}
    requests: dict[str, Callable[[Driver], Awaitable[object]]] = {
        "signal": lambda driver: driver.signal("one"),
        "signal with start": lambda driver: driver.signal_with_start("one"),
        "cancel": lambda driver: driver.cancel(),
    }
    for name, request in requests.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start(retry_policy=policy)
        await driver.step(fail_workflow(application_failure("one")))
        await request(driver)
        record.events(name, (await driver.history())[1:])
        await driver.terminate()
    return record
