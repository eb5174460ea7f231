"""Parents and children for scenarios."""

from typing import Any

from conformance.commands import start_child
from conformance.driver import Driver, event_type, until
from conformance.scenario import ScenarioEnv

STARTED = "CHILD_WORKFLOW_EXECUTION_STARTED"
NOT_STARTED = "START_CHILD_WORKFLOW_EXECUTION_FAILED"
POLICIES = ("TERMINATE", "ABANDON", "REQUEST_CANCEL")


async def start_parent(env: ScenarioEnv, name: str = "parent", **fields: Any) -> Driver:
    """Starts a workflow that shall have children."""
    parent = Driver(env, workflow=name, queue=f"{name}-queue")
    await parent.start(**fields)
    return parent


def child_driver(env: ScenarioEnv, name: str = "child") -> Driver:
    """Returns a driver of a child that its parent starts."""
    return Driver(env, workflow=name, queue=f"{name}-queue")


async def start_family(env: ScenarioEnv, **fields: Any) -> tuple[Driver, Driver]:
    """Starts a parent and its child; the parent has seen that the child has started."""
    parent, child = await start_parent(env), child_driver(env)
    await parent.step(start_child(child.workflow_id, child.queue, **fields))
    await parent.event(STARTED)
    await parent.step()
    return parent, child


async def terminate(*drivers: Driver) -> None:
    """Ends workflows."""
    for driver in drivers:
        await driver.terminate()


async def no_children_left(parent: Driver) -> None:
    """Waits until a workflow has no pending child."""

    async def none_left() -> bool:
        return not (await parent.describe()).pending_children

    await until(none_left, what="no pending child")


async def closed_as(driver: Driver, run_id: str = "") -> str:
    """Waits until a run has closed, and returns the type of its last event."""
    return event_type(await driver.closed(run_id))
