"""DescribeTaskQueue in both modes, as the real server 1.32 answers."""

import asyncio

import pytest
from temporalio.api.enums.v1 import task_queue_pb2 as enums
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import InvalidArgumentError, UnavailableError
from perdure.matching.settings import MatchingSettings
from unit.matching.world import ACTIVITIES, NAMESPACE, World, run, task_of

ENHANCED = enums.DESCRIBE_TASK_QUEUE_MODE_ENHANCED


async def describe(world: World, **fields: object) -> wf.DescribeTaskQueueResponse:
    request = wf.DescribeTaskQueueRequest(task_queue=TaskQueue(name="queue"), **fields)  # type: ignore[arg-type]
    return await world.engine.describe_task_queue(NAMESPACE, request)


def test_a_queue_that_nobody_knows() -> None:
    async def scenario(world: World) -> None:
        response = await describe(world, report_stats=True)
        assert response.versioning_info.current_version == "__unversioned__"
        assert response.versioning_info.update_time.seconds == -62_135_596_800
        assert not response.pollers
        assert response.stats.approximate_backlog_count == 0
        assert response.stats.HasField("approximate_backlog_age")
        assert list(response.stats_by_priority_key) == [3]
        assert not (await describe(world)).HasField("stats")

    run(scenario)


def test_a_backlog_without_workers() -> None:
    async def scenario(world: World) -> None:
        world.commit(
            task_of(1, scheduled_time=world.clock.now()),
            task_of(2, scheduled_time=world.clock.now(), priority=5),
        )
        await asyncio.sleep(4)
        response = await describe(world, report_stats=True)
        assert response.stats.approximate_backlog_count == 2
        assert response.stats.approximate_backlog_age.ToMilliseconds() == 4_001
        assert response.stats.tasks_add_rate == pytest.approx(0.5, rel=0.01)
        assert response.stats.tasks_dispatch_rate == 0
        counts = {
            priority: stats.approximate_backlog_count
            for priority, stats in response.stats_by_priority_key.items()
        }
        assert counts == {3: 1, 5: 1}

    run(scenario)


def test_a_backlog_bigger_than_what_is_read_is_estimated() -> None:
    async def scenario(world: World) -> None:
        world.commit(*[task_of(number) for number in range(1, 31)])
        response = await describe(world, report_stats=True)
        assert response.stats.approximate_backlog_count == 30

    run(scenario, settings=MatchingSettings(describe_rows=5))


def test_pollers_of_the_last_minutes() -> None:
    async def scenario(world: World) -> None:
        await world.poll(identity="old", seconds=1)
        await asyncio.sleep(290)
        seen = world.clock.now()
        await world.poll(identity="new", seconds=1)
        response = await describe(world)
        assert [poller.identity for poller in response.pollers] == ["new", "old"]
        assert response.pollers[0].last_access_time.ToNanoseconds() == seen
        assert response.pollers[0].rate_per_second == 100_000
        await asyncio.sleep(10)
        assert [poller.identity for poller in (await describe(world)).pollers] == ["new"]

    run(scenario, settings=MatchingSettings(idle_unload=1_000))


def test_a_worker_that_limits_the_rate() -> None:
    async def scenario(world: World) -> None:
        request = wf.PollActivityTaskQueueRequest(
            task_queue=TaskQueue(name="queue"), identity="limited"
        )
        request.task_queue_metadata.max_tasks_per_second.value = 7.5
        request.deployment_options.build_id = "build"
        await world.engine.poll_activity_task_queue(NAMESPACE, request, 0.1)
        response = await describe(world, task_queue_type=enums.TASK_QUEUE_TYPE_ACTIVITY)
        assert response.pollers[0].rate_per_second == 7.5
        assert response.pollers[0].deployment_options.build_id == "build"
        assert response.effective_rate_limit.requests_per_second == 7.5
        assert response.effective_rate_limit.rate_limit_source == enums.RATE_LIMIT_SOURCE_WORKER

    run(scenario)


def test_enhanced_mode_describes_types_of_the_unversioned_queue() -> None:
    async def scenario(world: World) -> None:
        world.commit(task_of(1, queue=ACTIVITIES))
        await world.poll(identity="me", seconds=1)
        plain = await describe(world, api_mode=ENHANCED)
        assert set(plain.versions_info[""].types_info) == {1, 2}
        assert not plain.versions_info[""].types_info[1].HasField("stats")
        full = await describe(
            world,
            api_mode=ENHANCED,
            report_stats=True,
            report_pollers=True,
            task_queue_types=[enums.TASK_QUEUE_TYPE_WORKFLOW, enums.TASK_QUEUE_TYPE_ACTIVITY],
        )
        types = full.versions_info[""].types_info
        assert [poller.identity for poller in types[1].pollers] == ["me"]
        assert types[2].stats.approximate_backlog_count == 1

    run(scenario)


def test_errors() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(InvalidArgumentError, match="taskQueue is not set"):
            await world.engine.describe_task_queue(NAMESPACE, wf.DescribeTaskQueueRequest())
        world.rows.failing = lambda: True
        with pytest.raises(UnavailableError):
            await describe(world, report_stats=True)

    run(scenario)
