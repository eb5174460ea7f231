"""Tells systemd how a service is: sd_notify(3), for units of `Type=notify`."""

import socket
from collections.abc import Mapping

NOTIFY_SOCKET = "NOTIFY_SOCKET"
READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(state: str, environment: Mapping[str, str]) -> None:
    """Sends a state; does nothing when nobody asked for it.

    Raises:
        OSError: The socket that the environment names cannot be written to.
    """
    address = environment.get(NOTIFY_SOCKET)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # An abstract address is written with "@" and begins with a zero byte.
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(state.encode())
