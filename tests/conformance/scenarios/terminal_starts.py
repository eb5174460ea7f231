"""`temporal workflow` at a terminal: the commands that start workflows."""

import asyncio

from conformance.commands import complete_workflow, fail_workflow
from conformance.driver import Driver, application_failure
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.sdk import worker
from conformance.terminal import Terminal

_START = "workflow start --type=Conformance"


@scenario
async def terminal_workflow_start(env: ScenarioEnv) -> Recording:
    """`workflow start` with all that it can say about a workflow, and what it refuses."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    target = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue}"
    said = (
        "--input=1 --input='\"two\"' --memo=key=7 --search-attribute=ConformanceInt=3"
        " --static-summary=short --static-details=long --run-timeout=60s --execution-timeout=120s"
        " --task-timeout=5s --priority-key=2 --headers=from=1"
    )
    await terminal.text(f"{_START} {target} {said}")
    terminal.events("first history", await driver.history())
    await terminal.json(f"{_START} {target} --id-conflict-policy=UseExisting")
    await terminal.json(f"{_START} {target} --id-conflict-policy=TerminateExisting")
    await terminal.both(f"{_START} {target} --id-conflict-policy=Fail --fail-existing")
    await driver.terminate()
    await terminal.both(f"{_START} {target} --id-reuse-policy=RejectDuplicate --fail-existing")
    await terminal.json(f"{_START} {target} --id-reuse-policy=RejectDuplicate")
    delayed = f"{_START} {target} --id-reuse-policy=AllowDuplicateFailedOnly --start-delay=600s"
    await terminal.text(delayed)
    await terminal.text(f"workflow describe --workflow-id={driver.workflow_id}")
    await driver.terminate()
    await terminal.text(f'{_START} {target} --cron="0 0 1 1 *"')
    await terminal.text(f"workflow describe --workflow-id={driver.workflow_id}")
    await driver.terminate()
    await terminal.both(f'{_START} {target} --cron="no cron"')
    await terminal.both(f"{_START} {target} --search-attribute=Unknown=3")
    await terminal.both(f"{_START} {target} --namespace=no-such-namespace")
    await terminal.both(f"{_START} --workflow-id={driver.workflow_id}")
    await terminal.both(f"{_START} {target} --input=no-json")
    return record


@scenario
async def terminal_workflow_execute(env: ScenarioEnv) -> Recording:
    """`workflow execute`: a workflow that completes, one that fails, and their events."""
    record = env.recording()
    terminal = Terminal(env, record)

    async def execute(number: int, *, as_json: bool, fails: bool = False, more: str = "") -> None:
        driver = Driver(env, workflow=f"wf-{number}", queue=f"queue-{number}")
        target = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue}"
        line = f"workflow execute --type=Conformance {target}{more}"
        running = asyncio.create_task(terminal.json(line) if as_json else terminal.text(line))
        broken = application_failure("broken", kind="Broken", non_retryable=True)
        await driver.step(fail_workflow(broken) if fails else complete_workflow())
        await running

    await execute(1, as_json=False)
    await execute(2, as_json=True)
    await execute(3, as_json=False, more=" --detailed")
    await execute(4, as_json=False, fails=True)
    await execute(5, as_json=True, fails=True)
    return record


@scenario
async def terminal_workflow_signal_with_start(env: ScenarioEnv) -> Recording:
    """`workflow signal-with-start`: the workflow is started by the first of two signals."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    line = (
        f"workflow signal-with-start --type=Conformance --workflow-id={driver.workflow_id}"
        f" --task-queue={driver.queue} --input=1 --signal-name=wake --signal-input=2"
    )
    await terminal.both(line)
    terminal.events("history", await driver.history())
    await driver.terminate()
    await terminal.both(f"{line} --id-reuse-policy=RejectDuplicate")
    return record


@scenario
async def terminal_workflow_update_with_start(env: ScenarioEnv) -> Recording:
    """`workflow execute-update-with-start` and `start-update-with-start`."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    terminal = Terminal(env, record)
    target = (
        f"--type=Ledger --workflow-id={driver.workflow_id} --task-queue={driver.queue} --input=100"
        " --id-conflict-policy=UseExisting --update-name=add"
    )
    execute = f"workflow execute-update-with-start {target}"
    start = f"workflow start-update-with-start {target} --update-wait-for-stage=accepted"
    async with worker(client, env):
        await terminal.text(f"{execute} --update-id=one --update-input=1")
        await terminal.json(f"{execute} --update-id=two --update-input=2")
        await terminal.both(f"{execute} --update-id=zero --update-input=0")
        await terminal.text(f"{start} --update-id=three --update-input=3")
        await terminal.json(f"{start} --update-id=four --update-input=4")
        await terminal.both(f"{start} --update-id=none --update-input=0")
        await client.get_workflow_handle(driver.workflow_id).terminate()
        missing = "workflow execute-update-with-start --type=Ledger --update-name=add"
        await terminal.both(f"{missing} --workflow-id={env.name('new')} --task-queue=other")
    return record
