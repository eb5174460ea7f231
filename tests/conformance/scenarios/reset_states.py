"""Resets of workflows with changed options, updates, and activities that run out of time."""

import asyncio
from collections.abc import Mapping
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import complete_workflow, record_marker, schedule_activity, start_timer
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario
from conformance.updating import ACCEPTED, accept, commands_of, poll_update, respond, update

_USE_EXISTING = "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"
_REAPPLIED: Mapping[str, dict[str, Any]] = {
    "default": {},
    "no updates": {"reset_reapply_exclude_types": ["RESET_REAPPLY_EXCLUDE_TYPE_UPDATE"]},
    "no signals": {"reset_reapply_exclude_types": ["RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL"]},
    "none": {"reset_reapply_type": "RESET_REAPPLY_TYPE_NONE"},
    "signals": {"reset_reapply_type": "RESET_REAPPLY_TYPE_SIGNAL"},
}


async def _set_priority(driver: Driver, key: int) -> None:
    request = build(
        wf.UpdateWorkflowExecutionOptionsRequest,
        namespace=NAMESPACE,
        workflow_execution=driver.execution(),
        workflow_execution_options={"priority": {"priority_key": key}},
        update_mask=FieldMask(paths=["priority"]),
    )
    await call(driver.env, request, wf.UpdateWorkflowExecutionOptionsResponse)


async def _attach(driver: Driver, name: str) -> wf.StartWorkflowExecutionResponse:
    return await driver.start(
        request_id=driver.env.name(name),
        workflow_id_conflict_policy=_USE_EXISTING,
        on_conflict_options={"attach_request_id": True, "attach_links": True},
        links=[{"batch_job": {"job_id": name}}],
    )


@scenario
async def reset_options(env: ScenarioEnv) -> Recording:
    """Reset: options and attached requests before the point are kept; those after it come again."""
    record = env.recording()
    for number, (name, fields) in enumerate(_REAPPLIED.items()):
        driver = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        await driver.start(request_id=env.name(f"start-{number}"), priority={"priority_key": 2})
        await _attach(driver, f"before-{number}")
        await _set_priority(driver, 4)
        await driver.step(record_marker("one"))
        await _attach(driver, f"after-{number}")
        await _set_priority(driver, 1)
        await record.call(name, driver.reset(6, **fields))
        record.events(f"{name}: new run", await driver.history())
        record.note(f"{name}: described", await driver.describe())
        await record.call(f"{name}: before again", _attach(driver, f"before-{number}"))
        await record.call(f"{name}: after again", _attach(driver, f"after-{number}"))
        await driver.terminate()
    return record


@scenario
async def reset_before_options(env: ScenarioEnv) -> Recording:
    """Reset: while a task is started, an attached request waits, and comes again."""
    record, driver = env.recording(), Driver(env)
    await driver.start(request_id=env.name("start"))
    await driver.step(start_timer("t", 60))
    await driver.signal("wake")
    await driver.poll()
    await _attach(driver, "waiting")
    await record.call("reset", driver.reset(4))
    record.events("new run", await driver.history())
    record.note("described", (await driver.describe()).workflow_extended_info)
    await driver.terminate()
    return record


async def _accepted(driver: Driver, update_id: str) -> None:
    asked = asyncio.create_task(update(driver, update_id, wait=ACCEPTED))
    task = await driver.poll()
    answer = accept(update_id)
    await driver.complete(task, *commands_of(answer), messages=[answer])
    await asked


async def _completed(driver: Driver, update_id: str) -> None:
    asked = asyncio.create_task(update(driver, update_id))
    task = await driver.poll()
    answers = [accept(update_id), respond(update_id)]
    await driver.complete(task, *commands_of(*answers), messages=answers)
    await asked


@scenario
async def reset_updates(env: ScenarioEnv) -> Recording:
    """Reset: updates after the point are admitted again, unless excluded; those before it stay."""
    record = env.recording()
    for number, (name, fields) in enumerate(_REAPPLIED.items()):
        driver = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        await driver.start()
        await driver.step()
        await _completed(driver, "done before")
        await _accepted(driver, "accepted before")
        await driver.step_after_signal(record_marker("one"))
        await _accepted(driver, "accepted after")
        await _completed(driver, "done after")
        events = await driver.history()
        target = (
            next(
                e.event_id
                for e in reversed(events)
                if e.HasField("marker_recorded_event_attributes")
            )
            - 1
        )
        await record.call(name, driver.reset(target, **fields))
        record.events(f"{name}: new run", (await driver.history())[target - 2 :])
        if number == 0:
            await record.call("done before", poll_update(driver, "done before"))
            await record.call("done after", poll_update(driver, "done after", wait=None))
            task = await driver.poll()
            record.note("task", task)
            answers = [
                accept("accepted after"),
                respond("accepted after"),
                respond("accepted before"),
            ]
            await driver.complete(task, *commands_of(*answers), messages=answers)
            await record.call("accepted after", poll_update(driver, "accepted after"))
            await record.call("accepted before", poll_update(driver, "accepted before"))
        await driver.terminate()
    return record


@scenario
async def reset_with_admitted_update(env: ScenarioEnv) -> Recording:
    """Reset: an update that no worker has taken ends with the run that it was for."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(start_timer("t", 60))
    asked = asyncio.create_task(update(driver))
    await driver.round_trips()
    await record.call("reset", driver.reset(4))
    record.events("new run", await driver.history())
    await record.call("answer", asked)
    await driver.step(complete_workflow())
    record.note("closed", (await driver.history())[-1])
    return record


@scenario
async def reset_activity_timeouts(env: ScenarioEnv) -> Recording:
    """Reset: the timeouts of an activity count from the reset."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(
        schedule_activity(
            "a",
            env.name("nobody"),
            schedule_to_close_timeout={"seconds": 60},
            start_to_close_timeout={"seconds": 6},
        ),
        start_timer("t", 3),
    )
    await driver.event("TIMER_FIRED")
    task = await driver.poll()
    await driver.complete(task, record_marker("one"))
    await record.call("reset", driver.reset(task.started_event_id + 1))
    record.note("described", (await driver.describe()).pending_activities)
    await driver.terminate()
    return record
