"""The simulated machines' clocks."""

import asyncio

EPOCH_NANOSECONDS = 1_700_000_000_000_000_000


class SimulatedClock:
    """A `Clock` over the virtual time of a loop; its wall clock can be set wrong.

    Attributes:
        offset_nanoseconds: How far the wall clock is from the true (virtual) time.
    """

    __slots__ = ("_loop", "_rate", "_since_boot", "offset_nanoseconds")

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, since_boot: float = 0.0, rate: float = 1.0
    ) -> None:
        """Makes a clock.

        Args:
            loop: Has the true time.
            since_boot: What the monotonic clock shows when the simulation begins, in seconds.
            rate: How fast the monotonic clock runs; 1 is right.
        """
        self.offset_nanoseconds = 0
        self._loop = loop
        self._since_boot = since_boot
        self._rate = rate

    def now(self) -> int:
        """Returns nanoseconds since the Unix epoch, as the wall clock has it."""
        return self.true_time() + self.offset_nanoseconds

    def true_time(self) -> int:
        """Returns nanoseconds since the Unix epoch, as they are."""
        return EPOCH_NANOSECONDS + round(self._loop.time() * 1e9)

    def monotonic(self) -> float:
        """Returns seconds since the machine was booted."""
        return self._since_boot + self._loop.time() * self._rate
