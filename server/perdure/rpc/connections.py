"""Counts and closes the connections that clients have to a port of this process.

gRPC's server can do so only while it takes no more calls, and then answers a call that comes in at
that moment with CANCELLED, which SDKs do not retry. They do make a call anew whose connection
breaks, as when a process dies.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress

_DESCRIPTORS = "/dev/fd"


def close_connections(port: int) -> int:
    """Closes every TCP connection to a port; returns how many there were.

    Where a process cannot list its descriptors, none is closed.
    """
    closed = 0
    for connection in _connections_to(port):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
            closed += 1
    return closed


def count_connections(port: int) -> int:
    """Returns how many TCP connections to a port there are.

    Where a process cannot list its descriptors, it is 0.
    """
    return sum(1 for _ in _connections_to(port))


def _connections_to(port: int) -> Iterator[socket.socket]:
    for connection in _connections():
        with connection, suppress(OSError):
            # A listening socket has no peer.
            connection.getpeername()
            if connection.getsockname()[1] == port:
                yield connection


def _connections() -> Iterator[socket.socket]:
    """Yields duplicates of this process's TCP sockets."""
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 descriptors are no files
    except OSError:
        return
    for name in names:
        # Those that other threads have closed meanwhile are gone.
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
            if found.family in {socket.AF_INET, socket.AF_INET6}:
                yield found
            else:
                found.close()
