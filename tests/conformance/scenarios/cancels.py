"""Cancelling and terminating workflows."""

from conformance.commands import cancel_workflow, complete_workflow, start_timer
from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_ELSEWHERE = "01234567-89ab-7def-8123-456789abcdef"


@scenario
async def cancel_workflow_run(env: ScenarioEnv) -> Recording:
    """A cancellation is requested and the workflow closes as canceled."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60))
    await record.call("cancel", driver.cancel(reason="enough"))
    record.note("describe", (await driver.describe()).workflow_extended_info)
    await driver.step(cancel_workflow("bye"))
    record.note("status", (await driver.describe()).workflow_execution_info.status)
    record.events("history", await driver.history())
    return record


@scenario
async def cancel_workflow_twice(env: ScenarioEnv) -> Recording:
    """A second request is accepted and changes nothing; so is one after the end."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start()
    await record.call("first", driver.cancel(request_id=env.name("one"), reason="first"))
    await record.call("same request", driver.cancel(request_id=env.name("one"), reason="first"))
    await record.call("other request", driver.cancel(request_id=env.name("two"), reason="second"))
    await record.call("no request id", driver.cancel())
    await driver.step(cancel_workflow())
    await record.call("closed", driver.cancel())
    await record.call("closed, by run", driver.cancel(started.run_id))
    record.events("history", await driver.history())
    return record


@scenario
async def cancel_buffered(env: ScenarioEnv) -> Recording:
    """A request that arrives while a workflow task is started refuses its completion."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    held = await driver.poll()
    await driver.cancel()
    await record.call("complete", driver.complete(held, complete_workflow()))
    await record.call("cancel", driver.step(cancel_workflow()))
    record.events("history", await driver.history())
    return record


@scenario
async def cancel_not_requested(env: ScenarioEnv) -> Recording:
    """A worker may close a workflow as canceled though nobody asked."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("cancel", driver.step(cancel_workflow("own wish")))
    record.events("history", await driver.history())
    return record


@scenario
async def cancel_refused(env: ScenarioEnv) -> Recording:
    """Requests that name a workflow, run or chain that is not there, or one that completed."""
    record, driver = env.recording(), Driver(env)
    await record.call("never started", driver.cancel())
    started = await driver.start()
    await record.call("other run", driver.cancel(_ELSEWHERE))
    await record.call("bad run id", driver.cancel("nonsense"))
    await record.call("other first run", driver.cancel(first_execution_run_id=_ELSEWHERE))
    await record.call("right first run", driver.cancel(first_execution_run_id=started.run_id))
    await driver.terminate()
    done = Driver(env, workflow="done", queue="done-queue")
    closed = await done.start()
    await done.step(complete_workflow())
    await record.call("completed", done.cancel())
    await record.call("completed, by run", done.cancel(closed.run_id))
    return record


@scenario
async def terminate_workflow(env: ScenarioEnv) -> Recording:
    """A termination is the last event; a worker's answer after it is refused."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    held = await driver.poll()
    await driver.signal("buffered")
    await record.call("terminate", driver.terminate(reason="over", details=payloads("why")))
    await record.call("complete", driver.complete(held, complete_workflow()))
    await record.call("fail", driver.fail_task(held))
    await record.call("terminate again", driver.terminate())
    record.note("describe", await driver.describe())
    record.events("history", await driver.history())
    return record


@scenario
async def terminate_refused(env: ScenarioEnv) -> Recording:
    """Terminations that name a workflow, run or chain that is not there."""
    record, driver = env.recording(), Driver(env)
    await record.call("never started", driver.terminate())
    started = await driver.start()
    await record.call("other run", driver.terminate(_ELSEWHERE))
    await record.call("other first run", driver.terminate(first_execution_run_id=_ELSEWHERE))
    await record.call("right first run", driver.terminate(first_execution_run_id=started.run_id))
    await record.call("closed, by run", driver.terminate(started.run_id))
    return record
