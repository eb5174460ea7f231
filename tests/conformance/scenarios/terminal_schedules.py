"""`temporal schedule` at a terminal."""

import shlex
from functools import partial

from temporalio.client import ScheduleHandle

from conformance.commands import complete_workflow
from conformance.driver import Driver, until
from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.terminal import Terminal, execute

_SPAN = "--start-time=2023-01-01T00:00:00Z --end-time=2023-01-03T00:00:00Z"
_ACTIONS = 4
"""One that is triggered, and three midnights of the span."""

_CALENDAR = '\'{"hour":"17","minute":"5","dayOfWeek":"Fri","comment":"weekly"}\''


@scenario
async def terminal_schedule(env: ScenarioEnv) -> Recording:
    """Create, describe, update, toggle, list matching times and delete."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    named = f"--schedule-id={env.name('schedule')}"
    action = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue} --type=Conformance"
    said = (
        "--notes=why --overlap-policy=BufferOne --catchup-window=60s --pause-on-failure"
        " --remaining-actions=5 --jitter=1s --memo=key=1 --schedule-memo=about=2 --input=3"
        " --search-attribute=ConformanceInt=4 --schedule-search-attribute=ConformanceInt=5"
        " --static-summary=short --run-timeout=60s --priority-key=2"
    )
    create = f"schedule create {named} {action}"
    await terminal.text(f"{create} --interval=24h --paused {said}")
    await terminal.both(f"{create} --interval=24h")
    await terminal.both(f"schedule describe {named}")
    await terminal.both(f"schedule list-matching-times {named} {_SPAN}")
    await terminal.both(f"schedule toggle {named} --unpause --reason=go")
    await terminal.both(f"schedule toggle {named} --pause")
    await terminal.both(f"schedule toggle {named}")
    update = f"schedule update {named} {action}"
    await terminal.both(f'{update} --cron="0 12 * * *" --paused')
    await terminal.both(f"schedule describe {named}")
    await terminal.text(f"{update} --calendar={_CALENDAR} --time-zone=Europe/Zurich --paused")
    await terminal.both(f"schedule describe {named}")
    await terminal.both(f"schedule list-matching-times {named} {_SPAN}")
    await terminal.both(f"schedule delete {named}")
    await terminal.both(f"schedule describe {named}")
    return record


@scenario
async def terminal_schedule_refused(env: ScenarioEnv) -> Recording:
    """What the schedule commands refuse, and what they say about a missing schedule."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    named = f"--schedule-id={env.name('schedule')}"
    action = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue} --type=Conformance"
    create = f"schedule create {named} {action}"
    await terminal.both(f'{create} --cron="no cron"')
    await terminal.both(f"{create} --interval=no-interval")
    await terminal.both(f"{create} --interval=0s")
    await terminal.both(f"{create} --interval=24h --time-zone=Nowhere")
    await terminal.both(f"{create} --interval=24h --search-attribute=Unknown=1")
    await terminal.both(f"{create} --interval=24h --overlap-policy=Unknown")
    await terminal.both(f"{create} --interval=24h --namespace=no-such-namespace")
    for command in (
        "describe",
        "delete",
        "toggle --pause",
        "trigger",
        f"backfill {_SPAN}",
        f"list-matching-times {_SPAN}",
        f"update {action} --interval=24h",
    ):
        await terminal.both(f"schedule {command} {named}")
    return record


@scenario
async def terminal_schedule_actions(env: ScenarioEnv) -> Recording:
    """`schedule trigger` and `backfill`, and what `describe` shows of their workflows."""
    record, client = env.recording(), await env.sdk()
    terminal = Terminal(env, record)
    for form, run in (("text", terminal.text), ("json", terminal.json)):
        driver = Driver(env, workflow=f"wf-{form}", queue=f"queue-{form}")
        schedule = env.name(f"schedule-{form}")
        named = f"--schedule-id={schedule}"
        action = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue} --type=Work"
        await run(f"schedule create {named} {action} --interval=24h --paused")
        await run(f"schedule trigger {named} --overlap-policy=AllowAll")
        taken = partial(_taken, client.get_schedule_handle(schedule))
        await until(partial(taken, 1), what="an action")
        await run(f"schedule backfill {named} --overlap-policy=AllowAll {_SPAN}")
        await until(partial(taken, _ACTIONS), what=f"{_ACTIONS} actions")
        for _ in range(_ACTIONS):
            await driver.step(complete_workflow())
        await run(f"schedule describe {named}")
        await run(f"schedule delete {named}")
    return record


async def _taken(schedule: ScheduleHandle, count: int) -> bool:
    return (await schedule.describe()).info.num_actions == count


@scenario
async def terminal_schedule_list(env: ScenarioEnv) -> Recording:
    """`schedule list`: short, long, and really long."""
    record, driver = env.recording(), Driver(env)
    terminal = Terminal(env, record)
    named = f"--schedule-id={env.name('schedule')}"
    action = f"--workflow-id={driver.workflow_id} --task-queue={driver.queue} --type=Conformance"
    create = f"schedule create {named} {action} --interval=24h --paused --notes=why"
    await terminal.text(f"{create} --schedule-memo=about=2")
    line = f"schedule list --query=\"ScheduleId = '{env.name('schedule')}'\""

    async def listed() -> bool:
        return "schedule" in (await execute(env, *shlex.split(line))).output

    await until(listed, what="the schedule in the list")
    await terminal.both(line)
    await terminal.both(f"{line} --long")
    await terminal.both(f"{line} --really-long")
    await terminal.both('schedule list --query="Nope = 1"')
    await terminal.both("schedule list --namespace=no-such-namespace")
    await terminal.text(f"schedule delete {named}")
    return record
