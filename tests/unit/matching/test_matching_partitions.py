"""Queues of several partitions: pollers and tasks meet, wherever they are."""

import asyncio
import random
from collections import Counter

import pytest
from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, RunKey, TaskQueueKey
from perdure.core.matching.partitions import partition_of
from perdure.matching.polling import EMPTY
from perdure.matching.settings import MatchingSettings
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import QueryTask
from perdure.rpc.partitions.outstanding import OutstandingPolls
from unit.matching.cluster import Cluster, run_cluster
from unit.matching.world import ACTIVITIES, NAMESPACE, WORKFLOWS, response_to, task_of

MOVED = 0.1
"""Seconds after which a poll that found nothing is at the root for sure."""


def partition(number: int, queue: TaskQueueKey = WORKFLOWS) -> TaskQueueKey:
    return queue._replace(partition=number)


def task_in(number: int, task_id: int = 1, queue: TaskQueueKey = WORKFLOWS) -> DispatchTask:
    return task_of(task_id, queue=partition(number, queue))


@pytest.mark.parametrize("stride", range(1, 33))
def test_tasks_spread_whatever_else_uses_up_ids(stride: int) -> None:
    first = (7 << 24) + 5
    counts = Counter(partition_of(first + stride * number, 4) for number in range(1_000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert min(counts.values()) > 150
    assert partition_of(first, 1) == 0


def test_polls_go_where_the_fewest_are() -> None:
    generator = random.Random(1)
    polls = OutstandingPolls(partitions=4, random=generator.random)
    picked = Counter(polls.pick(WORKFLOWS) for _ in range(400))
    assert min(picked.values()) > 60
    with polls.at(WORKFLOWS, 0), polls.at(WORKFLOWS, 2), polls.at(WORKFLOWS, 3):
        assert {polls.pick(WORKFLOWS) for _ in range(20)} == {1}
        assert {polls.pick(ACTIVITIES) for _ in range(50)} == {0, 1, 2, 3}
        with polls.at(WORKFLOWS, 1), polls.at(WORKFLOWS, 1):
            assert {polls.pick(WORKFLOWS) for _ in range(50)} == {0, 2, 3}
    assert len(polls) == 0


def test_pollers_spread_first_and_gather_at_the_root_when_there_is_nothing() -> None:
    async def scenario(cluster: Cluster) -> None:
        polls = [cluster.poll() for _ in range(8)]
        await asyncio.sleep(0.01)
        assert [cluster.polls_at(partition(number)) for number in range(4)] == [2, 2, 2, 2]
        await asyncio.sleep(MOVED)
        assert [cluster.polls_at(partition(number)) for number in range(4)] == [8, 0, 0, 0]
        await asyncio.sleep(60)
        assert [await poll for poll in polls] == [EMPTY] * 8
        assert cluster.loop.time() < 61

    run_cluster(scenario)


@pytest.mark.parametrize("number", range(4))
def test_a_poller_that_waits_at_the_root_gets_a_task_of_any_partition(number: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        poll = cluster.poll()
        await asyncio.sleep(1)
        began = cluster.loop.time()
        cluster.commit(task_in(number))
        assert await poll == response_to(task_in(number))
        assert cluster.loop.time() - began < 0.01
        assert cluster.history.attempts == 1

    run_cluster(scenario)


def test_a_single_poller_empties_all_partitions_without_waiting() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(number % 4, number) for number in range(200)])
        await asyncio.sleep(1)
        began = cluster.loop.time()
        for _ in range(200):
            assert await cluster.poll() != EMPTY
        assert sorted(cluster.history.started) == sorted(f"workflow-{n}" for n in range(200))
        assert cluster.loop.time() - began < 200 * 0.05

    run_cluster(scenario)


def test_busy_partitions_serve_their_own_pollers() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(number % 4, number) for number in range(2_000)])

        async def worker() -> None:
            while await cluster.poll(seconds=1) != EMPTY:
                pass

        await asyncio.gather(*[worker() for _ in range(40)])
        assert len(cluster.history.started) == 2_000
        assert cluster.wire.calls["forward_task"] < 200

    run_cluster(scenario)


@pytest.mark.parametrize("number", [1, 3, 9])
def test_a_row_of_which_no_hint_came_is_found(number: int) -> None:
    """Partition 9 is one to which neither polls nor tasks go any more."""

    async def scenario(cluster: Cluster) -> None:
        idle = [cluster.poll(seconds=200) for _ in range(2)]
        await asyncio.sleep(45)
        cluster.rows.write(*[task_in(number, task_id) for task_id in range(1, 40)])
        began = cluster.loop.time()
        assert EMPTY not in await asyncio.gather(*idle)
        assert cluster.loop.time() - began < 40
        for _ in range(37):
            assert await cluster.poll() != EMPTY
        assert cluster.loop.time() - began < 45
        assert await cluster.rows.read_queue(partition(number), None, 10) == []

    run_cluster(scenario)


@pytest.mark.parametrize("number", [0, 2])
def test_partitions_that_are_not_polled_any_more_are_drained(number: int) -> None:
    """There were four; now there is one, and rows are left."""

    async def scenario(cluster: Cluster) -> None:
        cluster.rows.write(*[task_in(number, task_id) for task_id in range(30)])
        for _ in range(30):
            assert await cluster.poll() != EMPTY
        assert cluster.loop.time() < 5

    run_cluster(scenario, partitions=1)


def test_while_nobody_polls_little_goes_to_the_root_and_memory_is_given_up() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(2, number) for number in range(100)])
        await asyncio.sleep(1)
        assert partition(0) in cluster.loaded()
        (waiting,) = [
            len(each._forwarded)
            for each in cluster.engine_of(WORKFLOWS)._partitions
            if each.queue == WORKFLOWS
        ]
        assert waiting == 1
        await asyncio.sleep(700)
        assert cluster.loaded() == set()
        assert cluster.history.attempts == 0
        for _ in range(100):
            assert await cluster.poll() != EMPTY
        assert cluster.history.attempts == 100

    run_cluster(scenario)


def test_a_worker_that_leaves_ends_its_polls_wherever_they_are() -> None:
    async def scenario(cluster: Cluster) -> None:
        for pause in (0.0, 0.005, 0.0215, 0.0225, 1.0):
            gone = [cluster.poll(key="gone") for _ in range(8)]
            stays = cluster.poll(key="stays", seconds=3)
            await asyncio.sleep(pause)
            began = cluster.loop.time()
            await cluster.client.cancel_polls(NAMESPACE.id, WORKFLOWS.name, "gone")
            assert await asyncio.gather(*gone) == [EMPTY] * 8
            assert cluster.loop.time() - began < MOVED
            assert await stays == EMPTY
            assert cluster.loop.time() - began > 2

    run_cluster(scenario)


def test_a_query_is_answered_by_a_poller_that_waits() -> None:
    async def scenario(cluster: Cluster) -> None:
        poll = cluster.poll()
        await asyncio.sleep(MOVED)
        head = wf.PollWorkflowTaskQueueResponse(attempt=1).SerializeToString()
        task = QueryTask("query", NAMESPACE.id, RunKey(NAMESPACE.id, "workflow", "run"), head)
        query = asyncio.ensure_future(cluster.client.query(WORKFLOWS, task, 5.0))
        response = wf.PollWorkflowTaskQueueResponse.FromString(await poll)
        token = stored.TaskToken.FromString(response.task_token)
        answer = wf.RespondQueryTaskCompletedRequest(task_token=response.task_token)
        await cluster.client.respond_query_task_completed(token.query_task_id, answer)
        assert (await query).request == answer

    run_cluster(scenario)


def test_the_rate_that_workers_set_is_that_of_all_partitions_together() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(number % 4, number, ACTIVITIES) for number in range(1_000)])

        async def worker() -> None:
            while True:
                await cluster.poll(ACTIVITIES, tasks_per_second=20)

        workers = [cluster.loop.create_task(worker()) for _ in range(12)]
        await asyncio.sleep(2)
        before = len(cluster.history.started)
        await asyncio.sleep(20)
        assert 350 <= len(cluster.history.started) - before <= 440
        for each in workers:
            each.cancel()

    run_cluster(scenario)


def test_tasks_of_a_partition_that_knows_no_rate_go_by_the_roots() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(2, number, ACTIVITIES) for number in range(40)])
        request = wf.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=ACTIVITIES.name))
        request.task_queue_metadata.max_tasks_per_second.value = 4
        root = cluster.engine_of(ACTIVITIES)
        while cluster.loop.time() < 10:
            await root.poll_activity_task_queue(NAMESPACE, request, 1.0)
        assert 8 <= len(cluster.history.started) <= 12

    run_cluster(scenario)


def test_a_queue_is_described_as_one() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.rows.write(*[task_in(number % 4, number, ACTIVITIES) for number in range(10)])
        cluster.commit(*[task_in(number % 4, number, WORKFLOWS) for number in range(20, 30)])
        named = TaskQueue(name=WORKFLOWS.name)
        enhanced = await cluster.client.describe_task_queue(
            NAMESPACE,
            wf.DescribeTaskQueueRequest(
                task_queue=named,
                api_mode=enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED,
                report_stats=True,
                report_pollers=True,
            ),
        )
        infos = enhanced.versions_info[""].types_info
        counts = {number: infos[number].stats.approximate_backlog_count for number in infos}
        assert counts == {1: 10, 2: 10}
        for identity in ("one", "two"):
            for _ in range(6):
                await cluster.poll(ACTIVITIES, identity=identity, seconds=0.1)
        legacy = await cluster.client.describe_task_queue(
            NAMESPACE,
            wf.DescribeTaskQueueRequest(
                task_queue=named,
                task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY,
                include_task_queue_status=True,
                report_stats=True,
            ),
        )
        assert [poller.identity for poller in legacy.pollers] == ["two", "one"]
        assert legacy.stats.approximate_backlog_count == 0
        assert legacy.stats_by_priority_key[3].approximate_backlog_count == 0

    run_cluster(scenario)


def test_a_fused_start_takes_a_poller_of_any_partition_in_the_process() -> None:
    async def scenario(cluster: Cluster) -> None:
        engine = cluster.nodes["node-0"].engine
        assert engine.reserve(partition(2)) is None
        poll = cluster.poll()
        await asyncio.sleep(MOVED)
        reservation = engine.reserve(partition(2))
        assert reservation is not None
        assert reservation.deliver(response_to(task_in(2)), task_in(2))
        assert await poll == response_to(task_in(2))
        assert engine.reserve(partition(2, ACTIVITIES)) is None

    run_cluster(scenario, nodes=1)


def test_a_start_of_a_forwarded_task_is_undone_when_its_poller_vanishes() -> None:
    async def scenario(cluster: Cluster) -> None:
        poll = cluster.poll()
        await asyncio.sleep(MOVED)

        async def vanish(_: DispatchTask) -> None:
            cluster.history.after = None
            poll.cancel()
            await asyncio.sleep(1)

        cluster.history.after = vanish
        cluster.commit(task_in(3))
        await asyncio.wait([poll])
        assert poll.cancelled()
        assert await cluster.poll() == response_to(task_in(3))
        assert cluster.history.started == ["workflow-1"]

    run_cluster(scenario)


def test_a_forwarded_task_that_history_refuses_comes_back_and_goes_again() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.history.refuse = lambda _: cluster.loop.time() < 10
        polls = [cluster.poll() for _ in range(3)]
        await asyncio.sleep(MOVED)
        cluster.commit(task_in(1))
        done, pending = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        assert [await poll for poll in done] == [response_to(task_in(1))]
        assert 10 < cluster.loop.time() < 16
        assert cluster.history.attempts < 60
        for poll in pending:
            poll.cancel()

    run_cluster(scenario)


def test_a_forwarded_task_that_is_not_pending_any_more_is_dropped() -> None:
    async def scenario(cluster: Cluster) -> None:
        poll = cluster.poll(seconds=5)
        await asyncio.sleep(MOVED)
        cluster.client.add_tasks([task_in(3)])
        assert await poll == EMPTY
        assert cluster.history.attempts <= 1
        engine = cluster.engine_of(partition(3))
        (count,) = [each.backlog_count for each in engine.statistics() if each.queue.partition == 3]
        assert count == 0

    run_cluster(scenario)


def test_tasks_of_all_partitions_are_given_out_in_their_order_at_the_root() -> None:
    async def scenario(cluster: Cluster) -> None:
        first = cluster.poll()
        await asyncio.sleep(MOVED)
        cluster.commit(task_in(1, 1))
        await first
        # Nobody polls; the root holds its own, and a better one is forwarded to it.
        low = task_of(5, queue=partition(0), priority=5)
        high = task_of(9, queue=partition(1), priority=1)
        cluster.commit(low, high)
        await asyncio.sleep(1)
        queue = TaskQueue(name=WORKFLOWS.name)
        request = wf.PollWorkflowTaskQueueRequest(task_queue=queue)
        engine = cluster.engine_of(WORKFLOWS)
        got = [
            wf.PollWorkflowTaskQueueResponse.FromString(
                await engine.poll_workflow_task_queue(NAMESPACE, request, 5)
            ).task_token
            for _ in range(2)
        ]
        assert got == [b"workflow-9", b"workflow-5"]

    run_cluster(scenario)


def test_a_sticky_queue_has_one_partition() -> None:
    async def scenario(cluster: Cluster) -> None:
        sticky = TaskQueue(
            name="sticky", kind=enums.TASK_QUEUE_KIND_STICKY, normal_name=WORKFLOWS.name
        )
        request = wf.PollWorkflowTaskQueueRequest(task_queue=sticky)
        polls = [
            cluster.loop.create_task(cluster.client.poll_workflow_task_queue(NAMESPACE, request, 5))
            for _ in range(8)
        ]
        await asyncio.sleep(0.01)
        assert {queue.partition for queue in cluster.loaded()} == {0}
        assert await asyncio.gather(*polls) == [EMPTY] * 8

    run_cluster(scenario)


def test_settings_that_spread_tasks_wider_than_polls_cost_time_only() -> None:
    async def scenario(cluster: Cluster) -> None:
        cluster.commit(*[task_in(number % 8, number) for number in range(80)])
        for _ in range(80):
            assert await cluster.poll() != EMPTY
        assert cluster.loop.time() < 20

    run_cluster(scenario, settings=MatchingSettings(read_partitions=2, write_partitions=8))
