"""Timers: fire, cancel, ids, order; and cancelling what is not there."""

from conformance.commands import cancel_timer, command, complete_workflow, start_timer
from conformance.driver import Driver, payload
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def timer_fires(env: ScenarioEnv) -> Recording:
    """A timer fires and wakes the workflow; its metadata is on the event."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 0.2, user_metadata={"summary": payload("nap")}))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def timer_cancelled(env: ScenarioEnv) -> Recording:
    """A timer is cancelled by a later workflow task, its id is free again; another in one task."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60), start_timer("short", 60), cancel_timer("short"))
    await driver.signal("wake")
    await driver.step(cancel_timer("t"), start_timer("t", 0.1))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def timers_fire_in_order(env: ScenarioEnv) -> Recording:
    """Timers that fire while a workflow task is started are buffered in order of their times."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("late", 2), start_timer("soon", 1), start_timer("never", 60))
    await driver.signal("wake")
    held = await driver.poll()
    await _wait_as_a_timer_does(env, 3)
    record.note("ids while started", [e.event_id for e in await driver.history()])
    await driver.complete(held)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def timer_duplicate_id(env: ScenarioEnv) -> Recording:
    """A timer id that is pending fails the workflow task; one that fired may be used again."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 0.1))
    await driver.step(start_timer("t", 60))
    await driver.signal("wake")
    await record.call("duplicate", driver.step(start_timer("t", 1)))
    record.note("failure", (await driver.event("WORKFLOW_TASK_FAILED")))
    await driver.terminate()
    return record


@scenario
async def timer_cancel_unknown(env: ScenarioEnv) -> Recording:
    """Cancelling a timer that is not there fails the workflow task."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("unknown", driver.step(cancel_timer("nope")))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def timer_cancelled_after_firing(env: ScenarioEnv) -> Recording:
    """A timer fires while the workflow task that cancels it is started: the firing is undone."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 1), start_timer("other", 60))
    await driver.signal("wake")
    held = await driver.poll()
    await _wait_as_a_timer_does(env, 2)
    await record.call("cancel", driver.complete(held, cancel_timer("t")))
    await driver.signal("end")
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def timer_of_zero(env: ScenarioEnv) -> Recording:
    """A timer of no time, and one without a time."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("zero", driver.step(start_timer("zero", 0)))
    await record.call("unset", driver.step(command("START_TIMER", {"timer_id": "unset"})))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


async def _wait_as_a_timer_does(env: ScenarioEnv, seconds: float) -> None:
    """Waits until a timer of another workflow has fired: shorter ones fired before."""
    probe = Driver(env, workflow="probe", queue="probe-queue")
    await probe.start()
    await probe.step(start_timer("t", seconds))
    await probe.event("TIMER_FIRED")
    await probe.terminate()
