"""Jobs on many workflows: what they do, at which pace, and how they go on after a crash."""

import asyncio
from typing import Any, Final

from temporalio.api.enums.v1 import BatchOperationState, WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.rpc import build
from perdure.core.errors import UnavailableError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.batch_jobs import SETTLING, BatchJobs
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.systemworker.batches import BatchRunner
from perdure.systemworker.settings import SystemWorkerSettings
from unit.history.world import NAMESPACE, Server, World, run
from waiting import until, until_asked

RUNNING = BatchOperationState.BATCH_OPERATION_STATE_RUNNING
COMPLETED = BatchOperationState.BATCH_OPERATION_STATE_COMPLETED
FAILED = BatchOperationState.BATCH_OPERATION_STATE_FAILED
TASK_FAILED: Final = "workflow_task_failed_event_attributes"
OPEN = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING


class Flaky:
    """History, whose owners are away for some calls."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.away = 0
        self.signals: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server.history, name)

    async def signal_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals, or is away."""
        if self.away:
            self.away -= 1
            raise UnavailableError("not now")
        self.signals.append(request.workflow_execution.workflow_id)
        return await self._server.history.signal_workflow_execution(namespace, request)


class Bench:
    """A server, its jobs, and who runs them."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.history = Flaky(server)
        self.mine = True
        self.namespaces = NamespaceRegistry(metadata=world.store, clock=world.clock, ids=world.ids)
        self.jobs = BatchJobs(metadata=world.store, clock=world.clock)

    def runner(self, **settings: Any) -> None:
        """Starts to run jobs."""
        BatchRunner(
            jobs=self.jobs,
            visibility=self.world.store,
            history=self.history,  # type: ignore[arg-type]
            namespaces=self.namespaces,
            search_attributes=SearchAttributeRegistry(
                metadata=self.world.store, clock=self.world.clock
            ),
            clock=self.world.clock,
            ids=self.world.ids,
            settings=SystemWorkerSettings(**{"batch": 4} | settings),
            looks_after=lambda _: self.mine,
        ).start(self.world.tasks)

    async def begin(self, job_id: str = "job", *, most: int = 1, **fields: Any) -> None:
        """Starts a job; without an operation it signals."""
        if "target_executions" not in fields:
            fields["visibility_query"] = "WorkflowType != ''"
        fields = {"signal_operation": {"signal": "go"}} | fields
        request = build(wf.StartBatchOperationRequest, job_id=job_id, reason="because", **fields)
        job = stored.BatchJob(
            request=request,
            state=RUNNING,
            start_time=self.world.clock.now(),
            run_id=self.world.ids.run_id(),
        )
        await self.jobs.start(NAMESPACE.id, job, most_running=most)

    async def job(self, job_id: str = "job") -> stored.BatchJob:
        """Returns a job as it is."""
        return await self.jobs.find(NAMESPACE.id, job_id)

    async def ended(self, job_id: str = "job") -> stored.BatchJob:
        """Waits, on virtual time, for a job's end."""

        async def over() -> bool:
            return (await self.job(job_id)).state != RUNNING

        await until_asked(over, 1_000.0)
        return await self.job(job_id)

    async def signals(self, workflow_id: str) -> int:
        """Returns how many signals a workflow has had."""
        events = (await self.server.read(workflow_id)).history.events
        return sum(
            event.HasField("workflow_execution_signaled_event_attributes") for event in events
        )


async def _bench(world: World, workflows: int) -> Bench:
    bench = Bench(world, await world.serve())
    description = wf.DescribeNamespaceResponse()
    description.namespace_info.id = NAMESPACE.id
    await bench.namespaces.create(NAMESPACE.name, description)
    for number in range(workflows):
        await bench.server.start(f"wf-{number}")
    return bench


def test_a_job_reaches_every_workflow_once_over_many_pages() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 11)
        await bench.begin()
        bench.runner()
        job = await bench.ended()
        assert (job.state, job.total, job.complete, job.failed) == (COMPLETED, 11, 11, 0)
        assert [await bench.signals(f"wf-{number}") for number in range(11)] == [1] * 11

    run(scenario)


def test_what_a_job_closes_it_does_not_meet_again() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 9)
        await bench.server.terminate("wf-0")
        await asyncio.sleep(0.1)
        await bench.begin(signal_operation=None, deletion_operation={})
        await asyncio.sleep(0.1)
        await bench.server.start("later")
        bench.runner()
        job = await bench.ended()
        assert (job.complete, job.failed) == (9, 0)
        later = await bench.server.describe("later")
        assert later.workflow_execution_info.status == OPEN

    run(scenario)


def test_a_job_goes_on_where_it_was_after_a_crash() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 10)
        await bench.begin()
        bench.mine = False
        bench.runner()
        await asyncio.sleep(5)
        assert not bench.history.signals
        bench.mine = True
        await until(lambda: len(bench.history.signals) >= 4, 100.0)
        # It is another's from now on, who finds what was written.
        bench.mine = False
        await asyncio.sleep(5)
        assert (await bench.job()).state == RUNNING
        other = Bench(world, bench.server)
        await other.namespaces.resolve(NAMESPACE.name)
        other.runner()
        job = await other.ended()
        assert job.complete == 10
        assert [await bench.signals(f"wf-{number}") for number in range(10)] == [1] * 10
        assert len(bench.history.signals) + len(other.history.signals) <= 14, "a page at the most"

    run(scenario)


def test_an_owner_that_is_away_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 2)
        bench.history.away = 5
        await bench.begin()
        bench.runner()
        job = await bench.ended()
        assert (job.complete, job.failed) == (2, 0)
        bench.history.away = 1_000
        await bench.begin("hopeless")
        job = await bench.ended("hopeless")
        assert (job.complete, job.failed, job.state) == (0, 2, COMPLETED)

    run(scenario)


def test_a_job_that_is_stopped_goes_no_further() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 12)
        await bench.begin(max_operations_per_second=1.0)
        bench.runner()
        await until(lambda: bool(bench.history.signals), 100.0)
        await bench.jobs.stop(NAMESPACE.id, "job")
        await asyncio.sleep(60)
        assert len(bench.history.signals) <= 8
        assert (await bench.job()).state == FAILED

    run(scenario)


def test_a_job_keeps_to_its_pace() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 12)
        await bench.begin(max_operations_per_second=2.0)
        bench.runner()
        began = world.loop.time()
        await bench.ended()
        assert world.loop.time() - began >= 4.0

    run(scenario)


def test_named_workflows_need_not_exist() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 6)
        named = [{"business_id": f"wf-{number}"} for number in range(8)]
        await bench.begin(target_executions=named)
        bench.runner()
        job = await bench.ended()
        assert (job.total, job.complete, job.failed) == (8, 8, 0)
        assert await bench.signals("wf-5") == 1

    run(scenario)


def test_workflows_are_reset_to_their_first_or_last_task() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 0)
        bench.runner()
        for workflow_id, kind in (("a", "first_workflow_task"), ("b", "last_workflow_task")):
            await bench.server.start(workflow_id)
            for _ in range(2):
                await bench.server.complete(await bench.server.take())
                await bench.server.signal(workflow_id)
            before = (await bench.server.describe(workflow_id)).workflow_execution_info
            assert before.history_length == 10
            await bench.begin(
                kind,
                signal_operation=None,
                reset_operation={"options": {kind: {}}},
                target_executions=[{"business_id": workflow_id}],
            )
            assert (await bench.ended(kind)).complete == 1
            after = (await bench.server.describe(workflow_id)).workflow_execution_info
            assert after.execution.run_id != before.execution.run_id
            reset = (await bench.server.read(workflow_id)).history.events
            failed = [each for each in reset if each.HasField(TASK_FAILED)]
            assert [each.event_id for each in failed] == [4 if workflow_id == "a" else 8]
            await bench.server.terminate(workflow_id)

    run(scenario)


def test_a_workflow_without_the_point_fails() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 1)
        bench.runner()
        build = {"options": {"build_id": "none"}}
        await bench.begin(signal_operation=None, reset_operation=build)
        job = await bench.ended()
        assert (job.complete, job.failed, job.state) == (0, 1, COMPLETED)

    run(scenario)


def test_a_namespace_without_a_job_that_runs_is_looked_at_no_more() -> None:
    async def scenario(world: World) -> None:
        bench = await _bench(world, 1)
        await bench.begin()
        bench.runner()
        await bench.ended()
        assert await bench.jobs.active() == [NAMESPACE.id]
        await asyncio.sleep(2 * SETTLING / 1e9)
        assert await bench.jobs.active() == []

    run(scenario)
