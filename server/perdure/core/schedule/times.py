"""When a schedule is due: the next of its times, with jitter.

Theory of operation. A spec's nominal times are whole seconds: the union of its calendars and
intervals, less those that an exclusion matches. Jitter moves each one later by an amount that
follows from the schedule and the time alone, so that every look gives the same answer, and never
past the nominal time that follows.

Rules that hold here: times are nanoseconds since the Unix epoch. What is searched is bounded: of
nominal times that are excluded one after the other, those of `EXCLUDED_SPAN` are looked through,
and no more than `MOST_EXCLUDED`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.cron.calendars import LAST_YEAR, Calendar
from perdure.core.cron.zones import find_zone, offset_at
from perdure.core.protobuf import NANOSECONDS_PER_SECOND, duration_ns, timestamp_ns

EXCLUDED_SPAN = 14 * 86_400
"""For how long, in seconds, excluded times are searched through before the spec counts as over."""
MOST_EXCLUDED = 50_000
"""How many of them: a search must not hold up others."""

_END = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp())
_MILLISECOND = 1_000_000


class Due(NamedTuple):
    """A time of a schedule: what its spec says, and what jitter makes of it."""

    nominal: int
    actual: int


class CompiledSpec:
    """A canonical spec, ready to be searched."""

    def __init__(self, spec: schedule.ScheduleSpec) -> None:
        """Compiles a spec that `spec.canonical` has returned."""
        self._zone = find_zone(spec.timezone_name, spec.timezone_data)
        self._calendars = [Calendar.compile(each) for each in spec.structured_calendar]
        self._excluded = [Calendar.compile(each) for each in spec.exclude_structured_calendar]
        self._intervals = [
            (max(each.interval.seconds, 1), max(each.phase.seconds, 0)) for each in spec.interval
        ]
        self._start = timestamp_ns(spec.start_time) if spec.HasField("start_time") else None
        self._end = timestamp_ns(spec.end_time) if spec.HasField("end_time") else None
        self._jitter = duration_ns(spec.jitter)

    def next_due(self, seed: str, after: int) -> Due | None:
        """Returns the first time after another one; None when there is none.

        Args:
            seed: What jitter follows from: the schedule's name.
            after: The nominal time comes after it.
        """
        if self._start is not None and after < self._start:
            after = self._start - NANOSECONDS_PER_SECOND
        found = self._next_nominal(after // NANOSECONDS_PER_SECOND)
        last = _END if found is None else found + EXCLUDED_SPAN
        for _ in range(MOST_EXCLUDED):
            if found is None or found >= _END or found > last:
                return None
            nominal = found * NANOSECONDS_PER_SECOND
            if self._end is not None and nominal > self._end:
                return None
            until = self._excluded_until(found)
            if until == found:
                return Due(nominal, nominal + self._jitter_of(seed, found))
            found = self._next_nominal(until - 1)
        return None

    def between(self, seed: str, after: int, until: int) -> Iterator[Due]:
        """Yields the times after one up to and with another, in order."""
        due = self.next_due(seed, after)
        while due is not None and due.actual <= until:
            yield due
            due = self.next_due(seed, due.actual)

    def _next_nominal(self, after: int) -> int | None:
        found = [each.next_instant(after, self._zone) for each in self._calendars]
        for interval, phase in self._intervals:
            found.append(((after - phase) // interval + 1) * interval + phase)
        return min((each for each in found if each is not None), default=None)

    def _excluded_until(self, second: int) -> int:
        """Returns the first time from one on of which it is not certain that it is excluded."""
        if not self._excluded:
            return second
        offset = offset_at(self._zone, second)
        wall = second + offset
        found = [each.matches_until(wall) for each in self._excluded if each.matches(wall)]
        until = max(found, default=wall) - offset
        # Where the offset changes meanwhile, what the clock shows is another thing.
        return until if offset_at(self._zone, until) == offset else second + 1

    def _jitter_of(self, seed: str, nominal: int) -> int:
        if self._jitter < _MILLISECOND:
            return 0
        following = self._next_nominal(nominal)
        longest = self._jitter
        if following is not None:
            longest = min(longest, (following - nominal) * NANOSECONDS_PER_SECOND)
        digest = blake2b(f"{nominal}\0{seed}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "big")
        return (share * (longest // _MILLISECOND) >> 64) * _MILLISECOND


@lru_cache(maxsize=1024)
def _compiled(encoded: bytes) -> CompiledSpec:
    return CompiledSpec(schedule.ScheduleSpec.FromString(encoded))


def compiled(spec: schedule.ScheduleSpec) -> CompiledSpec:
    """Compiles a canonical spec; the ones used last are remembered."""
    return _compiled(spec.SerializeToString(deterministic=True))
