"""Signals: plain, buffered, deduplicated, with start, and to workflows that are closed."""

from conformance.commands import complete_workflow, schedule_activity, start_timer
from conformance.driver import Driver, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def signal_running(env: ScenarioEnv) -> Recording:
    """A signal is an event and schedules a workflow task where none is pending."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("before any task", driver.signal("one", input=payloads("in")))
    await driver.step()
    await record.call(
        "idle",
        driver.signal("two", header={"fields": {"trace": payload("header")}}, control="ignored"),
    )
    await record.call("while scheduled", driver.signal("three"))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def signals_buffered(env: ScenarioEnv) -> Recording:
    """Signals that arrive while a workflow task is started come after its completion."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    held = await driver.poll()
    await driver.signal("one")
    await driver.signal("two")
    record.note("ids while started", [e.event_id for e in await driver.history()])
    record.note(
        "length while started", (await driver.describe()).workflow_execution_info.history_length
    )
    await driver.complete(held, start_timer("t", 60))
    record.note("next task", await driver.poll())
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def signals_buffered_then_failure(env: ScenarioEnv) -> Recording:
    """Buffered signals are written when the workflow task fails, and the task is normal again."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    held = await driver.poll()
    await driver.signal("one")
    await driver.fail_task(held, cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR")
    second = await driver.poll()
    record.note("next task", second)
    await driver.complete(second, complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def signal_dedupe(env: ScenarioEnv) -> Recording:
    """A signal's request id counts once, buffered or not."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    request_id = env.name("signal")
    await record.call("first", driver.signal("one", request_id=request_id))
    await record.call("again", driver.signal("one", request_id=request_id))
    held = await driver.poll()
    await record.call("again while started", driver.signal("one", request_id=request_id))
    await record.call("other name", driver.signal("two", request_id=request_id))
    other = env.name("other")
    await record.call("buffered", driver.signal("three", request_id=other))
    await record.call("buffered again", driver.signal("three", request_id=other))
    await driver.complete(held)
    await driver.step(complete_workflow())
    await record.call("again after the end", driver.signal("one", request_id=request_id))
    record.events("history", await driver.history())
    return record


@scenario
async def signal_refused(env: ScenarioEnv) -> Recording:
    """Signals to workflows that are closed, missing, or of another run."""
    record, driver = env.recording(), Driver(env)
    await record.call("never started", driver.signal("one"))
    started = await driver.start()
    await record.call("other run", driver.signal("one", "01234567-89ab-7def-8123-456789abcdef"))
    await record.call("no run id", driver.signal("one", "not-a-run-id"))
    await driver.step()
    await driver.terminate()
    await record.call("closed", driver.signal("one"))
    await record.call("closed, by run", driver.signal("one", started.run_id))
    return record


@scenario
async def signal_with_start_new(env: ScenarioEnv) -> Recording:
    """Signal-with-start starts a workflow whose signal precedes its first task."""
    record, driver = env.recording(), Driver(env)
    await record.call(
        "start",
        driver.signal_with_start(
            "hello",
            input=payloads("in"),
            signal_input=payloads("signal"),
            memo={"fields": {"note": payload("memo")}},
            header={"fields": {"trace": payload("header")}},
            workflow_run_timeout={"seconds": 30},
        ),
    )
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def signal_with_start_running(env: ScenarioEnv) -> Recording:
    """Signal-with-start signals the run that is open, or replaces it when told so."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step()
    await record.call("signal", driver.signal_with_start("one", request_id=env.name("r")))
    await record.call("same request", driver.signal_with_start("one", request_id=env.name("r")))
    conflict = "WORKFLOW_ID_CONFLICT_POLICY_"
    await record.call(
        "policy FAIL",
        driver.signal_with_start("two", workflow_id_conflict_policy=f"{conflict}FAIL"),
    )
    await record.call(
        "policy TERMINATE_EXISTING",
        driver.signal_with_start(
            "three", workflow_id_conflict_policy=f"{conflict}TERMINATE_EXISTING"
        ),
    )
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def signal_with_start_closed(env: ScenarioEnv) -> Recording:
    """Signal-with-start after a closed run obeys the reuse policy."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(complete_workflow())
    for policy in ("REJECT_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "ALLOW_DUPLICATE"):
        await record.call(
            policy,
            driver.signal_with_start(
                "one", workflow_id_reuse_policy=f"WORKFLOW_ID_REUSE_POLICY_{policy}"
            ),
        )
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def signal_races_completion(env: ScenarioEnv) -> Recording:
    """A completion that has not seen a signal is refused; the next task sees it."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    held = await driver.poll()
    await driver.signal("race")
    await record.call("complete", driver.complete(held, complete_workflow()))
    second = await driver.poll()
    record.note("second task", second)
    await record.call("complete again", driver.complete(second, complete_workflow()))
    record.events("history", await driver.history())
    return record


@scenario
async def activity_result_races_completion(env: ScenarioEnv) -> Recording:
    """A completion that has not seen an activity's result is refused too, commands and all."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    await driver.signal("wake")
    held = await driver.poll()
    await driver.complete_activity(await driver.poll_activity())
    await record.call("complete", driver.complete(held, start_timer("t", 60), complete_workflow()))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record
