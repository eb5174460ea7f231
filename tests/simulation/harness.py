"""One run: builds nodes and clients, lets faults happen, stops them, and checks what is left.

Theory of operation: in the first phase clients and workers work while the nemesis injects faults.
Then every fault ends, and whatever was accepted must come to its end in the time that timeouts and
retries take. What anybody was told is held against the store at last.
"""

import asyncio
import gc
import random
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from perdure.core.commit import RunKey
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import NamespaceRow
from perdure.rpc.clients import Namespace
from perdure.runtime.deterministic import SeededIds
from perdure.runtime.tasks import TaskSet
from simulation import children, histories, invariants, resets, storage
from simulation.activity_worker import ActivityWorker, Task
from simulation.client import Client
from simulation.faults import FaultPlan, random_plan
from simulation.fleet import Fleet
from simulation.ledger import Ledger
from simulation.logs import logs_in
from simulation.loop import SimulatedLoop, SimulationError
from simulation.nemesis import Nemesis
from simulation.network import Network
from simulation.node import PUBLIC_PORT, Surroundings
from simulation.observer import Observer
from simulation.plans import Plan, PlanMaker
from simulation.rpc import Connection, Frontend
from simulation.schedules import ScheduleClient
from simulation.store import SimulatedDatabase
from simulation.topology import SITES, Topology, draw_topology
from simulation.trace import Trace
from simulation.workflow_worker import WorkflowWorker

NAMESPACE = Namespace(id="5f0c1e8e-0000-4000-8000-000000000001", name="simulation")
WORKFLOWS = 5
FAULT_SECONDS = 45.0
CLUSTER_FAULT_SECONDS = 30.0
PATIENCE_SECONDS = 2 * 3600.0
SETTLING_SECONDS = 40.0
"""In which a cluster without faults comes to rest: leases run out, shards and polls move."""


@dataclass(slots=True, frozen=True)
class Report:
    """What came of a run.

    Attributes:
        seed: Which run.
        violations: The invariants that did not hold, the first one first.
        trace: What happened, line by line.
        trace_hash: The digest of the trace: the same for every run of a seed.
        statistics: How much happened, by name.
    """

    seed: int
    violations: list[str]
    trace: list[str]
    trace_hash: str
    statistics: dict[str, float]


def simulate(seed: int, *, faults: FaultPlan | None = None) -> Report:
    """Runs one seed, with its own faults unless they are given.

    Everything that happens follows from the arguments.
    """
    generator = random.Random(seed)
    reorder_probability = generator.choice((0.0, 0.0, 0.02, 0.2))
    loop = SimulatedLoop(generator=generator, reorder_probability=reorder_probability)
    topology = draw_topology(seed, generator, loop)
    trace = Trace(clock=topology.store_clock)
    trace.on_too_many = lambda: loop.fail(SimulationError("too many invariants are broken"))
    loop.on_error = lambda context: trace.violation(f"asyncio: {_explain(context)}")
    simulation = Simulation(
        generator=generator,
        topology=topology,
        trace=trace,
        faults=faults or random_plan(generator, nodes=len(topology.machines)),
    )
    # Collections would run finalisers at moments that depend on earlier runs.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with logs_in(trace):
            loop.run_until_complete(simulation.run())
    except SimulationError as error:
        trace.violation(f"the loop stopped: {error}")
    finally:
        loop.close()
        if collecting:
            gc.enable()
    return Report(
        seed=seed,
        violations=trace.violations,
        trace=trace.lines,
        trace_hash=trace.hash(),
        statistics={**simulation.statistics(), "steps": loop.steps, "seconds": loop.time()},
    )


class Simulation:
    """The parts of one run."""

    def __init__(
        self, *, generator: random.Random, topology: Topology, trace: Trace, faults: FaultPlan
    ) -> None:
        self._generator = generator
        self._topology = topology
        self._trace = trace
        self._faults = faults
        self._ledger = Ledger(trace=trace)
        self._workflow_ids: list[str] = []
        self._visitors = TaskSet(
            on_error=lambda name, error: trace.violation(f"{name} failed: {error!r}")
        )
        ids = SeededIds(generator=generator, clock=topology.store_clock)
        self._store = MemoryStore(ids=ids, clock=topology.store_clock)
        self._network = Network(faults=faults, generator=generator, trace=trace)
        self._database = SimulatedDatabase(
            inner=self._store, faults=faults, generator=generator, trace=trace
        )
        self._fleet = Fleet(
            machines=topology.machines,
            configs=topology.configs,
            database=self._database,
            around=Surroundings(
                namespace=NAMESPACE,
                network=self._network,
                generator=generator,
                trace=trace,
                partitions=topology.partitions,
            ),
        )
        self._nemesis = Nemesis(
            fleet=self._fleet,
            network=self._network,
            database=self._database,
            sites=SITES,
            generator=generator,
            faults=faults,
            trace=trace,
            workers=[self._workflow_worker, self._activity_worker, self._workflow_worker],
            visit=self._visit,
        )

    def statistics(self) -> dict[str, float]:
        """Returns how much happened."""
        return {
            "rpcs": self._network.calls,
            "commits": self._database.commits,
            "clusters": len(self._topology.machines) > 1,
            "takeovers": self._database.takeovers,
            **self._nemesis.done,
            "runs": len(self._ledger.seen_events),
            "resets": len({reset.run_id for reset in self._ledger.resets}),
            "activity_attempts": sum(self._ledger.attempts.values()),
        }

    async def run(self) -> None:
        """Runs both phases and the checks."""
        self._trace.note("faults", ", ".join(self._faults.names()) or "none")
        await self._store.create_namespace(NamespaceRow(NAMESPACE.id, NAMESPACE.name, 1, b""))
        seconds = CLUSTER_FAULT_SECONDS if self._topology.configs else FAULT_SECONDS
        maker = PlanMaker(
            generator=self._generator, namespace=NAMESPACE.name, spread_seconds=seconds / 2
        )
        plans = [maker.plan(number) for number in range(WORKFLOWS)]
        self._workflow_ids = [plan.workflow_id for plan in plans]
        await self._nemesis.start()
        loop = asyncio.get_running_loop()
        clients = [
            loop.create_task(self._client(plan).run(), name=f"client of {plan.workflow_id}")
            for plan in plans
        ]
        schedules = self._schedules(seconds)
        clients.append(loop.create_task(schedules.run(), name="client of the schedule"))
        await self._nemesis.rage(seconds)
        await self._settle()
        _, pending = await asyncio.wait(clients, timeout=PATIENCE_SECONDS)
        for task in clients:
            if task in pending:
                self._trace.violation(f"the {task.get_name()} still waits: a task was lost")
            elif (error := task.exception()) is not None:
                self._trace.violation(f"the {task.get_name()} failed: {error!r}")
        await self._visitors.close(drain_seconds=PATIENCE_SECONDS)
        await self._await_rest()
        await self._nemesis.stop()
        if pending:
            async for line in storage.describe_open_runs(self._store, NAMESPACE.id):
                self._trace.note("store", line)
        else:
            await self._check({plan.workflow_id: plan.expectation for plan in plans}, schedules)

    async def _await_rest(self) -> None:
        """Waits for children that nobody watches, for what is told of their ends, for deletions."""
        for _ in range(round(PATIENCE_SECONDS)):
            if await storage.is_at_rest(self._store, NAMESPACE.id, self._ledger.deleted):
                return
            await asyncio.sleep(1.0)

    async def _settle(self) -> None:
        """Waits for the cluster to come to rest."""
        if not self._topology.configs:
            return
        for _ in range(round(SETTLING_SECONDS)):
            if not self._fleet.unsettled():
                self._trace.note("cluster", "has come to rest")
                return
            await asyncio.sleep(1.0)
        self._trace.violation(f"the cluster does not come to rest: {self._fleet.unsettled()}")

    async def _check(
        self, expectations: dict[str, invariants.Expectation], schedules: ScheduleClient
    ) -> None:
        runs = await storage.read_runs(self._store, NAMESPACE.id)
        self._ledger.forget_deleted()
        self._report(invariants.deleted_runs_are_gone(self._ledger, runs))
        for run in runs.values():
            self._trace.note("history", f"{run.run_id} {_names(run)}")
            self._report(histories.check_history(run))
        self._report(invariants.check_promises(self._ledger, runs))
        self._report(invariants.check_ends(expectations, runs))
        self._report(invariants.check_chains(runs))
        self._report(children.check_children(runs))
        self._report(resets.check_resets(self._ledger, runs))
        self._report(schedules.check(runs))
        async for problem in storage.check_store(self._store, NAMESPACE.id, runs):
            self._trace.violation(problem)
        self._report(self._fleet.left_over(await self._store.read_cluster()))

    def _report(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._trace.violation(problem)

    def _visit(self, host: str) -> None:
        frontend = self._frontend(f"{host}:{PUBLIC_PORT}")
        for workflow_id in self._workflow_ids:
            observer = Observer(workflow_id=workflow_id, frontend=frontend, ledger=self._ledger)
            self._visitors.spawn(f"visitor of {host} for {workflow_id}", observer.glance())

    def _frontend(self, *addresses: str) -> Frontend:
        connection = Connection(
            network=self._network,
            host=self._generator.choice(SITES),
            frontends=addresses or self._topology.frontends,
            generator=self._generator,
            trace=self._trace,
        )
        return Frontend(
            connection=connection,
            namespace=NAMESPACE,
            generator=self._generator,
            trace=self._trace,
        )

    def _client(self, plan: Plan) -> Client:
        return Client(
            plan=plan,
            frontend=self._frontend(),
            ledger=self._ledger,
            is_open=lambda workflow_id: storage.is_open(self._store, NAMESPACE.id, workflow_id),
        )

    def _schedules(self, seconds: float) -> ScheduleClient:
        return ScheduleClient(generator=self._generator, frontend=self._frontend(), seconds=seconds)

    def _workflow_worker(self, name: str) -> Coroutine[Any, Any, None]:
        worker = WorkflowWorker(
            name=f"workflows-{name}",
            frontend=self._frontend(),
            faults=self._faults,
            ledger=self._ledger,
        )
        return worker.run(pollers=2)

    def _activity_worker(self, name: str) -> Coroutine[Any, Any, None]:
        worker = ActivityWorker(
            name=f"activities-{name}",
            frontend=self._frontend(),
            faults=self._faults,
            ledger=self._ledger,
            on_task=self._check_attempt,
        )
        return worker.run(pollers=4)

    async def _check_attempt(self, task: Task) -> None:
        execution = task.workflow_execution
        key = RunKey(NAMESPACE.id, execution.workflow_id, execution.run_id)
        recorded = await storage.attempt_is_recorded(
            self._store, key, task.activity_id, task.attempt
        )
        if not recorded and execution.run_id not in self._ledger.deleted:
            self._trace.violation(
                f"attempt {task.attempt} of {task.activity_id} of {key} runs without a record"
            )


def _explain(context: dict[str, object]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


def _names(run: invariants.FinalRun) -> str:
    return " ".join(str(event.event_type) for event in run.events)
