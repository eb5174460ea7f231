"""Starting workflows: the plain path, all fields of a start, request ids, eager execution."""

from conformance.commands import complete_workflow
from conformance.driver import Driver, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def start_and_complete(env: ScenarioEnv) -> Recording:
    """A workflow starts, runs one task and completes."""
    record, driver = env.recording(), Driver(env)
    await record.call("start", driver.start(input=payloads("hello", "world")))
    record.note("describe new", await driver.describe())
    task = await driver.poll()
    record.note("task", task)
    record.note("describe started", await driver.describe())
    await record.call("complete", driver.complete(task, complete_workflow("bye")))
    record.note("describe closed", await driver.describe())
    record.events("history", await driver.history())
    return record


@scenario
async def start_with_every_field(env: ScenarioEnv) -> Recording:
    """Memo, search attributes, header, metadata, timeouts and a retry policy are kept."""
    record, driver = env.recording(), Driver(env)
    await record.call(
        "start",
        driver.start(
            request_id=env.name("start"),
            input=payloads("in"),
            memo={"fields": {"note": payload("memo")}},
            search_attributes={"indexed_fields": {"ConformanceKeyword": payload("red")}},
            header={"fields": {"trace": payload("header")}},
            user_metadata={"summary": payload("short"), "details": payload("long")},
            workflow_execution_timeout={"seconds": 50},
            workflow_run_timeout={"seconds": 40},
            workflow_task_timeout={"seconds": 7},
            retry_policy={"maximum_attempts": 3},
        ),
    )
    record.note("describe", await driver.describe())
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def start_timeouts_are_capped(env: ScenarioEnv) -> Recording:
    """A run timeout is capped by the execution's, a task timeout by the run's and the limit."""
    record = env.recording()
    asked = {
        "run over execution": {"workflow_execution_timeout": 30, "workflow_run_timeout": 60},
        "execution alone": {"workflow_execution_timeout": 30},
        "task over run": {"workflow_run_timeout": 5, "workflow_task_timeout": 60},
        "task over limit": {"workflow_task_timeout": 500},
        "default task over run": {"workflow_run_timeout": 4},
    }
    for name, fields in asked.items():
        driver = Driver(env, workflow=f"wf-{name}")
        await driver.start(**{field: {"seconds": seconds} for field, seconds in fields.items()})
        described = await driver.describe()
        record.note(f"{name}: config", described.execution_config)
        record.events(f"{name}: history", await driver.history())
        await driver.terminate()
    return record


@scenario
async def start_request_id_dedupe(env: ScenarioEnv) -> Recording:
    """A repeated request id answers the same run, while it is open and after it closed."""
    record, driver = env.recording(), Driver(env)
    request_id = env.name("request")
    await record.call("first", driver.start(request_id=request_id))
    await record.call("same id", driver.start(request_id=request_id))
    await record.call("other id", driver.start(request_id=env.name("other")))
    await record.call(
        "same id, other type and queue",
        driver.start(request_id=request_id, workflow_type={"name": "Other"}),
    )
    await driver.step(complete_workflow())
    await record.call("same id, closed", driver.start(request_id=request_id))
    await record.call(
        "same id, closed, reject duplicates",
        driver.start(
            request_id=request_id,
            workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
        ),
    )
    record.events("history", await driver.history())
    return record


@scenario
async def start_request_id_after_reuse(env: ScenarioEnv) -> Recording:
    """A request id of an earlier run does not count for the id's newest run."""
    record, driver = env.recording(), Driver(env)
    first, second = env.name("first"), env.name("second")
    await record.call("first run", driver.start(request_id=first))
    await driver.step(complete_workflow())
    await record.call("second run", driver.start(request_id=second))
    await record.call("first id again", driver.start(request_id=first))
    await record.call("second id again", driver.start(request_id=second))
    await driver.terminate()
    return record


@scenario
async def start_eager(env: ScenarioEnv) -> Recording:
    """Eager execution hands the first workflow task out with the answer of the start."""
    record, driver = env.recording(), Driver(env)
    answer = await driver.start(request_eager_execution=True)
    record.note("start", answer)
    record.events("history in task", answer.eager_workflow_task.history.events)
    await record.call("complete", driver.complete(answer.eager_workflow_task, complete_workflow()))
    record.events("history", await driver.history())
    return record
