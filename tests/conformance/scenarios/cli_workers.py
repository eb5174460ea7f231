"""The `temporal worker` commands: JSON, and the tables that people read."""

import re
from typing import Any

from conformance.recording import Recording
from conformance.scenario import ScenarioEnv, scenario
from conformance.scenarios.cli import temporal
from conformance.scenarios.workers import heartbeat, record_heartbeats
from conformance.terminal import execute

_AGO = re.compile(r"\d+ (?:second|minute|hour|day|month|year)s? ago|now")


@scenario
async def cli_worker(env: ScenarioEnv) -> Recording:
    """List, describe and count."""
    record = env.recording()
    await record_heartbeats(env, heartbeat(env, "a"), heartbeat(env, "b"))
    mine = f"--query=TaskQueue = '{env.name('queue')}'"
    listed = await temporal(env, "worker", "list", mine)
    record.note("list", sorted(listed, key=str))
    key = f"--worker-instance-key={env.name('a')}"
    record.note("describe", await temporal(env, "worker", "describe", key))
    record.note("count", await temporal(env, "worker", "count", mine))
    missing = f"--worker-instance-key={env.name('missing')}"
    record.note("describe missing", await temporal(env, "worker", "describe", missing))
    record.note("list, as text", await text(env, "worker", "list", mine))
    record.note("describe, as text", await text(env, "worker", "describe", key))
    return record


async def text(env: ScenarioEnv, *arguments: str) -> Any:
    """Runs the CLI and returns the words of each line that it printed for people."""
    printed = await execute(env, *arguments)
    lines = _AGO.sub("<ago>", printed.output).replace(f"-{env.nonce}", "").splitlines()
    return [" ".join(line.split()) for line in lines]
