"""Signals and cancel requests that workflows send to other workflows, and to themselves."""

from collections.abc import Callable
from typing import Any

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution

from conformance.commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    signal_external,
)
from conformance.driver import Driver, event_type, payload, payloads, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario

_MANY = 2000
_NOWHERE_RUN = "00000000-0000-4000-8000-000000000000"
_ENDS = frozenset(
    {
        "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED",
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
        "EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED",
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED",
    }
)


async def _pair(env: ScenarioEnv) -> tuple[Driver, Driver]:
    """Starts a sender and a target, the target idle."""
    sender = Driver(env, workflow="sender", queue="sender-queue")
    target = Driver(env, workflow="target", queue="target-queue")
    await target.start()
    await target.step()
    await sender.start()
    return sender, target


async def _ended(driver: Driver, count: int = 1) -> None:
    """Waits until the outcomes of what a workflow sent are in its history."""

    async def ended() -> bool:
        events = await driver.history()
        return sum(event_type(event) in _ENDS for event in events) >= count

    await until(ended, what="outcomes of what a workflow sent")


async def _terminate(*drivers: Driver) -> None:
    for driver in drivers:
        await driver.terminate()


@scenario
async def external_signal(env: ScenarioEnv) -> Recording:
    """A workflow signals another one, by its id and by its run."""
    record = env.recording()
    sender, target = await _pair(env)
    run_id = (await target.describe()).workflow_execution_info.execution.run_id
    first = signal_external(
        target.execution(),
        input=payloads("in"),
        header={"fields": {"trace": payload("header")}},
        control="control",
    )
    first.user_metadata.summary.CopyFrom(payload("summary"))
    await sender.step(first)
    await _ended(sender)
    await sender.step(signal_external(target.execution(run_id), name="again", namespace="default"))
    await _ended(sender, 2)
    await sender.step(complete_workflow())
    await target.step(complete_workflow())
    record.events("sender", await sender.history())
    record.events("target", await target.history())
    return record


@scenario
async def external_cancel(env: ScenarioEnv) -> Recording:
    """A workflow asks another one to cancel itself; asking again changes nothing."""
    record = env.recording()
    sender, target = await _pair(env)
    command = cancel_external(target.execution(), reason="enough", control="control")
    command.user_metadata.summary.CopyFrom(payload("summary"))
    await sender.step(command)
    await _ended(sender)
    await sender.step(cancel_external(target.execution(), reason="again"))
    await _ended(sender, 2)
    await target.step(complete_workflow())
    await sender.step(cancel_external(target.execution(), reason="too late"))
    await _ended(sender, 3)
    await sender.step(complete_workflow())
    record.events("sender", await sender.history())
    record.events("target", await target.history())
    return record


@scenario
async def external_target_not_found(env: ScenarioEnv) -> Recording:
    """Targets that do not exist: no such id, no such run, a run that has closed."""
    record = env.recording()
    sender, target = await _pair(env)
    closed = Driver(env, workflow="closed", queue="closed-queue")
    await closed.start()
    await closed.step(complete_workflow())
    nobody = Driver(env, workflow="nobody")
    cases = {
        "id": nobody.execution(),
        "run": target.execution(_NOWHERE_RUN),
        "closed": closed.execution(),
    }
    count = 0
    for name, execution in cases.items():
        await sender.step(signal_external(execution, name=name))
        await _ended(sender, count + 1)
        await sender.step(cancel_external(execution, reason=name))
        await _ended(sender, count + 2)
        count += 2
    await sender.step(complete_workflow())
    record.events("sender", await sender.history())
    await _terminate(target)
    return record


@scenario
async def external_other_run(env: ScenarioEnv) -> Recording:
    """A run that has been continued is closed; without a run id the newest one is meant."""
    record = env.recording()
    sender, target = await _pair(env)
    run_id = (await target.describe()).workflow_execution_info.execution.run_id
    await target.step_after_signal(continue_as_new(target.queue))
    await sender.step(
        signal_external(target.execution(run_id)), cancel_external(target.execution(run_id))
    )
    await _ended(sender, 2)
    await sender.step(signal_external(target.execution()))
    await _ended(sender, 3)
    ends = [event_type(event) for event in await sender.history() if event_type(event) in _ENDS]
    record.note("ends", sorted(ends))
    record.events("target", await target.history())
    await _terminate(sender, target)
    return record


@scenario
async def external_to_itself(env: ScenarioEnv) -> Recording:
    """A workflow can neither signal itself nor ask itself to cancel; its run id changes nothing."""
    record = env.recording()
    cases: dict[str, Callable[[str], str]] = {"id": lambda _: "", "run": lambda run_id: run_id}
    for name, choose in cases.items():
        driver = Driver(env, workflow=f"wf-{name}", queue=f"queue-{name}")
        run_id = choose((await driver.start()).run_id)
        await driver.step(signal_external(driver.execution(run_id)))
        await _ended(driver)
        await driver.step(cancel_external(driver.execution(run_id)))
        await _ended(driver, 2)
        record.events(name, (await driver.history())[4:])
        await driver.terminate()
    return record


@scenario
async def external_child_only(env: ScenarioEnv) -> Recording:
    """What is sent to children only is refused by a workflow that is no child of the sender."""
    record = env.recording()
    sender, target = await _pair(env)
    fields: dict[str, Any] = {"child_workflow_only": True, "control": "control"}
    await sender.step(signal_external(target.execution(), **fields))
    await _ended(sender)
    await sender.step(cancel_external(target.execution(), **fields))
    await _ended(sender, 2)
    record.events("target", await target.history())
    await target.terminate()
    await sender.step(cancel_external(target.execution(), **fields))
    await _ended(sender, 3)
    record.events("sender", await sender.history())
    await _terminate(sender)
    return record


@scenario
async def external_other_namespace(env: ScenarioEnv) -> Recording:
    """Targets in a namespace that does not exist, and in another one."""
    record = env.recording()
    target = Driver(env, workflow="target").execution()
    cases = {"unknown": "no-such-namespace", "another": "temporal-system"}
    for name, namespace in cases.items():
        for kind, build in (("signal", signal_external), ("cancel", cancel_external)):
            sender = Driver(env, workflow=f"{kind}-{name}", queue=f"queue-{kind}-{name}")
            await sender.start()
            await record.call(f"{kind}: {name}", sender.step(build(target, namespace=namespace)))
            record.events(f"{kind}: {name}: events", (await sender.history())[3:])
            await _terminate(sender)
    bad = {
        "no execution": signal_external(None, namespace="temporal-system"),
        "no id": signal_external(WorkflowExecution(run_id="r"), namespace="temporal-system"),
        "no name": signal_external(target, name="", namespace="temporal-system"),
        "cancel: no id": cancel_external(None, namespace="temporal-system"),
        "cancel: bad run": cancel_external(
            WorkflowExecution(workflow_id="w", run_id="r"), namespace="temporal-system"
        ),
    }
    for name, command in bad.items():
        sender = Driver(env, workflow=name, queue=f"queue-{name}")
        await sender.start()
        await record.call(name, sender.step(command))
        await _terminate(sender)
    return record


@scenario
async def external_attributes_refused(env: ScenarioEnv) -> Recording:
    """Commands that lack something fail the workflow task."""
    record = env.recording()
    target = Driver(env, workflow="target")
    long = "x" * 1001
    cases: dict[str, Command] = {
        "signal: nothing": signal_external(None, name=""),
        "signal: no execution": signal_external(None),
        "signal: no id": signal_external(WorkflowExecution(run_id=_NOWHERE_RUN)),
        "signal: bad run": signal_external(target.execution("not-a-run")),
        "signal: no name": signal_external(target.execution(), name=""),
        "signal: long id": signal_external(Driver(env, workflow=long).execution()),
        "signal: long name": signal_external(target.execution(), name=long),
        "signal: too large": signal_external(target.execution(), input=payloads("x" * 2_200_000)),
        "cancel: nothing": cancel_external(None),
        "cancel: no id": cancel_external(WorkflowExecution(run_id=_NOWHERE_RUN)),
        "cancel: bad run": cancel_external(target.execution("not-a-run")),
        "cancel: long id": cancel_external(Driver(env, workflow=long).execution()),
        "cancel: long reason": cancel_external(target.execution(), reason="x" * 2_200_000),
    }
    for number, (name, command) in enumerate(cases.items()):
        sender = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        await sender.start()
        await record.call(name, sender.step(command))
        record.events(f"{name}: event", (await sender.history())[3:4])
        closed = (await sender.describe()).workflow_execution_info.HasField("close_time")
        record.note(f"{name}: closed", closed)
        if not closed:
            await _terminate(sender)
    return record


@scenario
async def external_sent_while_closing(env: ScenarioEnv) -> Recording:
    """What is sent by the task that closes a workflow never leaves."""
    record = env.recording()
    sender, target = await _pair(env)
    await sender.step(
        signal_external(target.execution(), name="last"),
        cancel_external(target.execution(), reason="last"),
        complete_workflow(),
    )
    other = Driver(env, workflow="other", queue="other-queue")
    await other.start()
    await other.step(signal_external(target.execution(), name="later"))
    await _ended(other)
    await target.round_trips(50)
    record.events("sender", (await sender.history())[3:])
    record.events("target", (await target.history())[3:])
    await _terminate(target, other)
    return record


@scenario
async def external_outcome_while_task_started(env: ScenarioEnv) -> Recording:
    """An outcome that comes while a workflow task is started waits for its end."""
    record = env.recording()
    sender, target = await _pair(env)
    nobody = Driver(env, workflow="nobody").execution()
    answer = await sender.step(
        signal_external(target.execution()),
        return_new_workflow_task=True,
        force_create_new_workflow_task=True,
    )
    await target.event("WORKFLOW_EXECUTION_SIGNALED")
    await target.round_trips(50)
    record.note("meanwhile", [event_type(event) for event in await sender.history()])
    await record.call("too early", sender.complete(answer.workflow_task, complete_workflow()))
    again = await sender.step(
        cancel_external(nobody), return_new_workflow_task=True, force_create_new_workflow_task=True
    )
    await sender.round_trips(50)
    await sender.complete(again.workflow_task)
    await _ended(sender, 2)
    await sender.step(complete_workflow())
    record.events("sender", await sender.history())
    await _terminate(target)
    return record


@scenario
async def external_limits(env: ScenarioEnv) -> Recording:
    """A run may have so many signals and cancel requests under way, and no more."""
    record = env.recording()
    nobody = Driver(env, workflow="nobody").execution()
    for name, build in (("signals", signal_external), ("cancels", cancel_external)):
        sender = Driver(env, workflow=name, queue=f"queue-{name}")
        await sender.start()
        await record.call(name, sender.step(*[build(nobody) for _ in range(_MANY + 1)]))
        record.events(f"{name}: event", (await sender.history())[3:4])
        await _terminate(sender)
    return record
