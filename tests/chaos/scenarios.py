"""The faults. Each is a function that injects one into a world and heals it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from chaos.network import HUB
from chaos.processes import LEASE_SECONDS, RESTART_SECONDS
from chaos.world import Setup, World

Fault = Callable[[World], Awaitable[None]]

DATABASE_DOWN_SECONDS = 2.0
PARTITION_SECONDS = 8.0
"""Longer than a lease: what rests on connections only has to notice by then."""
SLOW_SECONDS = 12.0
FULL_SECONDS = 5.0
ROUND_TRIP_SECONDS = 0.2
HANDOVER_SECONDS = 5 * LEASE_SECONDS
"""The longest that is waited for shards to move."""


_USUAL = Setup()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault by its name.

    Attributes:
        fault: Injects and heals it.
        setup: What its world must have.
        recovers_from: Whether the cluster has to recover from the injection on, or can do so only
            once the fault has ended.
        forgiven: Whether calls may fail: when more than one role, or what all of them need, is
            gone for longer than the SDK retries.
        quick: Whether it is part of the short form.
    """

    name: str
    title: str
    fault: Fault
    setup: Setup = _USUAL
    recovers_from: Literal["injected", "healed"] = "injected"
    forgiven: bool = False
    quick: bool = False


def _kill(name: str) -> Fault:
    async def fault(world: World) -> None:
        process = world.processes[name]
        world.inject(f"killing {name}")
        await process.kill()
        await asyncio.sleep(RESTART_SECONDS)
        await process.start()
        world.heal(f"{name} is back")

    return fault


async def _kill_all(world: World) -> None:
    world.inject("killing every process")
    processes = list(world.processes.values())
    await asyncio.gather(*(process.kill() for process in processes))
    await asyncio.sleep(RESTART_SECONDS)
    await asyncio.gather(*(process.start() for process in processes))
    world.heal("all are back")


async def _pause(world: World) -> None:
    owner = world.processes["history-0"]
    world.inject(f"suspending {owner.name}")
    owner.suspend()
    await _until_shards(world, owner.name, some=False)
    world.say("its shards have other owners: letting it go on")
    owner.resume()
    await _until_shards(world, owner.name, some=True)
    world.heal(f"{owner.name} has shards again, under new epochs")


async def _restart_database(world: World) -> None:
    world.inject("stopping PostgreSQL")
    await world.database.restart(DATABASE_DOWN_SECONDS)
    world.heal("PostgreSQL is back")


async def _kill_database(world: World) -> None:
    world.inject("killing PostgreSQL")
    await world.database.kill(DATABASE_DOWN_SECONDS)
    world.heal("PostgreSQL has recovered")


async def _slow_database(world: World) -> None:
    world.inject(f"PostgreSQL answers {ROUND_TRIP_SECONDS * 1000:.0f} ms later")
    world.proxy.delay_seconds = ROUND_TRIP_SECONDS / 2
    await asyncio.sleep(SLOW_SECONDS)
    world.proxy.delay_seconds = 0.0
    world.heal("PostgreSQL is fast again")


async def _fill_disk(world: World) -> None:
    world.inject("filling PostgreSQL's disk")
    await world.database.fill_disk()
    await asyncio.sleep(FULL_SECONDS)
    world.database.empty_disk()
    world.heal("there is room again")


async def _fail_over(world: World) -> None:
    world.inject("killing PostgreSQL, promoting its replica")
    await world.database.promote()
    world.heal("the replica can be written")


def _cut(name: str, other: str) -> Fault:
    async def fault(world: World) -> None:
        world.inject(f"cutting {name} off from {other}")
        await world.network.cut(name, [world.network.addresses[other]])
        await asyncio.sleep(PARTITION_SECONDS)
        await world.network.heal(name)
        world.heal("the network is whole again")

    return fault


async def _cut_from_database(world: World) -> None:
    name = "history-0"
    world.inject(f"cutting {name} off from PostgreSQL")
    await world.network.cut(name, [HUB])
    await _until_shards(world, name, some=False)
    await world.network.heal(name)
    world.say("its shards have other owners: the network is whole again")
    await _until_shards(world, name, some=True)
    world.heal(f"{name} has shards again")


async def _isolate(world: World) -> None:
    name = "history-0"
    world.inject(f"cutting {name} off from everybody")
    others = [address for peer, address in world.network.addresses.items() if peer != name]
    await world.network.cut(name, [HUB, *others])
    await _until_shards(world, name, some=False)
    await world.network.heal(name)
    world.say("its shards have other owners: the network is whole again")
    await _until_shards(world, name, some=True)
    world.heal(f"{name} has shards again")


async def _skew(world: World) -> None:
    name = "history-0"
    world.inject(f"moving workflows between {name}, 5 s ahead, and the others")
    await world.processes[name].terminate()
    await world.processes[name].start()
    await _until_shards(world, name, some=True)
    world.heal(f"{name} has shards again")


async def _roll(world: World) -> None:
    world.inject("restarting every process, one after the other")
    for process in world.processes.values():
        world.say(f"restarting {process.name}")
        await process.terminate()
        await process.start()
    world.heal("all were restarted")


async def _until_shards(world: World, name: str, *, some: bool) -> None:
    await world.database.until_node_has_shards(name, some=some, seconds=HANDOVER_SECONDS)


_APART = Setup(namespaces=True)

SCENARIOS = (
    Scenario("kill-frontend", "kill -9 of a frontend", _kill("frontend-0")),
    Scenario("kill-history", "kill -9 of a shard owner", _kill("history-0"), quick=True),
    Scenario("kill-matching", "kill -9 of a task queue owner", _kill("matching-0")),
    Scenario("kill-worker", "kill -9 of the system worker", _kill("worker-0")),
    Scenario("kill-all", "kill -9 of all processes", _kill_all, forgiven=True),
    Scenario("pause-history", "SIGSTOP of a shard owner past its lease", _pause),
    Scenario("rolling-restart", "SIGTERM of one process after the other", _roll, quick=True),
    Scenario(
        "database-restart",
        "PostgreSQL restarted",
        _restart_database,
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "database-kill",
        "kill -9 of PostgreSQL",
        _kill_database,
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "database-slow",
        "PostgreSQL 200 ms away",
        _slow_database,
        Setup(proxied=True),
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "database-full",
        "PostgreSQL out of disk",
        _fill_disk,
        Setup(small_disk=True),
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "database-failover",
        "PostgreSQL's synchronous replica takes over",
        _fail_over,
        Setup(replicated=True),
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "partition-frontend-history",
        "a frontend and a shard owner apart",
        _cut("frontend-0", "history-0"),
        _APART,
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "partition-history-matching",
        "a shard owner and a task queue owner apart",
        _cut("history-0", "matching-0"),
        _APART,
        recovers_from="healed",
        forgiven=True,
    ),
    Scenario(
        "partition-history-database",
        "a shard owner without PostgreSQL",
        _cut_from_database,
        _APART,
        forgiven=True,
    ),
    Scenario(
        "partition-history-all",
        "a shard owner without anybody",
        _isolate,
        _APART,
        forgiven=True,
    ),
    Scenario(
        "clock-skew",
        "a shard owner 5 s ahead",
        _skew,
        Setup(skewed="history-0"),
    ),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
