"""Starts the processes of this host, each a fresh interpreter, and keeps them running.

Rules that hold here:

- Nothing here imports gRPC: a process that has it must not fork, and this one forks all the time
  (`exec` follows at once).
- Children have a process group of their own, so that Ctrl-C in a terminal reaches this process only
  and it alone decides in which order things end.
- A process that was ready once is started again for ever: what ended it is not its configuration.
  One that never was, and is refused three times in a row or for some seconds, ends everything with
  its exit code, so that a wrong connection string is no restart loop.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from perdure.app import systemd
from perdure.app.announce import announce
from perdure.app.child import Child
from perdure.app.failures import REFUSED_EXIT_CODE
from perdure.config.processes import Process
from perdure.config.static import ServerConfig
from perdure.telemetry import logging
from perdure.telemetry.logging import Logger, get_logger

STOP_MARGIN_SECONDS = 10.0
"""How much longer than its drain a process may take to end before it is killed."""
PERDURE = (sys.executable, "-P", "-m", "perdure.app")
"""The command with this interpreter, whatever folder it is run in."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """When a process that ended is started again.

    Attributes:
        first_seconds: The first pause; each is twice the one before.
        longest_seconds: The longest pause.
        settled_seconds: A process that ran so long begins with the first pause again.
        refusals: How often in a row a process that was never ready may be refused.
        refused_seconds: So long after its first start it is not started again after a refusal,
            however few there were: what is wrong is to be seen soon.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    settled_seconds: float = 60.0
    refusals: int = 3
    refused_seconds: float = 5.0


@dataclass(slots=True)
class _Record:
    """What is remembered of a process while it is started again and again."""

    pause_seconds: float
    first_start: float
    was_ready: bool = False
    refusals: int = 0


class Supervisor:
    """Keeps processes running until `stop` is set."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        command: Callable[[str], Sequence[str]],
        drain_seconds: float,
        log: Logger,
        on_ready: Callable[[], None] = lambda: None,
        restarts: Restarts | None = None,
    ) -> None:
        """Makes a supervisor that has started nothing yet.

        Args:
            names: The processes.
            command: Returns the command line that runs the process of a name.
            drain_seconds: How long a process that is told to stop may take, margin included.
            log: Told of every start and end.
            on_ready: Called once, when every process has said that it serves.
            restarts: When a process that ended is started again.
        """
        self._names = names
        self._command = command
        self._drain_seconds = drain_seconds
        self._log = log
        self._on_ready = on_ready
        self._restarts = restarts or Restarts()
        self._children: dict[str, Child] = {}
        self._ready: set[str] = set()
        self._exit_code = 0
        self.stop = asyncio.Event()

    async def run(self) -> int:
        """Starts every process; returns an exit code when all have ended.

        That is 0 when they were told to stop.
        """
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(self._keep(name), name=name) for name in self._names]
            tasks.create_task(self._end(keepers))
        return self._exit_code

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to every process; one that is starting up is spared SIGHUP.

        It has no handler yet, and reads everything anew anyway.
        """
        for child in self._children.values():
            if child.ready or number is not signal.SIGHUP:
                child.send(number)

    async def _keep(self, name: str) -> None:
        """Runs a process again and again until everything stops."""
        loop = asyncio.get_running_loop()
        record = _Record(self._restarts.first_seconds, loop.time())
        while not self.stop.is_set():
            started = loop.time()
            try:
                code = await self._run_once(name, record)
            except OSError as error:
                self._log.error("a process cannot be started", process=name, error=str(error))
                code = None
            if self.stop.is_set():
                return
            if self._is_hopeless(record, code):
                self._log.error("a process cannot start: stopping", process=name)
                self._exit_code = REFUSED_EXIT_CODE
                self.stop.set()
                return
            if loop.time() - started >= self._restarts.settled_seconds:
                record.pause_seconds = self._restarts.first_seconds
            await self._pause(record.pause_seconds)
            longer = record.pause_seconds * 2
            record.pause_seconds = min(longer, self._restarts.longest_seconds)

    async def _run_once(self, name: str, record: _Record) -> int:
        """Returns how a process ended: its exit code, or minus the number of a signal."""

        def on_ready() -> None:
            record.was_ready = True
            self._log.info("process is ready", process=name, pid=child.pid)
            self._note_ready(name)

        child = await Child.start(self._command(name), on_ready=on_ready)
        self._children[name] = child
        self._log.info("process has started", process=name, pid=child.pid)
        if self.stop.is_set():
            child.send(signal.SIGTERM)
        code = await child.wait()
        del self._children[name]
        tags = {"exit_code": code} if code >= 0 else {"signal": _signal_name(-code)}
        tell = self._log.info if self.stop.is_set() else self._log.warning
        tell("process has ended", process=name, pid=child.pid, **tags)
        return code

    def _note_ready(self, name: str) -> None:
        if name in self._ready:
            return
        self._ready.add(name)
        if len(self._ready) == len(self._names):
            self._on_ready()

    def _is_hopeless(self, record: _Record, code: int | None) -> bool:
        refused = code == REFUSED_EXIT_CODE and not record.was_ready
        record.refusals = record.refusals + 1 if refused else 0
        passed = asyncio.get_running_loop().time() - record.first_start
        return record.refusals >= self._restarts.refusals or (
            refused and passed >= self._restarts.refused_seconds
        )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return

    async def _end(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """Ends all processes once everything stops."""
        await self.stop.wait()
        self.send(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._drain_seconds)
        if late:
            names = sorted(keeper.get_name() for keeper in late)
            self._log.error("processes did not stop in time: killing", processes=", ".join(names))
            self.send(signal.SIGKILL)


def run(path: Path, config: ServerConfig, planned: Sequence[Process]) -> int:
    """Runs the processes of a configuration file until SIGTERM or SIGINT; returns an exit code.

    A second signal kills them at once.
    """
    # Whether the settings are sound is known only where the whole server is imported.
    checked = subprocess.run(  # noqa: S603 the command is our own
        [*PERDURE, "config", "check", str(path)], stdout=subprocess.DEVNULL, check=False
    )
    if checked.returncode:
        return checked.returncode
    logging.configure(config.logging.level, config.logging.format)
    return asyncio.run(_supervise(path, config, planned))


async def _supervise(path: Path, config: ServerConfig, planned: Sequence[Process]) -> int:
    log = get_logger("supervisor")
    names = [process.name for process in planned]

    def on_ready() -> None:
        announce({"Processes": ", ".join(names), "Database": config.store.describe()})
        _tell_systemd(systemd.READY, log)

    supervisor = Supervisor(
        names=names,
        command=lambda name: [
            *(*PERDURE, "server", "start", "--config", str(path), "--process", name)
        ],
        drain_seconds=config.node.drain_seconds + STOP_MARGIN_SECONDS,
        log=log,
        on_ready=on_ready,
    )
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if supervisor.stop.is_set():
            supervisor.send(signal.SIGKILL)
            _exit_at_once(number)
        log.info("stopping", signal=number.name)
        _tell_systemd(systemd.STOPPING, log)
        supervisor.stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(signal.SIGHUP, supervisor.send, signal.SIGHUP)
    return await supervisor.run()


def _signal_name(number: int) -> str:
    """Returns such as "SIGKILL"; real-time signals have no names."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _exit_at_once(number: signal.Signals) -> NoReturn:
    os._exit(128 + number)


def _tell_systemd(state: str, log: Logger) -> None:
    try:
        systemd.notify(state, os.environ)
    except OSError as error:
        log.warning("systemd cannot be told", state=state, error=str(error))
