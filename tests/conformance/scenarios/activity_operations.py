"""What operators do to activities of workflows: pause, unpause, reset, change their options."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import (
    cancel_activity,
    complete_workflow,
    schedule_activity,
    start_timer,
)
from conformance.driver import Driver, application_failure, until
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import IDENTITY, NAMESPACE, ScenarioEnv, scenario

SLOW = {"initial_interval": {"seconds": 600}, "backoff_coefficient": 1.0}
_QUICK = {"initial_interval": {"nanos": 1_000_000}, "backoff_coefficient": 1.0}


async def pause(driver: Driver, **fields: Any) -> Message:
    """PauseActivity."""
    return await _operate(driver, wf.PauseActivityRequest, wf.PauseActivityResponse, fields)


async def unpause(driver: Driver, **fields: Any) -> Message:
    """UnpauseActivity."""
    return await _operate(driver, wf.UnpauseActivityRequest, wf.UnpauseActivityResponse, fields)


async def reset(driver: Driver, **fields: Any) -> Message:
    """ResetActivity."""
    return await _operate(driver, wf.ResetActivityRequest, wf.ResetActivityResponse, fields)


async def update_options(
    driver: Driver, *paths: str, options: dict[str, Any] | None = None, **fields: Any
) -> Message:
    """UpdateActivityOptions; `paths` are those of the update mask."""
    if options is not None:
        fields["activity_options"] = options
    if paths:
        fields["update_mask"] = {"paths": paths}
    return await _operate(
        driver, wf.UpdateActivityOptionsRequest, wf.UpdateActivityOptionsResponse, fields
    )


async def _operate(
    driver: Driver, request: type[Message], answer: type[Message], fields: dict[str, Any]
) -> Message:
    defaults: dict[str, Any] = {
        "namespace": NAMESPACE,
        "execution": driver.execution(),
        "identity": IDENTITY,
    }
    return await call(driver.env, build(request, **defaults | fields), answer)


async def pending(driver: Driver) -> Sequence[PendingActivityInfo]:
    """Returns the pending activities."""
    found = (await driver.describe()).pending_activities
    return sorted(found, key=lambda activity: activity.activity_id)


async def pause_info(driver: Driver) -> Payload | None:
    """Returns the search attribute that says what is paused."""
    described = await driver.describe()
    fields = described.workflow_execution_info.search_attributes.indexed_fields
    return fields.get("TemporalPauseInfo", None)


@scenario
async def activity_pause_scheduled(env: ScenarioEnv) -> Recording:
    """A paused activity is not handed out until it is unpaused."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue), schedule_activity("b", driver.queue))
    first = {"id": "a", "reason": "why", "request_id": env.name("request")}
    await record.call("pause", pause(driver, **first))
    record.note("described", await pending(driver))
    record.note("pause info", await pause_info(driver))
    await record.call("pause, same request", pause(driver, **first))
    await record.call("pause, other request", pause(driver, id="a", request_id="other"))
    await record.call("pause, no request id", pause(driver, id="a"))
    task = await driver.poll_activity()
    record.note("handed out", task.activity_id)
    await driver.complete_activity(task)
    await record.call("unpause", unpause(driver, id="a"))
    record.note("described after", await pending(driver))
    record.note("pause info after", await pause_info(driver))
    await record.call("unpause again", unpause(driver, id="a"))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.complete_activity(task)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_pause_started(env: ScenarioEnv) -> Recording:
    """An activity that is paused while a worker has it goes on, and is not tried again."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=_QUICK))
    task = await driver.poll_activity()
    await record.call("pause", pause(driver, id="a"))
    record.note("described", await pending(driver))
    record.note("pause info", await pause_info(driver))
    await record.call("heartbeat", driver.heartbeat(task, "half"))
    await record.call("fail", driver.fail_activity(task, application_failure("one")))
    record.note("described failed", await pending(driver))
    await record.call("heartbeat of the failed", driver.heartbeat(task, "more"))
    await record.call("unpause", unpause(driver, id="a"))
    again = await driver.poll_activity()
    record.note("task", again)
    record.note("described again", await pending(driver))
    await record.call("pause again", pause(driver, id="a"))
    await record.call("unpause while started", unpause(driver, id="a"))
    await record.call("heartbeat after", driver.heartbeat(again))
    await driver.complete_activity(again)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_pause_then_ends(env: ScenarioEnv) -> Recording:
    """A paused activity completes, is cancelled or fails for good all the same."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    last = {"retry_policy": {"maximum_attempts": 1}}
    await driver.step(
        schedule_activity("completes", driver.queue),
        schedule_activity("cancelled", driver.queue),
        schedule_activity("fails", driver.queue, **last),
        schedule_activity("fatal", driver.queue),
        schedule_activity("unstarted", env.name("nobody")),
        schedule_activity("by-id", env.name("nobody"), activity_type={"name": "Other"}),
    )
    tasks = {}
    for _ in range(4):
        task = await driver.poll_activity()
        tasks[task.activity_id] = task
    await record.call("pause all", pause(driver, type="Work"))
    await record.call("pause other", pause(driver, id="by-id"))
    record.note("states", _states(await pending(driver)))
    record.note("pause info", _sorted(await pause_info(driver)))
    await driver.complete_activity(tasks["completes"])
    fatal = application_failure("fatal", non_retryable=True)
    await driver.fail_activity(tasks["fatal"], fatal)
    complete = build(
        wf.RespondActivityTaskCompletedByIdRequest,
        namespace=NAMESPACE,
        workflow_id=driver.workflow_id,
        activity_id="by-id",
        identity=IDENTITY,
    )
    answer = call(env, complete, wf.RespondActivityTaskCompletedByIdResponse)
    await record.call("complete by id", answer)
    record.note("pause info of one type", _sorted(await pause_info(driver)))
    await driver.fail_activity(tasks["fails"], application_failure("no"))
    scheduled = {
        event.activity_task_scheduled_event_attributes.activity_id: event.event_id
        for event in await driver.history()
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    await driver.step(
        cancel_activity(scheduled["cancelled"]), cancel_activity(scheduled["unstarted"])
    )
    record.note("states after cancel", _states(await pending(driver)))
    await record.call("heartbeat", driver.heartbeat(tasks["cancelled"]))
    await driver.cancel_activity(tasks["cancelled"])
    await record.call("unpause", unpause(driver, id="fails"))
    last_task = await driver.poll_activity()
    record.note("attempt beyond the last", last_task.attempt)
    await driver.fail_activity(last_task, application_failure("no"))
    record.note("pause info after", await pause_info(driver))
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


async def _time_passes(env: ScenarioEnv, seconds: float) -> None:
    """Waits for a timer of another workflow."""
    witness = Driver(env, workflow="witness", queue="queue-witness")
    await witness.start()
    await witness.step(start_timer("t", seconds))
    await witness.event("TIMER_FIRED")
    await witness.terminate()


async def _timed_out(driver: Driver) -> bool:
    """Tells whether the first attempt of the driver's one activity is over."""
    activities = await pending(driver)
    return not activities or activities[0].attempt > 1


def _sorted(info: Payload | None) -> list[str]:
    return sorted(json.loads(info.data)) if info is not None else []


@scenario
async def activity_pause_and_timeouts(env: ScenarioEnv) -> Recording:
    """While an activity is paused it does not time out; afterwards it does."""
    record, second = env.recording(), {"seconds": 1}
    timeouts: dict[str, tuple[bool, dict[str, Any]]] = {
        "start-to-close": (True, {"start_to_close_timeout": second}),
        "heartbeat": (True, {"heartbeat_timeout": second}),
        "started": (True, {"schedule_to_close_timeout": second}),
        "schedule-to-start": (False, {"schedule_to_start_timeout": second}),
        "schedule-to-close": (False, {"schedule_to_close_timeout": second}),
    }
    drivers = {name: Driver(env, workflow=name, queue=f"queue-{name}") for name in timeouts}
    for name, (start, fields) in timeouts.items():
        driver = drivers[name]
        await driver.start()
        await driver.step(schedule_activity("a", driver.queue, **fields))
        if start:
            await driver.poll_activity()
        await record.call(f"{name}: pause", pause(driver, id="a"))
    await _time_passes(env, 3)
    for name, driver in drivers.items():
        record.note(f"{name}: paused", _states(await pending(driver)))
        await record.call(f"{name}: unpause", unpause(driver, id="a"))
    for name, driver in drivers.items():
        await until(partial(_timed_out, driver), what=f"a timeout of {name}")
        record.note(f"{name}: unpaused", _states(await pending(driver)))
        record.events(f"{name}: history", (await driver.history())[4:])
        await driver.terminate()
    return record


def _states(activities: Sequence[PendingActivityInfo]) -> dict[str, list[Any]]:
    return {
        item.activity_id: [
            PendingActivityState.Name(item.state).removeprefix("PENDING_ACTIVITY_STATE_"),
            item.paused,
            item.attempt,
        ]
        for item in activities
    }


@scenario
async def activity_pause_in_backoff(env: ScenarioEnv) -> Recording:
    """No attempt follows while an activity is paused; unpausing may count attempts anew."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=SLOW))
    task = await driver.poll_activity()
    await driver.heartbeat(task, "half")
    await driver.fail_activity(task, application_failure("one"))
    await record.call("pause", pause(driver, id="a", reason="why"))
    record.note("described", await pending(driver))
    await record.call("unpause", unpause(driver, id="a", jitter={"seconds": 0}))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.fail_activity(task, application_failure("two"))
    await record.call("pause by type", pause(driver, type="Work"))
    await record.call(
        "unpause anew",
        unpause(driver, type="Work", reset_attempts=True, reset_heartbeat=True),
    )
    record.note("described anew", await pending(driver))
    task = await driver.poll_activity()
    record.note("task anew", task)
    await driver.fail_activity(task, application_failure("three"))
    await record.call("unpause what is not paused", unpause(driver, id="a", reset_attempts=True))
    record.note("described in backoff", await pending(driver))
    await record.call("pause before all", pause(driver, id="a"))
    await record.call("unpause all", unpause(driver, unpause_all=True, jitter={"seconds": 900}))
    record.note("described with jitter", _states(await pending(driver)))
    await driver.terminate()
    record.note("last", (await driver.history())[-1])
    return record


@scenario
async def activity_reset_started(env: ScenarioEnv) -> Recording:
    """A worker is told of a reset of its first attempt; a later attempt is not its own any more."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(
        schedule_activity(
            "a", driver.queue, retry_policy=_QUICK, start_to_close_timeout={"seconds": 2}
        )
    )
    task = await driver.poll_activity()
    await driver.heartbeat(task, "half")
    await record.call("reset", reset(driver, id="a", reset_heartbeat=True))
    record.note("described", await pending(driver))
    await record.call("heartbeat", driver.heartbeat(task, "more"))
    record.note("described after heartbeat", await pending(driver))
    await record.call("fail", driver.fail_activity(task, application_failure("one")))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.heartbeat(task, "kept")
    await record.call("reset later", reset(driver, id="a"))
    record.note("described later", await pending(driver))
    await record.call("heartbeat later", driver.heartbeat(task, "lost"))
    await record.call("fail later", driver.fail_activity(task, application_failure("two")))
    await record.call("complete later", driver.complete_activity(task))
    task = await driver.poll_activity()
    record.note("task later", task)
    await driver.complete_activity(task)
    await driver.step(complete_workflow())
    record.events("history", await driver.history())
    return record


@scenario
async def activity_reset_waiting(env: ScenarioEnv) -> Recording:
    """An activity that is reset in its backoff or before its start is handed out at once."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=SLOW))
    await record.call("reset before its start", reset(driver, id="a"))
    record.note("described", await pending(driver))
    task = await driver.poll_activity()
    record.note("task", task)
    await driver.heartbeat(task, "half")
    await driver.fail_activity(task, application_failure("one"))
    await record.call("reset in backoff", reset(driver, type="Work", reset_heartbeat=True))
    record.note("described anew", await pending(driver))
    task = await driver.poll_activity()
    record.note("task anew", task)
    await record.call("heartbeat anew", driver.heartbeat(task))
    await driver.fail_activity(task, application_failure("two"))
    record.note("described in backoff", await pending(driver))
    await record.call("reset all later", reset(driver, match_all=True, jitter={"seconds": 900}))
    record.note("described with jitter", _states(await pending(driver)))
    await driver.terminate()
    return record


@scenario
async def activity_reset_paused(env: ScenarioEnv) -> Recording:
    """A reset ends a pause unless it is told to keep it."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=SLOW))
    await driver.fail_activity(await driver.poll_activity(), application_failure("one"))
    await record.call("pause", pause(driver, id="a", reason="why"))
    await record.call("reset, kept", reset(driver, id="a", keep_paused=True))
    record.note("described kept", await pending(driver))
    record.note("pause info kept", await pause_info(driver))
    await record.call("reset", reset(driver, id="a"))
    record.note("described", await pending(driver))
    record.note("pause info", await pause_info(driver))
    task = await driver.poll_activity()
    record.note("task", task)
    await record.call("pause started", pause(driver, id="a"))
    await record.call("reset started", reset(driver, id="a"))
    record.note("described started", await pending(driver))
    await record.call("heartbeat", driver.heartbeat(task))
    await record.call("fail", driver.fail_activity(task, application_failure("two")))
    record.note("described failed", await pending(driver))
    await driver.terminate()
    return record


OPTIONS: dict[str, Any] = {
    "task_queue": {"name": "elsewhere"},
    "schedule_to_close_timeout": {"seconds": 900},
    "schedule_to_start_timeout": {"seconds": 800},
    "start_to_close_timeout": {"seconds": 700},
    "heartbeat_timeout": {"seconds": 600},
    "retry_policy": {
        "initial_interval": {"seconds": 5},
        "backoff_coefficient": 3.0,
        "maximum_interval": {"seconds": 50},
        "maximum_attempts": 7,
    },
    "priority": {"priority_key": 2},
}


@scenario
async def activity_operations_by_execution(env: ScenarioEnv) -> Recording:
    """The operations by their newer names, on an activity of a workflow."""
    record, driver = env.recording(), Driver(env)
    started = await driver.start()
    await driver.step(schedule_activity("a", driver.queue, retry_policy=SLOW))

    async def operate(request: type[Message], answer: type[Message], **fields: Any) -> Message:
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE,
            "workflow_id": driver.workflow_id,
            "activity_id": "a",
            "identity": IDENTITY,
        }
        return await call(env, build(request, **defaults | fields), answer)

    pausing = (wf.PauseActivityExecutionRequest, wf.PauseActivityExecutionResponse)
    unpausing = (wf.UnpauseActivityExecutionRequest, wf.UnpauseActivityExecutionResponse)
    resetting = (wf.ResetActivityExecutionRequest, wf.ResetActivityExecutionResponse)
    updating = (
        wf.UpdateActivityExecutionOptionsRequest,
        wf.UpdateActivityExecutionOptionsResponse,
    )
    request = env.name("request")
    await record.call("pause", operate(*pausing, reason="why", request_id=request))
    record.note("described", await pending(driver))
    await record.call("pause, same request", operate(*pausing, request_id=request))
    await record.call("pause, other request", operate(*pausing, request_id="other"))
    await record.call("unpause", operate(*unpausing, reason="why", run_id=started.run_id))
    await record.call("unpause again", operate(*unpausing))
    task = await driver.poll_activity()
    await driver.heartbeat(task, "half")
    await driver.fail_activity(task, application_failure("one"))
    await record.call("reset", operate(*resetting, reset_heartbeat=True))
    record.note("described anew", await pending(driver))
    await record.call(
        "update",
        operate(
            *updating,
            activity_options={"heartbeat_timeout": {"seconds": 3}},
            update_mask={"paths": ["heartbeat_timeout"]},
        ),
    )
    await record.call("restore", operate(*updating, restore_original=True))
    cases: dict[str, dict[str, Any]] = {
        "no activity": {"activity_id": ""},
        "no workflow": {"workflow_id": ""},
        "no such workflow": {"workflow_id": env.name("missing")},
        "no such activity": {"activity_id": "nope"},
        "bad run id": {"run_id": "x"},
        "long activity id": {"activity_id": "a" * 1001},
        "long workflow id": {"workflow_id": "w" * 1001},
        "long identity": {"identity": "a" * 1001},
        "long request id": {"request_id": "a" * 1001},
        "long reason": {"reason": "a" * 2001},
        "negative jitter": {"jitter": {"seconds": -1}},
    }
    for name, kind in {
        "pause": pausing,
        "unpause": unpausing,
        "reset": resetting,
        "update": updating,
    }.items():
        for case, fields in cases.items():
            if all(field in kind[0]().DESCRIPTOR.fields_by_name for field in fields):
                await record.call(f"{name}: {case}", operate(*kind, **fields))
    await driver.terminate()
    return record
