"""`temporal workflow` at a terminal: the commands that show workflows."""

import asyncio
import json
import tempfile

from conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    schedule_activity,
    start_timer,
    upsert_memo,
)
from conformance.driver import Driver, application_failure, payloads, until
from conformance.families import start_family
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import Terminal, execute


@scenario
async def terminal_workflow_describe(env: ScenarioEnv) -> Recording:
    """`workflow describe` of a workflow with all kinds of pending work, and of closed ones."""
    record = env.recording()
    terminal = Terminal(env, record)
    parent, child = await start_family(env)
    await parent.step_after_signal(
        schedule_activity("a", parent.queue), start_timer("t", 600.0), upsert_memo(key="value")
    )
    described = f"workflow describe --workflow-id={parent.workflow_id}"
    await terminal.both(described)
    await terminal.text(f"{described} --raw")
    await terminal.both(f"{described} --reset-points")
    task = await parent.poll_activity()
    await terminal.both(described)
    await parent.fail_activity(task, application_failure("broken", kind="Broken"))
    await parent.signal("wake")
    await parent.step(complete_workflow("out"))
    await terminal.both(described)
    await terminal.text(f"{described} --raw")
    await terminal.both(f"workflow describe --workflow-id={env.name('nobody')}")
    await terminal.both(f"workflow describe --workflow-id={parent.workflow_id} --run-id=no-run")
    await terminal.both(f"workflow describe --workflow-id={child.workflow_id}")
    return record


@scenario
async def terminal_workflow_ends(env: ScenarioEnv) -> Recording:
    """`workflow describe`, `result` and `show` of each way in which a workflow ends."""
    record = env.recording()
    terminal = Terminal(env, record)
    ends = {
        "completed": complete_workflow("out"),
        "failed": fail_workflow(
            application_failure("broken", kind="Broken", details=payloads("why"))
        ),
        "canceled": cancel_workflow("details"),
    }
    for name, end in ends.items():
        driver = Driver(env, workflow=name)
        await driver.start(input=payloads("in"))
        if name == "canceled":
            await driver.cancel(reason="because")
        await driver.step(end)
        await _show(terminal, driver)
    driver = Driver(env, workflow="terminated")
    await driver.start()
    await driver.terminate(reason="because", details=payloads("details"))
    await _show(terminal, driver)
    driver = Driver(env, workflow="continued")
    await driver.start()
    await driver.step(continue_as_new(driver.queue))
    running = asyncio.create_task(
        terminal.text(f"workflow result --workflow-id={driver.workflow_id}")
    )
    await driver.step(complete_workflow("later"))
    await running
    first = (await driver.history())[0].workflow_execution_started_event_attributes
    run = first.continued_execution_run_id
    target = f"--workflow-id={driver.workflow_id} --run-id={run}"
    await terminal.both(f"workflow describe {target}")
    await terminal.both(f"workflow show {target}")
    await terminal.both(f"workflow show --workflow-id={env.name('nobody')}")
    return record


async def _show(terminal: Terminal, driver: Driver) -> None:
    target = f"--workflow-id={driver.workflow_id}"
    await terminal.both(f"workflow describe {target}")
    await terminal.both(f"workflow result {target}")
    await terminal.both(f"workflow show {target}")


@scenario
async def terminal_workflow_show(env: ScenarioEnv) -> Recording:
    """`workflow show`: in detail, followed to the end, and repaired by `fix-history-json`."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    await driver.start(input=payloads("in"))
    await driver.step(schedule_activity("a", driver.queue))
    await driver.complete_activity(await driver.poll_activity())
    line = f"workflow show --workflow-id={driver.workflow_id}"
    await terminal.both(line)
    await terminal.text(f"{line} --detailed")
    following = [
        asyncio.create_task(terminal.text(f"{line} --follow")),
        asyncio.create_task(terminal.json(f"{line} --follow")),
    ]
    await driver.step(complete_workflow("out"))
    await asyncio.gather(*following)
    printed = await execute(env, *f"{line} -o json --no-json-shorthand-payloads".split())
    record.note("temporal workflow fix-history-json", await _repaired(env, printed.output))
    return record


async def _repaired(env: ScenarioEnv, history: str) -> bool:
    """Tells whether the CLI reads the history that it printed and prints it again."""
    with tempfile.NamedTemporaryFile("w", prefix="conformance-", suffix=".json") as source:
        source.write(history)
        source.flush()
        printed = await execute(env, "workflow", "fix-history-json", f"--source={source.name}")
    return bool(printed.json() == json.loads(history))


@scenario
async def terminal_workflow_list(env: ScenarioEnv) -> Recording:
    """`workflow list` and `count`: tables, JSON, limits, groups, and queries that are refused."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    mine = f"TaskQueue = '{driver.queue}'"
    other = Driver(env, workflow="other")
    await driver.start(memo={"fields": {"key": payloads("value").payloads[0]}})
    await _listed(env, mine, 1)
    await other.start()
    await other.terminate()
    await _listed(env, f"{mine} AND ExecutionStatus = 'Terminated'", 1)
    for line in (
        f'workflow list --query="{mine}"',
        f'workflow list --query="{mine}" --limit=1',
        f"workflow list --query=\"{mine} AND ExecutionStatus = 'Running'\"",
        f"workflow list --query=\"{mine} AND WorkflowType = 'Nothing'\"",
        'workflow list --query="Nope = 1"',
        'workflow list --query="Broken ="',
        f'workflow list --archived --query="{mine}"',
        "workflow list --namespace=no-such-namespace",
        f'workflow count --query="{mine}"',
        f'workflow count --query="{mine} GROUP BY ExecutionStatus"',
        f'workflow count --query="{mine} GROUP BY WorkflowType"',
        'workflow count --query="Nope = 1"',
    ):
        await terminal.both(line)
    await terminal.text(f'workflow list --query="{mine}" -o jsonl')
    await terminal.text(f'workflow list --query="{mine}" -o none')
    await terminal.text(f'workflow list --query="{mine}" --time-format=iso')
    await driver.terminate()
    return record


async def _listed(env: ScenarioEnv, query: str, count: int) -> None:
    client = await env.sdk()

    async def seen() -> bool:
        return (await client.count_workflows(query)).count == count

    await until(seen, what=f"{count} × {query}")


@scenario
async def terminal_workflow_trace(env: ScenarioEnv) -> Recording:
    """`workflow trace` of a workflow with an activity and a child, both ended."""
    record = env.recording()
    terminal = Terminal(env, record)
    parent, child = await start_family(env)
    await parent.step_after_signal(schedule_activity("a", parent.queue))
    await parent.complete_activity(await parent.poll_activity())
    await parent.step()
    await child.step(complete_workflow("child"))
    await parent.step(complete_workflow("parent"))
    line = f"workflow trace --workflow-id={parent.workflow_id}"
    await terminal.both(line)
    await terminal.text(f"{line} --no-fold --depth=1")
    await terminal.both(f"workflow trace --workflow-id={env.name('nobody')}")
    return record
