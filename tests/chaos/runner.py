"""Runs one scenario: world, load, fault, recovery, audit."""

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from chaos import results
from chaos.audit import MOST_SENTENCES, audit, read_attempts
from chaos.errors import ChaosError
from chaos.results import Result
from chaos.scenarios import Scenario
from chaos.worker import ATTEMPTS_FILE, STATUSES_FILE
from chaos.world import World

Say = Callable[[str], None]

BEFORE_SECONDS = 4.0
"""Of undisturbed load."""
AFTER_SECONDS = 6.0
"""Of load after a fault has ended."""
SETTLE_SECONDS = 60.0
"""How long the orders that are open then may take to end."""


async def run(scenario: Scenario, say: Say, *, keep: bool = False) -> Result:
    """Runs a scenario; nothing of it is left behind but its logs.

    Args:
        scenario: What to run.
        say: Told of every step.
        keep: Whether the logs are kept though all is well.
    """
    if skipped := scenario.setup.missing():
        say(f"skipped: {skipped}")
        return Result(scenario.name, scenario.title, skipped=skipped)
    folder = Path(tempfile.mkdtemp(prefix=f"perdure-chaos-{scenario.name}-"))
    result: Result | None = None
    try:
        async with AsyncExitStack() as parts:
            try:
                result = await _run(scenario, folder, say, parts)
            except (ChaosError, TimeoutError) as error:
                wrong = [f"it could not be carried out: {str(error) or 'out of time'}"]
                result = Result(scenario.name, scenario.title, wrong=wrong, folder=str(folder))
    finally:
        if result is None or (result.passed and not keep):
            shutil.rmtree(folder)
    return result


async def _run(scenario: Scenario, folder: Path, say: Say, parts: AsyncExitStack) -> Result:
    world = await World.make(scenario.setup, folder, say, parts)
    database, load, ledger = world.database, world.load, world.ledger
    say("the load begins")
    load.start()
    await asyncio.sleep(BEFORE_SECONDS)
    await database.epochs_that_fell()
    await scenario.fault(world)
    await asyncio.sleep(AFTER_SECONDS)
    say("waiting for what is open")
    await load.finish(SETTLE_SECONDS)
    await world.workers.stop()
    say("comparing what was promised with what was kept")
    attempts = read_attempts(folder / ATTEMPTS_FILE)
    wrong = await audit(load.client, ledger, attempts)
    wrong += await database.foreign_writes()
    wrong += await database.epochs_that_fell()
    if not ledger.open():
        wrong += await database.leftovers()
    wrong += [
        f"{process.name} ended by itself"
        for process in world.processes.values()
        if not process.running
    ]
    failed = ledger.failures()
    if failed and not scenario.forgiven:
        wrong.append(f"{failed.total()} calls failed")
    raw = Counter(load.raw_statuses())
    raw.update(json.loads((folder / STATUSES_FILE).read_text("utf-8")))
    since = world.healed_at if scenario.recovers_from == "healed" else world.injected_at
    left_out = len(wrong) - MOST_SENTENCES
    return Result(
        name=scenario.name,
        title=scenario.title,
        orders=len(ledger.orders),
        signals=sum(len(entry.signals) for entry in ledger.orders.values()),
        attempts=sum(map(len, attempts.values())),
        failed_calls=dict(failed.most_common()),
        raw_statuses=dict(raw.most_common()),
        fault_seconds=world.healed_at - world.injected_at,
        recovery_seconds=max(0.0, results.recovery_seconds(ledger.calls, since=since)),
        start_p99_ms=results.start_p99_ms(ledger.calls),
        longest_order_seconds=results.longest_order_seconds(ledger),
        wrong=wrong[:MOST_SENTENCES] + ([f"and {left_out} more"] if left_out > 0 else []),
        folder=str(folder),
    )
