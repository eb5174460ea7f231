"""Which machines a run has, and what each of them does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perdure.config.static import ServerConfig
from perdure.runtime.deterministic import SeededIds
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop
from simulation.member_node import node_config
from simulation.node import PUBLIC_PORT, Machine

SITES: Final = ("site-1", "site-2")
"""Hosts of clients and workers."""

_ALL: Final = frozenset({"frontend", "history", "matching"})
_ROLES: Final = (
    (_ALL, _ALL, _ALL),
    (_ALL, _ALL, _ALL),
    (_ALL - {"matching"}, _ALL - {"matching"}, frozenset({"matching"})),
    (frozenset({"frontend"}), _ALL - {"frontend"}, _ALL - {"frontend"}),
    (_ALL, frozenset({"history"}), frozenset({"matching", "frontend"})),
)
_LATE_ROLES: Final = (None, None, _ALL, frozenset({"history"}), frozenset({"matching"}))
_LEASES: Final = ((1.0, 6.0), (0.5, 4.0))
"""Heartbeat and lease, in seconds."""
_PARTITIONS: Final = (1, 1, 1, 2, 4)
_SINGLE: Final = 3
"""One seed in so many has a single node."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The machines of a run.

    Attributes:
        machines: All of them; those that join later are busy.
        configs: Their processes' configurations; none of a single node.
        store_clock: The database's.
        partitions: How many partitions a task queue has.
    """

    machines: Sequence[Machine]
    configs: Sequence[ServerConfig]
    store_clock: SimulatedClock
    partitions: int

    @property
    def frontends(self) -> list[str]:
        """The addresses that clients know."""
        return [
            f"{machine.host}:{PUBLIC_PORT}"
            for machine in self.machines
            if "frontend" in machine.roles
        ]


def draw_topology(seed: int, generator: random.Random, loop: SimulatedLoop) -> Topology:
    """Draws the machines of a run."""
    if seed % _SINGLE == 0:
        clock = SimulatedClock(loop=loop)
        ids = SeededIds(generator=generator, clock=clock)
        machine = Machine(host="server", roles=_ALL, clock=clock, ids=ids)
        return Topology([machine], [], clock, generator.choice(_PARTITIONS))
    roles = list(generator.choice(_ROLES))
    late = generator.choice(_LATE_ROLES)
    if late is not None:
        roles.append(late)
    machines = [_machine(f"node-{i}", each, generator, loop) for i, each in enumerate(roles)]
    if late is not None:
        machines[-1].busy = True
    shards = generator.choice((1, 4, 7))
    heartbeat, lease = generator.choice(_LEASES)
    configs = [
        node_config(machine, shards=shards, heartbeat=heartbeat, lease=lease)
        for machine in machines
    ]
    clock = SimulatedClock(loop=loop)
    return Topology(machines, configs, clock, generator.choice(_PARTITIONS))


def _machine(
    host: str, roles: frozenset[str], generator: random.Random, loop: SimulatedLoop
) -> Machine:
    clock = SimulatedClock(
        loop=loop,
        since_boot=generator.uniform(0.0, 1e6),
        rate=generator.uniform(0.998, 1.002),
    )
    clock.offset_nanoseconds = round(generator.choice((0.0, 0.0, -3.0, 3.0)) * 1e9)
    ids = SeededIds(generator=generator, clock=clock)
    return Machine(host=host, roles=roles, clock=clock, ids=ids)
