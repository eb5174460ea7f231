"""The three timeouts of workflows: run, execution, and workflow task (a worker that died)."""

from conformance.commands import complete_workflow, continue_as_new
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_SECOND = {"seconds": 1}


@scenario
async def run_timeout(env: ScenarioEnv) -> Recording:
    """A run without any worker times out."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_run_timeout=_SECOND)
    record.note("close event", await driver.closed())
    record.note("describe", await driver.describe())
    record.events("history", await driver.history())
    return record


@scenario
async def run_timeout_with_started_task(env: ScenarioEnv) -> Recording:
    """A run times out while a worker holds its task; the worker's answer comes too late."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_run_timeout=_SECOND)
    task = await driver.poll()
    await driver.closed()
    await record.call("late completion", driver.complete(task, complete_workflow()))
    record.events("history", await driver.history())
    return record


@scenario
async def run_timeout_retries(env: ScenarioEnv) -> Recording:
    """A run that timed out is retried by the workflow's retry policy."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        workflow_run_timeout=_SECOND,
        retry_policy={"maximum_attempts": 2, "initial_interval": {"nanos": 100_000_000}},
    )
    record.note("close event", await driver.closed(first.run_id))
    await driver.step(complete_workflow())
    record.events("second run", await driver.history())
    return record


@scenario
async def execution_timeout_spans_runs(env: ScenarioEnv) -> Recording:
    """The execution timeout counts from the first run, through continue-as-new."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_execution_timeout={"seconds": 2})
    await driver.step(continue_as_new(driver.queue))
    record.note("describe second run", await driver.describe())
    second = (await driver.describe()).workflow_execution_info.execution.run_id
    record.note("close event", await driver.closed(second))
    record.events("second run", await driver.history(second))
    return record


@scenario
async def workflow_task_timeout(env: ScenarioEnv) -> Recording:
    """A worker takes a workflow task and dies: the task times out and is tried again."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_task_timeout=_SECOND)
    lost = await driver.poll()
    second = await driver.poll()
    record.note("second task", second)
    record.events("events of second task", second.history.events[2:])
    record.note("describe", (await driver.describe()).pending_workflow_task)
    record.events("history before completion", await driver.history())
    await record.call("answer to lost task", driver.complete(lost, complete_workflow()))
    await record.call("answer to second task", driver.complete(second, complete_workflow()))
    record.events("history", await driver.history())
    return record


@scenario
async def workflow_task_timeout_twice(env: ScenarioEnv) -> Recording:
    """Only the first timeout of a workflow task is an event; later attempts are counted."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_task_timeout=_SECOND)
    await driver.poll()
    await driver.poll()
    third = await driver.poll()
    record.note("third task", third)
    await driver.signal("poke")
    record.events("history with signal", await driver.history())
    await record.call("completion", driver.complete(third))
    fourth = await driver.poll()
    record.note("fourth task", fourth)
    await driver.complete(fourth, complete_workflow())
    record.events("history", await driver.history())
    return record
