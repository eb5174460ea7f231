"""A node's own lease, as the node itself measures it.

The store dates a renewal when it arrives, which is later than it was sent. The node counts from
the sending, and stops a margin early: so its lease is over before the store's clock says so.
"""

from math import inf

from perdure.runtime.ports import Clock


class Lease:
    """Says until when this node may serve what it owns from memory.

    Args:
        clock: Its monotonic clock must count the time that the machine sleeps.
        seconds: How long others wait after a renewal.
        margin_seconds: How much earlier the lease ends here.
    """

    __slots__ = ("_clock", "_length", "_valid_until")

    def __init__(self, *, clock: Clock, seconds: float, margin_seconds: float) -> None:
        assert 0.0 <= margin_seconds < seconds
        self._clock = clock
        self._length = seconds - margin_seconds
        self._valid_until = -inf

    def valid(self) -> bool:
        """Tells whether nobody else can have taken over yet."""
        return self._clock.monotonic() < self._valid_until

    def extend(self, sent: float) -> None:
        """A renewal that was sent at a time on the monotonic clock has succeeded."""
        self._valid_until = max(self._valid_until, sent + self._length)

    def end(self) -> None:
        """Gives the lease up."""
        self._valid_until = -inf
