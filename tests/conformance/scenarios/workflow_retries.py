"""Chains of runs: workflow retry policies, and continue-as-new."""

from conformance.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    search_value,
    start_timer,
)
from conformance.driver import Driver, application_failure, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_QUICK = {"initial_interval": {"nanos": 100_000_000}, "backoff_coefficient": 2.0}


@scenario
async def retry_until_success(env: ScenarioEnv) -> Recording:
    """A failed run is followed by another, with backoff, failure and attempt carried over."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        input=payloads("in"),
        memo={"fields": {"note": payload("memo")}},
        retry_policy=_QUICK | {"maximum_attempts": 3},
    )
    await driver.step(fail_workflow(application_failure("one", kind="Oops")))
    record.events("first run", await driver.history(first.run_id))
    record.note("first run described", (await driver.describe(first.run_id)))
    second = await driver.poll()
    record.note("second run's task", second)
    await driver.complete(second, fail_workflow(application_failure("two", kind="Oops")))
    await driver.step(complete_workflow())
    record.events("second run", await driver.history(second.workflow_execution.run_id))
    record.events("third run", await driver.history())
    record.note("third run described", (await driver.describe()))
    return record


@scenario
async def retry_exhausted(env: ScenarioEnv) -> Recording:
    """The last attempt's failure closes the workflow with the reason in retry_state."""
    record, driver = env.recording(), Driver(env)
    await driver.start(retry_policy=_QUICK | {"maximum_attempts": 2})
    await driver.step(fail_workflow(application_failure("one")))
    await driver.step(fail_workflow(application_failure("two")))
    record.events("last run", await driver.history())
    return record


@scenario
async def retry_refused(env: ScenarioEnv) -> Recording:
    """Non-retryable failures and types end the chain; a next delay replaces the backoff."""
    record = env.recording()
    policy = _QUICK | {"maximum_attempts": 5, "non_retryable_error_types": ["Fatal"]}
    failures = {
        "flag": application_failure("no", non_retryable=True),
        "type": application_failure("no", kind="Fatal"),
        "next delay": application_failure("no", next_retry_delay={"nanos": 200_000_000}),
    }
    for name, failure in failures.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        first = await driver.start(retry_policy=policy)
        await driver.step(fail_workflow(failure))
        record.note(f"{name}: close event", (await driver.history(first.run_id))[-1])
        if name == "next delay":
            record.events("next delay: second run", (await driver.history())[:1])
            await driver.terminate()
    return record


@scenario
async def retry_beyond_execution_timeout(env: ScenarioEnv) -> Recording:
    """No retry is made whose backoff would end after the execution timeout."""
    record, driver = env.recording(), Driver(env)
    await driver.start(
        workflow_execution_timeout={"seconds": 5},
        retry_policy={"initial_interval": {"seconds": 60}},
    )
    await driver.step(fail_workflow(application_failure("one")))
    record.events("history", await driver.history())
    return record


@scenario
async def continue_as_new_carries(env: ScenarioEnv) -> Recording:
    """Continue-as-new: a new run with new input; memo, attributes and timeouts go along."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        input=payloads("one"),
        memo={"fields": {"note": payload("memo")}},
        search_attributes={"indexed_fields": {"ConformanceKeyword": payload("red")}},
        workflow_run_timeout={"seconds": 30},
        workflow_task_timeout={"seconds": 5},
    )
    await record.call(
        "continue",
        driver.step(
            record_marker("before"),
            continue_as_new(driver.queue, input=payloads("two"), header={"fields": {}}),
        ),
    )
    await record.call("start again", driver.start())
    await driver.step(complete_workflow())
    record.events("first run", await driver.history(first.run_id))
    record.events("second run", await driver.history())
    record.note("first described", (await driver.describe(first.run_id)))
    record.note("second described", await driver.describe())
    return record


@scenario
async def continue_as_new_overrides(env: ScenarioEnv) -> Recording:
    """Continue-as-new may set type, queue, timeouts, memo, attributes and a start backoff."""
    record, driver = env.recording(), Driver(env)
    other = Driver(env, queue="other-queue")
    await driver.start(memo={"fields": {"note": payload("memo")}})
    await driver.step(
        continue_as_new(
            other.queue,
            workflow_type={"name": "Other"},
            workflow_run_timeout={"seconds": 20},
            workflow_task_timeout={"seconds": 3},
            backoff_start_interval={"nanos": 200_000_000},
            memo={"fields": {"new": payload("memo")}},
            search_attributes={"indexed_fields": {"ConformanceInt": search_value("Int", "5")}},
            last_completion_result=payloads("last"),
        )
    )
    await other.step(start_timer("t", 60))
    record.note("described", await driver.describe())
    record.events("second run", await driver.history())
    await driver.terminate()
    return record
