"""Who polled a queue lately: bounded, by identity."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class PollerRecord(NamedTuple, Generic[T]):
    """The last poll of one identity: when (nanoseconds since the epoch), and its request."""

    last_access: int
    request: T


class PollerHistory(Generic[T]):
    """The last poll of each of the identities that polled last."""

    __slots__ = ("_capacity", "_records")

    def __init__(self, *, capacity: int) -> None:
        """Makes an empty history.

        Args:
            capacity: Of how many identities the last poll is kept.
        """
        self._capacity = capacity
        self._records: OrderedDict[str, PollerRecord[T]] = OrderedDict()

    def note(self, identity: str, now: int, request: T) -> None:
        """Notes a poll."""
        records = self._records
        records[identity] = PollerRecord(now, request)
        records.move_to_end(identity)
        if len(records) > self._capacity:
            records.popitem(last=False)

    def since(self, time: int) -> list[tuple[str, PollerRecord[T]]]:
        """Returns identities and their last polls at or after a time, newest first."""
        recent = [item for item in self._records.items() if item[1].last_access >= time]
        return recent[::-1]
