"""Identifiers of a running server.

Theory of operation: run ids are UUIDv7 (RFC 9562), whose 48 bits of milliseconds are followed by 74
bits that start at random in every new millisecond and are counted up by a random step within it
(method 2 of section 6.2). So they sort in the order in which this process made them, also when
the wall clock goes back, and nobody can guess the next one. Random bytes come from the operating
system in blocks, since one system call per identifier would cost more than making it.

Rules that hold here: one thread only; a process that forks must make a new `SystemIds`.
"""

import os
import random
from typing import Final

from perdure.runtime.ports import Clock

_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_BLOCK_BYTES: Final = 4_096
_MILLISECONDS_MASK: Final = (1 << 48) - 1
_TAIL_BITS: Final = 74
_TAIL_MASK: Final = (1 << _TAIL_BITS) - 1
_LOW_BITS: Final = 62
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_VERSION_4: Final = 0x4 << 76
_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62
_VERSION_AND_VARIANT_MASK: Final = ~((0xF << 76) | (0b11 << 62))


def format_uuid(value: int) -> str:
    """Returns a 128-bit number in the 8-4-4-4-12 form."""
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid_v4(random_bits: int) -> str:
    """Returns the UUIDv4 of 128 random bits."""
    return format_uuid(random_bits & _VERSION_AND_VARIANT_MASK | _VERSION_4 | _VARIANT)


def uuid_v7(milliseconds: int, tail: int) -> str:
    """Returns the UUIDv7 of a Unix time in milliseconds (48 bits) and 74 further bits."""
    high = (milliseconds & _MILLISECONDS_MASK) << 80 | _VERSION_7 | (tail >> _LOW_BITS) << 64
    return format_uuid(high | _VARIANT | tail & _LOW_MASK)


class SystemIds:
    """The `Ids` of a running server."""

    __slots__ = ("_block", "_clock", "_milliseconds", "_offset", "_tail", "random")

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._milliseconds = 0
        self._tail = 0
        self._block = b""
        self._offset = 0
        # Jitter needs no secrecy: a generator in user space costs a tenth of a system call.
        self.random = random.Random(os.urandom(16)).random  # noqa: S311

    def run_id(self) -> str:
        """Returns a UUIDv7 that sorts after all earlier ones of this object."""
        milliseconds = self._clock.now() // _NANOSECONDS_PER_MILLISECOND
        if milliseconds > self._milliseconds:
            self._milliseconds = milliseconds
            # The top bit stays clear: room for 2^41 identifiers, a clock set back by years.
            self._tail = int.from_bytes(self._take(10), "big") & _TAIL_MASK >> 1
        else:
            self._tail += 1 + int.from_bytes(self._take(4), "big")
        return uuid_v7(self._milliseconds, self._tail)

    def request_id(self) -> str:
        """Returns a random UUIDv4."""
        return uuid_v4(int.from_bytes(self._take(16), "big"))

    def nonce(self) -> str:
        """Returns 16 random hexadecimal digits."""
        return self._take(8).hex()

    def _take(self, count: int) -> bytes:
        """Returns bytes that were never returned before."""
        end = self._offset + count
        if end > len(self._block):
            self._block = os.urandom(_BLOCK_BYTES)
            end = count
        self._offset = end
        return self._block[end - count : end]
