"""Chains of children's runs, and what becomes of children when their parents close."""

from temporalio.api.workflowservice.v1 import (
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
)

from conformance.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    signal_external,
    start_child,
)
from conformance.driver import application_failure, until
from conformance.families import (
    POLICIES,
    STARTED,
    child_driver,
    closed_as,
    start_family,
    start_parent,
    terminate,
)
from conformance.recording import Recording
from conformance.rpc import build, call
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario


@scenario
async def child_parent_close_policies(env: ScenarioEnv) -> Recording:
    """What becomes of children when their parent completes, fails, is terminated or times out."""
    record = env.recording()
    for way in ("completes", "fails", "is terminated", "times out", "continues as new"):
        stem = way.replace(" ", "-")
        seconds = 2 if way == "times out" else 100
        parent = await start_parent(
            env, f"parent-{stem}", workflow_run_timeout={"seconds": seconds}
        )
        children = {policy: child_driver(env, f"{stem}-{policy}") for policy in POLICIES}
        await parent.step(
            *[
                start_child(
                    child.workflow_id,
                    child.queue,
                    parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}",
                )
                for policy, child in children.items()
            ]
        )
        await parent.event(STARTED, count=3)
        for child in children.values():
            await child.step()
        if way == "is terminated":
            await parent.terminate()
        elif way != "times out":
            closing = {
                "completes": complete_workflow(),
                "fails": fail_workflow(application_failure("no")),
                "continues as new": continue_as_new(parent.queue),
            }[way]
            await parent.step(closing)
        await children["TERMINATE"].closed()
        await children["REQUEST_CANCEL"].event("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        for policy, child in children.items():
            record.events(f"{way}: {policy}", (await child.history())[4:])
        if way == "continues as new":
            record.note("children of the next run", len((await parent.describe()).pending_children))
            await children["ABANDON"].step_after_signal(complete_workflow())
            await parent.round_trips(50)
            record.events("next run", await parent.history())
            await terminate(parent)
        else:
            await terminate(children["ABANDON"])
        await terminate(children["REQUEST_CANCEL"])
    return record


@scenario
async def child_continues_as_new(env: ScenarioEnv) -> Recording:
    """The parent hears of the last run of a chain, under the first one's name."""
    record = env.recording()
    parent, child = await start_family(env)
    await child.step(continue_as_new(child.queue))
    record.note("child described", await child.describe())
    task = await child.poll()
    record.note("parent meanwhile", (await parent.describe()).pending_children[0])
    await parent.signal("wake")
    await parent.step(
        signal_external(child.execution(), child_workflow_only=True, name="from-parent")
    )
    await parent.event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    await child.complete(task)
    await child.step(complete_workflow("second"))
    await parent.event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await parent.step(complete_workflow())
    record.events("parent", await parent.history())
    record.events("child", await child.history())
    return record


@scenario
async def child_retries(env: ScenarioEnv) -> Recording:
    """Attempts of a child with a retry policy; the parent hears of the last one."""
    record = env.recording()
    interval = {"seconds": 0, "nanos": 100_000_000}
    parent, child = await start_family(
        env, retry_policy={"initial_interval": interval, "maximum_attempts": 2}
    )
    failure = application_failure("again")
    await child.step(fail_workflow(failure))
    await child.step(fail_workflow(failure))
    await parent.event("CHILD_WORKFLOW_EXECUTION_FAILED")
    record.events("parent", await parent.history())
    record.events("child", await child.history())
    await terminate(parent)
    return record


@scenario
async def child_chain_closed_with_parent(env: ScenarioEnv) -> Recording:
    """A parent's end reaches the newest run of its child's chain."""
    record = env.recording()
    parent, child = await start_family(env)
    await child.step(continue_as_new(child.queue))
    await parent.terminate()
    record.note("closed", await closed_as(child))
    record.events("child", await child.history())
    return record


@scenario
async def child_started_while_closing(env: ScenarioEnv) -> Recording:
    """Children that are started by the task that closes their parent never begin."""
    record = env.recording()
    parent = await start_parent(env)
    children = {policy: child_driver(env, policy) for policy in POLICIES}
    await parent.step(
        *[
            start_child(
                child.workflow_id, child.queue, parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}"
            )
            for policy, child in children.items()
        ],
        complete_workflow(),
    )
    other, later = await start_parent(env, "other"), child_driver(env, "later")
    await other.step(start_child(later.workflow_id, later.queue))
    await other.event(STARTED)
    await parent.round_trips(50)
    for policy, child in children.items():
        await record.call(policy, child.describe())
    record.events("parent", (await parent.history())[3:])
    await terminate(other)
    return record


@scenario
async def child_grandchild(env: ScenarioEnv) -> Recording:
    """A grandchild knows its parent and its root, in events, descriptions and listings."""
    record = env.recording()
    parent, child = await start_family(env)
    grandchild = child_driver(env, "grandchild")
    await child.step(start_child(grandchild.workflow_id, grandchild.queue))
    await child.event(STARTED)
    record.note("grandchild described", await grandchild.describe())
    record.events("grandchild", await grandchild.history())

    async def listed(query: str, count: int) -> list[str]:
        async def ask() -> list[str] | None:
            request = build(ListWorkflowExecutionsRequest, namespace=NAMESPACE, query=query)
            answer = await call(env, request, ListWorkflowExecutionsResponse)
            found = sorted(each.execution.workflow_id for each in answer.executions)
            return found if len(found) >= count else None

        return await until(ask, what=query)

    root, mother = parent.workflow_id, child.workflow_id
    record.note("under the root", await listed(f"RootWorkflowId = '{root}'", 3))
    record.note("under the child", await listed(f"ParentWorkflowId = '{mother}'", 1))
    await terminate(parent)
    record.note("child's end", await closed_as(child))
    record.note("grandchild's end", await closed_as(grandchild))
    return record
