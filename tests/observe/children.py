"""Processes of other programs: started with a log, watched, and ended in order.

The kernel kills them when this process dies, whatever it died of.
"""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 120.0
"""How long a part may take until it serves: a machine may be slow, and a database large."""
STOP_SECONDS = 30.0
"""How long a part may take to end before it is killed."""
_PAUSE_SECONDS = 0.05
_REPORTED_LINES = 15


class ChildError(Exception):
    """A part ended by itself or does not start; the message names it and has its last words."""


class Child:
    """A running process.

    Attributes:
        name: What it is called in messages.
        out_path: What it writes to stdout.
        log_path: What it writes to stderr.
    """

    def __init__(self, name: str, process: Process, out_path: Path, log_path: Path) -> None:
        self.name = name
        self.out_path = out_path
        self.log_path = log_path
        self._process = process

    @classmethod
    async def start(cls, name: str, command: Sequence[str], folder: Path) -> Self:
        """Starts a command that logs to a file of its name."""
        stem = name.lower().replace(" ", "-")
        out_path, log_path = folder / f"{stem}.out", folder / f"{stem}.log"
        with out_path.open("wb") as out, log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL"),
                *command,
                stdin=DEVNULL,
                stdout=out,
                stderr=log,
                # Ctrl-C in a terminal is for this process, which ends the others in order.
                process_group=0,
            )
        return cls(name, process, out_path, log_path)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def ended(self) -> None:
        """Waits until it has ended."""
        await self._process.wait()

    async def stop(self) -> None:
        """Tells it to end, and kills it when it does not, or when this wait is cancelled."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Ends it at once."""
        if self.running:
            self._process.kill()
            await self._process.wait()

    def obituary(self) -> str:
        """Returns how it ended, and the end of what it wrote."""
        code = self._process.returncode
        assert code is not None
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return f"{self.name} ended with {how}{self.last_words()}"

    def last_words(self) -> str:
        """Returns the end of its log, as what follows its name in a sentence."""
        lines = [
            line
            for path in (self.out_path, self.log_path)
            for line in path.read_text("utf-8", errors="replace").splitlines()
        ]
        if not lines:
            return ", and wrote nothing"
        return "\n".join((". Its log ends so:", *lines[-_REPORTED_LINES:]))


class Children:
    """All that were started; they end with the block, the last first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for child in reversed(self._started):
                await child.stop()
        finally:
            # A second signal has cut the polite end short.
            for child in self._started:
                await child.kill()

    async def start(
        self, name: str, command: Sequence[str], *, until: Callable[[Child], bool]
    ) -> Child:
        """Starts a command and waits until a condition holds, which is asked in a thread.

        Raises:
            ChildError: It ended or took too long; or another one ended meanwhile.
        """
        child = await Child.start(name, command, self._folder)
        self._started.append(child)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await asyncio.to_thread(until, child):
                    self._check()
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise ChildError(f"{name} did not start in time{child.last_words()}") from None
        return child

    async def until_one_ends(self) -> None:
        """Waits for ever.

        Raises:
            ChildError: One of them has ended.
        """
        waits = [asyncio.ensure_future(child.ended()) for child in self._started]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._check()

    def _check(self) -> None:
        for child in self._started:
            if not child.running:
                raise ChildError(child.obituary())
