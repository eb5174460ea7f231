"""What goes beyond one node, in a cluster where every role is a process and most are two."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest, DeleteNamespaceResponse
from temporalio.api.workflowservice import v1 as wf

from conformance.commands import (
    cancel_external,
    complete_workflow,
    schedule_activity,
    signal_external,
    start_child,
)
from conformance.driver import Driver, code_of, event_type
from conformance.rpc import build, call
from conformance.scenario import ScenarioEnv
from conformance.scenarios.task_queue_config import configure, limit
from contract.cluster import PostgresCluster
from integration.role_nodes import database_server
from integration.whole_cluster import (
    HISTORY,
    MATCHING,
    Owners,
    WholeCluster,
    frontends,
    namespace_id_of,
    whole_cluster,
)
from perdure.core.commit import TaskQueueKey, TaskType
from waiting import until_asked

pytestmark = pytest.mark.postgres

BATCH = 4
"""How many runs are deleted at a time."""
SETTINGS = {
    "worker.retentionPeriod": "500ms",
    "worker.deletionBatchSize": BATCH,
    "system.namespaceMinRetentionLocal": "1s",
}
RUNS = 24
"""Enough for both history nodes, and for both matching nodes."""
POLL_SECONDS = 3.0
"""What a poll has that is to find nothing; it ends a second earlier."""

COUNT_DELETIONS = """
    CREATE TABLE deletions (transaction xid8, slot int);
    CREATE FUNCTION count_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO deletions VALUES (pg_current_xact_id(), OLD.slot);
        RETURN OLD;
    END $$;
    CREATE TRIGGER count_deletions AFTER DELETE ON runs
        FOR EACH ROW EXECUTE FUNCTION count_deletion();
"""


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresCluster]:
    with database_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(
    database: PostgresCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeCluster]:
    with whole_cluster(database, tmp_path_factory.mktemp("nodes"), SETTINGS) as cluster:
        yield cluster


@pytest.fixture
async def owners(cluster: WholeCluster) -> Owners:
    return await cluster.balanced()


def on(env: ScenarioEnv, workflow_id: str, queue: str) -> Driver:
    """Returns a driver of a workflow of a given id."""
    driver = Driver(env, queue=queue)
    driver.workflow_id = workflow_id
    return driver


async def register(frontend: ScenarioEnv, other: ScenarioEnv, name: str) -> str:
    """Registers a namespace, waits until both frontends know it, and returns its id."""
    request = build(
        wf.RegisterNamespaceRequest,
        namespace=name,
        workflow_execution_retention_period={"seconds": 30 * 86_400},
    )
    await call(frontend, request, wf.RegisterNamespaceResponse)

    async def is_known() -> bool:
        return not await is_unknown(other, name)

    await until_asked(is_known)
    return await namespace_id_of(frontend, name)


async def is_unknown(env: ScenarioEnv, name: str) -> bool:
    """Tells whether a frontend does not know a namespace."""
    request = wf.DescribeNamespaceRequest(namespace=name)
    return await code_of(call(env, request, wf.DescribeNamespaceResponse)) == "NOT_FOUND"


async def run_some(env: ScenarioEnv, namespace: str, *, closed: bool) -> None:
    """Starts workflows in a namespace, and ends them if they are to be closed."""
    drivers = [Driver(env, workflow=f"run-{closed}-{number}") for number in range(RUNS)]
    await asyncio.gather(*(driver.start(namespace=namespace) for driver in drivers))
    if closed:
        await asyncio.gather(*(driver.terminate(namespace=namespace) for driver in drivers))


async def count_runs(env: ScenarioEnv, namespace: str, query: str = "") -> int:
    """CountWorkflowExecutions."""
    request = wf.CountWorkflowExecutionsRequest(namespace=namespace, query=query)
    return (await call(env, request, wf.CountWorkflowExecutionsResponse)).count


async def rows(dsn: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Returns what a query of the database finds."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        found = await connection.execute(query.encode(), values or None)
        return await found.fetchall() if found.description else []


async def test_retention_goes_over_all_shards_in_small_batches(
    cluster: WholeCluster, owners: Owners
) -> None:
    async with frontends(cluster) as (first, second):
        short, long = first.name("short"), first.name("long")
        ids = [await register(first, second, name) for name in (short, long)]
        for name in (short, long):
            await run_some(first, name, closed=True)
            await run_some(second, name, closed=False)
        assert await count_runs(second, short, "ExecutionStatus = 'Terminated'") == RUNS
        await rows(cluster.dsn, COUNT_DELETIONS)
        update = build(
            wf.UpdateNamespaceRequest,
            namespace=short,
            config={"workflow_execution_retention_ttl": {"seconds": 1}},
        )
        await call(first, update, wf.UpdateNamespaceResponse)

        async def are_gone() -> bool:
            return await count_runs(second, short, "ExecutionStatus = 'Terminated'") == 0

        await until_asked(are_gone, pause_seconds=0.1)
        # What is open stays, and what another namespace keeps longer.
        assert await count_runs(second, short) == RUNS
        assert await count_runs(second, long, "ExecutionStatus = 'Terminated'") == RUNS
    stored = Counter(
        namespace_id for (namespace_id,) in await rows(cluster.dsn, "SELECT namespace_id FROM runs")
    )
    assert [stored[namespace_id] for namespace_id in ids] == [RUNS, 2 * RUNS]
    deleted = await rows(cluster.dsn, "SELECT transaction::text, slot FROM deletions")
    assert len(deleted) == RUNS
    assert max(Counter(transaction for transaction, _ in deleted).values()) <= BATCH
    assert {owners.of_slot(slot) for _, slot in deleted} == set(HISTORY)


async def test_a_deleted_namespace_goes_with_all_its_runs(cluster: WholeCluster) -> None:
    async with frontends(cluster) as (first, second):
        name = first.name("doomed")
        namespace_id = await register(first, second, name)
        await run_some(first, name, closed=True)
        await run_some(second, name, closed=False)
        request = DeleteNamespaceRequest(namespace=name)
        await call(first, request, DeleteNamespaceResponse)
        for env in (first, second):
            await until_asked(partial(is_unknown, env, name))
        await register(second, first, name)

        async def is_gone() -> bool:
            return not await rows(
                cluster.dsn, "SELECT 1 FROM namespaces WHERE id = %s", namespace_id
            )

        await until_asked(is_gone, pause_seconds=0.1)
        tables = ("runs", "current_runs", "timers", "tasks", "visibility")
        for table in tables:
            query = f"SELECT 1 FROM {table} WHERE namespace_id = %s"  # noqa: S608 fixed names
            assert await rows(cluster.dsn, query, namespace_id) == [], table
        # The namespace that has its name now is another one.
        assert await count_runs(first, name) == 0


@pytest.mark.parametrize(("here", "there"), [HISTORY, HISTORY[::-1]])
async def test_messages_reach_workflows_of_another_node(
    cluster: WholeCluster, owners: Owners, here: str, there: str
) -> None:
    async with frontends(cluster) as (env, _):
        parent = on(env, owners.workflow_on(here, env.name("parent")), "parents")
        stranger = on(env, owners.workflow_on(there, env.name("stranger")), "strangers")
        policies = {
            "terminated": "TERMINATE",
            "asked": "REQUEST_CANCEL",
            "left": "ABANDON",
            "done": "TERMINATE",
        }
        children = {
            name: on(env, owners.workflow_on(there, env.name(name)), f"{name}-children")
            for name in policies
        }
        await stranger.start()
        await stranger.step()
        await parent.start()
        starts = [
            start_child(
                children[name].workflow_id,
                children[name].queue,
                parent_close_policy=f"PARENT_CLOSE_POLICY_{policy}",
            )
            for name, policy in policies.items()
        ]
        to_stranger = stranger.execution()
        await parent.step(*starts, signal_external(to_stranger), cancel_external(to_stranger))
        await parent.event("CHILD_WORKFLOW_EXECUTION_STARTED", count=len(children))
        await parent.event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
        await parent.event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        for child in children.values():
            await child.step(*([complete_workflow()] if child is children["done"] else []))
        await parent.event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
        await parent.step(complete_workflow())
        await children["terminated"].event("WORKFLOW_EXECUTION_TERMINATED")
        await children["asked"].event("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        left = await children["left"].history()
        assert event_type(left[-1]) == "WORKFLOW_TASK_COMPLETED"
        seen = Counter(map(event_type, await stranger.history()))
        assert seen["WORKFLOW_EXECUTION_SIGNALED"] == 1
        assert seen["WORKFLOW_EXECUTION_CANCEL_REQUESTED"] == 1


async def serving(
    cluster: WholeCluster, owners: Owners, queue: str, task_type: TaskType
) -> set[str]:
    """Returns the nodes that have the tasks of a queue; there are as many as this module makes."""
    query = "SELECT queue_partition FROM tasks WHERE queue_name = %s AND queue_type = %s"
    found = await rows(cluster.dsn, query, queue, int(task_type))
    assert len(found) == RUNS
    return {
        owners.of_queue(TaskQueueKey(owners.namespace.id, queue, task_type, partition))
        for (partition,) in found
    }


async def statistics(driver: Driver) -> list[wf.DescribeTaskQueueResponse]:
    """Returns what a frontend says of a queue of workflow tasks, in both modes."""
    return [
        await call(
            driver.env,
            build(
                wf.DescribeTaskQueueRequest,
                namespace="default",
                task_queue={"name": driver.queue},
                task_queue_type=1,
                task_queue_types=[1],
                api_mode=mode,
                report_stats=True,
                report_pollers=True,
            ),
            wf.DescribeTaskQueueResponse,
        )
        for mode in ("DESCRIBE_TASK_QUEUE_MODE_UNSPECIFIED", "DESCRIBE_TASK_QUEUE_MODE_ENHANCED")
    ]


async def counts(driver: Driver) -> set[tuple[int, tuple[str, ...]]]:
    """Returns the backlogs, and who polls, as both modes say."""
    plain, enhanced = await statistics(driver)
    info = enhanced.versions_info[""].types_info[1]
    return {
        (each.stats.approximate_backlog_count, tuple(poller.identity for poller in each.pollers))
        for each in (plain, info)
    }


async def test_statistics_are_of_all_partitions(cluster: WholeCluster, owners: Owners) -> None:
    async with frontends(cluster) as pair:
        queue = owners.queue_on_both(pair[0].name("queue"), TaskType.WORKFLOW)
        drivers = [Driver(pair[number % 2], workflow=f"wf-{number}") for number in range(RUNS)]
        for driver in drivers:
            driver.queue = queue
        await asyncio.gather(*(driver.start() for driver in drivers))
        assert await serving(cluster, owners, queue, TaskType.WORKFLOW) == set(MATCHING)
        for driver in drivers[:2]:
            assert await counts(driver) == {(RUNS, ())}
            plain, _ = await statistics(driver)
            assert plain.stats.tasks_add_rate > 0
            assert plain.stats.approximate_backlog_age.ToNanoseconds() > 0
        for driver in drivers[: RUNS // 2]:
            await driver.step(complete_workflow())

        async def is_known() -> bool:
            left = {(RUNS - RUNS // 2, ("worker",))}
            return all([await counts(driver) == left for driver in drivers[:2]])

        # Partitions are told of what others have started a moment later.
        await until_asked(is_known)


async def test_a_rate_limit_holds_on_all_nodes(cluster: WholeCluster, owners: Owners) -> None:
    async with frontends(cluster) as (first, second):
        driver = Driver(first)
        queue = owners.queue_on_both(first.name("queue"), TaskType.ACTIVITY)
        await driver.start()
        await configure(first, task_queue=queue, **limit(0.0))
        await polls_nothing(second, queue)
        await driver.step(*(schedule_activity(str(number), queue) for number in range(RUNS)))
        assert await serving(cluster, owners, queue, TaskType.ACTIVITY) == set(MATCHING)
        await polls_nothing(second, queue)
        await configure(second, task_queue=queue, **limit(None))
        tasks = [await driver.poll_activity(queue=queue) for _ in range(RUNS)]
    assert {task.activity_id for task in tasks} == {str(number) for number in range(RUNS)}


async def polls_nothing(env: ScenarioEnv, queue: str) -> None:
    """Polls for activities at all partitions until the polls end by themselves, with nothing."""
    request = build(
        wf.PollActivityTaskQueueRequest, namespace="default", task_queue={"name": queue}
    )
    polls = [
        call(env, request, wf.PollActivityTaskQueueResponse, timeout=POLL_SECONDS)
        for _ in range(RUNS)
    ]
    assert await asyncio.gather(*polls) == [wf.PollActivityTaskQueueResponse()] * RUNS
