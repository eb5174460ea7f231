"""How fast schedules start workflows."""

import asyncio
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.enums.v1 import schedule_pb2 as overlap
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import Commit, ScheduleEvent
from perdure.core.schedule.pace import Pace
from perdure.history.ports import SilentObserver
from perdure.history.schedule_starts import ScheduleSettings, ScheduleStarts
from unit.history.world import NAMESPACE, Server, World, run
from unit.schedule.test_schedule_engine import create, definition, describe, until

ALLOW_ALL = overlap.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
SKIP = overlap.SCHEDULE_OVERLAP_POLICY_SKIP


@given(
    rate=st.floats(0.1, 50.0),
    gaps=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=80),
)
def test_no_second_has_more_than_the_burst_and_the_rate(rate: float, gaps: list[float]) -> None:
    pace, now = Pace(rate), 100.0
    gone = []
    for gap in gaps:
        now += gap
        gone.append(now + pace.reserve(now))
    for index, start in enumerate(gone):
        within = [each for each in gone[index:] if each < start + 1.0]
        assert len(within) <= max(1, ceil(rate)) + rate + 1


def test_a_rate_of_zero_is_no_limit() -> None:
    pace = Pace(0.0)
    assert [pace.reserve(1.0) for _ in range(1000)] == [0.0] * 1000


def test_what_waits_goes_in_turn() -> None:
    pace = Pace(2.0)
    assert [pace.reserve(5.0) for _ in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert pace.reserve(100.0) == 0.0


def test_a_changed_rate_holds_from_then_on() -> None:
    async def scenario(world: World) -> None:
        starts = ScheduleStarts(settings=lambda _: ScheduleSettings(1.0), clock=world.clock)
        assert [starts.pause("n") for _ in range(3)] == [0, 10**9, 2 * 10**9]
        assert starts.pause("other") == 0
        starts.change(lambda _: ScheduleSettings(0.0))
        assert starts.pause("n") == 0

    run(scenario)


class _Observed(SilentObserver):
    def __init__(self) -> None:
        self.delayed = 0

    def committed(self, commit: Commit) -> None:
        self.delayed += sum(
            outcome.event is ScheduleEvent.DELAYED for outcome in commit.schedule_outcomes
        )


async def _serve(world: World, rate: float) -> tuple[Server, _Observed]:
    observed = _Observed()
    starts = ScheduleStarts(settings=lambda _: ScheduleSettings(rate), clock=world.clock)
    return await world.serve(schedule_starts=starts, commit_observer=observed), observed


@pytest.mark.parametrize("policy", [ALLOW_ALL, SKIP])
def test_schedules_of_a_namespace_share_a_rate(policy: int) -> None:
    async def scenario(world: World) -> None:
        server, observed = await _serve(world, 1.0)
        names = [f"s{number}" for number in range(5)]
        for name in names:
            action = definition().action
            action.start_workflow.workflow_id = name
            await create(
                server,
                name,
                request_id=name,
                action=action,
                spec={"interval": [{"interval": {"seconds": 3600}}]},
                policies={"overlap_policy": policy},
            )
        await asyncio.sleep(3600 + 60)
        starts = []
        for name in names:
            (action_result,) = (await describe(server, name)).info.recent_actions
            assert action_result.schedule_time.seconds % 3600 == 0
            starts.append(action_result.actual_time.ToNanoseconds() / 1e9)
        gaps = [later - earlier for earlier, later in pairwise(sorted(starts))]
        assert gaps == [pytest.approx(1.0, abs=0.1)] * 4
        assert observed.delayed == 4

    run(scenario)


def test_all_of_a_backfill_start_at_the_rate_once_each() -> None:
    async def scenario(world: World) -> None:
        server, observed = await _serve(world, 2.0)
        await create(server, state={"paused": True}, policies={"overlap_policy": ALLOW_ALL})
        patch = wf.PatchScheduleRequest(schedule_id="s", request_id="b")
        backfill = patch.patch.backfill_request.add()
        backfill.start_time.seconds, backfill.end_time.seconds = 1_000_000, 1_000_590
        before = asyncio.get_running_loop().time()
        await server.history.patch_schedule(NAMESPACE, patch)
        await until(server, lambda seen: seen.info.action_count == 60)
        assert 28.0 <= asyncio.get_running_loop().time() - before <= 33.0
        assert observed.delayed >= 50
        await asyncio.sleep(100)
        described = await describe(server)
        assert (described.info.action_count, described.info.buffer_size) == (60, 0)

    run(scenario)


def test_a_start_that_waits_is_not_lost_with_its_server() -> None:
    async def scenario(world: World) -> None:
        server, _ = await _serve(world, 0.01)
        trigger = {"trigger_immediately": {}}
        await create(server, spec={}, initial_patch=trigger)
        await until(server, lambda seen: seen.info.action_count == 1)
        await asyncio.sleep(1)
        await create(server, "later", request_id="2", spec={}, initial_patch=trigger)
        assert (await describe(server, "later")).info.buffer_size == 1
        server.history.stop()
        later = await world.serve()
        await asyncio.sleep(99)
        assert (await describe(later, "later")).info.action_count == 1

    run(scenario)
