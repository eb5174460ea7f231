"""Times and durations between protobuf and the integers that the core counts in (nanoseconds)."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

NANOSECONDS_PER_SECOND = 1_000_000_000
LONGEST_DURATION = 100 * 365 * 86_400 * NANOSECONDS_PER_SECOND
"""To what the real server cuts durations; any time and one of them fit into 64 bits."""

VARINT_BITS, VARINT_CONTINUES = 0x7F, 0x80


def seconds(count: float) -> int:
    """Returns a number of seconds in nanoseconds."""
    return int(count * NANOSECONDS_PER_SECOND)


def set_timestamp(target: Timestamp, nanoseconds: int) -> None:
    """Writes a time; 0, meaning "none", leaves the field unset."""
    if nanoseconds:
        target.seconds, target.nanos = divmod(nanoseconds, NANOSECONDS_PER_SECOND)


def set_duration(target: Duration, nanoseconds: int) -> None:
    """Writes a duration of zero or more, and marks the field as set even for zero."""
    target.seconds, target.nanos = divmod(nanoseconds, NANOSECONDS_PER_SECOND)
    target.SetInParent()


def set_limit(target: Duration, nanoseconds: int, *, given: bool) -> None:
    """Writes a duration; 0, meaning "none", leaves the field unset unless it was given."""
    if nanoseconds or given:
        set_duration(target, nanoseconds)


def duration_ns(source: Duration) -> int:
    """Returns a duration in nanoseconds."""
    return source.seconds * NANOSECONDS_PER_SECOND + source.nanos


def duration_problem(source: Duration) -> str | None:
    """Returns why a duration is not one, in the real server's words; None when it is sound."""
    if source.seconds * source.nanos < 0:
        return "duration has seconds and nanos with different signs"
    if duration_ns(source) < 0:
        return "negative duration"
    return None


def capped_ns(source: Duration) -> int:
    """Returns a duration in nanoseconds, cut to a hundred years."""
    return min(duration_ns(source), LONGEST_DURATION)


def timestamp_ns(source: Timestamp) -> int:
    """Returns a time in nanoseconds since the Unix epoch."""
    return source.seconds * NANOSECONDS_PER_SECOND + source.nanos


def length_delimited(field_number: int, *chunks: bytes) -> bytes:
    """Encodes one length-delimited field (a message, string or bytes) from serialised chunks.

    Appended to a serialised message, it sets the field without parsing anything.
    """
    return b"".join((varint(field_number << 3 | 2), varint(sum(map(len, chunks))), *chunks))


def varint(value: int) -> bytes:
    """Encodes a non-negative integer as a protobuf varint."""
    encoded = bytearray()
    while value > VARINT_BITS:
        encoded.append(value & VARINT_BITS | VARINT_CONTINUES)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def first_field(message: bytes, field_number: int) -> bytes:
    """Returns a length-delimited field that a serialised message begins with, parsing no more.

    It is empty where the message begins with anything else: a message of protobuf's own writing
    has its fields by number, and leaves empty ones out.
    """
    tag = varint(field_number << 3 | 2)
    if not message.startswith(tag):
        return b""
    size, shift, at = 0, 0, len(tag)
    while True:
        octet = message[at]
        size |= (octet & VARINT_BITS) << shift
        at += 1
        if octet < VARINT_CONTINUES:
            return message[at : at + size]
        shift += 7
