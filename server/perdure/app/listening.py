"""Whether a process can listen where it is told to, asked before it takes part in anything.

Its public port is opened last, when it can serve. A node that found out only then that the port is
in use would have taken shards before, and would do so again whenever it is started anew.
"""

import errno
import socket

from perdure.config import addresses
from perdure.config.static import ServerConfig
from perdure.persistence.ports import StartupError

_REASONS = {
    errno.EADDRINUSE: "the port is in use; stop what uses it or choose another",
    errno.EADDRNOTAVAIL: "the address is not this machine's: name one that is",
    errno.EACCES: "this user may not: choose a port above 1023",
}


def check_listeners(config: ServerConfig) -> None:
    """Checks the ports for clients and for metrics.

    Raises:
        StartupError: The process cannot listen there.
    """
    if "frontend" in config.roles:
        public = config.listeners.grpc
        check_listener(public.host, public.port, shared=public.shared)
    if config.metrics is not None:
        check_listener(config.metrics.host, config.metrics.port)


def check_listener(host: str, port: int, *, shared: bool = False) -> None:
    """Checks one address.

    Args:
        host: The host; of several addresses that its name stands for one is enough.
        port: The port; of 0 only the host is checked.
        shared: Whether others that share it may listen there already.

    Raises:
        StartupError: Nobody can listen there now.
    """
    place = addresses.join(host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartupError(
            f"cannot listen on {place}: the host is unknown; name an address of this machine"
        ) from error
    failures = [
        failure
        for family, kind, protocol, _, address in found
        if (failure := _failure(socket.socket(family, kind, protocol), address, shared=shared))
    ]
    if len(failures) == len(found):
        reason = _REASONS.get(failures[0].errno or 0, failures[0].strerror)
        raise StartupError(f"cannot listen on {place}: {reason}") from failures[0]


def _failure(probe: socket.socket, address: object, *, shared: bool) -> OSError | None:
    """Returns why an address cannot be bound; None when it can."""
    with probe:
        # What is left of earlier connections is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind(address)  # type: ignore[arg-type]
        except OSError as error:
            return error
    return None
