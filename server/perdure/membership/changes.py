"""What this node did to the shard table, until its readings of the table show it.

A reading may have been made before a change that was answered first, or that is on its way.
Rules that hold here: a shard's epoch only rises, and under one epoch it can only become nobody's.
So of two states of a shard it is always known which is the newer.
"""

from collections.abc import Iterable

from perdure.persistence.ports import Shard


class OwnChanges:
    """The newest known states of shards that this node took or released."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[tuple[int, int], Shard] = {}

    def note(self, shard: Shard) -> None:
        """A shard was taken, or is about to be released and nobody's from now on."""
        known = self._changes.get(_range(shard))
        if known is None or _version(shard) > _version(known):
            self._changes[_range(shard)] = shard

    def overlay(self, shards: Iterable[Shard]) -> list[Shard]:
        """Returns shards with the changes that they do not show yet."""
        return [_newer(shard, self._changes.get(_range(shard))) for shard in shards]

    def settle(self, reading: Iterable[Shard]) -> list[Shard]:
        """Forgets the changes that a reading shows, and those of ranges that exist no more.

        Returns the shards that the store still says are owned although they were released: those
        releases have not got through.
        """
        unfinished = []
        unsettled: dict[tuple[int, int], Shard] = {}
        for shard in reading:
            change = self._changes.get(_range(shard))
            if change is not None and _version(change) > _version(shard):
                unsettled[_range(shard)] = change
                if change.epoch == shard.epoch:
                    unfinished.append(shard)
        self._changes = unsettled
        return unfinished

    def clear(self) -> None:
        """Forgets everything: the node that did it is gone."""
        self._changes.clear()


def _range(shard: Shard) -> tuple[int, int]:
    return shard.first_slot, shard.last_slot


def _version(shard: Shard) -> tuple[int, bool]:
    return shard.epoch, not shard.owner


def _newer(shard: Shard, change: Shard | None) -> Shard:
    return change if change is not None and _version(change) > _version(shard) else shard
