"""`bench --backlog`: what a big backlog on one task queue costs, in memory and in dispatch.

Perdure runs on PostgreSQL in four processes and is started anew for each phase:

- `EMPTY`: nothing on the queue. Its memory is what the others are compared with.
- `SMALL`: a few thousand tasks on the queue; their rate of dispatch is the yardstick.
- `FULL`: the whole backlog. A server that starts over it hints every one of its tasks.
- `DELETED`: nine tenths are removed, from where dispatch had come to.

Between phases no server runs and the bulk loader writes. In each phase the poller load takes the
same number of tasks from the same queue and then completes their workflows.
"""

import asyncio
import contextlib
import enum
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import psutil
import psycopg

from bench.database import Database, running_database
from bench.drain import Drained
from bench.errors import BenchError
from bench.generator import READY_TIMEOUT_S, wait_until_ready
from bench.processes import free_port, running, tail
from bench.profiler import processes_of
from bench.rpcs import Rpcs
from bench.scenarios import BY_NAME
from bench.tables import NOTHING, markdown_lines
from bench.targets import Place, Target, command
from bench.usage import MIB

QUEUE = "bench-backlog"
ROWS = 1_000_000
MIN_ROWS = 4_000
MAX_TASKS = 3_000
TASKS_SHARE = 1 / 40
"""Of the backlog, that is taken in each phase: up to MAX_TASKS."""

DELETED_SHARE = 0.9
LOADERS = 2
ROLES = ("history", "matching")

QUIET_S = 3.0
"""Longer than PostgreSQL holds back what it has counted while it is at work."""

TASKS_READ = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'tasks_slot'"
SETTLE_TIMEOUT_S = 120.0

MAX_MEMORY_MIB = 50.0
MIN_RATE = 0.9


class Phase(enum.StrEnum):
    """What is on the queue."""

    EMPTY = "empty"
    SMALL = "small"
    FULL = "full"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Found:
    """What a phase found.

    Attributes:
        phase: The phase.
        tasks: Tasks on the queue when it began.
        settled_s: How long the server worked by itself after its start.
        settled_mib: Resident memory of history and matching together then.
        peak_mib: The most that they ever had, each.
        drained: What the poller load found; None where there was nothing to take.
    """

    phase: Phase
    tasks: int
    settled_s: float
    settled_mib: float
    peak_mib: float
    drained: Drained | None


@dataclass(frozen=True, slots=True)
class Check:
    """A gate of the backlog: a value and its limit from above or, with `is_least`, from below."""

    name: str
    value: float
    limit: float
    is_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    def line(self) -> str:
        """The outcome in words."""
        word = "kept" if self.passed else "BROKEN"
        limit = "at least" if self.is_least else "limit"
        return f"{word}: {self.name}: {self.value:.2f}, {limit} {self.limit:.2f}"


@dataclass(frozen=True, slots=True)
class BacklogReport:
    """What all phases found, and how fast the loader wrote."""

    rows: int
    phases: Sequence[Found]
    loaded_s: float
    deleted_s: float

    def checks(self) -> list[Check]:
        """The gates, on these numbers."""
        by_phase = {found.phase: found for found in self.phases}
        empty, small = by_phase[Phase.EMPTY], by_phase[Phase.SMALL]
        checks = []
        for phase, words in ((Phase.FULL, "a full queue"), (Phase.DELETED, "what deletions leave")):
            found = by_phase[phase]
            settled, peak = found.settled_mib - empty.settled_mib, found.peak_mib - small.peak_mib
            checks += [
                Check(f"MiB of {words} above an empty one", settled, MAX_MEMORY_MIB),
                Check(f"MiB at most, {words} above a small one", peak, MAX_MEMORY_MIB),
            ]
        for phase in (Phase.FULL, Phase.DELETED):
            share = _rate(by_phase[phase]) / _rate(small)
            checks.append(Check(f"dispatch, {phase} to small", share, MIN_RATE, is_least=True))
        return checks

    def to_json(self) -> dict[str, Any]:
        """The report as an object of plain values."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks()]
        return {**asdict(self), "gates": checks}

    def to_markdown(self) -> str:
        """The report as text for a Markdown page."""
        gates = "\n".join(f"- {check.line()}" for check in self.checks())
        lines = [HEADINGS, RULES, *(_cells(found) for found in self.phases)]
        return "\n\n".join([self._origin(), markdown_lines(lines), LEGEND, gates])

    def _origin(self) -> str:
        return (
            f"A backlog of {self.rows:,} tasks, loaded in {self.loaded_s:.0f} s; "
            f"{int(self.rows * DELETED_SHARE):,} of them deleted in {self.deleted_s:.0f} s."
        )


HEADINGS = (
    *("queue", "tasks", "dispatched per s", "CPU ms", "database CPU ms"),
    *("settled MiB", "most MiB", "settled after s"),
)
RULES = ("---", *["---:"] * (len(HEADINGS) - 1))
LEGEND = (
    "Per s: tasks handed to pollers each second, the median of stretches. CPU ms: processor time "
    "of all of the server's processes, and of PostgreSQL's, for each task. MiB: resident memory "
    "of the history and matching processes together, once the server has nothing left to do after "
    "its start, and the most that they ever had. Settled after: how long that took."
)


def _cells(found: Found) -> Sequence[str]:
    drained = found.drained
    dispatch = [NOTHING] * 3
    if drained is not None:
        costs = (drained.server_cpu_ms, drained.database_cpu_ms)
        dispatch = [f"{drained.per_s:.0f}", *(f"{cost:.2f}" for cost in costs)]
    memory = (found.settled_mib, found.peak_mib)
    sizes = [f"{size:.0f}" for size in memory]
    return [found.phase, f"{found.tasks:,}", *dispatch, *sizes, f"{found.settled_s:.1f}"]


def _rate(found: Found) -> float:
    assert found.drained is not None
    return found.drained.per_s


def run(rows: int, say: Callable[[str], None]) -> BacklogReport:
    """Measure every phase.

    Args:
        rows: Tasks of the full queue.
        say: Told how far the run has come.

    Raises:
        BenchError: A program failed; nothing is left running.
    """
    with (
        running_database() as database,
        tempfile.TemporaryDirectory(prefix="perdure-bench-") as directory,
    ):
        return _Run(rows, database, Path(directory), say).all()


class _Run:
    """One database, on which the phases follow each other."""

    def __init__(
        self, rows: int, database: Database, directory: Path, say: Callable[[str], None]
    ) -> None:
        self._rows = rows
        self._database = database
        self._directory = directory
        self._say = say
        self._tasks = min(MAX_TASKS, int(rows * TASKS_SHARE))
        self._on_queue = 0
        self._next = 0

    def all(self) -> BacklogReport:
        phases = [self._phase(Phase.EMPTY)]
        # A third is left over, so that the last of those that are taken are not waited for.
        few = self._tasks + self._tasks // 3
        self._write(0, few)
        self._on_queue = few
        phases.append(self._phase(Phase.SMALL))
        loaded_s = self._write(few, self._rows)
        self._on_queue += self._rows
        phases.append(self._phase(Phase.FULL))
        deleted = int(self._rows * DELETED_SHARE)
        deleted_s = self._write(self._next, deleted, "--remove")
        self._on_queue -= deleted
        phases.append(self._phase(Phase.DELETED))
        return BacklogReport(self._rows, phases, loaded_s, deleted_s)

    def _phase(self, phase: Phase) -> Found:
        self._say(f"{phase}: starting over {self._on_queue:,} tasks")
        place = Place(
            port=free_port(),
            directory=self._directory,
            scenario=BY_NAME["empty"],
            dsn=self._database.dsn,
        )
        log = self._directory / "server.log"
        with running(command(Target.SPLIT, place), log=log) as server:
            try:
                return self._measure(phase, server.pid, place.port)
            except BenchError as error:
                raise BenchError("\n".join([f"{phase}: {error}", tail(log)])) from error

    def _measure(self, phase: Phase, pid: int, port: int) -> Found:
        began = time.perf_counter()
        memory = _Memory(pid)
        asyncio.run(_serving(port, pid))
        self._settle()
        tasks, settled_s = self._on_queue, time.perf_counter() - began - QUIET_S
        settled_mib = memory.resident_mib()
        drained = None if phase is Phase.EMPTY else self._drain(phase, pid, port)
        return Found(
            phase=phase,
            tasks=tasks,
            settled_s=settled_s,
            settled_mib=settled_mib,
            peak_mib=memory.peak_mib(),
            drained=drained,
        )

    def _settle(self) -> None:
        """Waits until the server has read all tasks of the slots that it has just taken over."""
        deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
        with psycopg.connect(self._database.dsn, autocommit=True) as connection:
            before, now = -1, _tasks_read(connection)
            while before != now:
                if time.monotonic() > deadline_s:
                    msg = f"the server still reads tasks {SETTLE_TIMEOUT_S:.0f} s after its start"
                    raise BenchError(msg)
                time.sleep(QUIET_S)
                before, now = now, _tasks_read(connection)

    def _drain(self, phase: Phase, pid: int, port: int) -> Drained:
        self._say(f"{phase}: dispatching {self._tasks:,} tasks")
        options = {
            "--address": f"127.0.0.1:{port}",
            "--queue": QUEUE,
            "--tasks": self._tasks,
            "--server-pid": pid,
            "--database-pid": self._database.pid,
        }
        said = self._program("bench.drain", options)
        drained = Drained(**said)
        self._on_queue -= drained.tasks
        self._next = max(self._next, drained.last_number + 1)
        return drained

    def _write(self, first: int, count: int, *flags: str) -> float:
        """Has the bulk loader add or remove workflows; returns the seconds that it took."""
        self._say(f"writing {count:,} workflows{' '.join(['', *flags])}")
        began = time.perf_counter()
        with contextlib.ExitStack() as up:
            loaders = []
            for begin, end in _shares(first, count):
                options = {"--dsn": self._database.dsn, "--queue": QUEUE}
                options |= {"--first": str(begin), "--count": str(end - begin)}
                log = self._directory / f"loader-{begin}.log"
                words = _words("bench.bulk_loader", options, flags)
                loaders.append((up.enter_context(running(words, log=log)), log))
            for loader, log in loaders:
                if loader.wait():
                    msg = f"the bulk loader failed: {tail(log)}"
                    raise BenchError(msg)
        return time.perf_counter() - began

    def _program(self, module: str, options: dict[str, object]) -> dict[str, Any]:
        log = self._directory / f"{module}.log"
        with running(_words(module, options), log=log, stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            said = program.stdout.read()
            if not said:
                msg = f"{module} ended with code {program.wait()}: {tail(log)}"
                raise BenchError(msg)
        line: dict[str, Any] = json.loads(said)
        if "error" in line:
            raise BenchError(line["error"])
        return line


def _tasks_read(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """How many tasks were ever read by slot, as a new owner does and nobody else."""
    row = connection.execute(TASKS_READ).fetchone()
    assert row is not None
    return int(row[0])


async def _serving(port: int, pid: int) -> None:
    """Waits until a server can answer."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await wait_until_ready(Rpcs(channel), pid, needs_health=True)


class _Memory:
    """The memory of a server's history and matching processes."""

    def __init__(self, supervisor: int) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        named: dict[str, int] = {}
        while not all(role in _roles(named) for role in ROLES):
            if time.monotonic() > deadline_s:
                msg = f"the server has the processes {sorted(named)} only"
                raise BenchError(msg)
            time.sleep(0.05)
            named = processes_of(supervisor)
        self._pids = [pid for name, pid in named.items() if name.rpartition("-")[0] in ROLES]

    def resident_mib(self) -> float:
        """What they have now."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self._pids) / MIB

    def peak_mib(self) -> float:
        """The sum of the most that each ever had (VmHWM)."""
        return sum(_peak_kib(pid) for pid in self._pids) / 1024


def _roles(named: dict[str, int]) -> set[str]:
    return {name.rpartition("-")[0] for name in named}


def _peak_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == "VmHWM":
            return int(value.split()[0])
    msg = f"process {pid} has ended"
    raise BenchError(msg)


def _shares(first: int, count: int) -> Iterator[tuple[int, int]]:
    edges = [first + count * number // LOADERS for number in range(LOADERS + 1)]
    return itertools.pairwise(edges)


def _words(module: str, options: dict[str, Any], flags: Sequence[str] = ()) -> list[str]:
    pairs = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", module, *pairs, *flags]
