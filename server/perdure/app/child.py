"""A process that this one has started: its lifeline, its signals, its end."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

from perdure.app.parent import LIFELINE, READY
from perdure.app.systemd import NOTIFY_SOCKET


class Child:
    """A running process. Make one with `Child.start`.

    Attributes:
        ready: Whether it has said that it serves.
        pid: Its number.
    """

    def __init__(
        self, process: Process, lifeline: socket.socket, on_ready: Callable[[], None]
    ) -> None:
        self.ready = False
        self.pid = process.pid
        self._process = process
        self._lifeline = lifeline
        self._on_ready = on_ready
        self._heard = b""
        asyncio.get_running_loop().add_reader(lifeline, self._hear)

    @classmethod
    async def start(cls, command: Sequence[str], *, on_ready: Callable[[], None]) -> Self:
        """Starts a command; what it writes goes where this process's goes.

        Args:
            command: What to run.
            on_ready: Called once, when the process says so.

        Raises:
            OSError: There is no such program, or no room for another process.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        # Systemd is told by this process, which knows of all the others.
        environment = {key: value for key, value in os.environ.items() if key != NOTIFY_SOCKET}
        environment[LIFELINE] = str(theirs.fileno())
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=DEVNULL,
                    env=environment,
                    pass_fds=(theirs.fileno(),),
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours, on_ready)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; does nothing when the process has ended.

        Not by the process object, which would first look whether the process has ended and so take
        its exit code away from whoever waits for it.
        """
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Returns its exit code, or minus the number of the signal that ended it."""
        try:
            return await self._process.wait()
        finally:
            asyncio.get_running_loop().remove_reader(self._lifeline)
            self._lifeline.close()

    def _hear(self) -> None:
        try:
            heard = self._lifeline.recv(64)
        except BlockingIOError:
            return
        except ConnectionError:
            heard = b""
        if not heard:
            asyncio.get_running_loop().remove_reader(self._lifeline)
            return
        self._heard += heard
        if not self.ready and READY in self._heard:
            self.ready = True
            self._on_ready()
