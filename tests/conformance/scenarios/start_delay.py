"""Starts whose first workflow task waits."""

from collections.abc import Awaitable, Callable

from conformance.commands import complete_workflow, continue_as_new, fail_workflow
from conformance.driver import Driver, application_failure, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_LONG = {"seconds": 3600}
_SHORT = {"nanos": 300_000_000}


@scenario
async def start_delay(env: ScenarioEnv) -> Recording:
    """The first workflow task of a delayed start comes when the delay is over."""
    record, driver = env.recording(), Driver(env)
    await driver.start(
        workflow_start_delay=_SHORT,
        workflow_execution_timeout={"seconds": 60},
        workflow_run_timeout={"seconds": 30},
    )
    record.events("while it waits", await driver.history())
    record.note("described while it waits", await driver.describe())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def start_delay_ended_by_signal(env: ScenarioEnv) -> Recording:
    """What signals, with and without a start, do to a delay."""
    record = env.recording()
    signalled = Driver(env)
    await signalled.start(workflow_start_delay=_LONG)
    await record.call("signal", signalled.signal("one"))
    record.events("signalled", await signalled.history())
    record.note("signalled, described", await signalled.describe())
    started = Driver(env, workflow="started", queue="started-queue")
    await record.call(
        "signal with start", started.signal_with_start("one", workflow_start_delay=_LONG)
    )
    record.events("signalled at the start", await started.history())
    await record.call(
        "signal with start again", started.signal_with_start("two", workflow_start_delay=_LONG)
    )
    record.events("signalled with start again", await started.history())
    for each in (signalled, started):
        await each.terminate()
    return record


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
async def start_delay_refused(env: ScenarioEnv) -> Recording:
    """Delays that are refused."""
    record, driver = env.recording(), Driver(env)
    await record.call("negative", driver.start(workflow_start_delay={"seconds": -1}))
    both = {"workflow_start_delay": _LONG, "cron_schedule": "* * * * *"}
    await record.call("with cron", driver.start(**both))
    await record.call("signal with start, with cron", driver.signal_with_start("one", **both))
    await record.call("none", driver.start(workflow_start_delay={}))
    record.events("none: history", await driver.history())
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
