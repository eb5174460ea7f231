"""`temporal workflow` at a terminal: the commands that talk with running workflows."""

import asyncio
from collections.abc import Callable, Coroutine

from google.protobuf.json_format import MessageToJson
from temporalio.api.sdk.v1 import WorkflowMetadata

from conformance.driver import Driver, payloads
from conformance.recording import Recording
from conformance.rpc import build
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.sdk import worker
from conformance.terminal import Printed, Terminal


@scenario
async def terminal_workflow_signal(env: ScenarioEnv) -> Recording:
    """`workflow signal`: with and without input, to nobody, to a closed workflow."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    line = f"workflow signal --workflow-id={driver.workflow_id}"
    await terminal.both(f"{line} --name=plain")
    await terminal.text(f"{line} --name=with --input=1 --input='{{\"a\":2}}'")
    await terminal.text(
        f"{line} --name=encoded --input=YQ== --input-base64 --input-meta=encoding=binary/plain"
    )
    await terminal.both(f"{line}")
    await terminal.both(f"workflow signal --workflow-id={env.name('nobody')} --name=plain")
    await driver.terminate()
    await terminal.both(f"{line} --name=late")
    terminal.events("history", await driver.history())
    return record


@scenario
async def terminal_workflow_query(env: ScenarioEnv) -> Recording:
    """`workflow query`, `stack` and `metadata`, and a query that is rejected or fails."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start()
    await driver.step()
    target = f"--workflow-id={driver.workflow_id}"
    query = f"workflow query {target} --name=state"
    told = {"query_result": payloads("fine")}

    async def asked(
        run: Callable[[str], Coroutine[object, object, Printed]], line: str, **answer: object
    ) -> None:
        running = asyncio.create_task(run(line))
        task = await driver.poll()
        await driver.answer_query(task, completed_type="QUERY_RESULT_TYPE_ANSWERED", **answer)
        await running

    for run in (terminal.text, terminal.json):
        await asked(run, query, **told)
        await asked(run, f"{query} --input=1", **told)
        await asked(run, f"workflow stack {target}", query_result=payloads("at line 1"))
        await asked(run, f"workflow metadata {target}", query_result=_metadata())
        running = asyncio.create_task(run(f"{query} --input=2"))
        await driver.answer_query(
            await driver.poll(),
            completed_type="QUERY_RESULT_TYPE_FAILED",
            error_message="no such query",
        )
        await running
    await driver.terminate()
    await terminal.both(f"{query} --reject-condition=not_open")
    await terminal.both(f"workflow stack {target} --reject-condition=not_completed_cleanly")
    await terminal.both(f"workflow query --workflow-id={env.name('nobody')} --name=state")
    return record


def _metadata() -> object:
    told = build(
        WorkflowMetadata,
        definition={
            "type": "Conformance",
            "query_definitions": [{"name": "state", "description": "Tells the state."}],
            "signal_definitions": [{"name": "wake"}],
            "update_definitions": [{"name": "change"}],
        },
        current_details="resting",
    )
    encoding = {"encoding": b"json/protobuf", "messageType": told.DESCRIPTOR.full_name.encode()}
    return {"payloads": [{"metadata": encoding, "data": MessageToJson(told).encode()}]}


@scenario
async def terminal_workflow_update(env: ScenarioEnv) -> Recording:
    """`workflow update`: execute, start, result, describe."""
    record, client, driver = env.recording(), await env.sdk(), Driver(env)
    terminal = Terminal(env, record)
    target = f"--workflow-id={driver.workflow_id}"
    execute = f"workflow update execute {target} --name=add"
    start = f"workflow update start {target} --wait-for-stage=accepted"
    async with worker(client, env):
        await client.start_workflow("Ledger", 1, id=driver.workflow_id, task_queue=driver.queue)
        await terminal.both(f"{execute} --update-id=one --input=1")
        await terminal.both(f"{execute} --update-id=zero --input=0")
        await terminal.both(f"{execute.replace('=add', '=nothing')} --update-id=nothing")
        await terminal.both(f"{start} --name=wait_for_end --update-id=waits")
        await terminal.both(f"{start} --name=add --update-id=none --input=0")
        await terminal.both(f"workflow update describe {target} --update-id=one")
        await terminal.both(f"workflow update describe {target} --update-id=waits")
        await terminal.both(f"workflow update describe {target} --update-id=missing")
        await terminal.both(f"workflow update result {target} --update-id=one")
        failing = f"workflow update execute {target} --name=fail --update-id=fails"
        await terminal.both(f"{failing} --input='\"no\"'")
        await terminal.both(f"workflow update result {target} --update-id=fails")
        await terminal.both(f"workflow update result {target} --update-id=missing")
        await client.get_workflow_handle(driver.workflow_id).terminate()
        await terminal.both(f"workflow update result {target} --update-id=waits")
        await terminal.both(f"{execute} --update-id=late --input=1")
    return record
