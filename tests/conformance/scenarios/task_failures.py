"""Workflow tasks that fail: by the worker, by bad commands, and what comes after."""

from conformance.commands import (
    cancel_activity,
    cancel_timer,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    start_timer,
)
from conformance.driver import Driver, application_failure, event_type
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_CAUSE = "WORKFLOW_TASK_FAILED_CAUSE_"


@scenario
async def task_failed_by_worker(env: ScenarioEnv) -> Recording:
    """The first failure is an event; later attempts are transient, until one completes."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    first = await driver.poll()
    cause = f"{_CAUSE}NON_DETERMINISTIC_ERROR"
    failure = application_failure("history differs", kind="Nondeterminism")
    await record.call("fail", driver.fail_task(first, cause=cause, failure=failure))
    await record.call("fail again", driver.fail_task(first, cause=cause))
    second = await driver.poll()
    record.note("second task", second)
    record.events("its transient events", second.history.events[4:])
    await driver.fail_task(second, cause=cause, failure=failure)
    third = await driver.poll()
    record.note("third task", third)
    record.note("pending", (await driver.describe()).pending_workflow_task)
    record.events("history before completion", (await driver.history())[3:])
    await driver.complete(third, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def task_failed_then_signal(env: ScenarioEnv) -> Recording:
    """A signal between attempts makes the next attempt an ordinary task with events."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.fail_task(await driver.poll(), cause=f"{_CAUSE}NON_DETERMINISTIC_ERROR")
    await driver.signal("one")
    second = await driver.poll()
    record.note("second task", second)
    await driver.signal("two")
    await driver.fail_task(second, cause=f"{_CAUSE}NON_DETERMINISTIC_ERROR")
    third = await driver.poll()
    record.note("third task", third)
    await driver.complete(third, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def task_answered_twice(env: ScenarioEnv) -> Recording:
    """A workflow task's second answer is refused; so are unknown and empty tokens."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    task = await driver.poll()
    await driver.complete(task, start_timer("t", 60))
    await record.call("complete again", driver.complete(task, start_timer("u", 60)))
    await record.call("fail again", driver.fail_task(task))
    await record.call("empty token", driver.complete(task, task_token=b""))
    await record.call("nonsense token", driver.complete(task, task_token=b"nonsense"))
    await record.call("fail, nonsense token", driver.fail_task(task, task_token=b"nonsense"))
    record.note("ids", [event.event_id for event in await driver.history()])
    await driver.terminate()
    return record


@scenario
async def task_after_close_command(env: ScenarioEnv) -> Recording:
    """Commands after a closing command are refused; so are two closing commands."""
    record = env.recording()
    cases = {
        "timer after complete": [complete_workflow(), start_timer("t", 1)],
        "two closes": [complete_workflow(), fail_workflow(application_failure("no"))],
        "marker after complete": [complete_workflow(), record_marker("m")],
    }
    for name, commands in cases.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start()
        await record.call(name, driver.step(*commands))
        record.events(f"{name}: history", (await driver.history())[3:])
        await driver.terminate() if not await _closed(driver) else None
    return record


@scenario
async def bad_commands(env: ScenarioEnv) -> Recording:
    """Every command that is not valid fails the task with its cause and message; all or nothing."""
    record = env.recording()
    queue = env.name("activities")
    cases = {
        "no attributes": command("START_TIMER", {}),
        "activity without id": schedule_activity("", queue),
        "activity without type": schedule_activity("a", queue, activity_type={}),
        "activity without queue": schedule_activity("a", ""),
        "activity without timeouts": schedule_activity("a", queue, start_to_close_timeout=None),
        "activity with negative timeout": schedule_activity(
            "a", queue, start_to_close_timeout={"seconds": -1}
        ),
        "activity with bad retry policy": schedule_activity(
            "a", queue, retry_policy={"backoff_coefficient": 0.5}
        ),
        "activity with negative attempts": schedule_activity(
            "a", queue, retry_policy={"maximum_attempts": -1}
        ),
        "activity with long id": schedule_activity("a" * 1001, queue),
        "activity with reserved queue": schedule_activity("a", "/_sys/queue/1"),
        "cancel unknown activity": cancel_activity(99),
        "cancel activity without id": cancel_activity(0),
        "timer without id": start_timer("", 1),
        "timer with long id": start_timer("t" * 1001, 1),
        "negative timer": command(
            "START_TIMER", {"timer_id": "t", "start_to_fire_timeout": {"seconds": -1}}
        ),
        "cancel unknown timer": cancel_timer("nope"),
        "cancel timer without id": cancel_timer(""),
        "marker without name": record_marker(""),
        "failure without failure": command("FAIL_WORKFLOW_EXECUTION", {"failure": None}),
        "continue as long type": continue_as_new(queue, workflow_type={"name": "t" * 1001}),
        "continue with negative timeout": continue_as_new(
            queue, workflow_run_timeout={"seconds": -1}
        ),
        "continue with bad retry policy": continue_as_new(
            queue, retry_policy={"initial_interval": {"seconds": -1}}
        ),
        "upsert nothing": command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", {}),
        "modify nothing": command("MODIFY_WORKFLOW_PROPERTIES", {}),
    }
    for name, bad in cases.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start()
        await record.call(name, driver.step(start_timer("undone", 60), bad))
        last = (await driver.history())[3:]
        record.note(f"{name}: event", last[:1])
        record.note(f"{name}: and then", [event_type(event) for event in last[1:]])
        if not await _closed(driver):
            await driver.terminate()
    return record


@scenario
async def unset_command(env: ScenarioEnv) -> Recording:
    """A command without a type, and one whose attributes are those of another type."""
    record = env.recording()
    wrong = start_timer("t", 1)
    wrong.command_type = record_marker("m").command_type
    for name, bad in {"no type": type(wrong)(), "other attributes": wrong}.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start()
        await record.call(name, driver.step(bad))
        record.events(f"{name}: history", (await driver.history())[3:])
        await driver.terminate()
    return record


async def _closed(driver: Driver) -> bool:
    return (await driver.describe()).workflow_execution_info.HasField("close_time")
