"""Resets of workflows that have children, or are children."""

from typing import Any

from conformance.commands import (
    cancel_external,
    complete_workflow,
    record_marker,
    signal_external,
    start_child,
)
from conformance.driver import Driver, event_type, until
from conformance.families import (
    NOT_STARTED,
    POLICIES,
    STARTED,
    child_driver,
    start_family,
    start_parent,
    terminate,
)
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

COMPLETED = "CHILD_WORKFLOW_EXECUTION_COMPLETED"
_AFTER_START = 9
"""Of a family's parent: the end of the task that has seen its child's start."""
_BEFORE_START = 4
"""The end of the task that starts the child."""


async def _family(env: ScenarioEnv, name: str, **fields: Any) -> tuple[Driver, Driver, str]:
    """Returns a parent, its child, which has started, and the id of the parent's run."""
    parent, child = await start_parent(env, f"parent-{name}"), child_driver(env, f"child-{name}")
    await parent.step(start_child(child.workflow_id, child.queue, **fields))
    await parent.event(STARTED)
    await parent.step()
    run_id = (await parent.describe()).workflow_execution_info.execution.run_id
    return parent, child, run_id


@scenario
async def reset_keeps_child(env: ScenarioEnv) -> Recording:
    """Reset: a child that has started before the point is the new run's, and tells it its end."""
    record = env.recording()
    parent, child = await start_family(env, control="control")
    first = (await parent.describe()).workflow_execution_info.execution.run_id
    await record.call("reset", parent.reset(_AFTER_START))
    record.events("old run", await parent.history(first))
    record.events("new run", await parent.history())
    record.note("old run described", await parent.describe(first))
    record.note("new run described", await parent.describe())
    record.note("child described", await child.describe())
    await parent.step(record_marker("again"))
    await child.step(complete_workflow("result"))
    await parent.event(COMPLETED)
    await parent.step(complete_workflow())
    record.events("new run closed", (await parent.history())[8:])
    record.note("old run's last", [event_type(e) for e in await parent.history(first)][-1])
    record.events("child", await child.history())
    return record


@scenario
async def reset_after_child_ended(env: ScenarioEnv) -> Recording:
    """Reset: what was heard of a child after the point is heard again, whatever is excluded."""
    record = env.recording()
    asked: dict[str, dict[str, Any]] = {
        "default": {},
        "no signals": {"reset_reapply_exclude_types": ["RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL"]},
        "none": {"reset_reapply_type": "RESET_REAPPLY_TYPE_NONE"},
        "signals": {"reset_reapply_type": "RESET_REAPPLY_TYPE_SIGNAL"},
    }
    for number, (name, fields) in enumerate(asked.items()):
        parent, child, _ = await _family(env, str(number))
        await parent.signal("before")
        await child.step(complete_workflow("result"))
        await parent.event(COMPLETED)
        await parent.signal("after")
        await parent.step()
        await record.call(name, parent.reset(_AFTER_START, **fields))
        record.events(f"{name}: new run", (await parent.history())[8:])
        record.note(f"{name}: children", len((await parent.describe()).pending_children))
        await terminate(parent)
    return record


@scenario
async def reset_before_child(env: ScenarioEnv) -> Recording:
    """Reset: a child that was started after the point goes on, and its id stays taken."""
    record = env.recording()
    for policy in POLICIES:
        fields = {"parent_close_policy": f"PARENT_CLOSE_POLICY_{policy}"}
        parent, child, first = await _family(env, policy, **fields)
        old_child = (await child.describe()).workflow_execution_info.execution.run_id
        await record.call(f"{policy}: reset", parent.reset(_BEFORE_START))
        record.events(f"{policy}: old run", (await parent.history(first))[8:])
        record.note(f"{policy}: children", len((await parent.describe()).pending_children))
        await parent.step(start_child(child.workflow_id, child.queue, **fields))

        async def heard(parent: Driver = parent) -> bool:
            kinds = {event_type(event) for event in await parent.history()}
            return bool(kinds & {STARTED, NOT_STARTED})

        await until(heard, what="an outcome")
        record.events(f"{policy}: new run", (await parent.history())[3:])
        record.note(f"{policy}: pending", (await parent.describe()).pending_children)
        record.events(f"{policy}: old child", (await child.history(old_child))[1:])
        new_child = (await child.describe()).workflow_execution_info.execution.run_id
        record.note(f"{policy}: another child", new_child != old_child)
        await terminate(child)
        await terminate(parent)
    return record


@scenario
async def reset_closed_parent(env: ScenarioEnv) -> Recording:
    """Reset: the child that a closed run has left running belongs to the new one."""
    record = env.recording()
    parent, child, first = await _family(
        env, "closed", parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"
    )
    await parent.signal("end")
    await parent.step(complete_workflow())
    await record.call("reset", parent.reset(_AFTER_START))
    record.note("pending", (await parent.describe()).pending_children)
    await child.step(complete_workflow("result"))
    await parent.event(COMPLETED)
    record.events("new run", (await parent.history())[8:])
    record.events("old run", (await parent.history(first))[8:])
    await terminate(parent)
    return record


@scenario
async def reset_twice_with_child(env: ScenarioEnv) -> Recording:
    """Reset: the child of a run that was reset follows to the newest run, by either way."""
    record = env.recording()
    for name in ("first run again", "second run"):
        parent, child, first = await _family(env, name.replace(" ", "-"))
        second = await parent.reset(_AFTER_START)
        await parent.step(record_marker("two"))
        base = first if name == "first run again" else second.run_id
        await record.call(f"{name}: reset", parent.reset(_AFTER_START, base))
        record.note(f"{name}: pending", (await parent.describe()).pending_children)
        await child.step(complete_workflow("result"))
        await parent.event(COMPLETED)
        record.events(f"{name}: third", (await parent.history())[8:])
        record.events(f"{name}: second", (await parent.history(second.run_id))[8:])
        await terminate(parent)
    return record


@scenario
async def reset_child(env: ScenarioEnv) -> Recording:
    """Reset: a child that is reset stays its parent's child, and tells it its end once."""
    record = env.recording()
    parent, child = await start_family(env)
    first = (await child.describe()).workflow_execution_info.execution.run_id
    await child.step(record_marker("one"))
    await record.call("reset", child.reset(4))
    record.events("new run", await child.history())
    record.note("old run described", await child.describe(first))
    record.note("new run described", await child.describe())
    record.note("pending", (await parent.describe()).pending_children)
    await child.step(complete_workflow("result"))
    await parent.event(COMPLETED)
    record.events("parent", (await parent.history())[8:])
    await record.call("reset closed", child.reset(4, first))
    record.note("third run described", await child.describe())
    await child.step(complete_workflow("other"))
    await parent.signal("end")
    await parent.step(complete_workflow())
    record.events("parent closed", (await parent.history())[8:])
    return record


@scenario
async def reset_parent_signals_child(env: ScenarioEnv) -> Recording:
    """Reset: the new run signals the child that it has kept, and asks it to cancel."""
    record = env.recording()
    parent, child, _ = await _family(env, "signals")
    await record.call("reset", parent.reset(_AFTER_START))
    await parent.step(
        signal_external(child.execution(), child_workflow_only=True, control="signal"),
        cancel_external(child.execution(), child_workflow_only=True, control="cancel"),
    )

    async def told() -> list[str] | None:
        kinds = [kind for e in await parent.history() if "EXTERNAL" in (kind := event_type(e))]
        return sorted(kinds) if len(kinds) == 4 else None

    record.note("told", await until(told, what="two outcomes"))
    await terminate(parent)
    return record
