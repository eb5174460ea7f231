"""The four timeouts of activities, heartbeats, and which timeouts a command may leave out."""

from typing import Any

from conformance.commands import complete_workflow, schedule_activity
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_SECOND = {"seconds": 1}
_ONCE = {"maximum_attempts": 1}


@scenario
async def activity_schedule_to_start_timeout(env: ScenarioEnv) -> Recording:
    """Nobody takes the activity: it times out and is not retried."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", env.name("nobody"), schedule_to_start_timeout=_SECOND))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_start_to_close_timeout(env: ScenarioEnv) -> Recording:
    """The worker dies: the attempt times out; the last one's timeout is an event."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"maximum_attempts": 2, "initial_interval": {"nanos": 100_000_000}}
    await driver.step(
        schedule_activity("a", driver.queue, start_to_close_timeout=_SECOND, retry_policy=policy)
    )
    lost = await driver.poll_activity()
    second = await driver.poll_activity()
    record.note("second task", second)
    record.note("describe", (await driver.describe()).pending_activities)
    await record.call("late answer of the first", driver.complete_activity(lost))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_schedule_to_close_timeout(env: ScenarioEnv) -> Recording:
    """The time for all attempts runs out while one is running, and while one waits."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("running", driver.queue, schedule_to_close_timeout=_SECOND))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.step(
        schedule_activity("never", env.name("nobody"), schedule_to_close_timeout=_SECOND)
    )
    await record.call("late answer", driver.complete_activity(task))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_no_time_for_a_retry(env: ScenarioEnv) -> Recording:
    """A retry that would begin after schedule-to-close is not made."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(
        schedule_activity(
            "a",
            driver.queue,
            schedule_to_close_timeout={"seconds": 5},
            retry_policy={"initial_interval": {"seconds": 30}},
        )
    )
    await driver.fail_activity(await driver.poll_activity(), application_failure("one"))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_heartbeat_timeout(env: ScenarioEnv) -> Recording:
    """A worker that stops heartbeating loses the activity; its last details go on."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"maximum_attempts": 2, "initial_interval": {"nanos": 100_000_000}}
    await driver.step(
        schedule_activity("a", driver.queue, heartbeat_timeout=_SECOND, retry_policy=policy)
    )
    first = await driver.poll_activity()
    await record.call("heartbeat", driver.heartbeat(first, "half"))
    record.note("describe", (await driver.describe()).pending_activities)
    second = await driver.poll_activity()
    record.note("second task", second)
    record.note("describe second", (await driver.describe()).pending_activities)
    await driver.heartbeat(second, "more")
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_heartbeat_details(env: ScenarioEnv) -> Recording:
    """The last details, or those sent with the failure, reach the next attempt."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    policy = {"initial_interval": {"nanos": 100_000_000}, "backoff_coefficient": 1.0}
    await driver.step(schedule_activity("a", driver.queue, retry_policy=policy))
    first = await driver.poll_activity()
    await driver.heartbeat(first, "one", "two")
    await driver.heartbeat(first)
    await driver.fail_activity(first, application_failure("first"))
    second = await driver.poll_activity()
    record.note("after a heartbeat without details", second.heartbeat_details)
    await driver.heartbeat(second, "three")
    await driver.fail_activity(second, application_failure("second"))
    third = await driver.poll_activity()
    record.note("after details", third.heartbeat_details)
    await driver.fail_activity(
        third, application_failure("third"), last_heartbeat_details={"payloads": [{"data": b"4"}]}
    )
    fourth = await driver.poll_activity()
    record.note("after details with the failure", fourth.heartbeat_details)
    await driver.fail_activity(fourth, application_failure("fourth"))
    record.note("after none", (await driver.poll_activity()).heartbeat_details)
    await driver.terminate()
    return record


@scenario
async def activity_timeouts_derived(env: ScenarioEnv) -> Recording:
    """Which timeouts the scheduled event has, for what the command said and the run allows."""
    record = env.recording()
    asked: dict[str, dict[str, Any]] = {
        "start_to_close": {"start_to_close_timeout": 5},
        "schedule_to_close": {"schedule_to_close_timeout": 5},
        "both": {"start_to_close_timeout": 3, "schedule_to_close_timeout": 5},
        "start_to_close over schedule_to_close": {
            "start_to_close_timeout": 8,
            "schedule_to_close_timeout": 5,
        },
        "schedule_to_start over schedule_to_close": {
            "schedule_to_start_timeout": 8,
            "schedule_to_close_timeout": 5,
        },
        "heartbeat over start_to_close": {"heartbeat_timeout": 8, "start_to_close_timeout": 5},
        "over the run": {"schedule_to_close_timeout": 500, "start_to_close_timeout": 400},
        "all four": {
            "schedule_to_close_timeout": 9,
            "schedule_to_start_timeout": 4,
            "start_to_close_timeout": 5,
            "heartbeat_timeout": 2,
        },
    }
    for limit in (0, 100):
        driver = Driver(env, workflow=f"wf-{limit}", queue=f"queue-{limit}")
        await driver.start(workflow_run_timeout={"seconds": limit})
        commands = []
        for name, fields in asked.items():
            command = schedule_activity(name, driver.queue)
            attributes = command.schedule_activity_task_command_attributes
            attributes.ClearField("start_to_close_timeout")
            for field, seconds in fields.items():
                getattr(attributes, field).seconds = seconds
            commands.append(command)
        await driver.step(*commands)
        record.events(f"run timeout {limit}", (await driver.history())[4:])
        await driver.terminate()
    return record
