"""Processor time and memory of processes, as /proc tells them."""

import os
import time
from dataclasses import dataclass

import psutil

MIB = 1 << 20


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads and its descendants, dead ones included.

    It is the utime, stime, cutime and cstime of /proc/PID/stat, in steps of 10 ms. A descendant
    counts once: in its own times while it lives, in its parent's when that has taken note of its
    end.

    Raises:
        psutil.NoSuchProcess: The process has ended.
    """
    return sum(sum(_times(process)) for process in _tree(pid))


def _times(process: psutil.Process) -> tuple[float, ...]:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        # It ended since the tree was read; its parent has its times now, or soon.
        return ()
    return (times.user, times.system, times.children_user, times.children_system)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its living descendants (VmRSS)."""
    return sum(process.memory_info().rss for process in _tree(pid))


def machine_busy_seconds() -> float:
    """Time that the processors of the machine have worked since it started, for whomever."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


@dataclass(frozen=True, slots=True)
class Usage:
    """What a stretch of time took.

    Attributes:
        wall_s: Length of the stretch.
        server_cpu_s: Processor time of the server.
        database_cpu_s: Processor time of its database, where that is a server of its own.
        generator_cpu_s: Processor time of this process.
        other_cpu_s: Processor time of everything else on the machine: noise.
    """

    wall_s: float
    server_cpu_s: float
    database_cpu_s: float
    generator_cpu_s: float
    other_cpu_s: float


class Meter:
    """Measures from its creation to the call of `read`."""

    def __init__(self, server_pid: int, database_pid: int | None = None) -> None:
        """Take the readings to compare with."""
        self._server_pid = server_pid
        self._database_pid = database_pid
        self._begin = self._now()

    def read(self) -> Usage:
        """What was used since the creation of the meter."""
        wall, server, database, own, machine = (
            now - then for now, then in zip(self._now(), self._begin, strict=True)
        )
        other = max(0.0, machine - server - database - own)
        return Usage(wall, server, database, own, other)

    def _now(self) -> tuple[float, float, float, float, float]:
        return (
            time.perf_counter(),
            cpu_seconds(self._server_pid),
            0.0 if self._database_pid is None else cpu_seconds(self._database_pid),
            cpu_seconds(os.getpid()),
            machine_busy_seconds(),
        )
