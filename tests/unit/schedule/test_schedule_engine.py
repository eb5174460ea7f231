"""Schedules in a real history engine, on virtual time."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.enums.v1 import schedule_pb2 as overlap
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.schedule.v1 import message_pb2 as schedule
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from conformance.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
)
from conformance.driver import application_failure, payloads
from perdure.core.errors import NotFoundError, WorkflowExecutionAlreadyStartedError
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import StoreUnavailable
from unit.history.world import NAMESPACE, QUEUE, Server, World, run

SKIP = overlap.SCHEDULE_OVERLAP_POLICY_SKIP
BUFFER_ONE = overlap.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE
BUFFER_ALL = overlap.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
CANCEL_OTHER = overlap.SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER
TERMINATE_OTHER = overlap.SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER
ALLOW_ALL = overlap.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
DAY = 86_400.0


def definition(**fields: Any) -> schedule.Schedule:
    """Returns a schedule that starts a workflow every ten seconds."""
    defaults: dict[str, Any] = {
        "spec": {"interval": [{"interval": {"seconds": 10}}]},
        "action": {
            "start_workflow": {
                "workflow_id": "wf",
                "workflow_type": {"name": "Workflow"},
                "task_queue": {"name": QUEUE},
            }
        },
    }
    return schedule.Schedule(**(defaults | fields))


async def create(server: Server, schedule_id: str = "s", **fields: Any) -> bytes:
    request = wf.CreateScheduleRequest(schedule_id=schedule_id, request_id="r")
    for name in ("initial_patch", "request_id", "memo"):
        if name in fields:
            request.MergeFrom(wf.CreateScheduleRequest(**{name: fields.pop(name)}))
    request.schedule.CopyFrom(definition(**fields))
    return (await server.history.create_schedule(NAMESPACE, request)).conflict_token


async def describe(server: Server, schedule_id: str = "s") -> wf.DescribeScheduleResponse:
    request = wf.DescribeScheduleRequest(schedule_id=schedule_id)
    return await server.history.describe_schedule(NAMESPACE, request)


async def patch(server: Server, request_id: str = "", **fields: Any) -> None:
    request = wf.PatchScheduleRequest(schedule_id="s", request_id=request_id, patch=fields)
    await server.history.patch_schedule(NAMESPACE, request)


async def update(server: Server, token: bytes = b"", **fields: Any) -> None:
    request = wf.UpdateScheduleRequest(schedule_id="s", conflict_token=token)
    request.schedule.CopyFrom(definition(**fields))
    await server.history.update_schedule(NAMESPACE, request)


async def until(
    server: Server, condition: Callable[[wf.DescribeScheduleResponse], bool]
) -> wf.DescribeScheduleResponse:
    """Waits, on virtual time, until a schedule's description says something."""
    for _ in range(int(DAY)):
        described = await describe(server)
        if condition(described):
            return described
        await asyncio.sleep(0.5)
    raise AssertionError("never described so")


def statuses(described: wf.DescribeScheduleResponse) -> list[str]:
    prefix = "WORKFLOW_EXECUTION_STATUS_"
    return [
        enums.WorkflowExecutionStatus.Name(each.start_workflow_status).removeprefix(prefix)
        for each in described.info.recent_actions
    ]


def scheduled_times(described: wf.DescribeScheduleResponse) -> list[int]:
    return [each.schedule_time.seconds for each in described.info.recent_actions]


async def workflows(world: World) -> list[str]:
    """Returns the ids of all workflows that are no schedules."""
    rows = await world.store.list_workflows(NAMESPACE.id, Everything(), None, 10_000)
    return sorted(
        row.workflow_id for row in rows if not row.workflow_id.startswith("temporal-sys-")
    )


def test_each_time_starts_one_workflow() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": ALLOW_ALL})
        described = await until(server, lambda seen: seen.info.action_count >= 12)
        times = scheduled_times(described)
        assert times == list(range(times[0], times[0] + 100, 10))
        assert times[0] % 10 == 0
        names = [each.start_workflow_result.workflow_id for each in described.info.recent_actions]
        assert len(set(names)) == 10
        assert all(name.startswith("wf-20") for name in names)
        future = [each.seconds for each in described.info.future_action_times]
        assert future == list(range(times[-1] + 10, times[-1] + 110, 10))
        started = await server.describe(names[-1])
        fields = started.workflow_execution_info.search_attributes.indexed_fields
        assert fields["TemporalScheduledById"].data == b'"s"'
        assert names[-1].endswith(fields["TemporalScheduledStartTime"].data.decode().strip('"'))

    run(scenario)


def test_skip_drops_what_overlaps() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server)
        described = await until(server, lambda seen: seen.info.overlap_skipped >= 2)
        assert statuses(described) == ["RUNNING"]
        assert len(described.info.running_workflows) == 1
        await server.complete(await server.take(), complete_workflow())
        described = await until(server, lambda seen: seen.info.action_count == 2)
        assert statuses(described) == ["COMPLETED", "RUNNING"]

    run(scenario)


@pytest.mark.parametrize(("policy", "kept"), [(BUFFER_ONE, 1), (BUFFER_ALL, 3)])
def test_buffers_keep_what_overlaps(policy: int, kept: int) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": policy})
        info = (
            await until(server, lambda seen: seen.info.buffer_size + seen.info.overlap_skipped == 3)
        ).info
        assert (info.buffer_size, info.overlap_skipped) == (kept, 3 - kept)
        await server.complete(await server.take(), complete_workflow())
        described = await until(server, lambda seen: seen.info.action_count == 2)
        first, second = scheduled_times(described)
        assert second == first + 10

    run(scenario)


@pytest.mark.parametrize(
    ("policy", "status"), [(TERMINATE_OTHER, "TERMINATED"), (CANCEL_OTHER, "CANCELED")]
)
def test_the_other_makes_room(policy: int, status: str) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": policy})
        described = await until(server, lambda seen: len(seen.info.running_workflows) == 1)
        first = described.info.running_workflows[0]
        if policy == CANCEL_OTHER:
            await until(server, lambda seen: seen.info.buffer_size == 1)
            await asyncio.sleep(1)
            history = (await server.read(first.workflow_id)).history.events
            requested = history[-1].workflow_execution_cancel_requested_event_attributes
            assert requested.cause == "cancelled by schedule overlap policy"
            assert requested.identity == "temporal-scheduler-default-s"
            await server.complete(await server.take(), cancel_workflow())
        described = await until(server, lambda seen: seen.info.action_count == 2)
        assert statuses(described) == [status, "RUNNING"]

    run(scenario)


def test_what_ends_is_told_by_the_last_run_of_the_chain() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, spec={}, initial_patch={"trigger_immediately": {}})
        await server.complete(await server.take(), continue_as_new(QUEUE))
        assert statuses(await until(server, lambda seen: seen.info.action_count == 1)) == [
            "RUNNING"
        ]
        await server.complete(await server.take(), complete_workflow("done"))
        await until(server, lambda seen: statuses(seen) == ["COMPLETED"])
        await patch(server, trigger_immediately={})
        await until(server, lambda seen: seen.info.action_count == 2)
        task = await server.take()
        started = task.history.events[0].workflow_execution_started_event_attributes
        assert started.last_completion_result == payloads("done")

    run(scenario)


def test_a_failure_pauses_and_is_passed_on() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"pause_on_failure": True})
        await server.complete(await server.take(), fail_workflow(application_failure("broken")))
        described = await until(server, lambda seen: seen.schedule.state.paused)
        name = described.info.recent_actions[0].start_workflow_result.workflow_id
        assert described.schedule.state.notes == (f"paused due to workflow failure: {name}: broken")
        assert described.conflict_token == (2).to_bytes(8, "big")
        # Two actions of one second would have one workflow id.
        await asyncio.sleep(1)
        await patch(server, trigger_immediately={})
        task = await server.take()
        started = task.history.events[0].workflow_execution_started_event_attributes
        assert started.continued_failure.message == "broken"

    run(scenario)


def test_paused_times_are_not_made_up_for() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, state={"paused": True})
        await asyncio.sleep(100)
        await patch(server, unpause="go")
        described = await describe(server)
        assert described.info.action_count == 0
        assert described.schedule.state.notes == "go"
        described = await until(server, lambda seen: seen.info.action_count == 1)
        assert described.info.missed_catchup_window == 0

    run(scenario)


@pytest.mark.parametrize(("window", "missed"), [(60, True), (3600, False)])
def test_times_missed_while_down_are_made_up_for_within_the_window(
    window: int, missed: bool
) -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        policies = {"overlap_policy": ALLOW_ALL, "catchup_window": {"seconds": window}}
        await create(server, policies=policies)
        await until(server, lambda seen: seen.info.action_count == 1)
        world.faults.away = StoreUnavailable("away")
        await asyncio.sleep(300)
        world.faults.away = None
        await asyncio.sleep(100)
        info = (await describe(server)).info
        assert bool(info.missed_catchup_window) == missed
        names = await workflows(world)
        assert len(names) == len(set(names)) == info.action_count
        assert info.missed_catchup_window + info.action_count in range(40, 43)

    run(scenario)


def test_limited_actions_run_out() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(
            server,
            state={"limited_actions": True, "remaining_actions": 2},
            policies={"overlap_policy": ALLOW_ALL},
        )
        assert len((await describe(server)).info.future_action_times) == 2
        described = await until(server, lambda seen: seen.info.action_count == 2)
        await asyncio.sleep(100)
        described = await describe(server)
        assert described.info.action_count == 2
        assert described.schedule.state.remaining_actions == 0
        assert described.conflict_token == (3).to_bytes(8, "big")
        await patch(server, trigger_immediately={})
        await until(server, lambda seen: seen.info.action_count == 3)

    run(scenario)


def test_backfills_take_every_time_once() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, state={"paused": True}, policies={"overlap_policy": ALLOW_ALL})
        backfill = {"start_time": {"seconds": 1_000_000}, "end_time": {"seconds": 1_000_300}}
        await patch(server, "b", backfill_request=[backfill])
        await patch(server, "b", backfill_request=[backfill])
        await until(server, lambda seen: seen.info.action_count == 31)
        await asyncio.sleep(100)
        assert (await describe(server)).info.action_count == 31
        assert len(await workflows(world)) == 31

    run(scenario)


def test_a_long_outage_is_made_up_for_in_small_steps() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        spec = {"interval": [{"interval": {"seconds": 1}}]}
        await create(server, spec=spec, policies={"overlap_policy": ALLOW_ALL})
        world.faults.away = StoreUnavailable("away")
        await asyncio.sleep(900)
        world.faults.away = None
        await asyncio.sleep(100)
        described = await describe(server)
        assert described.info.action_count >= 990
        assert described.info.buffer_dropped == 0
        names = await workflows(world)
        assert len(names) == described.info.action_count

    run(scenario)


def test_what_does_not_fit_the_buffer_is_dropped_and_counted() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        spec = {"interval": [{"interval": {"seconds": 1}}]}
        await create(server, spec=spec, policies={"overlap_policy": BUFFER_ALL})
        described = await until(server, lambda seen: seen.info.buffer_dropped >= 5)
        assert described.info.buffer_size == 1000
        assert described.info.action_count == 1

    run(scenario)


def test_signals_to_a_schedule_schedule_no_task() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, spec={})
        await server.signal("temporal-sys-scheduler:s")
        described = await server.describe("temporal-sys-scheduler:s")
        assert not described.HasField("pending_workflow_task")

    run(scenario)


def test_an_update_with_an_old_token_changes_nothing() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        token = await create(server, spec={})
        await patch(server, pause="stop")
        await update(server, token, spec={}, state={"notes": "old"})
        described = await describe(server)
        assert described.schedule.state.notes == "stop"
        await update(server, described.conflict_token, spec={}, state={"notes": "new"})
        described = await describe(server)
        assert described.schedule.state.notes == "new"
        assert not described.schedule.state.paused
        assert described.info.update_time.seconds

    run(scenario)


def test_create_is_idempotent_by_its_request() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        first = await create(server, spec={})
        assert await create(server, spec={}) == first
        with pytest.raises(WorkflowExecutionAlreadyStartedError, match='"s" is already registered'):
            await create(server, spec={}, request_id="2")

    run(scenario)


def test_a_deleted_schedule_starts_nothing_more() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": ALLOW_ALL})
        await until(server, lambda seen: seen.info.action_count == 2)
        request = wf.DeleteScheduleRequest(schedule_id="s", identity="me")
        await server.history.delete_schedule(NAMESPACE, request)
        before = await workflows(world)
        await asyncio.sleep(100)
        assert await workflows(world) == before
        with pytest.raises(NotFoundError, match="schedule not found"):
            await describe(server)
        with pytest.raises(NotFoundError, match="already completed"):
            await patch(server, pause="x")
        await create(server, request_id="2", spec={})
        assert (await describe(server)).info.action_count == 0

    run(scenario)


def test_an_idle_schedule_ends_after_a_week() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, spec={})
        await create(server, "paused", spec={}, state={"paused": True})
        await asyncio.sleep(6.9 * DAY)
        await describe(server)
        await asyncio.sleep(0.2 * DAY)
        with pytest.raises(NotFoundError, match="schedule not found"):
            await describe(server)
        await describe(server, "paused")
        closed = await server.describe("temporal-sys-scheduler:s")
        assert closed.workflow_execution_info.status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED

    run(scenario)


def test_a_restarted_engine_goes_on() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": BUFFER_ALL})
        await until(server, lambda seen: seen.info.buffer_size == 2)
        server.history.stop()
        await asyncio.sleep(25)
        later = await world.serve()
        await later.complete(await later.take(), complete_workflow())
        described = await until(later, lambda seen: seen.info.action_count == 2)
        first, second = scheduled_times(described)
        assert second == first + 10

    run(scenario)


def test_idle_schedules_take_no_timers_into_memory() -> None:
    async def scenario(world: World) -> None:
        server = await world.serve()
        for number in range(50):
            await create(server, f"s{number}", spec={"calendar": [{"year": "2090"}]})
        assert server.history.statistics().timers == 0

    run(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_with_failing_commits_each_time_starts_exactly_one(seed: int) -> None:
    generator = random.Random(seed)

    async def scenario(world: World) -> None:
        server = await world.serve()
        await create(server, policies={"overlap_policy": ALLOW_ALL})
        for _ in range(20):
            await asyncio.sleep(generator.random() * 12)
            world.faults.losses.extend([StoreUnavailable("lost")] * generator.choice([0, 0, 1, 2]))
        await asyncio.sleep(100)
        described = await describe(server)
        names = await workflows(world)
        assert len(names) == described.info.action_count
        assert described.info.action_count >= 10

    run(scenario)
