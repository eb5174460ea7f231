"""Highest-random-weight hashing: everyone who knows the candidates names the same owner of a key.

A candidate that leaves moves only its own keys, and one that joins takes only what is its own then.
The weights are part of the cluster's protocol: nodes of different releases must agree on them.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_WEIGHT_BYTES: Final = 8
_MOST_CACHED: Final = 20_000
"""About 200 bytes each."""


def weight(key: str, candidate: str) -> int:
    """Returns how strongly a candidate claims a key."""
    digest = blake2b(f"{candidate}\0{key}".encode(), digest_size=_WEIGHT_BYTES).digest()
    return int.from_bytes(digest, "big")


def owner(key: str, candidates: Iterable[str]) -> str | None:
    """Returns the candidate that claims a key most strongly; None when there is no candidate."""
    return max(candidates, key=lambda candidate: (weight(key, candidate), candidate), default=None)


class Rendezvous:
    """The owners of keys among fixed candidates, remembered.

    Attributes:
        candidates: Their names, sorted.
    """

    __slots__ = ("_owners", "candidates")

    def __init__(self, candidates: Iterable[str]) -> None:
        self.candidates = tuple(sorted(candidates))
        self._owners: dict[tuple[str | int, ...], str | None] = {}

    def owner(self, key: tuple[str | int, ...]) -> str | None:
        """Returns the owner of a key that has several parts."""
        try:
            return self._owners[key]
        except KeyError:
            text = "\0".join(part if isinstance(part, str) else f"{part:d}" for part in key)
            if len(self._owners) >= _MOST_CACHED:
                self._owners.clear()
            found = self._owners[key] = owner(text, self.candidates)
            return found
