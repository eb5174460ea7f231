"""Time, ids and randomness as arguments: what the rest of the code sees of the outside world.

`runtime/` is the only door: a simulation hands out other implementations and replays a run from
one seed. Sleeping and timeouts go through the asyncio loop, whose clock a simulation replaces.
"""

from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> int:
        """Returns nanoseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Returns seconds on a clock that never goes back."""
        ...


class Ids(Protocol):
    """Makes identifiers that nobody else makes."""

    def run_id(self) -> str:
        """Returns a UUIDv7: sorts by creation time."""
        ...

    def request_id(self) -> str:
        """Returns a random UUIDv4."""
        ...

    def nonce(self) -> str:
        """Returns 16 random hexadecimal digits."""
        ...

    def random(self) -> float:
        """Returns a number in [0, 1), for jitter."""
        ...
