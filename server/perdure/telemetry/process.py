"""What the process itself does: memory, garbage collection, the event loop."""

import asyncio
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from perdure.config.version import VERSION
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics

LAG_PERIOD = 0.25
"""Seconds between two looks at the event loop: 4 wake-ups a second are not seen in its load."""
_STATUS = Path("/proc/self/status")


def process_name(roles: Sequence[str]) -> str:
    """Returns the `service_name` of what a process does as a whole."""
    return roles[0] if len(roles) == 1 else "server"


class ProcessMonitor:
    """Measures this process until it is closed."""

    def __init__(
        self, metrics: Metrics, loop: asyncio.AbstractEventLoop, roles: Sequence[str]
    ) -> None:
        """Starts measuring.

        Args:
            metrics: Where to; the process itself is called by its role, or `server` with several.
            loop: The event loop to watch.
            roles: What runs in this process.
        """
        for role in roles:
            _say_started(metrics.scoped(service_name=role))
        metrics = metrics.scoped(service_name=process_name(roles))
        for metric, field in _MEMORY.items():
            metrics.gauge(metric).bind().follow(_memory_reader(field))
        self._pauses = metrics.histogram(catalogue.MEMORY_GC_PAUSE_MS).bind()
        self._lag = metrics.histogram(catalogue.EVENT_LOOP_LAG).bind()
        self._loop = loop
        self._due = loop.time() + LAG_PERIOD
        self._timer = loop.call_at(self._due, self._look)

    def close(self) -> None:
        """Stops measuring."""
        self._timer.cancel()

    def garbage_collected(self, generation: int, seconds: float) -> None:
        """Counts a pause of the garbage collector."""
        self._pauses.observe(seconds * 1000)

    def _look(self) -> None:
        now = self._loop.time()
        self._lag.observe(max(0.0, now - self._due))
        self._due = now + LAG_PERIOD
        self._timer = self._loop.call_at(self._due, self._look)


def _say_started(metrics: Metrics) -> None:
    metrics.counter(catalogue.RESTARTS).bind().inc()
    metrics.gauge(catalogue.BUILD_INFORMATION).bind(
        build_platform=platform.machine(),
        build_version=VERSION,
        python_version=platform.python_version(),
    ).set(1)


_MEMORY = {
    catalogue.MEMORY_ALLOCATED: "VmRSS",
    catalogue.MEMORY_HEAP: "VmData",
    catalogue.MEMORY_STACK: "VmStk",
}


def _memory_reader(field: str) -> Callable[[], float]:
    def read() -> float:
        for line in _STATUS.read_text("ascii").splitlines():
            name, _, rest = line.partition(":")
            if name == field:
                return float(rest.split()[0]) * 1024
        return 0.0

    return read
