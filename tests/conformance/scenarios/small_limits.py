"""Limits that servers are given by their keys: each refuses, fails, ends or cuts as it should."""

from typing import Any

import grpc

from conformance.commands import (
    cancel_external,
    complete_workflow,
    record_marker,
    schedule_activity,
    search_value,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
)
from conformance.driver import Driver, application_failure, event_type, payload, payloads
from conformance.failures import failure_of_call
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario_with
from conformance.settings import SMALL

_KILO = "x" * 1_000
_LONG = "x" * 4_000


def _suggestion(event: Any) -> list[object]:
    attributes = event.workflow_task_started_event_attributes
    reasons = attributes.DESCRIPTOR.fields_by_name["suggest_continue_as_new_reasons"].enum_type
    names = [
        reasons.values_by_number[each].name for each in attributes.suggest_continue_as_new_reasons
    ]
    return [attributes.suggest_continue_as_new, *names]


@scenario_with(*SMALL)
async def small_history_count(env: ScenarioEnv) -> Recording:
    """A new run is suggested from so many events on, and over so many the run is terminated."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    for number in range(6):
        await driver.step_after_signal(record_marker("m"), record_marker("m"))
        last = [event for event in await driver.history() if event_type(event).endswith("STARTED")]
        record.note(f"suggested {number}", _suggestion(last[-1]))
    await driver.signal("wake")
    task = await driver.poll()
    commands = [record_marker("m") for _ in range(40)]
    await record.call("too many", driver.complete(task, *commands))
    history = await driver.history()
    record.note("length", len(history))
    record.events("last", history[-2:])
    return record


@scenario_with(*SMALL)
async def small_history_count_by_signals(env: ScenarioEnv) -> Recording:
    """What a client sends to a history that is full is refused, and the run is terminated."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(*[record_marker("m") for _ in range(55)], start_timer("t", 60))
    for number in range(3):
        await record.call(f"signal {number}", driver.signal("go"))
    history = await driver.history()
    record.note("length", len(history))
    record.events("last", history[-2:])
    return record


@scenario_with(*SMALL)
async def small_history_size(env: ScenarioEnv) -> Recording:
    """A new run is suggested from a size on, and over another one the run is terminated."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    for number in range(3):
        await driver.step_after_signal(
            *[record_marker("m", details={"d": payloads(_KILO * 2)}) for _ in range(2)]
        )
        last = [event for event in await driver.history() if event_type(event).endswith("STARTED")]
        record.note(f"suggested {number}", _suggestion(last[-1]))
    await driver.signal("wake")
    task = await driver.poll()
    markers = [record_marker("m", details={"d": payloads(_KILO * 2)}) for _ in range(5)]
    await record.call("too much", driver.complete(task, *markers))
    await record.call("one more", driver.signal("go"))
    record.events("last", (await driver.history())[-2:])
    return record


@scenario_with(*SMALL)
async def small_mutable_state(env: ScenarioEnv) -> Recording:
    """A run with too much that is pending is terminated; how much that is, servers count apart."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    task = await driver.poll()
    refused: grpc.aio.AioRpcError | None = None
    for _ in range(5):
        try:
            await driver.signal("go", input=payloads(_KILO * 2 + "x" * 800))
        except grpc.aio.AioRpcError as error:
            refused = error
            break
    assert refused is not None
    record.note("refused", failure_of_call(refused))
    await record.call("complete", driver.complete(task, start_timer("t", 60)))
    record.note("end", (await driver.history())[-1].workflow_execution_terminated_event_attributes)
    return record


@scenario_with(*SMALL)
async def small_buffer(env: ScenarioEnv) -> Recording:
    """More events than may wait for a workflow task fail it."""
    record = env.recording()
    for count in (5, 6, 7):
        driver = Driver(env, workflow=f"wf {count}", queue=f"queue {count}")
        await driver.start()
        task = await driver.poll()
        for _ in range(count):
            await driver.signal("go")
        await record.call(f"{count}: complete", driver.complete(task))
        record.note(f"{count}: pending", (await driver.describe()).pending_workflow_task)
        record.events(f"{count}: history", (await driver.history())[3:])
        again = await driver.poll()
        record.note(f"{count}: again", [again.attempt, again.started_event_id])
        await driver.complete(again)
        record.events(f"{count}: history later", (await driver.history())[9:])
        await driver.terminate()
    return record


@scenario_with(*SMALL)
async def small_signal_count(env: ScenarioEnv) -> Recording:
    """A run accepts so many signals."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    for _ in range(15):
        await driver.signal("go")
    await record.call("signal", driver.signal("go"))
    await record.call("signal with start", driver.signal_with_start("go"))
    await driver.terminate()
    return record


@scenario_with(*SMALL)
async def small_pending(env: ScenarioEnv) -> Recording:
    """A run may have so many pending activities, children, signals and cancel requests."""
    record = env.recording()
    other = Driver(env, workflow="other")
    activities = env.name("activities")
    for name, commands in {
        "activities": [schedule_activity(f"a{each}", activities) for each in range(4)],
        "children": [start_child(env.name(f"c{each}"), activities) for each in range(3)],
        "signals": [signal_external(other.execution()) for _ in range(3)],
        "cancel requests": [cancel_external(other.execution()) for _ in range(3)],
    }.items():
        driver = Driver(env, workflow=f"wf {name}", queue=f"queue {name}")
        await driver.start()
        await record.call(name, driver.step(*commands))
        record.events(f"{name}: event", (await driver.history())[3:4])
        await driver.terminate()
    return record


@scenario_with(*SMALL)
async def small_command_sizes(env: ScenarioEnv) -> Recording:
    """Payloads of commands that are over a configured limit."""
    record = env.recording()
    queue = env.name("activities")
    value = search_value("Keyword", f'"{"x" * 150}"')
    for name, command in {
        "activity": schedule_activity("a", queue, input=payloads(_LONG)),
        "result": complete_workflow(_LONG),
        "memo": upsert_memo(a="x" * 900, b="x" * 200),
        "search attribute": upsert_search_attributes(ConformanceKeyword=value),
        "activity id": schedule_activity("a" * 81, queue),
        "timer id": start_timer("t" * 81, 60),
        "marker name": record_marker("m" * 81),
        "child id": start_child(".c" * 41, queue),
        "summary": schedule_activity("a", queue),
    }.items():
        if name == "summary":
            command.user_metadata.summary.CopyFrom(payload("s" * 100))
        driver = Driver(env, workflow=f"wf {name}", queue=f"queue {name}")
        await driver.start()
        await record.call(name, driver.step(command))
        record.events(f"{name}: last", (await driver.history())[3:])
        await _end(driver)
    return record


@scenario_with(*SMALL)
async def small_requests(env: ScenarioEnv) -> Recording:
    """Requests that are over a configured limit."""
    record, driver = env.recording(), Driver(env)
    fields = {
        "ConformanceKeyword": search_value("Keyword", '"a"'),
        "ConformanceInt": search_value("Int", "1"),
        "ConformanceBool": search_value("Bool", "true"),
    }
    large = search_value("Text", f'"{"x" * 150}"')
    starts: dict[str, dict[str, Any]] = {
        "workflow id": {"workflow_id": "w" * 81},
        "workflow type": {"workflow_type": {"name": "t" * 81}},
        "request id": {"request_id": "r" * 81},
        "task queue": {"task_queue": {"name": "q" * 81}},
        "input": {"input": payloads(_LONG)},
        "memo": {"memo": {"fields": {"m": payload("x" * 1_100)}}},
        "attributes": {"search_attributes": {"indexed_fields": fields}},
        "attribute": {"search_attributes": {"indexed_fields": {"ConformanceText": large}}},
        "links": {"links": [{"batch_job": {"job_id": "j"}}] * 3},
        "link": {"links": [{"batch_job": {"job_id": "j" * 250}}]},
        "summary": {"user_metadata": {"summary": payload("s" * 100)}},
        "details": {"user_metadata": {"details": payload("s" * 200)}},
        "cron": {"cron_schedule": "c" * 81},
        "header": {"header": {"fields": {"h": payload(_LONG)}}},
    }
    for name, asked in starts.items():
        await record.call(name, driver.start(**asked), show=lambda _: "started")
        if record.steps[name] == "started":
            await driver.terminate()
    await driver.start()
    for name, sent in {
        "identity": driver.signal("s", identity="i" * 4_000),
        "query input": driver.query(query={"query_type": "q", "query_args": payloads(_LONG)}),
        "signal name": driver.signal("s" * 81),
        "signal input": driver.signal("s", input=payloads(_LONG)),
        "signal request": driver.signal("s", request_id="r" * 81),
        "cancel request": driver.cancel(request_id="r" * 81),
        "cancel reason": driver.cancel(reason="r" * 4_000),
        "terminate reason": driver.terminate(reason="r" * 4_000),
        "terminate details": driver.terminate(details=payloads(_LONG)),
    }.items():
        await record.call(name, sent, show=lambda _: "taken")
    await _end(driver)
    return record


@scenario_with(*SMALL)
async def small_error_text(env: ScenarioEnv) -> Recording:
    """The text of an error is cut."""
    record, driver = env.recording(), Driver(env)
    name = {"n" * 400: search_value("Keyword", '"a"')}
    await record.call("name", driver.start(search_attributes={"indexed_fields": name}))
    name = {"é" * 400: search_value("Keyword", '"a"')}
    await record.call("wide name", driver.start(search_attributes={"indexed_fields": name}))
    return record


@scenario_with(*SMALL)
async def small_failure(env: ScenarioEnv) -> Recording:
    """The last failure of a pending activity is cut; what is over a blob's limit too."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue))
    task = await driver.poll_activity()
    failure = application_failure("no " * 200, details=payloads(_KILO))
    await driver.fail_activity(task, failure)
    pending = (await driver.describe()).pending_activities[0]
    record.note("pending", pending.last_failure)
    once = {"maximum_attempts": 1}
    await driver.step_after_signal(schedule_activity("b", driver.queue, retry_policy=once))
    task = await driver.poll_activity()
    await driver.fail_activity(task, application_failure("no", details=payloads(_LONG)))
    record.events("last", (await driver.history())[-3:])
    await driver.terminate()
    return record


async def _end(driver: Driver) -> None:
    if not (await driver.describe()).workflow_execution_info.HasField("close_time"):
        await driver.terminate()
