"""Resets: a new run that begins with another one's history up to a workflow task."""

from typing import Any

from conformance.commands import (
    complete_workflow,
    continue_as_new,
    record_marker,
    schedule_activity,
    search_value,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
)
from conformance.driver import Driver, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def reset_open_run(env: ScenarioEnv) -> Recording:
    """Reset of an open run: it ends as terminated, and the new one goes on from the task."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(
        input=payloads("in"),
        memo={"fields": {"note": payload("memo")}},
        workflow_run_timeout={"seconds": 100},
        workflow_execution_timeout={"seconds": 200},
    )
    await driver.step(record_marker("one"), start_timer("t", 60), upsert_memo(more="x"))
    await driver.step_after_signal(record_marker("two"), upsert_memo(more="y"))
    await driver.signal("late", input=payloads("late"))
    answer = await record.call("reset", driver.reset(4))
    assert answer is not None
    record.events("old run", await driver.history(first.run_id))
    record.note("old run described", await driver.describe(first.run_id))
    record.events("new run", await driver.history())
    record.note("new run described", await driver.describe())
    task = await driver.poll()
    record.note("task", task)
    await record.call("complete", driver.complete(task, record_marker("other")))
    await driver.step_after_signal(complete_workflow())
    record.events("new run closed", await driver.history())
    await record.call("closed run", driver.reset(4, answer.run_id))
    record.events("third run", await driver.history())
    record.note("third run described", await driver.describe())
    await driver.terminate()
    return record


@scenario
async def reset_refused(env: ScenarioEnv) -> Recording:
    """Reset: targets that are none, runs that are not there."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("no request id", driver.reset(3, request_id=""))
    await record.call("before any task", driver.reset(2))
    await driver.step(record_marker("one"), schedule_activity("a", driver.queue))
    await driver.signal("s")
    for event_id in (-1, 0, 1, 2, 5, 6, 7, 8, 9, 10, 100):
        await record.call(f"to {event_id}", driver.reset(event_id))
    record.events("history", await driver.history())
    await record.call("no reason", driver.reset(4, reason=""))
    gone = Driver(env, workflow="missing")
    await record.call("missing", gone.reset(4))
    await record.call("missing run", driver.reset(4, "11111111-1111-4111-8111-111111111111"))
    await record.call("bad run", driver.reset(4, "nonsense"))
    await record.call("no workflow", driver.reset(4, workflow_execution={}))
    await record.call("unset workflow", driver.reset(4, workflow_execution=None))
    await record.call("long id", driver.reset(4, request_id="x" * 1001))
    await record.call(
        "reapply type and excluded",
        driver.reset(
            4,
            reset_reapply_type="RESET_REAPPLY_TYPE_SIGNAL",
            reset_reapply_exclude_types=["RESET_REAPPLY_EXCLUDE_TYPE_UPDATE"],
        ),
    )
    await driver.terminate()
    return record


@scenario
async def reset_reapplies(env: ScenarioEnv) -> Recording:
    """Reset: signals and cancel requests after the point are recorded again, unless excluded."""
    record = env.recording()
    asked: dict[str, dict[str, Any]] = {
        "default": {},
        "no signals": {"reset_reapply_exclude_types": ["RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL"]},
        "no cancel": {"reset_reapply_exclude_types": ["RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST"]},
        "none": {"reset_reapply_type": "RESET_REAPPLY_TYPE_NONE"},
        "signals": {"reset_reapply_type": "RESET_REAPPLY_TYPE_SIGNAL"},
        "all": {"reset_reapply_type": "RESET_REAPPLY_TYPE_ALL_ELIGIBLE"},
    }
    for name, fields in asked.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        await driver.start()
        await driver.signal("before", input=payloads("0"))
        task = await driver.poll()
        await driver.signal("during", input=payloads("1"), header={"fields": {"h": payload("h")}})
        await driver.complete(task, record_marker("one"))
        await driver.signal("after", input=payloads("2"), request_id=env.name(f"request-{name}"))
        await driver.cancel(reason="enough")
        await record.call(name, driver.reset(5, **fields))
        record.events(f"{name}: history", await driver.history())
        record.note(f"{name}: described", (await driver.describe()).workflow_extended_info)
        await driver.terminate()
    return record


@scenario
async def reset_activities(env: ScenarioEnv) -> Recording:
    """Reset: activities that had started fail, those that had not are scheduled."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    done, running, waiting = (env.name(name) for name in ("done", "running", "waiting"))
    await driver.step(
        schedule_activity("done", done),
        schedule_activity("running", running, heartbeat_timeout={"seconds": 30}),
        schedule_activity("waiting", waiting, priority={"priority_key": 4}),
        start_timer("t", 60),
    )
    answered = await driver.poll_activity(queue=done)
    lost = await driver.poll_activity(queue=running)
    await driver.complete_activity(answered)
    await driver.step(record_marker("one"), schedule_activity("later", driver.queue))
    record.events("old run", await driver.history())
    await record.call("reset", driver.reset(12))
    record.events("new run", await driver.history())
    record.note("described", await driver.describe())
    task = await driver.poll()
    await driver.complete(task, record_marker("two"))
    await record.call("old attempt", driver.complete_activity(lost))
    again = await driver.poll_activity(queue=running)
    record.note("activity", again)
    await driver.complete_activity(again)
    await driver.step(complete_workflow())
    record.events("new run closed", await driver.history())
    return record


@scenario
async def reset_follows_the_chain(env: ScenarioEnv) -> Recording:
    """Reset: signals of the runs that continued the one that is reset are recorded again."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start(input=payloads("in"))
    await driver.signal("a")
    await driver.step(record_marker("one"))
    await driver.step_after_signal(continue_as_new(driver.queue))
    await driver.signal("b")
    second = await driver.poll()
    await driver.complete(second, record_marker("two"))
    await driver.signal("c")
    await record.call("reset", driver.reset(5, first.run_id))
    record.events("new run", await driver.history())
    record.note("new run described", await driver.describe())
    record.note("replaced", (await driver.history(second.workflow_execution.run_id))[-1])
    record.note("first described", await driver.describe(first.run_id))
    task = await driver.poll()
    await driver.complete(task, complete_workflow())
    record.note("closed", (await driver.history())[-1])
    await record.call("start again", driver.start())
    await driver.terminate()
    return record


@scenario
async def reset_while_task_started(env: ScenarioEnv) -> Recording:
    """Reset: a started workflow task ends, and what waited for it is recorded again."""
    record, driver = env.recording(), Driver(env)
    first = await driver.start()
    await driver.step(
        start_timer("t", 60),
        upsert_search_attributes(ConformanceKeyword=search_value("Keyword", '"red"')),
    )
    await driver.signal("wake")
    started = await driver.poll()
    await driver.signal("buffered")
    target = started.started_event_id
    await record.call("reset past the task", driver.reset(target + 1))
    await record.call("reset to the task", driver.reset(target))
    record.events("old run", await driver.history(first.run_id))
    record.events("new run", await driver.history())
    record.note("described", (await driver.describe()).workflow_execution_info.search_attributes)
    await record.call("answer of the old task", driver.complete(started, complete_workflow()))
    await driver.step(complete_workflow())
    record.note("closed", (await driver.history())[-1])
    return record


@scenario
async def reset_repeated(env: ScenarioEnv) -> Recording:
    """Reset: the same request again, and a start with the request id of the first one."""
    record, driver = env.recording(), Driver(env)
    await driver.start(request_id=env.name("start"))
    await driver.step(record_marker("one"))
    fields = {"request_id": env.name("reset")}
    await record.call("reset", driver.reset(4, **fields))
    await record.call("same request", driver.reset(4, **fields))
    await record.call("same start", driver.start(request_id=env.name("start")))
    await driver.step(complete_workflow())
    await record.call("same start, closed", driver.start(request_id=env.name("start")))
    return record


@scenario
async def reset_post_operations(env: ScenarioEnv) -> Recording:
    """Reset: a signal may be sent to the new run with the reset itself."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(record_marker("one"))
    operation = {"signal_workflow": {"signal_name": "after", "input": payloads("reset")}}
    await record.call("reset", driver.reset(4, post_reset_operations=[operation, operation]))
    record.events("new run", await driver.history())
    await driver.terminate()
    return record
