"""`temporal workflow` at a terminal: the commands that end, reset and change workflows."""

from functools import partial

from conformance.commands import complete_workflow, record_marker
from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import Terminal, execute


@scenario
async def terminal_workflow_cancel(env: ScenarioEnv) -> Recording:
    """`workflow cancel`: twice, of nobody, of a closed workflow."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    line = f"workflow cancel --workflow-id={driver.workflow_id}"
    await terminal.both(line)
    terminal.events("history", await driver.history())
    await driver.terminate()
    await terminal.both(line)
    await terminal.both(f"workflow cancel --workflow-id={env.name('nobody')}")
    await terminal.both("workflow cancel")
    return record


@scenario
async def terminal_workflow_terminate(env: ScenarioEnv) -> Recording:
    """`workflow terminate`: with a reason and without, twice, of nobody."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    line = f"workflow terminate --workflow-id={driver.workflow_id}"
    await driver.start()
    await terminal.text(f"{line} --reason=because")
    terminal.events("history", await driver.history())
    await driver.start()
    await terminal.json(line)
    terminal.events("history without a reason", await driver.history())
    await terminal.both(line)
    await terminal.both(f"workflow terminate --workflow-id={env.name('nobody')}")
    await terminal.both(f"{line} --run-id=no-run")
    return record


@scenario
async def terminal_workflow_delete(env: ScenarioEnv) -> Recording:
    """`workflow delete` of an open workflow and of nobody."""
    record = env.recording()
    terminal = Terminal(env, record)
    for name in ("first", "second"):
        driver = Driver(env, workflow=name)
        await driver.start()
        line = f"workflow delete --yes --workflow-id={driver.workflow_id}"
        await (terminal.text(line) if name == "first" else terminal.json(line))
    nobody = f"--workflow-id={env.name('nobody')}"
    await terminal.both(f"workflow delete --yes {nobody}")
    await terminal.both(f"workflow delete {nobody}")
    return record


@scenario
async def terminal_workflow_reset(env: ScenarioEnv) -> Recording:
    """`workflow reset`: to an event, to the first and the last task, and what is refused."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step(record_marker("one"))
    await driver.step_after_signal(record_marker("two"))
    target = f"--workflow-id={driver.workflow_id} --reason=because"
    for point in (
        "--event-id=4",
        "--type=FirstWorkflowTask",
        "--type=LastWorkflowTask --reapply-exclude=Signal",
    ):
        line = f"workflow reset {target} {point}"
        for run in (terminal.text, terminal.json):
            await run(line)
            await driver.step(record_marker("again"))
    await terminal.both(f"workflow reset {target} --type=LastContinuedAsNew")
    await terminal.both(f"workflow reset {target} --type=BuildId --build-id=none")
    await terminal.both(f"workflow reset {target} --event-id=2")
    await terminal.both(f"workflow reset {target}")
    await terminal.both(f"workflow reset --workflow-id={driver.workflow_id} --event-id=4")
    nobody = f"--workflow-id={env.name('nobody')} --reason=because"
    await terminal.both(f"workflow reset {nobody} --type=FirstWorkflowTask")
    terminal.events("history", await driver.history())
    await driver.terminate()
    return record


@scenario
async def terminal_workflow_options(env: ScenarioEnv) -> Recording:
    """`workflow update-options` and `reset with-workflow-update-options`."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step(record_marker("one"))
    target = f"--workflow-id={driver.workflow_id}"
    pinned = (
        "--versioning-override-behavior=pinned --versioning-override-deployment-name=deployment"
        " --versioning-override-build-id=build"
    )
    update = f"workflow update-options {target}"
    await terminal.both(f"{update} --versioning-override-behavior=auto_upgrade")
    await terminal.both(f"{update} --versioning-override-behavior=unspecified")
    await terminal.both(f"{update} {pinned}")
    await terminal.both(f"{update} --versioning-override-behavior=pinned")
    nobody = f"workflow update-options --workflow-id={env.name('nobody')}"
    await terminal.both(f"{nobody} --versioning-override-behavior=auto_upgrade")
    await driver.terminate()
    return record


@scenario
async def terminal_workflow_reset_with_options(env: ScenarioEnv) -> Recording:
    """`workflow reset with-workflow-update-options`."""
    record = env.recording()
    terminal = Terminal(env, record)
    reset = "workflow reset with-workflow-update-options --reason=because --event-id=4"
    options = "--versioning-override-behavior=auto_upgrade"
    for form, run in (("text", terminal.text), ("json", terminal.json)):
        driver = Driver(env, workflow=f"wf-{form}", queue=f"queue-{form}")
        await driver.start()
        await driver.step(record_marker("one"))
        await run(f"{reset} --workflow-id={driver.workflow_id} {options}")
        await driver.terminate()
    await terminal.both(f"{reset} --workflow-id={env.name('nobody')} {options}")
    return record


@scenario
async def terminal_workflow_pause(env: ScenarioEnv) -> Recording:
    """`workflow pause` and `unpause`."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    target = f"--workflow-id={driver.workflow_id} --reason=because"
    await terminal.both(f"workflow pause {target}")
    await terminal.both(f"workflow unpause {target}")
    await driver.terminate()
    return record


@scenario
async def terminal_workflow_batches(env: ScenarioEnv) -> Recording:
    """Commands on all workflows of a query, and the `batch` commands."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step(complete_workflow())
    query = f"--query=\"TaskQueue = '{driver.queue}'\" --reason=because --yes"
    for line in (
        f"workflow signal --name=wake {query}",
        f"workflow cancel {query}",
        f"workflow reset --type=FirstWorkflowTask {query}",
        f"workflow update-options --versioning-override-behavior=auto_upgrade {query}",
        f"workflow terminate {query}",
        f"workflow delete {query}",
    ):
        started = await terminal.text(line)
        job = started.output.rpartition(" ")[2] if not started.code else env.name("job")
        await until(partial(_ended, env, job), what=f"the end of {line}")
    await terminal.both(f"batch describe --job-id={env.name('no-job')}")
    await terminal.both(f"batch terminate --job-id={env.name('no-job')} --reason=because")
    await terminal.both("batch list --limit=1 --namespace=no-such-namespace")
    return record


async def _ended(env: ScenarioEnv, job: str) -> bool:
    printed = await execute(env, "batch", "describe", f"--job-id={job}", "-o", "json")
    return printed.code != 0 or printed.json()["state"] != "BATCH_OPERATION_STATE_RUNNING"
