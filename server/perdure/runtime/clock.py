"""The machine's clocks.

Rules that hold here: event times come from the wall clock, which may jump; durations that decide
who owns what (leases) come from a clock that counts through suspension and never goes back.
"""

import time


class SystemClock:
    """The `Clock` of a running server."""

    __slots__ = ()

    now = staticmethod(time.time_ns)
    """Returns nanoseconds since the Unix epoch."""

    @staticmethod
    def monotonic() -> float:
        """Returns seconds since the machine was booted, time asleep included."""
        return time.clock_gettime(_BOOT_CLOCK)


stopwatch = time.perf_counter
"""Returns seconds, for durations that are only reported: nothing may be decided by it.

A loop's own clock counts whole milliseconds where uvloop keeps it.
"""

# A suspended machine must notice that its leases have expired; CLOCK_MONOTONIC stands still then.
_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
