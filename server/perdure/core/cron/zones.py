"""Time zones: their names, and where in them an instant lies.

Rules that hold here: times are whole seconds since the Unix epoch. A wall time is what a clock on
the wall shows, written as the seconds that it would be in UTC.
"""

import struct
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownZoneError(ValueError):
    """There is no such time zone, or its data is not a TZif file."""


class _Data:
    """Bytes, as `ZoneInfo` reads them: the core does not open files, nor what looks like one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes, fewer at the end."""
        found = self._data[self._position : self._position + size]
        self._position += len(found)
        return found

    def readline(self, size: int = -1, /) -> bytes:
        """Returns the bytes up to and with the next end of a line."""
        end = self._data.find(b"\n", self._position) + 1 or len(self._data)
        return self.read(end - self._position)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Goes to a position: from the start, or from here where `whence` is 1."""
        self._position = offset + (self._position if whence == 1 else 0)
        return self._position


@lru_cache(maxsize=256)
def find_zone(name: str, data: bytes = b"") -> tzinfo:
    """Returns a time zone: from its data if there is some, else by its name.

    No name is UTC, and so is "Local": servers have no time zone of their own.

    Raises:
        UnknownZoneError: There is none.
    """
    if data:
        try:
            return ZoneInfo.from_file(_Data(data), key=name or "LocalTime")
        except (ValueError, struct.error) as error:
            raise UnknownZoneError("malformed time zone information") from error
    if name in {"", "UTC", "Local"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise UnknownZoneError(f"unknown time zone {name}") from error


def offset_at(zone: tzinfo, instant: int) -> int:
    """Returns how far the wall time is ahead of UTC at an instant, in seconds."""
    if zone is UTC:
        return 0
    offset = (_EPOCH + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    assert offset is not None, "a zone knows its offset at every instant"
    return offset.days * 86_400 + offset.seconds


def first_change(zone: tzinfo, start: int, end: int) -> int:
    """Returns the first instant after `start`, up to `end`, that has another offset than `start`.

    The offsets at `start` and `end` differ, and change once between them.
    """
    before = offset_at(zone, start)
    while end - start > 1:
        middle = (start + end) // 2
        if offset_at(zone, middle) == before:
            start = middle
        else:
            end = middle
    return end
