"""kill -9 of nodes that own something, in a cluster where every role is a process.

Each test says whom it kills by what that node owns, and starts it again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import grpc
import pytest
from temporalio import workflow
from temporalio.api.workflowservice import v1 as wf
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    WithStartWorkflowOperation,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from conformance.driver import code_of
from conformance.rpc import build, call
from conformance.scenario import ScenarioEnv, environment
from conformance.scenarios.workers import (
    count_workers,
    describe_worker,
    heartbeat,
    list_workers,
    record_heartbeats,
)
from contract.cluster import PostgresCluster
from integration.node_processes import SECONDS
from integration.role_nodes import database_server
from integration.whole_cluster import (
    FRONTENDS,
    HISTORY,
    WORKER,
    Owners,
    WholeCluster,
    frontends,
    whole_cluster,
)
from perdure.core.schedule.state import WORKFLOW_ID_PREFIX
from waiting import until_asked

pytestmark = pytest.mark.postgres

QUEUE = "faults"
FIRINGS = 9
PERIOD = timedelta(seconds=1)


@workflow.defn
class Fired:
    """What the schedule starts."""

    @workflow.run
    async def run(self) -> None:
        """Ends at once."""


@workflow.defn
class Sum:
    """Takes numbers by updates, each once the workflow is told to go on."""

    def __init__(self) -> None:
        self._sum = 0
        self._may_go_on = False
        self._over = False

    @workflow.run
    async def run(self) -> int:
        """Returns the sum."""
        await workflow.wait_condition(lambda: self._over)
        return self._sum

    @workflow.update
    async def add(self, number: int) -> int:
        """Adds, later."""
        await workflow.wait_condition(lambda: self._may_go_on)
        self._sum += number
        return self._sum

    @workflow.signal
    def go_on(self) -> None:
        """Lets updates end."""
        self._may_go_on = True

    @workflow.signal
    def end(self) -> None:
        """Lets the workflow end."""
        self._over = True


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(
    database: PostgresCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeCluster]:
    with whole_cluster(database, tmp_path_factory.mktemp("nodes")) as cluster:
        yield cluster


@pytest.fixture
async def owners(cluster: WholeCluster) -> Owners:
    return await cluster.balanced()


@asynccontextmanager
async def killed(cluster: WholeCluster, *names: str) -> AsyncIterator[None]:
    """Kills nodes at once, and starts them again in the end."""
    await asyncio.to_thread(cluster.kill, *names)
    try:
        yield
    finally:
        await asyncio.to_thread(cluster.start, *names)


@asynccontextmanager
async def working(client: Client, queue: str = QUEUE) -> AsyncIterator[None]:
    """Runs a worker."""
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[Fired, Sum], workflow_runner=runner):
        yield


async def test_workers_are_known_again_after_their_keeper_is_killed(
    cluster: WholeCluster, owners: Owners
) -> None:
    async with frontends(cluster) as (first, second):
        beats = [heartbeat(first, name) for name in ("a", "b", "c")]
        await record_heartbeats(first, *beats[:2])
        await record_heartbeats(second, beats[2])
        for env in (first, second):
            assert await identities(env) == {"identity-a", "identity-b", "identity-c"}
        async with killed(cluster, owners.keeper_of_workers()):
            # Whoever knows the workers now learns of them by their next heartbeats.
            await record_heartbeats(second, *beats)
            for env in (first, second):
                assert await identities(env) == {"identity-a", "identity-b", "identity-c"}
                described = await describe_worker(env, env.name("b"))
                assert described.worker_info.worker_heartbeat.worker_identity == "identity-b"
            await shut_down(second, "b")
            for env in (first, second):
                assert await identities(env) == {"identity-a", "identity-c"}
                assert await code_of(describe_worker(env, env.name("b"))) == "NOT_FOUND"
        await cluster.balanced()
        await record_heartbeats(first, beats[0])
        for env in (first, second):
            assert "identity-a" in await identities(env)


async def identities(env: ScenarioEnv) -> set[str]:
    """Returns the identities of this test's workers, as both RPCs tell of them."""
    mine = f"TaskQueue = '{env.name('queue')}'"
    listed = await list_workers(env, mine)
    counted = await count_workers(env, mine)
    assert counted.count == len(listed.workers)
    return {each.worker_identity for each in listed.workers}


async def shut_down(env: ScenarioEnv, name: str) -> None:
    """ShutdownWorker."""
    request = build(
        wf.ShutdownWorkerRequest,
        namespace="default",
        worker_instance_key=env.name(name),
        worker_heartbeat=heartbeat(env, name, status="WORKER_STATUS_SHUTDOWN"),
        task_queue=env.name("queue"),
    )
    await call(env, request, wf.ShutdownWorkerResponse)


async def test_a_schedule_fires_once_each_time_while_its_owner_dies(
    cluster: WholeCluster, owners: Owners
) -> None:
    client = await cluster.client()
    schedule_id = "every-second"
    handle = await client.create_schedule(
        schedule_id,
        Schedule(
            ScheduleActionStartWorkflow(Fired.run, id="fired", task_queue=QUEUE),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=PERIOD)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
            state=ScheduleState(limited_actions=True, remaining_actions=FIRINGS),
        ),
    )

    async def has_fired(times: int) -> bool:
        return (await handle.describe()).info.num_actions >= times

    owner = owners.of_workflow(f"{WORKFLOW_ID_PREFIX}{schedule_id}")
    async with working(client):
        await until_asked(lambda: has_fired(2), pause_seconds=0.1)
        async with killed(cluster, owner, WORKER):
            await until_asked(lambda: has_fired(FIRINGS), pause_seconds=0.1)
        query = f"TemporalScheduledById = '{schedule_id}' AND ExecutionStatus = 'Completed'"

        async def have_ended() -> bool:
            return (await client.count_workflows(query)).count >= FIRINGS

        await until_asked(have_ended, pause_seconds=0.1)
        runs = [each async for each in client.list_workflows(query)]
    times = sorted(scheduled_for(each.id) for each in runs)
    assert len(times) == FIRINGS
    assert {after - before for before, after in pairwise(times)} == {PERIOD}
    assert (await handle.describe()).info.num_actions == FIRINGS


def scheduled_for(workflow_id: str) -> datetime:
    """Returns the time that a schedule has put into a workflow's id."""
    return datetime.fromisoformat(workflow_id.removeprefix("fired-"))


@pytest.mark.parametrize("owner", HISTORY)
async def test_updates_go_on_where_their_workflow_goes(
    cluster: WholeCluster, owners: Owners, owner: str
) -> None:
    client = await cluster.client()
    workflow_id = owners.workflow_on(owner, f"sum-{owner}")
    handle = await client.start_workflow(Sum.run, id=workflow_id, task_queue=QUEUE)
    async with working(client):
        accepted = await handle.start_update(
            Sum.add, 1, id="accepted", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
    # Nobody works now: this one is admitted only, in the memory of its owner.
    admitted = asyncio.create_task(handle.execute_update(Sum.add, 10, id="admitted"))
    async with environment(cluster.address()) as env:
        await until_asked(lambda: stage_of(env, workflow_id, "admitted"))
    async with killed(cluster, owner), working(client):
        await handle.signal(Sum.go_on)
        assert await accepted.result() in {1, 11}
        assert await asyncio.wait_for(admitted, SECONDS) in {10, 11}
        assert await handle.execute_update(Sum.add, 100, id="late") == 111
        # What was done once is answered from what is stored.
        assert await handle.execute_update(Sum.add, 1, id="accepted") == await accepted.result()
        await handle.signal(Sum.end)
        assert await handle.result() == 111


async def stage_of(env: ScenarioEnv, workflow_id: str, update_id: str) -> int:
    """Returns how far an update has come; 0 where nobody knows of it."""
    request = build(
        wf.PollWorkflowExecutionUpdateRequest,
        namespace="default",
        update_ref={"workflow_execution": {"workflow_id": workflow_id}, "update_id": update_id},
    )
    try:
        answer = await call(env, request, wf.PollWorkflowExecutionUpdateResponse)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return 0
        raise
    return answer.stage


async def has_accepted(env: ScenarioEnv, workflow_id: str, update_id: str) -> bool:
    """Tells whether a worker has accepted an update."""
    return await stage_of(env, workflow_id, update_id) >= WorkflowUpdateStage.ACCEPTED


async def test_updates_with_start_survive_the_owner(cluster: WholeCluster, owners: Owners) -> None:
    client = await cluster.client(FRONTENDS[1])
    owner = HISTORY[0]
    workflow_id = owners.workflow_on(owner, "started-by-update")

    async def add(number: int) -> int:
        start = WithStartWorkflowOperation(
            Sum.run,
            id=workflow_id,
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        update = client.execute_update_with_start_workflow(
            Sum.add, number, id=f"add-{number}", start_workflow_operation=start
        )
        result = await update
        run_ids.add((await start.workflow_handle()).result_run_id)
        return result

    run_ids: set[str | None] = set()
    handle = client.get_workflow_handle(workflow_id, result_type=int)
    # It starts the workflow, and is not done before the owner dies.
    first = asyncio.create_task(add(1))
    async with working(client):
        async with environment(cluster.address()) as env:
            await until_asked(partial(has_accepted, env, workflow_id, "add-1"))
        async with killed(cluster, owner):
            others = [asyncio.create_task(add(number)) for number in (10, 100)]
            await handle.signal(Sum.go_on)
            results = await asyncio.wait_for(asyncio.gather(first, *others), SECONDS)
            assert await add(1) == results[0]
            await handle.signal(Sum.end)
            assert await handle.result() == max(results) == 111
    assert len(run_ids) == 1
