"""Options of activities that are changed while they are pending."""

from conformance.commands import schedule_activity
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.activity_operations import (
    OPTIONS,
    SLOW,
    pause,
    pending,
    reset,
    update_options,
)


@scenario
async def activity_options_updated(env: ScenarioEnv) -> Recording:
    """Options are changed by a mask, one, by type or all; originals are restored."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    other = {"activity_type": {"name": "Other"}}
    await driver.step(
        schedule_activity("a", driver.queue, retry_policy=SLOW),
        schedule_activity("b", driver.queue, retry_policy=SLOW, **other),
    )
    await record.call(
        "one option",
        update_options(driver, "start_to_close_timeout", options=OPTIONS, id="a"),
    )
    record.note("described", await pending(driver))
    for path in (
        "schedule_to_close_timeout",
        "schedule_to_start_timeout",
        "heartbeat_timeout",
        "retry_policy.initial_interval",
        "retry_policy.backoff_coefficient",
        "retry_policy.maximum_interval",
        "retry_policy.maximum_attempts",
        "retry_policy",
        "priority",
        "priority.priority_key",
        "task_queue.name",
        "task_queue",
        "heartbeatTimeout",
        "no_such_option",
    ):
        await record.call(path, update_options(driver, path, options=OPTIONS, type="Other"))
    record.note("described by type", await pending(driver))
    await record.call(
        "all of them",
        update_options(
            driver,
            "task_queue.name",
            options={"task_queue": {"name": driver.queue}},
            match_all=True,
        ),
        show=lambda _: "OK",
    )
    record.note("described all", await pending(driver))
    await record.call("restore", update_options(driver, restore_original=True, match_all=True))
    record.note("described restored", await pending(driver))
    await driver.terminate()
    return record


@scenario
async def activity_options_take_effect(env: ScenarioEnv) -> Recording:
    """New options hold for what waits: another queue, a shorter backoff, a timeout."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", env.name("nobody"), retry_policy=SLOW))
    await record.call(
        "queue",
        update_options(
            driver, "task_queue.name", options={"task_queue": {"name": driver.queue}}, id="a"
        ),
    )
    task = await driver.poll_activity()
    record.note("task", task)
    await record.call(
        "while started",
        update_options(
            driver,
            "heartbeat_timeout",
            options={"heartbeat_timeout": {"seconds": 5}},
            id="a",
        ),
    )
    await record.call("heartbeat", driver.heartbeat(task, "half"))
    await driver.fail_activity(task, application_failure("one"))
    await record.call(
        "backoff",
        update_options(
            driver,
            "retry_policy.initial_interval",
            "retry_policy.backoff_coefficient",
            options={
                "retry_policy": {"initial_interval": {"seconds": 1}, "backoff_coefficient": 3.0}
            },
            id="a",
        ),
    )
    record.note("described waiting", await pending(driver))
    again = await driver.poll_activity()
    record.note("task again", again)
    await record.call("restore", update_options(driver, id="a", restore_original=True))
    await record.call(
        "timeout",
        update_options(
            driver,
            "schedule_to_close_timeout",
            options={"schedule_to_close_timeout": {"nanos": 1_000_000}},
            id="a",
        ),
    )
    await driver.event("ACTIVITY_TASK_TIMED_OUT")
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def activity_reset_restores_options(env: ScenarioEnv) -> Recording:
    """A reset restores the original options when it is told to."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=SLOW))
    every = tuple(path for path in OPTIONS if path not in {"task_queue", "retry_policy"})
    await record.call(
        "update", update_options(driver, *every, "task_queue.name", options=OPTIONS, id="a")
    )
    await record.call("pause", pause(driver, id="a"))
    record.note("described", await pending(driver))
    await record.call(
        "reset", reset(driver, id="a", restore_original_options=True, keep_paused=True)
    )
    record.note("described restored", await pending(driver))
    await record.call("reset again", reset(driver, id="a", restore_original_options=True))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.terminate()
    return record
