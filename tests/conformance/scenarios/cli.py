"""The `temporal` CLI: what its commands print as JSON."""

from typing import Any

from conformance.commands import complete_workflow, record_marker
from conformance.driver import Driver
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import alike, execute


async def temporal(env: ScenarioEnv, *arguments: str) -> Any:
    """Runs the CLI against the server and returns what it printed as JSON, or its error."""
    printed = await execute(env, *arguments, "--output=json")
    if printed.code:
        return {"exit": printed.code, "error": printed.errors}
    return alike(printed.json()) if printed.output else "OK"


async def temporal_text(env: ScenarioEnv, *arguments: str) -> str:
    """Runs the CLI against the server and returns what it printed for people, or its error."""
    printed = await execute(env, *arguments)
    return f"exit {printed.code}: {printed.errors}" if printed.code else printed.output


@scenario
async def cli_workflow(env: ScenarioEnv) -> Recording:
    """Start, describe, list, count, signal, show, terminate."""
    record, driver = env.recording(), Driver(env)
    workflow = f"--workflow-id={driver.workflow_id}"
    record.note(
        "start",
        await temporal(
            env,
            *("workflow", "start", workflow, "--type=Conformance", "--input=1"),
            f"--task-queue={driver.queue}",
            "--memo=key=7",
        ),
    )
    record.note(
        "start again",
        await temporal(
            env,
            *("workflow", "start", workflow, "--type=Conformance", "--fail-existing"),
            f"--task-queue={driver.queue}",
        ),
    )
    record.note("signal", await temporal(env, "workflow", "signal", workflow, "--name=s"))
    record.note("describe", await temporal(env, "workflow", "describe", workflow))
    query = f"--query=WorkflowId = '{driver.workflow_id}'"
    record.note("list", await temporal(env, "workflow", "list", query))
    record.note("count", await temporal(env, "workflow", "count", query))
    record.note("show", await temporal(env, "workflow", "show", workflow))
    record.note("cancel", await temporal(env, "workflow", "cancel", workflow, "--reason=why"))
    record.note("terminate", await temporal(env, "workflow", "terminate", workflow, "--reason=why"))
    record.note("terminate again", await temporal(env, "workflow", "terminate", workflow))
    record.note("describe closed", await temporal(env, "workflow", "describe", workflow))
    return record


@scenario
async def cli_result(env: ScenarioEnv) -> Recording:
    """The result of a workflow, and of one that is missing."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(complete_workflow())
    workflow = f"--workflow-id={driver.workflow_id}"
    record.note("result", await temporal(env, "workflow", "result", workflow))
    missing = f"--workflow-id={env.name('missing')}"
    record.note("result of missing", await temporal(env, "workflow", "result", missing))
    record.note("describe missing", await temporal(env, "workflow", "describe", missing))
    return record


@scenario
async def cli_reset(env: ScenarioEnv) -> Recording:
    """Reset by an event's id, and to the first and the last workflow task."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    await driver.step(record_marker("one"))
    await driver.step_after_signal(record_marker("two"))
    workflow = ("workflow", "reset", f"--workflow-id={driver.workflow_id}", "--reason=why")
    targets = {
        "event": ("--event-id=4",),
        "first": ("--type=FirstWorkflowTask",),
        "last": ("--type=LastWorkflowTask", "--reapply-exclude=Signal"),
        "continued": ("--type=LastContinuedAsNew",),
        "bad event": ("--event-id=2",),
    }
    for name, target in targets.items():
        answer = await temporal(env, *workflow, *target)
        record.note(name, answer)
        if "error" not in answer:
            record.events(f"{name}: history", await driver.history())
            await driver.step(record_marker(name))
    await driver.terminate()
    return record


@scenario
async def cli_operator(env: ScenarioEnv) -> Recording:
    """Namespaces and the cluster as an operator sees them."""
    record, space = env.recording(), env.name("space")
    create = ("operator", "namespace", "create", f"--namespace={space}", "--retention=24h")
    record.note("create", await temporal(env, *create))
    record.note("create again", await temporal(env, *create))
    describe = ("operator", "namespace", "describe")
    record.note("describe", await temporal(env, *describe, f"--namespace={space}"))
    record.note("describe missing", await temporal(env, *describe, "--namespace=no-such-namespace"))
    listed = await temporal(env, "operator", "namespace", "list")
    names = [item["namespaceInfo"]["name"] for item in listed]
    record.note("listed", sorted({space, "default"} & set(names)))
    record.note("health", await temporal(env, "operator", "cluster", "health"))
    return record


@scenario
async def cli_schedule(env: ScenarioEnv) -> Recording:
    """Create, describe, update, toggle, backfill, delete a schedule."""
    record, driver = env.recording(), Driver(env)
    named = f"--schedule-id={env.name('schedule')}"
    action = (
        f"--workflow-id={driver.workflow_id}",
        f"--task-queue={driver.queue}",
        "--type=Conformance",
    )
    create = ("schedule", "create", named, "--interval=24h", "--paused", "--notes=why", *action)
    record.note("create", await temporal(env, *create))
    record.note("create again", await temporal(env, *create))
    record.note("describe", await temporal(env, "schedule", "describe", named))
    toggle = ("schedule", "toggle", named, "--unpause", "--reason=go")
    record.note("toggle", await temporal(env, *toggle))
    update = ("schedule", "update", named, "--cron=0 12 * * *", *action)
    record.note("update", await temporal(env, *update))
    record.note("describe updated", await temporal(env, "schedule", "describe", named))
    backfill = ("schedule", "backfill", named, "--overlap-policy=AllowAll")
    span = ("--start-time=2023-01-01T00:00:00Z", "--end-time=2023-01-02T00:00:00Z")
    record.note("backfill", await temporal(env, *backfill, *span))
    times = ("schedule", "list-matching-times", named)
    record.note("matching times", await temporal(env, *times, *span))
    record.note("delete", await temporal(env, "schedule", "delete", named))
    record.note("delete again", await temporal(env, "schedule", "delete", named))
    record.note("describe deleted", await temporal(env, "schedule", "describe", named))
    return record


@scenario
async def cli_deletion(env: ScenarioEnv) -> Recording:
    """Delete a workflow, and one that does not exist."""
    record, driver = env.recording(), Driver(env)
    await driver.start()
    workflow = f"--workflow-id={driver.workflow_id}"
    record.note("delete", await temporal(env, "workflow", "delete", workflow))
    nobody = f"--workflow-id={env.name('nobody')}"
    record.note("delete nobody", await temporal(env, "workflow", "delete", nobody))
    return record
