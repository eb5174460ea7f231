"""Markers, memo, search attributes, and the heartbeats of long local activities."""

from conformance.commands import (
    complete_workflow,
    null_payload,
    record_marker,
    schedule_activity,
    search_value,
    start_timer,
    upsert_memo,
    upsert_search_attributes,
)
from conformance.driver import Driver, application_failure, payload, payloads
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario


@scenario
async def markers(env: ScenarioEnv) -> Recording:
    """Markers are recorded as they are; a task of markers alone leaves the workflow idle."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    marker = record_marker(
        "Version",
        details={"id": payloads("change"), "version": payloads("1")},
        header={"fields": {"trace": payload("header")}},
        failure=application_failure("kept"),
    )
    marker.user_metadata.summary.CopyFrom(payload("summary"))
    await record.call("record", driver.step(record_marker("SideEffect"), marker))
    await record.call("no name", driver.step_after_signal(record_marker("")))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def memo_upsert(env: ScenarioEnv) -> Recording:
    """Memo fields are added, replaced and removed."""
    record, driver = env.recording(), Driver(env)
    await driver.start(memo={"fields": {"old": payload("1"), "gone": payload("2")}})
    await driver.step(upsert_memo(old="3", new="4", gone=""))
    record.note("memo", (await driver.describe()).workflow_execution_info.memo)
    await record.call("empty", driver.step_after_signal(upsert_memo()))
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def search_attributes_upsert(env: ScenarioEnv) -> Recording:
    """Search attributes of every type are set at the start, changed and removed."""
    record, driver = env.recording(), Driver(env)
    await driver.start(
        search_attributes={
            "indexed_fields": {
                "ConformanceKeyword": search_value("Keyword", '"red"'),
                "ConformanceKeywordList": search_value("KeywordList", '["a", "b"]'),
                "ConformanceText": search_value("Text", '"many words"'),
                "ConformanceInt": search_value("Int", "7"),
                "ConformanceDouble": search_value("Double", "1.5"),
                "ConformanceBool": search_value("Bool", "true"),
                "ConformanceDatetime": search_value("Datetime", '"2024-01-02T03:04:05Z"'),
            }
        }
    )
    record.note("at start", (await driver.describe()).workflow_execution_info.search_attributes)
    await driver.step(
        upsert_search_attributes(
            ConformanceKeyword=search_value("Keyword", '"blue"'),
            ConformanceInt=null_payload(),
            ConformanceBool=search_value("Bool", "false"),
        )
    )
    record.note("later", (await driver.describe()).workflow_execution_info.search_attributes)
    record.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def search_attributes_refused(env: ScenarioEnv) -> Recording:
    """Unknown, reserved and ill-typed search attributes, at the start and by a command."""
    record = env.recording()
    values = {
        "unknown": {"Nope": search_value("Keyword", '"x"')},
        "reserved": {"ExecutionStatus": search_value("Keyword", '"x"')},
        "not an int": {"ConformanceInt": search_value("Int", '"x"')},
        "not a bool": {"ConformanceBool": search_value("Bool", "7")},
        "not a time": {"ConformanceDatetime": search_value("Datetime", '"noon"')},
        "not json": {"ConformanceKeyword": search_value("Keyword", "{")},
        "wrong type in metadata": {"ConformanceInt": search_value("Keyword", '"x"')},
        "list for keyword": {"ConformanceKeyword": search_value("Keyword", '["a", "b"]')},
    }
    for name, fields in values.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        started = await record.call(
            f"start: {name}",
            driver.start(search_attributes={"indexed_fields": fields}),
            show=lambda _: "OK",
        )
        if started is None:
            await driver.start()
        await record.call(f"upsert: {name}", driver.step(upsert_search_attributes(**fields)))
        events = await driver.history()
        failed = [e for e in events if e.HasField("workflow_task_failed_event_attributes")]
        record.note(f"cause: {name}", failed[:1])
        await driver.terminate()
    return record


@scenario
async def local_activity_heartbeat(env: ScenarioEnv) -> Recording:
    """A worker with a long local activity asks for a new task again and again, without a poll."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    more = {"return_new_workflow_task": True, "force_create_new_workflow_task": True}
    sticky = driver.sticky()
    first = await driver.complete(await driver.poll(), **sticky, **more)
    record.note("first answer", first)
    second = await driver.complete(first.workflow_task, **sticky, **more)
    record.note("second answer", second)
    await driver.signal("meanwhile")
    third = await driver.complete(
        second.workflow_task, record_marker("LocalActivity"), **sticky, **more
    )
    record.note("third answer", third)
    done = await driver.complete(third.workflow_task, complete_workflow(), **more)
    record.note("last answer", done)
    record.events("history", await driver.history())
    return record


@scenario
async def new_task_only_when_there_is_one(env: ScenarioEnv) -> Recording:
    """return_new_workflow_task: the answer has a task when something waits, and none otherwise."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    idle = await driver.step(start_timer("t", 60), return_new_workflow_task=True)
    record.note("idle", idle)
    await driver.signal("wake")
    held = await driver.poll()
    await driver.signal("buffered")
    busy = await driver.complete(held, return_new_workflow_task=True)
    record.note("busy", busy)
    await driver.complete(busy.workflow_task, complete_workflow(), return_new_workflow_task=True)
    record.events("history", await driver.history())
    return record


@scenario
async def forced_task_without_return(env: ScenarioEnv) -> Recording:
    """force_create_new_workflow_task alone schedules a task for whoever polls."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await record.call("force", driver.step(force_create_new_workflow_task=True))
    record.note("task", await driver.poll())
    await driver.terminate()
    record.events("history", await driver.history())
    return record


@scenario
async def sdk_metadata_is_kept(env: ScenarioEnv) -> Recording:
    """SDK flags, metering and checksums of a completion are on its event."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(
        schedule_activity("a", driver.queue),
        binary_checksum="checksum",
        sdk_metadata={
            "core_used_flags": [1, 2],
            "lang_used_flags": [3],
            "sdk_name": "conformance",
            "sdk_version": "1.0",
        },
        metering_metadata={"nonfirst_local_activity_execution_attempts": 2},
    )
    await driver.terminate()
    record.events("history", await driver.history())
    return record
