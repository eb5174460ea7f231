"""Keeps the material that is in use up to date with its files.

Theory of operation: every second the files' stamps are compared with those at the last reading,
and whatever lies behind a path is part of its stamp: a folder that is swapped by its symbolic link
changes them all at once. A change, or the refresh interval, has everything read and checked as a
whole, in a thread. What is sound takes the place of the old material, in one assignment that ports
see at their next handshake; what is not changes nothing, and is tried again until it is sound.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from perdure.config import convert
from perdure.config.tls import ServerTls, Tls
from perdure.rpc.tls.certificates import from_nanoseconds
from perdure.rpc.tls.files import BrokenFilesError, Stamp, stamp
from perdure.rpc.tls.loading import load, paths
from perdure.rpc.tls.material import Material
from perdure.runtime.ports import Clock

LOOK_SECONDS: Final = 1.0
"""How soon a change is seen."""
RETRY_SECONDS: Final = 15.0
"""How soon broken files are read again though they look unchanged."""


class ReloadObserver(Protocol):
    """Told of every reading of changed files."""

    def reloaded(self, material: Material, *, changed: bool) -> None:
        """The files are sound; `changed` says whether they say something else than before."""
        ...

    def refused(self, error: BrokenFilesError) -> None:
        """The files are not sound: what was read before stays in use."""
        ...


class TlsFiles:
    """The material that is in use.

    Attributes:
        current: What ports and connections are to use; replaced as a whole, from the loop's thread.
    """

    def __init__(
        self, tls: Tls, metrics: ServerTls, *, clock: Clock, observer: ReloadObserver
    ) -> None:
        """Reads the files for the first time.

        Args:
            tls: The section `global.tls`.
            metrics: The section `metrics.tls`.
            clock: Says whether a certificate is valid.
            observer: Told of readings; of this one too, if the files are sound.

        Raises:
            BrokenFilesError: They are not sound.
        """
        self._tls = tls
        self._metrics = metrics
        self._clock = clock
        self._observer = observer
        self._paths = paths(tls, metrics)
        self._refresh_seconds = convert.seconds(tls.refresh_interval)
        self._subscribers: list[Callable[[Material], None]] = []
        self._stamps = self._stamps_now()
        self._sound = True
        self._read_at = clock.monotonic()
        self.current = self._load()
        observer.reloaded(self.current, changed=True)

    def subscribe(self, changed: Callable[[Material], None]) -> None:
        """Has a function called, on the loop, whenever the material is another."""
        self._subscribers.append(changed)

    async def follow(self) -> None:
        """Looks at the files every so often, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Reads the files, if they have changed or it is time to."""
        stamps = await asyncio.to_thread(self._stamps_now)
        if stamps == self._stamps and not self._due():
            return
        self._stamps = stamps
        self._read_at = self._clock.monotonic()
        try:
            material = await asyncio.to_thread(self._load)
        except BrokenFilesError as error:
            self._sound = False
            # Files that were being replaced meanwhile are looked at again before anybody is told.
            if await asyncio.to_thread(self._stamps_now) == stamps:
                self._observer.refused(error)
            return
        self._sound = True
        changed = material != self.current
        if changed:
            self.current = material
            for subscriber in self._subscribers:
                subscriber(material)
        self._observer.reloaded(material, changed=changed)

    def _due(self) -> bool:
        passed = self._clock.monotonic() - self._read_at
        if not self._sound:
            return passed >= RETRY_SECONDS
        return 0 < self._refresh_seconds <= passed

    def _load(self) -> Material:
        return load(self._tls, self._metrics, now=from_nanoseconds(self._clock.now()))

    def _stamps_now(self) -> Sequence[Stamp]:
        return [stamp(path) for path in self._paths]
