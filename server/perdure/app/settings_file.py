"""Follows the file of settings that may change while the server runs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from perdure.config import dynamic
from perdure.config.errors import ConfigError
from perdure.config.settings import SETTINGS, Values
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.logging import get_logger

Apply = Callable[[Values], None]


class SettingsFile:
    """Reads the file again whenever it changes, and has the settings that can be changed change.

    A file with a mistake in it changes nothing: it is said in the log, once for each change of the
    file, and counted.
    """

    def __init__(
        self, path: Path, *, started: Values, beneath: Values, metrics: Metrics, apply: Apply
    ) -> None:
        """Makes it; `follow` begins.

        Args:
            path: The file.
            started: What it said when the server started.
            beneath: What holds where it says nothing.
            metrics: Where readings are counted.
            apply: Takes over what a new reading says.
        """
        self._path = path
        self._started = started
        self._current = started
        self._beneath = beneath
        self._readings = metrics.counter(catalogue.SETTINGS_READ)
        self._apply = apply
        self._log = get_logger("settings")
        self._seen = _stamp(path)
        self._problem = ""

    async def follow(self, period_seconds: float) -> None:
        """Looks at the file every so often, for ever."""
        while True:
            await asyncio.sleep(period_seconds)
            self.look()

    def look(self) -> None:
        """Reads the file, if it is another than last time."""
        stamp = _stamp(self._path)
        if stamp == self._seen and not self._problem:
            return
        self._seen = stamp
        try:
            values = dynamic.read(self._path, beneath=self._beneath)
        except ConfigError as error:
            self._refuse(str(error))
            return
        self._problem = ""
        self._readings.bind(outcome="used").inc()
        if values != self._current:
            self._current = values
            self._apply(values)
            self._log.info("settings changed", changed=values.changed())
            self._name_the_others(values)

    def _refuse(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        self._readings.bind(outcome="refused").inc()
        self._log.error("the settings stay as they are: the file has mistakes", error=problem)

    def _name_the_others(self, values: Values) -> None:
        waiting = [
            setting.key
            for setting in SETTINGS.values()
            if not setting.live and values.get(setting) != self._started.get(setting)
        ]
        if waiting:
            self._log.warning("these settings change when the server starts again", keys=waiting)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Returns what differs when a file was changed or replaced; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino
