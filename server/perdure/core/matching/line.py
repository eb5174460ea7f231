"""Who waits, first come first served, with a place to come back to.

Theory of operation: a heap ordered by the number that a waiter gets when it first joins. One that
is taken and then not needed joins again at its old place. One that leaves stays in the heap,
marked, until it comes to the top or such remains outnumber the living; so every operation is
O(log n).
"""

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Waiter(Protocol):
    """What can stand in a line.

    Attributes:
        place: Its number, 0 until it first joins; the line sets it.
        in_line: Whether it stands in the line now; the line sets it.
    """

    place: int
    in_line: bool


T = TypeVar("T", bound=Waiter)

_REMAINS_TOLERATED = 32


class WaitingLine(Generic[T]):
    """Waiters in order of arrival."""

    __slots__ = ("_count", "_heap", "_last_place")

    def __init__(self) -> None:
        self._heap: list[tuple[int, T]] = []
        self._count = 0
        self._last_place = 0

    def __len__(self) -> int:
        """Returns how many stand in the line."""
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Goes through those who stand in the line, in no particular order."""
        return iter([waiter for _, waiter in self._heap if waiter.in_line])

    def join(self, waiter: T) -> None:
        """Puts a newcomer at the end, and one who was taken back to its old place."""
        assert not waiter.in_line
        if waiter.place == 0:
            self._last_place += 1
            waiter.place = self._last_place
        waiter.in_line = True
        self._count += 1
        heapq.heappush(self._heap, (waiter.place, waiter))

    def first(self) -> T | None:
        """Returns the one who has waited longest, who stays in the line."""
        while self._heap:
            waiter = self._heap[0][1]
            if waiter.in_line:
                return waiter
            heapq.heappop(self._heap)
        return None

    def take(self) -> T | None:
        """Takes the one who has waited longest out of the line."""
        while self._heap:
            waiter = heapq.heappop(self._heap)[1]
            if waiter.in_line:
                waiter.in_line = False
                self._count -= 1
                return waiter
        return None

    def leave(self, waiter: T) -> None:
        """Takes out one who does not come back."""
        assert waiter.in_line
        waiter.in_line = False
        self._count -= 1
        if len(self._heap) > 2 * self._count + _REMAINS_TOLERATED:
            self._heap = [entry for entry in self._heap if entry[1].in_line]
            heapq.heapify(self._heap)
