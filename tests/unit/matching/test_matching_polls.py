"""Polls: what they get, when they end, and what becomes of their task when they vanish."""

import asyncio

import pytest

from perdure.core.commit import DispatchTask
from perdure.core.errors import UnavailableError
from perdure.matching.polling import EMPTY
from perdure.matching.settings import MatchingSettings
from perdure.rpc.clients import Encoded
from unit.matching.world import ACTIVITIES, WORKFLOWS, World, response_to, run, settle, task_of


def test_a_poller_that_waits_gets_the_task_that_comes() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        world.commit(task_of(1))
        assert await poll == response_to(task_of(1))
        assert world.engine.statistics()[0].backlog_count == 0

    run(scenario)


def test_a_task_that_came_first_waits_for_a_poller_of_its_type() -> None:
    async def scenario(world: World) -> None:
        await world.waiting_poll()
        other = await world.waiting_poll(ACTIVITIES)
        world.commit(task_of(1), task_of(2), task_of(3, queue=ACTIVITIES))
        assert await world.poll() == response_to(task_of(2))
        assert await other == response_to(task_of(3))

    run(scenario)


def test_pollers_are_served_in_the_order_they_came() -> None:
    async def scenario(world: World) -> None:
        polls = [await world.waiting_poll() for _ in range(3)]
        for number in (1, 2, 3):
            world.commit(task_of(number))
        expected = [response_to(task_of(number)) for number in (1, 2, 3)]
        assert await asyncio.gather(*polls) == expected

    run(scenario)


def test_a_poll_without_a_task_ends_empty_in_time() -> None:
    async def scenario(world: World) -> None:
        short, long = world.poll(seconds=3), world.poll(seconds=1_000)
        assert await short == EMPTY
        assert world.loop.time() == 3
        assert await long == EMPTY
        assert world.loop.time() == 60
        assert world.engine.statistics()[0].pending_polls == 0

    run(scenario)


def test_a_stale_task_is_dropped_and_the_next_one_taken() -> None:
    async def scenario(world: World) -> None:
        poll = await world.waiting_poll()
        world.engine.add_tasks([task_of(1)])
        world.commit(task_of(2))
        assert await poll == response_to(task_of(2))
        assert world.history.attempts == 2

    run(scenario)


def test_rows_that_an_earlier_process_left_are_read_on_load() -> None:
    async def scenario(world: World) -> None:
        world.rows.write(*[task_of(number) for number in range(1, 8)])
        polls = [world.poll() for _ in range(7)]
        responses = await asyncio.gather(*polls)
        assert sorted(responses) == [response_to(task_of(number)) for number in range(1, 8)]
        assert world.loop.time() < 1

    run(scenario, settings=MatchingSettings(held_tasks_per_queue=4, page_size=2))


def test_a_task_whose_hint_was_lost_is_found_while_a_poller_waits() -> None:
    async def scenario(world: World) -> None:
        poll = world.poll()
        await asyncio.sleep(0.5)
        world.rows.write(task_of(1))
        assert await poll == response_to(task_of(1))
        assert world.loop.time() < 1.2

    run(scenario)


def test_reads_become_seldom_and_do_not_depend_on_the_number_of_pollers() -> None:
    async def scenario(world: World) -> None:
        for _ in range(10):
            await asyncio.gather(*[world.poll() for _ in range(50)])
        assert world.loop.time() == 600
        assert len(world.rows.reads) < 30

    run(scenario)


def test_nothing_is_read_when_nobody_polls() -> None:
    async def scenario(world: World) -> None:
        world.commit(task_of(1))
        assert await world.poll() == response_to(task_of(1))
        reads = len(world.rows.reads)
        await asyncio.sleep(250)
        assert len(world.rows.reads) == reads

    run(scenario)


def test_a_full_memory_forgets_and_reads_again() -> None:
    async def scenario(world: World) -> None:
        await world.waiting_poll()
        world.commit(*[task_of(number) for number in range(1, 101)])
        for number in range(2, 101):
            assert await world.poll() == response_to(task_of(number))
        assert len(set(world.history.started)) == 100

    run(scenario, settings=MatchingSettings(held_tasks_per_queue=10, page_size=5))


def test_while_the_store_fails_reads_are_rare_and_hints_still_work() -> None:
    async def scenario(world: World) -> None:
        world.rows.failing = lambda: True
        polls = [world.poll(), world.poll()]
        await asyncio.sleep(20)
        assert len(world.rows.reads) < 10
        world.commit(task_of(1))
        world.rows.write(task_of(2))
        world.rows.failing = lambda: False
        assert sorted(await asyncio.gather(*polls)) == [
            response_to(task_of(1)),
            response_to(task_of(2)),
        ]

    run(scenario)


def test_a_bug_in_the_store_is_reported_and_does_not_stop_reading() -> None:
    async def scenario(world: World) -> None:
        def crash() -> bool:
            raise ZeroDivisionError

        world.rows.failing = crash
        poll = world.poll()
        await asyncio.sleep(0.5)
        assert [name for name, _ in world.errors] == ["read queue", "look at partitions of queue"]
        world.errors.clear()
        world.rows.failing = lambda: False
        world.rows.write(task_of(1))
        assert await poll == response_to(task_of(1))

    run(scenario)


def test_when_history_does_not_answer_the_task_is_kept_without_a_busy_loop() -> None:
    async def scenario(world: World) -> None:
        polls = [world.poll() for _ in range(3)]
        await settle()
        world.history.refuse = lambda _: world.loop.time() < 10
        world.commit(task_of(1))
        done, pending = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        assert [await poll for poll in done] == [response_to(task_of(1))]
        assert world.loop.time() < 15
        assert world.history.attempts < 100
        assert len(pending) == 2

    run(scenario)


def test_one_task_that_always_fails_does_not_hold_up_others() -> None:
    async def scenario(world: World) -> None:
        world.history.refuse = lambda task: task.key.task_id == 1
        world.rows.write(*[task_of(number) for number in range(1, 21)])
        for _ in range(19):
            assert await world.poll() != EMPTY
        assert world.loop.time() < 10
        assert await world.poll() == EMPTY
        assert list(world.rows.tasks) == [task_of(1).key]

    run(scenario)


def test_a_bug_in_history_reaches_the_caller_and_loses_nothing() -> None:
    async def scenario(world: World) -> None:
        async def crash(task: DispatchTask) -> None:
            raise ZeroDivisionError

        world.history.before = crash
        poll = await world.waiting_poll()
        world.commit(task_of(1))
        with pytest.raises(ZeroDivisionError):
            await poll
        world.history.before = None
        assert await world.poll() == response_to(task_of(1))

    run(scenario)


def test_a_poll_that_vanishes_while_it_waits_takes_no_task() -> None:
    async def scenario(world: World) -> None:
        gone, stays = await world.waiting_poll(), await world.waiting_poll()
        gone.cancel()
        world.commit(task_of(1))
        assert await stays == response_to(task_of(1))
        assert gone.cancelled()

    run(scenario)


def test_a_poll_that_vanishes_just_after_the_match_gives_the_task_back() -> None:
    async def scenario(world: World) -> None:
        gone, stays = await world.waiting_poll(), await world.waiting_poll()
        world.commit(task_of(1))
        gone.cancel()
        assert await stays == response_to(task_of(1))
        assert world.history.attempts == 1

    run(scenario)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_poll_that_vanishes_during_the_start_is_undone_and_offered_again(recorded: bool) -> None:
    async def scenario(world: World) -> None:
        async def hang(_: DispatchTask) -> None:
            await asyncio.sleep(30)

        if recorded:
            world.history.after = hang
        else:
            world.history.before = hang
        gone = await world.waiting_poll()
        world.commit(task_of(1))
        await settle()
        world.history.before = world.history.after = None
        stays = await world.waiting_poll()
        gone.cancel()
        assert await stays == response_to(task_of(1))
        assert world.history.undone == (["workflow-1"] if recorded else [])
        assert world.history.started == ["workflow-1"]

    run(scenario)


def test_closing_waits_until_a_vanished_start_is_undone() -> None:
    async def scenario(world: World) -> World:
        async def hang(_: DispatchTask) -> None:
            await asyncio.sleep(30)

        world.history.after = hang
        gone = await world.waiting_poll()
        world.commit(task_of(1))
        await settle()
        gone.cancel()
        await settle()
        return world

    assert run(scenario).history.undone == ["workflow-1"]


def test_closing_ends_polls_empty_and_refuses_new_ones() -> None:
    async def scenario(world: World) -> None:
        polls = [await world.waiting_poll() for _ in range(3)]
        await world.engine.close()
        assert await asyncio.gather(*polls) == [EMPTY] * 3
        with pytest.raises(UnavailableError):
            await world.poll()

    run(scenario)


def test_a_worker_that_shuts_down_has_its_own_polls_ended() -> None:
    async def scenario(world: World) -> None:
        workflow = await world.waiting_poll(key="leaves")
        activity = await world.waiting_poll(ACTIVITIES, key="leaves")
        other, anonymous = await world.waiting_poll(key="stays"), await world.waiting_poll()
        assert await world.engine.cancel_polls(WORKFLOWS.namespace_id, "queue", "leaves") == 2
        assert await world.engine.cancel_polls(WORKFLOWS.namespace_id, "queue", "") == 0
        assert await workflow == EMPTY
        assert await activity == EMPTY
        assert world.loop.time() == 0
        world.commit(task_of(1), task_of(2))
        assert {await other, await anonymous} == {response_to(task_of(n)) for n in (1, 2)}

    run(scenario)


def test_an_idle_queue_leaves_memory_and_comes_back() -> None:
    async def scenario(world: World) -> None:
        assert await world.poll(seconds=1) == EMPTY
        world.commit(task_of(1))
        assert world.engine.has_recent_poller(WORKFLOWS)
        await asyncio.sleep(11)
        assert not world.engine.has_recent_poller(WORKFLOWS)
        await asyncio.sleep(270)
        assert len(world.engine.statistics()) == 1
        await asyncio.sleep(60)
        assert world.engine.statistics() == []
        assert await world.poll() == response_to(task_of(1))

    run(scenario)


def test_a_queue_with_a_waiting_poller_stays_in_memory() -> None:
    async def scenario(world: World) -> None:
        poll = world.poll(seconds=1_000)
        await asyncio.sleep(1)
        assert world.engine.has_recent_poller(WORKFLOWS)
        assert await poll == EMPTY
        await asyncio.sleep(11)
        assert world.engine.statistics() == []

    run(scenario, settings=MatchingSettings(idle_unload=5, long_poll_expiration=1_000))


def test_a_rate_that_workers_set_is_kept_across_hints_rows_and_reservations() -> None:
    async def scenario(world: World) -> None:
        def limited_poll() -> asyncio.Task[Encoded]:
            return world.poll(ACTIVITIES, tasks_per_second=2)

        polls = [limited_poll() for _ in range(3)]
        await settle()
        world.rows.write(*[task_of(number, queue=ACTIVITIES) for number in range(1, 11)])
        world.commit(*[task_of(number, queue=ACTIVITIES) for number in range(11, 16)])
        started: list[float] = []
        while len(started) < 15:
            done, _ = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
            polls = [poll for poll in polls if poll not in done]
            polls += [limited_poll() for _ in done]
            started += [world.loop.time() for poll in done if poll.result()]
            assert world.engine.reserve(ACTIVITIES) is None
        assert started[1] < 0.1, "a burst of one second's worth"
        assert 6 <= started[-1] < 7.5
        assert len(world.rows.reads) < 30

    run(scenario, settings=MatchingSettings(held_tasks_per_queue=4, page_size=2))


def test_a_limit_that_is_lifted_lets_waiting_pollers_go_on() -> None:
    async def scenario(world: World) -> None:
        stopped = world.poll(ACTIVITIES, tasks_per_second=0)
        await settle()
        world.commit(task_of(1, queue=ACTIVITIES), task_of(2, queue=ACTIVITIES))
        await asyncio.sleep(10)
        assert world.history.attempts == 0
        both = await asyncio.gather(stopped, world.poll(ACTIVITIES, tasks_per_second=1_000))
        assert world.loop.time() < 10.1
        assert len(set(both)) == 2

    run(scenario)


def test_a_reservation_that_is_released_costs_nothing_of_the_rate() -> None:
    async def scenario(world: World) -> None:
        poll = world.poll(ACTIVITIES, tasks_per_second=1)
        await settle()
        for _ in range(5):
            reservation = world.engine.reserve(ACTIVITIES)
            assert reservation is not None
            reservation.release()
        world.commit(task_of(1, queue=ACTIVITIES))
        assert await poll == response_to(task_of(1))
        assert world.loop.time() < 0.1

    run(scenario)
