"""Cron workflows: each run of a chain is followed by another, when the schedule says so."""

from conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
)
from conformance.driver import Driver, application_failure, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_SECOND = "@every 1s"


@scenario
async def cron_goes_on(env: ScenarioEnv) -> Recording:
    """Cron: a run that completes or fails is followed by one that has its result or failure."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        cron_schedule=_SECOND,
        input=payloads("in"),
        memo={"fields": {"note": payload("memo")}},
        header={"fields": {"trace": payload("header")}},
        user_metadata={"summary": payload("short")},
        workflow_run_timeout={"seconds": 30},
    )
    record.note("described", await driver.describe())
    record.events("before", await driver.history())
    await driver.step(complete_workflow("one"))
    second = await driver.poll()
    await driver.complete(second, fail_workflow(application_failure("two", kind="Oops")))
    third = await driver.poll()
    await driver.complete(third, complete_workflow("three"))
    record.events("first run", await driver.history(first.run_id))
    record.events("second run", await driver.history(second.workflow_execution.run_id))
    record.events("third run", await driver.history(third.workflow_execution.run_id))
    record.note("third described", await driver.describe(third.workflow_execution.run_id))
    record.note("fourth described", await driver.describe())
    await driver.terminate()
    record.events("fourth run", await driver.history())
    return record


@scenario
async def cron_ends(env: ScenarioEnv) -> Recording:
    """Cron: a cancelled or terminated run, or one that continues as new without it, is the last."""
    record = env.recording()
    cancelled = Driver(env, workflow="cancelled", queue="cancelled")
    await cancelled.start(cron_schedule=_SECOND)
    await record.call("cancel", cancelled.cancel())
    await cancelled.step(cancel_workflow("enough"))
    record.events("cancelled", await cancelled.history())
    signalled = Driver(env, workflow="signalled", queue="signalled")
    await signalled.start(cron_schedule="@every 100h")
    await record.call("signal", signalled.signal("now"))
    record.events("signalled", await signalled.history())
    record.note("signalled described", await signalled.describe())
    await signalled.terminate()
    return record


@scenario
async def cron_continued(env: ScenarioEnv) -> Recording:
    """Cron: a run that continues as new keeps the schedule, and may set another."""
    record, driver = env.recording(), Driver(env)
    await driver.start(cron_schedule=_SECOND)
    await driver.step(continue_as_new(driver.queue))
    second = await driver.poll()
    record.events("second run", await driver.history())
    await driver.complete(second, continue_as_new(driver.queue, cron_schedule="@every 2s"))
    record.events("second run closed", await driver.history(second.workflow_execution.run_id))
    third = await driver.poll()
    await driver.complete(third, complete_workflow("three"))
    record.events("third run", await driver.history(third.workflow_execution.run_id))
    record.events("fourth run", await driver.history())
    await driver.terminate()
    return record


@scenario
async def cron_continued_badly(env: ScenarioEnv) -> Recording:
    """Cron: a run continues as new with a schedule that is none."""
    record = env.recording()
    bad = Driver(env, workflow="bad", queue="bad")
    await bad.start()
    await record.call(
        "bad schedule", bad.step(continue_as_new(bad.queue, cron_schedule="tomorrow"))
    )
    record.events("bad schedule: history", await bad.history())
    await bad.terminate()
    return record


@scenario
async def cron_with_retries(env: ScenarioEnv) -> Recording:
    """Cron: retries come first; after the last attempt the schedule goes on."""
    record, driver = env.recording(), Driver(env)
    await driver.start(
        cron_schedule=_SECOND,
        input=payloads("in"),
        retry_policy={"initial_interval": {"nanos": 100_000_000}, "maximum_attempts": 2},
    )
    first = await driver.poll()
    await driver.complete(first, fail_workflow(application_failure("one")))
    second = await driver.poll()
    await driver.complete(second, fail_workflow(application_failure("two")))
    third = await driver.poll()
    for name, task in (("first", first), ("second", second), ("third", third)):
        record.events(f"{name} run", await driver.history(task.workflow_execution.run_id))
    await driver.terminate()
    return record


@scenario
async def cron_timeouts(env: ScenarioEnv) -> Recording:
    """Cron: a run's timeout is followed by the next run; the execution's ends the chain."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        cron_schedule=_SECOND,
        workflow_run_timeout={"seconds": 1},
        workflow_execution_timeout={"seconds": 5},
    )
    task = await driver.poll()
    record.note("task", task.attempt)
    record.note("closed", await driver.closed(first.run_id))
    second = await driver.poll()
    record.events("first run", await driver.history(first.run_id))
    record.events("second run", await driver.history(second.workflow_execution.run_id))
    event = await driver.closed(second.workflow_execution.run_id)
    while event.HasField("workflow_execution_continued_as_new_event_attributes"):
        continued = event.workflow_execution_continued_as_new_event_attributes
        event = await driver.closed(continued.new_execution_run_id)
    record.note("last event", event)
    return record


@scenario
async def cron_signal_with_start(env: ScenarioEnv) -> Recording:
    """Cron: a signal that starts the chain waits with it."""
    record, driver = env.recording(), Driver(env)
    await record.call("first", driver.signal_with_start("a", cron_schedule="@every 1s"))
    task = await driver.poll()
    record.events("first run", await driver.history())
    await driver.complete(task, complete_workflow("one"))
    record.events("second run", await driver.history())
    await driver.terminate()
    other = Driver(env, workflow="other", queue="other")
    first = await other.signal_with_start("a", cron_schedule="@every 100h")
    await record.call("again", other.signal_with_start("b", cron_schedule="@every 100h"))
    await other.step(complete_workflow("early"))
    record.events("ended early", await other.history(first.run_id))
    await other.terminate()
    return record


@scenario
async def cron_specs(env: ScenarioEnv) -> Recording:
    """Cron: which schedules are taken, and which are refused."""
    record = env.recording()
    specs = (
        "* * * * *",
        "0 12 * * 1-5",
        "*/5 0-6,22 1 JAN-mar ?",
        "5/15 * L * *",
        "0 0 * * SUN",
        "0 0 * * 7",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "10-5 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "* * * *",
        "* * * * * *",
        "",
        "   ",
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
        "@reboot",
        "@every",
        "@every 0s",
        "@every 500ms",
        "@every -5s",
        "@every 1h30m10s",
        "@every 1.5s",
        "@every 1d",
        "@every 90",
        "CRON_TZ=Europe/Berlin 0 12 * * *",
        "TZ=Europe/Berlin 0 12 * * *",
        "CRON_TZ=Mars/X 0 12 * * *",
        "CRON_TZ=Europe/Berlin @daily",
        "0 0 31 2 *",
        " 0 0 1 1 * ",
        "0 0 1 1 MON#2",
        "H * * * *",
        "1-10/3 * * * *",
        "1/3 * * * *",
        "*/70 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
    )
    for number, spec in enumerate(specs):
        driver = Driver(env, workflow=f"wf-{number}")
        started = await record.call(
            f"{number}: {spec}", driver.start(cron_schedule=spec), show=lambda _: "OK"
        )
        if started is not None:
            await driver.terminate()
    return record
