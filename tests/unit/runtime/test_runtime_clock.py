"""The clocks of a server and of tests."""

import time

from perdure.runtime.clock import SystemClock
from perdure.runtime.deterministic import ManualClock
from perdure.runtime.ports import Clock


def test_the_system_clock_tells_unix_nanoseconds() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns()
    now = clock.now()
    assert before <= now <= time.time_ns()


def test_the_monotonic_clock_never_goes_back() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1_000)]
    assert readings == sorted(readings)


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(wall_nanoseconds=5, monotonic_seconds=1.0)
    reading: Clock = clock
    assert (reading.now(), reading.monotonic()) == (5, 1.0)
    clock.advance(2.5)
    assert (reading.now(), reading.monotonic()) == (2_500_000_005, 3.5)
    clock.wall_nanoseconds = 1
    assert (reading.now(), reading.monotonic()) == (1, 3.5)
