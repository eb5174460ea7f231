"""Whoever started this process: a supervisor, systemd, or nobody who asks.

Theory of operation: a supervisor gives each of its children one end of a socket pair, its lifeline.
The child writes a line there when it serves; when the other end closes, the supervisor is dead,
however it died, and the child ends. PR_SET_PDEATHSIG would do the latter only: it has to be set
between fork and exec or races with the parent's death after it, and it follows the parent's thread
rather than its process.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress

from perdure.app import systemd
from perdure.telemetry.logging import get_logger

LIFELINE = "PERDURE_LIFELINE"
"""The environment variable that holds the number of the inherited descriptor."""
READY = b"READY\n"


class Parent:
    """What this process tells its parent, and learns of it.

    Making one takes the lifeline out of the environment, so that no child of this process has it.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        taken = os.environ if environment is None else environment
        descriptor = taken.pop(LIFELINE, None)
        self._environment: Mapping[str, str] = taken
        self._lifeline = None if descriptor is None else _adopt(int(descriptor))

    @property
    def supervises(self) -> bool:
        """Whether it is a supervisor, which repeats signals as it sees fit."""
        return self._lifeline is not None

    def ready(self) -> None:
        """This process serves."""
        if self._lifeline is None:
            self._notify(systemd.READY)
            return
        with suppress(OSError):  # a dead supervisor is noticed by the watch
            self._lifeline.sendall(READY)

    def stopping(self) -> None:
        """This process is about to end, because it was told to."""
        if self._lifeline is None:
            self._notify(systemd.STOPPING)

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Has a function called, once, on the running loop, when a supervisor is dead."""
        if self._lifeline is None:
            return
        loop, lifeline = asyncio.get_running_loop(), self._lifeline
        lifeline.setblocking(False)

        def readable() -> None:
            with suppress(BlockingIOError):
                if not _read(lifeline):
                    loop.remove_reader(lifeline)
                    lifeline.close()
                    on_gone()

        loop.add_reader(lifeline, readable)

    def _notify(self, state: str) -> None:
        try:
            systemd.notify(state, self._environment)
        except OSError as error:
            get_logger("server").warning("systemd cannot be told", state=state, error=str(error))


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _read(lifeline: socket.socket) -> bytes:
    try:
        return lifeline.recv(64)
    except ConnectionError:
        return b""
