"""The simulated machine's clocks."""

import asyncio

EPOCH_NANOSECONDS = 1_700_000_000_000_000_000


class SimulatedClock:
    """A `Clock` over the virtual time of a loop; its wall clock can be set wrong.

    Attributes:
        offset_nanoseconds: How far the wall clock is from the true (virtual) time.
    """

    __slots__ = ("_loop", "offset_nanoseconds")

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.offset_nanoseconds = 0

    def now(self) -> int:
        """Returns nanoseconds since the Unix epoch, as the wall clock has it."""
        return self.true_time() + self.offset_nanoseconds

    def true_time(self) -> int:
        """Returns nanoseconds since the Unix epoch, as they are."""
        return EPOCH_NANOSECONDS + round(self._loop.time() * 1e9)

    def monotonic(self) -> float:
        """Returns virtual seconds since the simulation began."""
        return self._loop.time()
