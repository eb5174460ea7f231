"""Clock and identifiers that depend on nothing but their arguments: for simulations and tests."""

import random

from perdure.runtime.ids import uuid_v4, uuid_v7
from perdure.runtime.ports import Clock

_NANOSECONDS_PER_MILLISECOND = 1_000_000
_TAIL_BITS = 74


class ManualClock:
    """A `Clock` that stands still until it is told otherwise.

    Attributes:
        wall_nanoseconds: What `now` returns; may be set to anything, also back.
        monotonic_seconds: What `monotonic` returns.
    """

    __slots__ = ("monotonic_seconds", "wall_nanoseconds")

    def __init__(
        self, *, wall_nanoseconds: int = 1_700_000_000_000_000_000, monotonic_seconds: float = 0.0
    ) -> None:
        self.wall_nanoseconds = wall_nanoseconds
        self.monotonic_seconds = monotonic_seconds

    def now(self) -> int:
        """Returns nanoseconds since the Unix epoch."""
        return self.wall_nanoseconds

    def monotonic(self) -> float:
        """Returns seconds on a clock that never goes back."""
        return self.monotonic_seconds

    def advance(self, seconds: float) -> None:
        """Lets time pass on both clocks."""
        assert seconds >= 0, "a monotonic clock never goes back"
        self.wall_nanoseconds += round(seconds * 1e9)
        self.monotonic_seconds += seconds


class SeededIds:
    """`Ids` that come from one generator: the same seed and clock give the same identifiers."""

    __slots__ = ("_clock", "_generator", "_milliseconds")

    def __init__(self, *, generator: random.Random, clock: Clock) -> None:
        self._generator = generator
        self._clock = clock
        self._milliseconds = 0

    def run_id(self) -> str:
        """Returns a UUIDv7 that never sorts before an earlier millisecond's."""
        now = self._clock.now() // _NANOSECONDS_PER_MILLISECOND
        self._milliseconds = max(self._milliseconds + 1, now)
        return uuid_v7(self._milliseconds, self._generator.getrandbits(_TAIL_BITS))

    def request_id(self) -> str:
        """Returns a random UUIDv4."""
        return uuid_v4(self._generator.getrandbits(128))

    def nonce(self) -> str:
        """Returns 16 random hexadecimal digits."""
        return f"{self._generator.getrandbits(64):016x}"

    def random(self) -> float:
        """Returns a number in [0, 1)."""
        return self._generator.random()
