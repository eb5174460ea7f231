"""Calendars: which wall times match, and when the next one is.

Theory of operation. Matching is by what the clock on the wall shows, literally: a time that the
clock skips does not match on that day, one that it shows twice matches twice. The next match is
looked for in the wall time of the present offset from UTC; where the offset changes before that
match comes, the search goes on from the change.

Rules that hold here: instants and wall times are whole seconds; nothing matches after the year
`LAST_YEAR`.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from temporalio.api.schedule.v1 import message_pb2 as schedule

from perdure.core.cron.zones import first_change, offset_at

FIRST_YEAR, LAST_YEAR = 2000, 2100
MINUTE, HOUR, DAY = 60, 3_600, 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _values(ranges: Iterable[schedule.Range], last: int) -> tuple[int, ...]:
    found: set[int] = set()
    for each in ranges:
        end = min(max(each.start, each.end), last)
        found.update(range(each.start, end + 1, max(each.step, 1)))
    return tuple(sorted(found))


@dataclass(slots=True, frozen=True)
class Calendar:
    """A structured calendar, ready to be searched. All fields are sorted."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    weekdays: frozenset[int]

    @classmethod
    def compile(cls, spec: schedule.StructuredCalendarSpec) -> "Calendar":
        """Makes one of a canonical spec; a spec without years matches every year."""
        years = _values(spec.year, LAST_YEAR) if spec.year else range(1970, LAST_YEAR + 1)
        return cls(
            seconds=_values(spec.second, 59),
            minutes=_values(spec.minute, 59),
            hours=_values(spec.hour, 23),
            days=_values(spec.day_of_month, 31),
            months=_values(spec.month, 12),
            years=tuple(years),
            weekdays=frozenset(day % 7 for day in _values(spec.day_of_week, 7)),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        fields = (self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays)
        return not all(fields)

    def matches(self, wall: int) -> bool:
        """Tells whether a wall time matches."""
        shown = datetime.fromtimestamp(wall, UTC)
        return (
            shown.second in self.seconds
            and shown.minute in self.minutes
            and shown.hour in self.hours
            and self._matches_day(shown.date())
            and shown.month in self.months
            and shown.year in self.years
        )

    def matches_until(self, wall: int) -> int:
        """Returns the first wall time after one that matches of which that is not certain."""
        if len(self.seconds) < MINUTE:
            return wall + 1
        if len(self.minutes) < HOUR // MINUTE:
            return wall - wall % MINUTE + MINUTE
        if len(self.hours) < DAY // HOUR:
            return wall - wall % HOUR + HOUR
        return wall - wall % DAY + DAY

    def next_wall(self, wall: int) -> int | None:
        """Returns the first wall time that matches, from one on; None when there is none."""
        if self.is_empty:
            return None
        days, seconds = divmod(wall, DAY)
        time = self._time_from(seconds)
        day = self._day_from(days if time is not None else days + 1)
        if day is None:
            return None
        if time is None or day != days:
            time = self._time_from(0)
            assert time is not None, "some time of a day matches"
        return day * DAY + time

    def next_instant(self, after: int, zone: tzinfo) -> int | None:
        """Returns the first instant after another one whose wall time matches."""
        start = after + 1
        while True:
            offset = offset_at(zone, start)
            wall = self.next_wall(start + offset)
            if wall is None:
                return None
            found = wall - offset
            limit = min(found, start + DAY)
            if offset_at(zone, limit) == offset:
                if found == limit:
                    return found
                # Nothing matches until about then, whatever the offset becomes: no change is of
                # more than a day, and one within the next day has been looked for.
                start = max(limit, found - 2 * DAY)
                continue
            change = first_change(zone, start, limit)
            if found < change:
                return found
            start = change

    def _matches_day(self, day: date) -> bool:
        return day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _time_from(self, second_of_day: int) -> int | None:
        hour, rest = divmod(second_of_day, HOUR)
        minute, second = divmod(rest, MINUTE)
        for each_hour in self.hours[bisect_left(self.hours, hour) :]:
            if each_hour > hour:
                return each_hour * HOUR + self.minutes[0] * MINUTE + self.seconds[0]
            for each_minute in self.minutes[bisect_left(self.minutes, minute) :]:
                if each_minute > minute:
                    return each_hour * HOUR + each_minute * MINUTE + self.seconds[0]
                at = bisect_left(self.seconds, second)
                if at < len(self.seconds):
                    return each_hour * HOUR + each_minute * MINUTE + self.seconds[at]
        return None

    def _day_from(self, days: int) -> int | None:
        """Returns the first matching day, in days since the epoch, from one on."""
        if days + _EPOCH_DAY > date.max.toordinal():
            return None
        first = date.fromordinal(days + _EPOCH_DAY)
        for year in self.years[bisect_left(self.years, first.year) :]:
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                start = first.day if (year, month) == (first.year, first.month) else 1
                length = monthrange(year, month)[1]
                for day in self.days[bisect_left(self.days, start) :]:
                    if day > length:
                        break
                    found = date(year, month, day)
                    if found.isoweekday() % 7 in self.weekdays:
                        return found.toordinal() - _EPOCH_DAY
        return None
