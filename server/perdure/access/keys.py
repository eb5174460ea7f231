"""The keys that tokens are verified with: fetched, kept fresh, and none lost when a source is away.

Theory of operation: each source is read by itself, and its last good keys stay while it cannot be.
All are read when the server starts, then every `refresh_seconds`. A token with a key that is not
known makes one read at once for all who ask meanwhile, as after a rotation, but not more often than
every `UNKNOWN_SECONDS`: tokens are what strangers write.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from perdure.access import jwks
from perdure.access.jwks import Keys, KeySet, PublicKey
from perdure.access.observer import AccessObserver
from perdure.access.sources import Fetch, SourceError
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.logging import get_logger

UNKNOWN_SECONDS: Final = 10.0


class KeyRing:
    """Public keys from some sources."""

    def __init__(
        self,
        *,
        sources: Sequence[str],
        fetch: Fetch,
        clock: Clock,
        observer: AccessObserver,
        tasks: TaskSet,
    ) -> None:
        """Makes a ring without keys.

        Args:
            sources: URIs of key sets; where two have a key of one id, the later one's counts.
            fetch: Reads them.
            clock: Its monotonic clock bounds how often they are read.
            observer: Told of reads and keys.
            tasks: Where sources are read.
        """
        self._by_source: dict[str, KeySet] = dict.fromkeys(sources, jwks.EMPTY)
        self._keys: Keys = {}
        self._fetch = fetch
        self._clock = clock
        self._observer = observer
        self._tasks = tasks
        self._log = get_logger("authorization")
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._changed: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Returns how many keys there are."""
        return len(self._keys)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Has something called whenever keys come or go."""
        self._changed.append(changed)

    async def find(self, algorithm: str, name: str) -> PublicKey | None:
        """Returns the key of an id, for an algorithm; None when no source has it."""
        key = self._keys.get((algorithm, name))
        if key is None and self._may_read():
            await self.refresh()
            key = self._keys.get((algorithm, name))
        return key

    async def refresh(self) -> None:
        """Reads all sources, once for all who ask at the same time."""
        if self._reading is None:
            self._reading = self._tasks.spawn("read-keys", self._read())
            self._reading.add_done_callback(self._read_ended)
        # One caller going away must not take the answer from the others.
        await asyncio.shield(self._reading)

    async def keep_fresh(self, refresh_seconds: float) -> None:
        """Reads all sources at this interval, for ever."""
        while True:
            await asyncio.sleep(refresh_seconds)
            await self.refresh()

    def _may_read(self) -> bool:
        waited = self._clock.monotonic() - self._read_at
        return self._reading is not None or waited >= UNKNOWN_SECONDS

    async def _read(self) -> None:
        # Before the sources answer: slow ones are not asked more often for that.
        self._read_at = self._clock.monotonic()
        await asyncio.gather(*(self._read_one(source) for source in self._by_source))
        keys: dict[tuple[str, str], PublicKey] = {}
        for of_source in self._by_source.values():
            keys.update(of_source.keys)
        if keys != self._keys:
            self._keys = keys
            self._log.info("keys of tokens have changed", keys=sorted(name for _, name in keys))
            for changed in self._changed:
                changed()
        self._observer.keys_known(len(keys))

    async def _read_one(self, source: str) -> None:
        known = self._by_source[source]
        try:
            read = jwks.parse(await self._fetch(source))
        except SourceError as error:
            self._log.error(
                "cannot read keys of tokens: those read before stay",
                source=source,
                reason=str(error),
                kept=len(known.keys),
            )
            self._observer.keys_read(succeeded=False)
        else:
            if read.left_out - known.left_out:
                self._log.warning(
                    "some keys cannot verify tokens here: RS256 of 2048 bits and ES256 can",
                    source=source,
                    keys=sorted(read.left_out),
                )
            self._by_source[source] = read
            self._observer.keys_read(succeeded=True)

    def _read_ended(self, _reading: asyncio.Task[None]) -> None:
        self._reading = None
