"""Child workflows: how they start and end, and what their parents see of it."""

from typing import Any

from temporalio.api.command.v1 import Command

from conformance.commands import (
    cancel_external,
    cancel_workflow,
    complete_workflow,
    fail_workflow,
    search_value,
    signal_external,
    start_child,
    start_timer,
)
from conformance.driver import Driver, application_failure, event_type, payload, payloads, until
from conformance.families import (
    NOT_STARTED,
    STARTED,
    child_driver,
    no_children_left,
    start_family,
    start_parent,
    terminate,
)
from conformance.recording import Recording
from conformance.scenario import NAMESPACE, ScenarioEnv, scenario

_MANY = 2000


@scenario
async def child_success(env: ScenarioEnv) -> Recording:
    """A child with everything that a command may say; both are described while it runs."""
    record = env.recording()
    parent, child = await start_parent(env), child_driver(env)
    command = start_child(
        child.workflow_id,
        child.queue,
        namespace=NAMESPACE,
        input=payloads("in"),
        workflow_execution_timeout={"seconds": 600},
        workflow_run_timeout={"seconds": 300},
        workflow_task_timeout={"seconds": 7},
        parent_close_policy="PARENT_CLOSE_POLICY_ABANDON",
        control="control",
        workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
        retry_policy={"maximum_attempts": 3},
        header={"fields": {"trace": payload("header")}},
        memo={"fields": {"note": payload("memo")}},
        search_attributes={
            "indexed_fields": {"ConformanceKeyword": search_value("Keyword", '"value"')}
        },
        priority={"priority_key": 2, "fairness_key": "key", "fairness_weight": 2.0},
    )
    command.user_metadata.summary.CopyFrom(payload("summary"))
    await parent.step(command)
    await parent.event(STARTED)
    record.note("parent described", await parent.describe())
    record.note("child described", await child.describe())
    task = await child.poll()
    record.note("child's task", task)
    await child.complete(task, complete_workflow("result"))
    await parent.event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    await parent.step(complete_workflow())
    record.events("parent", await parent.history())
    record.events("child", await child.history())
    record.note("parent closed", await parent.describe())
    return record


@scenario
async def child_inherits(env: ScenarioEnv) -> Recording:
    """A command that says nothing: queue, priority and timeouts come from the parent."""
    record = env.recording()
    parent = await start_parent(
        env,
        priority={"priority_key": 1, "fairness_key": "mine"},
        workflow_execution_timeout={"seconds": 1000},
        workflow_run_timeout={"seconds": 500},
        workflow_task_timeout={"seconds": 8},
        memo={"fields": {"note": payload("memo")}},
        header={"fields": {"trace": payload("header")}},
        retry_policy={"maximum_attempts": 4},
    )
    child, other = child_driver(env), child_driver(env, "other")
    await parent.step(
        start_child(child.workflow_id),
        start_child(other.workflow_id, other.queue, priority={"fairness_key": "other"}),
    )
    await parent.event(STARTED, count=2)
    record.note("parent described", await parent.describe())
    record.note("child described", await child.describe())
    record.events("parent", (await parent.history())[:6])
    record.events("child", (await child.history())[:2])
    record.events("other", (await other.history())[:2])
    await terminate(parent)
    return record


@scenario
async def child_ends(env: ScenarioEnv) -> Recording:
    """A child that fails, is cancelled, terminated, and times out."""
    record = env.recording()
    ends: dict[str, Command | None] = {
        "FAILED": fail_workflow(application_failure("no", kind="Bad", details=payloads("d"))),
        "CANCELED": cancel_workflow("stopped"),
        "TERMINATED": None,
        "TIMED_OUT": None,
    }
    for name, command in ends.items():
        parent = await start_parent(env, f"parent-{name}")
        child = child_driver(env, f"child-{name}")
        seconds = 1 if name == "TIMED_OUT" else 100
        await parent.step(
            start_child(
                child.workflow_id,
                child.queue,
                control="control",
                workflow_run_timeout={"seconds": seconds},
            )
        )
        if command is not None:
            await child.step(command)
        elif name == "TERMINATED":
            await parent.event(STARTED)
            await child.terminate(reason="enough", details=payloads("why"))
        await parent.event(f"CHILD_WORKFLOW_EXECUTION_{name}")
        record.events(f"parent of {name}", (await parent.history())[4:])
        record.events(f"end of {name}", (await child.history())[-1:])
        await terminate(parent)
    return record


@scenario
async def child_id_conflicts(env: ScenarioEnv) -> Recording:
    """Children whose id is in use, and closed ones under every reuse policy."""
    record = env.recording()
    policies = (
        "UNSPECIFIED",
        "ALLOW_DUPLICATE",
        "ALLOW_DUPLICATE_FAILED_ONLY",
        "REJECT_DUPLICATE",
        "TERMINATE_IF_RUNNING",
    )
    for state in ("running", "completed", "failed"):
        for policy in policies:
            name = f"{state} {policy}"
            taken = child_driver(env, f"taken-{state}-{policy}")
            await taken.start()
            if state == "completed":
                await taken.step(complete_workflow())
            elif state == "failed":
                await taken.step(fail_workflow(application_failure("no")))
            parent = await start_parent(env, f"parent-{state}-{policy}")
            await parent.step(
                start_child(
                    taken.workflow_id,
                    taken.queue,
                    control="control",
                    workflow_id_reuse_policy=f"WORKFLOW_ID_REUSE_POLICY_{policy}",
                )
            )

            async def heard(parent: Driver = parent) -> bool:
                kinds = {event_type(event) for event in await parent.history()}
                return bool(kinds & {STARTED, NOT_STARTED})

            await until(heard, what="an outcome")
            record.events(name, (await parent.history())[4:])
            await terminate(parent)
            if state == "running" and policy != "TERMINATE_IF_RUNNING":
                await terminate(taken)
            else:
                await taken.closed()
    return record


@scenario
async def child_named_twice(env: ScenarioEnv) -> Recording:
    """One task starts two children of one id, and a child that has its parent's id."""
    record = env.recording()
    parent, child = await start_parent(env), child_driver(env)
    await parent.step(
        start_child(child.workflow_id, child.queue, control="first"),
        start_child(child.workflow_id, child.queue, control="second"),
        start_child(parent.workflow_id, child.queue, control="myself"),
    )
    await parent.event(STARTED)
    await parent.event(NOT_STARTED, count=2)
    # They are started at once, so that which one comes first is anybody's guess.
    failed = [event for event in await parent.history() if event_type(event) == NOT_STARTED]
    told = [event.start_child_workflow_execution_failed_event_attributes for event in failed]
    record.note("failed", sorted([each.workflow_id, each.cause] for each in told))
    await terminate(parent)
    return record


@scenario
async def child_other_namespace(env: ScenarioEnv) -> Recording:
    """Children in a namespace that does not exist, and in another one."""
    record = env.recording()
    for name, namespace in (("unknown", "no-such-namespace"), ("another", "temporal-system")):
        parent, child = await start_parent(env, name), child_driver(env)
        await record.call(
            name, parent.step(start_child(child.workflow_id, child.queue, namespace=namespace))
        )
        record.events(f"{name}: events", (await parent.history())[3:])
        await terminate(parent)
    return record


@scenario
async def child_attributes_refused(env: ScenarioEnv) -> Recording:
    """Commands that lack something fail the workflow task."""
    record = env.recording()
    long = "x" * 1001
    negative = {"seconds": -1}
    cases: dict[str, Command] = {
        "no id": start_child("", "queue"),
        "no type": start_child("w", "queue", workflow_type=None),
        "long id": start_child(long, "queue"),
        "long type": start_child("w", "queue", workflow_type={"name": long}),
        "long queue": start_child("w", long),
        "reserved queue": start_child("w", "/_sys/queue"),
        "system queue": start_child("w", "temporal-sys-per-ns-tq"),
        "execution timeout": start_child("w", "queue", workflow_execution_timeout=negative),
        "run timeout": start_child("w", "queue", workflow_run_timeout=negative),
        "task timeout": start_child("w", "queue", workflow_task_timeout=negative),
        "retry policy": start_child("w", "queue", retry_policy={"backoff_coefficient": 0.5}),
        "cron": start_child("w", "queue", cron_schedule="not a schedule"),
        "priority": start_child("w", "queue", priority={"priority_key": -1}),
        "search attribute": start_child(
            "w",
            "queue",
            search_attributes={"indexed_fields": {"Nope": search_value("Keyword", '"x"')}},
        ),
        "search value": start_child(
            "w",
            "queue",
            search_attributes={"indexed_fields": {"ConformanceInt": search_value("Int", '"x"')}},
        ),
        "large input": start_child("w", "queue", input=payloads("x" * 2_200_000)),
        "large memo": start_child(
            "w", "queue", memo={"fields": {"note": payload("x" * 2_200_000)}}
        ),
        "large search attributes": start_child(
            "w",
            "queue",
            search_attributes={
                "indexed_fields": {
                    "ConformanceKeyword": search_value("Keyword", '"' + "x" * 3000 + '"')
                }
            },
        ),
        "nothing": start_child("", workflow_type=None),
    }
    for number, (name, command) in enumerate(cases.items()):
        parent = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        await parent.start()
        await record.call(name, parent.step(command))
        record.events(f"{name}: event", (await parent.history())[3:4])
        closed = (await parent.describe()).workflow_execution_info.HasField("close_time")
        record.note(f"{name}: closed", closed)
        if not closed:
            await terminate(parent)
    return record


@scenario
async def child_timeouts_settled(env: ScenarioEnv) -> Recording:
    """Timeouts that outlast each other are cut; unknown policies count as unset."""
    record = env.recording()
    parent = await start_parent(env)
    cases: dict[str, dict[str, Any]] = {
        "none": {},
        "execution": {"workflow_execution_timeout": {"seconds": 60}},
        "run": {"workflow_run_timeout": {"seconds": 5}},
        "run over execution": {
            "workflow_execution_timeout": {"seconds": 60},
            "workflow_run_timeout": {"seconds": 70},
        },
        "long task": {"workflow_task_timeout": {"seconds": 500}},
    }
    names = {name: child_driver(env, name.replace(" ", "-")) for name in cases}
    await parent.step(
        *[
            start_child(names[name].workflow_id, names[name].queue, **fields)
            for name, fields in cases.items()
        ]
    )
    await parent.event(STARTED, count=len(cases))
    record.events("initiated", (await parent.history())[4 : 4 + len(cases)])
    for name, child in names.items():
        record.events(name, (await child.history())[:2])
    await terminate(parent)
    return record


@scenario
async def child_signal_and_cancel(env: ScenarioEnv) -> Recording:
    """A parent signals its child and asks it to cancel, as the SDKs do."""
    record = env.recording()
    parent, child = await start_family(env)
    await parent.signal("wake")
    await parent.step(
        signal_external(child.execution(), child_workflow_only=True, control="signal")
    )
    await parent.event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    await parent.step(
        cancel_external(child.execution(), child_workflow_only=True, control="cancel")
    )
    await parent.event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    await child.poll()
    record.events("child", await child.history())
    await terminate(child)
    await parent.event("CHILD_WORKFLOW_EXECUTION_TERMINATED")
    record.events("parent", (await parent.history())[8:])
    await terminate(parent)
    return record


@scenario
async def child_canceled_by_its_first_task(env: ScenarioEnv) -> Recording:
    """One task may not start a child and ask it to cancel."""
    record = env.recording()
    parent, child = await start_parent(env), child_driver(env)
    await record.call(
        "refused",
        parent.step(
            start_child(child.workflow_id, child.queue),
            cancel_external(child.execution(), child_workflow_only=True),
        ),
    )
    record.events("event", (await parent.history())[3:4])
    await terminate(parent)
    return record


@scenario
async def child_ends_while_task_started(env: ScenarioEnv) -> Recording:
    """A child's start and end come while the parent's task is started, and wait for its end."""
    record = env.recording()
    parent, child = await start_parent(env), child_driver(env)
    answer = await parent.step(
        start_timer("never", 1000),
        start_child(child.workflow_id, child.queue),
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    await child.step(complete_workflow("early"))
    await parent.round_trips(50)
    await no_children_left(parent)
    await parent.signal("later")
    record.note("meanwhile", [event_type(event) for event in await parent.history()])
    await record.call("too early", parent.complete(answer.workflow_task, complete_workflow()))
    await parent.step(complete_workflow())
    record.events("parent", await parent.history())
    return record


@scenario
async def child_limits(env: ScenarioEnv) -> Recording:
    """A run may have so many pending children, and no more."""
    record = env.recording()
    parent, child = await start_parent(env), child_driver(env)
    commands = [start_child(f"{child.workflow_id}-{n}", child.queue) for n in range(_MANY + 1)]
    await record.call("too many", parent.step(*commands))
    record.events("event", (await parent.history())[3:4])
    await terminate(parent)
    return record
