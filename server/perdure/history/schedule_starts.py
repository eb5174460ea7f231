"""How many workflows schedules may start per second, in each namespace.

Those of one namespace share the limit, so that many schedules which are due at one time do not keep
the namespace's workers, and everybody's store, from everything else. The limit is of this process;
what is reserved and not used yet is forgotten when it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

from perdure.core.protobuf import seconds
from perdure.core.schedule.pace import Pace
from perdure.runtime.ports import Clock


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Limits of schedules, of all namespaces or of one.

    Attributes:
        starts_per_second: Workflows that schedules start per second; 0 for no limit.
    """

    starts_per_second: float = 30.0


class ScheduleStarts:
    """Says when a start may go ahead."""

    def __init__(self, *, settings: Callable[[str], ScheduleSettings], clock: Clock) -> None:
        """Makes limits of which nothing is used yet.

        Args:
            settings: Returns what holds for a namespace, by its name.
            clock: Its monotonic clock measures rates.
        """
        self._settings = settings
        self._clock = clock
        self._paces: dict[str, Pace] = {}

    def change(self, settings: Callable[[str], ScheduleSettings]) -> None:
        """Takes other settings; what is reserved stays reserved."""
        self._settings = settings
        for namespace, pace in self._paces.items():
            pace.rate = settings(namespace).starts_per_second

    def pause(self, namespace: str) -> int:
        """Reserves a start; returns for how many nanoseconds it must wait.

        Args:
            namespace: The name of the schedule's namespace.
        """
        pace = self._paces.get(namespace)
        if pace is None:
            pace = self._paces[namespace] = Pace(self._settings(namespace).starts_per_second)
        return seconds(pace.reserve(self._clock.monotonic()))
