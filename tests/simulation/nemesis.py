"""Breaks things on the way: machines, lines between them, the store, clocks, and the workers.

When the rage is over everything is put back to work for good.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from simulation.faults import FaultPlan
from simulation.fleet import Fleet
from simulation.network import Network
from simulation.node import Machine
from simulation.store import SimulatedDatabase
from simulation.trace import Trace

WorkerMaker = Callable[[str], Coroutine[Any, Any, None]]
TROUBLES = ("crashes", "pauses", "leaves", "cuts", "outages")
VISIT_SECONDS = 0.2
"""How long before a node is back clients ask it."""

Trouble = Callable[[], Coroutine[Any, Any, None]]


class Nemesis:
    """Injects the faults that a plan foresees.

    Attributes:
        done: How often it did what.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        network: Network,
        database: SimulatedDatabase,
        sites: Sequence[str],
        generator: random.Random,
        faults: FaultPlan,
        trace: Trace,
        workers: list[WorkerMaker],
        visit: Callable[[str], None],
    ) -> None:
        """Makes one.

        Args:
            fleet: The machines.
            network: The lines between them.
            database: The store.
            sites: Hosts of clients and workers.
            generator: Draws when what happens to whom.
            faults: How often.
            trace: The journal.
            workers: Makes each worker.
            visit: Has clients ask a host, which may not know yet that others have taken over.
        """
        self.done = Counter(dict.fromkeys(TROUBLES, 0))
        self._fleet = fleet
        self._network = network
        self._database = database
        self._sites = sites
        self._generator = generator
        self._faults = faults
        self._trace = trace
        self._worker_makers = workers
        self._visit = visit
        self._workers: list[asyncio.Task[None]] = []
        self._started = 0

    async def start(self) -> None:
        """Starts the machines, some later than others, and the workers."""
        async with asyncio.TaskGroup() as group:
            for machine in self._fleet.machines:
                if not machine.busy:
                    group.create_task(self._fleet.start(machine))
        for maker in self._worker_makers:
            self._workers.append(self._start_worker(maker))

    async def rage(self, seconds: float) -> None:
        """Injects the plan's faults for a while, then ends them all."""
        faults = self._faults
        troubles = [
            (faults.crash_seconds, self._crash),
            (faults.pause_seconds, self._pause),
            (faults.leave_seconds, self._leave),
            (faults.cut_seconds, self._cut),
            (faults.slow_line_seconds, self._slow_line),
            (faults.outage_seconds, self._outage),
            (faults.clock_jump_seconds, self._jump),
            (faults.worker_restart_seconds, self._restart_worker),
        ]
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            for machine in self._fleet.machines:
                if machine.busy:
                    group.create_task(self._join(machine, seconds))
            for mean, trouble in troubles:
                group.create_task(self._repeat(mean, trouble, end))
            await asyncio.sleep(seconds)
            faults.stop()
        self._trace.note("nemesis", "all faults have ended")

    async def stop(self) -> None:
        """Stops the workers, then the machines one after the other, as an operator does."""
        for task in self._workers:
            task.cancel()
        await asyncio.wait(self._workers)
        for machine in self._fleet.machines:
            await self._fleet.stop(machine)

    async def _repeat(self, mean: float, trouble: Trouble, end: float) -> None:
        loop = asyncio.get_running_loop()
        while mean:
            pause = self._generator.expovariate(1 / mean)
            if loop.time() + pause >= end:
                return
            await asyncio.sleep(pause)
            await trouble()

    # Machines

    def _victim(self) -> Machine | None:
        idle = self._fleet.idle()
        return self._generator.choice(idle) if idle else None

    async def _join(self, machine: Machine, seconds: float) -> None:
        await asyncio.sleep(self._generator.uniform(0.0, seconds))
        await self._fleet.start(machine)
        machine.busy = False

    async def _crash(self) -> None:
        machine = self._victim()
        if machine is None:
            return
        machine.busy = True
        self.done["crashes"] += 1
        self._fleet.kill(machine)
        await asyncio.sleep(self._generator.choice((0.0, 0.1, 3.0, 10.0)))
        await self._fleet.start(machine)
        machine.busy = False

    async def _leave(self) -> None:
        machine = self._victim()
        if machine is None:
            return
        machine.busy = True
        self.done["leaves"] += 1
        await self._fleet.stop(machine)
        await asyncio.sleep(self._generator.choice((0.0, 1.0, 8.0)))
        await self._fleet.start(machine)
        machine.busy = False

    async def _pause(self) -> None:
        machine = self._victim()
        if machine is None:
            return
        assert machine.node is not None
        machine.busy = True
        self.done["pauses"] += 1
        process = machine.node.process
        seconds = self._generator.choice((0.2, 2.0, 5.0, 8.0, 9.0, 20.0))
        self._trace.note(process.name, f"is stopped for {seconds} s")
        process.stopped_until = asyncio.get_running_loop().time() + seconds
        self._network.stalled(machine.host, process)
        await self._sleep_and_visit(machine, seconds)
        self._trace.note(process.name, "goes on")
        machine.busy = False

    async def _sleep_and_visit(self, machine: Machine, seconds: float) -> None:
        if seconds <= VISIT_SECONDS or "frontend" not in machine.roles:
            await asyncio.sleep(seconds)
            return
        await asyncio.sleep(seconds - VISIT_SECONDS)
        self._visit(machine.host)
        await asyncio.sleep(VISIT_SECONDS)

    async def _jump(self) -> None:
        machine = self._generator.choice(self._fleet.machines)
        seconds = self._generator.choice((-20.0, -1.0, -0.05, 0.05, 1.0, 20.0))
        machine.clock.offset_nanoseconds += round(seconds * 1e9)
        self._trace.note(machine.host, f"its clock jumps by {seconds} s")
        await asyncio.sleep(0)

    # Lines and the store

    async def _cut(self) -> None:
        machine = self._generator.choice(self._fleet.machines)
        seconds = self._generator.choice((0.5, 3.0, 9.0, 20.0))
        self.done["cuts"] += 1
        node, host = machine.node, machine.host
        if node is not None and self._generator.random() < 0.4:
            self._trace.note(host, f"is cut from the store for {seconds} s")
            node.session.cut = True
            await self._sleep_and_visit(machine, seconds)
            node.session.cut = False
            self._trace.note(host, "reaches the store again")
            return
        other = self._another_host(host)
        self._trace.note(host, f"is cut from {other} for {seconds} s")
        self._network.cut(host, other)
        await asyncio.sleep(seconds)
        self._network.heal(host, other)
        self._trace.note(host, f"reaches {other} again")

    async def _slow_line(self) -> None:
        host = self._generator.choice(self._fleet.machines).host
        line = frozenset({host, self._another_host(host)})
        self._trace.note("network", f"the line of {sorted(line)} is slow")
        self._network.slow.add(line)
        await asyncio.sleep(self._generator.choice((1.0, 10.0)))
        self._network.slow.discard(line)

    def _another_host(self, host: str) -> str:
        others = [machine.host for machine in self._fleet.machines if machine.host != host]
        return self._generator.choice([*others, *self._sites])

    async def _outage(self) -> None:
        self.done["outages"] += 1
        self._database.outage = True
        self._trace.note("store", "is gone")
        await asyncio.sleep(self._generator.choice((0.1, 2.0, 8.0)))
        self._database.outage = False
        self._trace.note("store", "is back")

    # Workers

    async def _restart_worker(self) -> None:
        index = self._generator.randrange(len(self._workers))
        task = self._workers[index]
        task.cancel()
        await asyncio.wait([task])
        self._trace.note("worker", f"{index} is restarted")
        self._workers[index] = self._start_worker(self._worker_makers[index])

    def _start_worker(self, maker: WorkerMaker) -> asyncio.Task[None]:
        self._started += 1
        name = str(self._started)
        task = asyncio.get_running_loop().create_task(maker(name), name=f"worker {name}")
        task.add_done_callback(self._worker_ended)
        return task

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._trace.violation(f"{task.get_name()} died: {error!r}")
