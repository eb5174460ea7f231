"""Runs the machines and breaks them: the server, its store, its clock, and the workers.

Rules that hold here: a crash gives no warning and runs no clean-up; the next server finds what the
store holds. When the rage is over everything is put back to work for good.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from perdure.persistence.ports import StoreError
from perdure.rpc.clients import Namespace
from perdure.runtime.ports import Ids
from simulation.clock import SimulatedClock
from simulation.faults import FaultPlan
from simulation.loop import Process
from simulation.network import Network
from simulation.node import Node
from simulation.store import SimulatedDatabase
from simulation.trace import Trace

WorkerMaker = Callable[[str], Coroutine[Any, Any, None]]


class Nemesis:
    """Keeps machines running, except when it does not.

    Attributes:
        crashes: How often the server was killed.
    """

    def __init__(
        self,
        *,
        namespace: Namespace,
        network: Network,
        database: SimulatedDatabase,
        clock: SimulatedClock,
        ids: Ids,
        generator: random.Random,
        faults: FaultPlan,
        trace: Trace,
        workers: list[WorkerMaker],
    ) -> None:
        self.crashes = 0
        self._namespace = namespace
        self._network = network
        self._database = database
        self._clock = clock
        self._ids = ids
        self._generator = generator
        self._faults = faults
        self._trace = trace
        self._worker_makers = workers
        self._workers: list[asyncio.Task[None]] = []
        self._started = 0
        self._node: Node | None = None

    async def start(self) -> None:
        """Starts the server and the workers."""
        await self._start_server()
        for maker in self._worker_makers:
            self._workers.append(self._start_worker(maker))

    async def rage(self, seconds: float) -> None:
        """Injects the plan's faults for a while, then ends them all."""
        faults = self._faults
        troubles = [
            (faults.crash_seconds, self._crash),
            (faults.outage_seconds, self._outage),
            (faults.clock_jump_seconds, self._jump),
            (faults.worker_restart_seconds, self._restart_worker),
        ]
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            for mean, trouble in troubles:
                group.create_task(self._repeat(mean, trouble, end))
            await asyncio.sleep(seconds)
            faults.stop()
        self._database.outage = False
        self._trace.note("nemesis", "all faults have ended")

    async def stop(self) -> None:
        """Stops the workers, then the server as an operator does."""
        for task in self._workers:
            task.cancel()
        await asyncio.wait(self._workers)
        assert self._node is not None
        await self._node.stop()
        self._network.disconnect()

    async def _repeat(
        self, mean: float, trouble: Callable[[], Coroutine[Any, Any, None]], end: float
    ) -> None:
        loop = asyncio.get_running_loop()
        while mean:
            pause = self._generator.expovariate(1 / mean)
            if loop.time() + pause >= end:
                return
            await asyncio.sleep(pause)
            await trouble()

    async def _start_server(self) -> None:
        while True:
            self._started += 1
            process = Process(f"server-{self._started}")
            node = Node(
                process=process,
                namespace=self._namespace,
                session=self._database.session(process),
                clock=self._clock,
                ids=self._ids,
                generator=self._generator,
                trace=self._trace,
            )
            try:
                await node.start()
            except StoreError:
                node.kill()
                await asyncio.sleep(1.0)
                continue
            self._node = node
            self._network.server = node
            self._trace.note(process.name, "serves")
            return

    async def _crash(self) -> None:
        node = self._node
        if node is None:
            return
        self.crashes += 1
        self._node = None
        node.kill()
        self._network.disconnect()
        self._trace.note(node.process.name, "is killed")
        await asyncio.sleep(self._generator.choice((0.0, 0.1, 3.0)))
        await self._start_server()

    async def _outage(self) -> None:
        self._database.outage = True
        self._trace.note("store", "is gone")
        await asyncio.sleep(self._generator.choice((0.1, 2.0, 8.0)))
        self._database.outage = False
        self._trace.note("store", "is back")

    async def _jump(self) -> None:
        seconds = self._generator.choice((-20.0, -1.0, -0.05, 0.05, 1.0, 20.0))
        self._clock.offset_nanoseconds += round(seconds * 1e9)
        self._trace.note("clock", f"jumps by {seconds} s")
        await asyncio.sleep(0)

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
