"""Queries: direct, with a workflow task, failing, rejected, on closed workflows."""

import asyncio

from conformance.commands import complete_workflow, start_timer
from conformance.driver import Driver, application_failure, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_ANSWERED = "QUERY_RESULT_TYPE_ANSWERED"
_FAILED = "QUERY_RESULT_TYPE_FAILED"
_REJECT = "QUERY_REJECT_CONDITION_"


@scenario
async def query_direct(env: ScenarioEnv) -> Recording:
    """An idle workflow is queried: a task with the whole history and nothing in it to complete."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60))
    query = asyncio.create_task(
        driver.query(query={"query_type": "q", "query_args": payloads("a")})
    )
    task = await driver.poll()
    record.note("task", task)
    await record.call(
        "answer",
        driver.answer_query(task, completed_type=_ANSWERED, query_result=payloads("yes")),
    )
    await record.call("result", query)
    await record.call(
        "answer again",
        driver.answer_query(task, completed_type=_ANSWERED, query_result=payloads("yes")),
    )
    record.note("history", [e.event_id for e in await driver.history()])
    await driver.terminate()
    return record


@scenario
async def query_fails(env: ScenarioEnv) -> Recording:
    """A worker answers that the query failed."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step()
    query = asyncio.create_task(driver.query())
    await record.call(
        "answer",
        driver.answer_query(
            await driver.poll(),
            completed_type=_FAILED,
            error_message="unknown query",
            failure=application_failure("unknown query", kind="Oops"),
        ),
    )
    await record.call("result", query)
    query = asyncio.create_task(driver.query())
    task = await driver.poll()
    await driver.answer_query(task, completed_type=_FAILED, error_message="text only")
    await record.call("result of text", query)
    query = asyncio.create_task(driver.query(timeout=1.0))
    task = await driver.poll()
    await record.call("answer without a type", driver.answer_query(task))
    await record.call("result of no type", query)
    await driver.terminate()
    return record


@scenario
async def query_with_workflow_task(env: ScenarioEnv) -> Recording:
    """A query of a workflow whose task is pending rides on that task."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60))
    await driver.signal("wake")
    query = asyncio.create_task(driver.query())
    await driver.round_trips()
    task = await driver.poll()
    record.note("task", task)
    results = {
        key: {"result_type": _ANSWERED, "answer": payloads("buffered")} for key in task.queries
    }
    await record.call("complete", driver.complete(task, query_results=results))
    await record.call("result", query)
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def query_closed(env: ScenarioEnv) -> Recording:
    """A closed workflow answers queries, and rejects them when the client says so."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(complete_workflow())
    query = asyncio.create_task(driver.query())
    task = await driver.poll()
    record.note("task", task)
    await driver.answer_query(task, completed_type=_ANSWERED, query_result=payloads("old"))
    await record.call("result", query)
    await record.call("reject not open", driver.query(query_reject_condition=f"{_REJECT}NOT_OPEN"))
    query = asyncio.create_task(
        driver.query(query_reject_condition=f"{_REJECT}NOT_COMPLETED_CLEANLY")
    )
    task = await driver.poll()
    await driver.answer_query(task, completed_type=_ANSWERED, query_result=payloads("clean"))
    await record.call("reject not completed cleanly", query)
    failed = Driver(env, workflow="failed", queue="failed-queue")
    await failed.start()
    await failed.terminate()
    await record.call(
        "terminated, reject not completed cleanly",
        failed.query(query_reject_condition=f"{_REJECT}NOT_COMPLETED_CLEANLY"),
    )
    await record.call("terminated before any task", failed.query())
    return record


@scenario
async def query_refused(env: ScenarioEnv) -> Recording:
    """Queries of workflows and runs that are not there, and requests without a query."""
    record, driver = env.recording(), Driver(env)
    await record.call("never started", driver.query())
    await driver.start()
    await record.call("other run", driver.query("q", "01234567-89ab-7def-8123-456789abcdef"))
    await record.call("bad run id", driver.query("q", "nonsense"))
    await record.call("no type", driver.query(query={}))
    await record.call("no query", driver.query(query=None))
    await driver.terminate()
    return record


@scenario
async def query_after_task_failures(env: ScenarioEnv) -> Recording:
    """A workflow whose task keeps failing is not queried: the client learns why."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    for _ in range(3):
        await driver.fail_task(
            await driver.poll(), cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR"
        )
    await record.call("query", driver.query())
    await driver.terminate()
    return record
