"""The virtual loop: time, order, processes, and what it refuses."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from simulation.clock import SimulatedClock
from simulation.loop import Process, SimulatedLoop, SimulationError


def test_time_jumps_to_the_next_timer(loop: SimulatedLoop) -> None:
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.time()))

    async def main() -> None:
        await asyncio.gather(sleeper("long", 86_400), sleeper("short", 0.25))

    loop.run_until_complete(main())
    assert seen == [("short", 0.25), ("long", 86_400.0)]


def test_timers_of_one_moment_run_in_the_order_they_were_set(loop: SimulatedLoop) -> None:
    seen: list[int] = []

    async def main() -> None:
        for number in range(5):
            loop.call_later(1, seen.append, number)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert seen == [0, 1, 2, 3, 4]


def test_timeouts_are_virtual(loop: SimulatedLoop) -> None:
    async def main() -> None:
        async with asyncio.timeout(3_600):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        loop.run_until_complete(main())
    assert loop.time() == 3_600


def test_the_clock_follows_the_loop_and_can_be_set_wrong(loop: SimulatedLoop) -> None:
    clock = SimulatedClock(loop=loop)
    start = clock.now()
    loop.run_until_complete(asyncio.sleep(1.5))
    assert clock.now() - start == 1_500_000_000
    clock.offset_nanoseconds = -2_000_000_000
    assert clock.now() - start == -500_000_000
    assert clock.true_time() - start == 1_500_000_000
    assert clock.monotonic() == 1.5


def _interleaving(seed: int, reorder_probability: float) -> list[int]:
    loop = SimulatedLoop(generator=random.Random(seed), reorder_probability=reorder_probability)
    seen: list[int] = []

    async def worker(number: int) -> None:
        for _ in range(4):
            seen.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(worker(number) for number in range(4)))

    loop.run_until_complete(main())
    loop.close()
    return seen


def test_the_generator_decides_the_order_of_tasks() -> None:
    assert _interleaving(1, 0.5) == _interleaving(1, 0.5)
    assert len({tuple(_interleaving(seed, 0.5)) for seed in range(10)}) > 5
    assert _interleaving(1, 0.0) == [0, 1, 2, 3] * 4


def test_a_killed_process_never_runs_again(loop: SimulatedLoop) -> None:
    process = Process("node")
    seen: list[str] = []

    async def program() -> None:
        try:
            loop.call_later(2, seen.append, "timer")
            await asyncio.create_task(asyncio.sleep(2))
            seen.append("woke up")
        finally:
            seen.append("cleaned up")

    async def main() -> None:
        loop.create_task(program(), context=process.context())
        await asyncio.sleep(1)
        process.alive = False
        await asyncio.sleep(9)

    loop.run_until_complete(main())
    assert seen == []


def test_closing_ends_tasks_that_await_while_they_clean_up() -> None:
    loop = SimulatedLoop(generator=random.Random(1))
    seen: list[str] = []

    async def program() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            seen.append("never")

    async def main() -> None:
        loop.create_task(program())
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    loop.close()
    assert seen == []


def test_waiting_for_ever_is_an_error(loop: SimulatedLoop) -> None:
    with pytest.raises(SimulationError, match="waits for ever"):
        loop.run_until_complete(asyncio.Event().wait())


def test_spinning_is_an_error(loop: SimulatedLoop) -> None:
    def spin() -> None:
        loop.call_soon(spin)

    loop.call_soon(spin)
    with pytest.raises(SimulationError, match="time stands still"):
        loop.run_until_complete(asyncio.sleep(1))


def test_an_exception_that_nobody_catches_ends_the_run(loop: SimulatedLoop) -> None:
    missing: dict[str, int] = {}

    async def main() -> None:
        loop.call_later(1, missing.__getitem__, "missing")
        await asyncio.sleep(2)

    with pytest.raises(KeyError, match="missing"):
        loop.run_until_complete(main())
    assert loop.time() == 1


def test_sets_of_tasks_iterate_in_order_of_creation(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        tasks = {asyncio.create_task(asyncio.sleep(1), name=f"{each:02}") for each in range(40)}
        names = [task.get_name() for task in tasks]
        await asyncio.wait(tasks)
        return names

    names = loop.run_until_complete(main())
    assert sorted(names) == sorted(set(names))
    other = SimulatedLoop(generator=random.Random(2))
    assert other.run_until_complete(main()) == names
    other.close()


@pytest.mark.parametrize(
    "refused",
    [
        lambda: asyncio.to_thread(int),
        lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
        lambda: asyncio.open_connection("localhost", 1),
    ],
)
def test_threads_and_io_are_refused(
    loop: SimulatedLoop, refused: Callable[[], Awaitable[Any]]
) -> None:
    async def main() -> None:
        await refused()

    with pytest.raises(NotImplementedError):
        loop.run_until_complete(main())


def test_a_stopped_process_runs_nothing_and_then_all_in_order(loop: SimulatedLoop) -> None:
    process = Process("stopped")
    ran: list[tuple[int, float]] = []

    def run(number: int) -> None:
        ran.append((number, loop.time()))

    async def main() -> None:
        context = process.context()
        for number in (1, 2, 3):
            loop.call_later(number, run, number, context=context)
        await asyncio.sleep(1.5)
        process.stopped_until = 10.0
        await asyncio.sleep(5)
        assert ran == [(1, 1.0)]
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert ran == [(1, 1.0), (2, 10.0), (3, 10.0)]


def test_a_stopped_process_may_be_killed(loop: SimulatedLoop) -> None:
    process = Process("stopped")
    ran: list[float] = []

    async def main() -> None:
        loop.call_later(2, lambda: ran.append(loop.time()), context=process.context())
        process.stopped_until = 5.0
        await asyncio.sleep(3)
        process.alive = False
        await asyncio.sleep(5)

    loop.run_until_complete(main())
    assert ran == []
