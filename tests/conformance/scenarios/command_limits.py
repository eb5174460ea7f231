"""Commands that are too large or whose durations are none, and a worker that errs again."""

from temporalio.api.command.v1 import Command

from conformance.commands import (
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    schedule_activity,
    search_value,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
)
from conformance.driver import Driver, application_failure, event_type, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_LARGE = "x" * 2_200_000
_HALF = "x" * 1_200_000
_WORD = f'"{"x" * 3000}"'
_TWO_SIGNS = {"seconds": 1, "nanos": -1}


async def _table(env: ScenarioEnv, record: Recording, cases: dict[str, list[Command]]) -> None:
    """Answers a first workflow task with each case's commands; records what comes of it."""
    for name, commands in cases.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start()
        await record.call(name, driver.step(*commands))
        last = (await driver.history())[3:]
        record.events(f"{name}: event", last[:1])
        record.note(f"{name}: and then", [event_type(event) for event in last[1:]])
        if not await _closed(driver):
            await driver.terminate()


@scenario
async def commands_too_large(env: ScenarioEnv) -> Recording:
    """What is too large fails the workflow task and terminates the run, but not everything is."""
    record = env.recording()
    queue = env.name("activities")
    word = search_value("Keyword", _WORD)
    await _table(
        env,
        record,
        {
            "activity input": [schedule_activity("a", queue, input=payloads(_LARGE))],
            "result": [start_timer("t", 60), complete_workflow(_LARGE)],
            "failure": [fail_workflow(application_failure("no", details=payloads(_LARGE)))],
            "cancellation": [cancel_workflow(_LARGE)],
            "next input": [continue_as_new(queue, input=payloads(_LARGE))],
            "next memo": [continue_as_new(queue, memo={"fields": {"m": payload(_LARGE)}})],
            "next search attribute": [
                continue_as_new(
                    queue, search_attributes={"indexed_fields": {"ConformanceKeyword": word}}
                )
            ],
            "marker": [record_marker("m", details={"d": payloads(_LARGE)})],
            "memo field": [upsert_memo(m=_LARGE)],
            "memo": [upsert_memo(a=_HALF), upsert_memo(b="x" * 900_000)],
            "search attribute": [upsert_search_attributes(ConformanceKeyword=word)],
            "form before size": [
                schedule_activity(
                    "a", queue, input=payloads(_LARGE), start_to_close_timeout={"seconds": -1}
                )
            ],
        },
    )
    return record


@scenario
async def memo_grows_too_large(env: ScenarioEnv) -> Recording:
    """The whole memo counts, over workflow tasks; a field that is replaced counts once."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("first", driver.step(upsert_memo(a=_HALF), start_timer("t", 60)))
    await record.call("replaced", driver.step_after_signal(upsert_memo(a=_HALF)))
    await record.call("too much", driver.step_after_signal(upsert_memo(b=_HALF)))
    record.events("last", (await driver.history())[-2:])
    return record


@scenario
async def durations_of_two_signs(env: ScenarioEnv) -> Recording:
    """Durations whose seconds and nanoseconds have different signs fail the workflow task."""
    record = env.recording()
    queue = env.name("activities")
    await _table(
        env,
        record,
        {
            "activity timeout": [schedule_activity("a", queue, heartbeat_timeout=_TWO_SIGNS)],
            "activity policy": [
                schedule_activity("a", queue, retry_policy={"maximum_interval": _TWO_SIGNS})
            ],
            "timer": [
                command("START_TIMER", {"timer_id": "t", "start_to_fire_timeout": _TWO_SIGNS})
            ],
            "run timeout": [continue_as_new(queue, workflow_run_timeout=_TWO_SIGNS)],
            "backoff": [continue_as_new(queue, backoff_start_interval=_TWO_SIGNS)],
            "next policy": [continue_as_new(queue, retry_policy={"initial_interval": _TWO_SIGNS})],
            "next coefficient": [continue_as_new(queue, retry_policy={"backoff_coefficient": 0.5})],
        },
    )
    return record


@scenario
async def continue_with_bad_attributes(env: ScenarioEnv) -> Recording:
    """Search attributes of a continued run: unknown names come first, then the other fields."""
    record = env.recording()
    queue = env.name("activities")

    def continued(name: str, **fields: object) -> list[Command]:
        value = search_value("Int", '"no number"')
        attributes = {"indexed_fields": {name: value}}
        return [continue_as_new(queue, search_attributes=attributes, **fields)]

    await _table(
        env,
        record,
        {
            "unknown": continued("Nope", workflow_run_timeout={"seconds": -1}),
            "system": continued("WorkflowId"),
            "wrong type": continued("ConformanceInt"),
            "timeout first": continued("ConformanceInt", workflow_run_timeout={"seconds": -1}),
        },
    )
    return record


@scenario
async def bad_command_again(env: ScenarioEnv) -> Recording:
    """A second attempt that is bad too is left to its timeout; one that is good completes it."""
    record, driver = env.recording(), Driver(env)
    await driver.start(workflow_task_timeout={"seconds": 1})
    await record.call("first", driver.step(start_timer("", 1)))
    second = await driver.poll()
    await record.call("second", driver.complete(second, start_timer("", 1)))
    pages: list[list[str]] = []
    token = b""
    while not pages or token:
        page = await driver.history_page(maximum_page_size=2, next_page_token=token)
        pages.append([event_type(event) for event in page.history.events])
        token = page.next_page_token
    record.note("pages", pages)
    third = await driver.poll()
    record.note("attempts", [second.attempt, third.attempt])
    await record.call("third", driver.complete(third, complete_workflow()))
    record.events("history", await driver.history())
    return record


async def _closed(driver: Driver) -> bool:
    return (await driver.describe()).workflow_execution_info.HasField("close_time")
