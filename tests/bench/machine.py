"""The machine that a run was made on: numbers without it say nothing."""

import datetime as dt
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.database import postgres_version
from bench.targets import find_temporal

GIB = 1 << 30
NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Machine:
    """Date, hardware and software of a run."""

    date: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    devserver: str
    postgres: str = NOT_RUN

    def sentence(self) -> str:
        """All of it, as the beginning of a sentence."""
        others = {"dev server": self.devserver, "PostgreSQL": self.postgres}
        run = [f"{name} {version}" for name, version in others.items() if version != NOT_RUN]
        parts = [f"{self.processor}, {self.cores} cores", f"{self.memory_gib:.0f} GiB"]
        return f"{self.date}: {', '.join([*parts, self.system, f'Python {self.python}', *run])}"


def describe(*, with_devserver: bool, with_postgres: bool = False) -> Machine:
    """Describe this machine, now.

    Args:
        with_devserver: Whether to ask the dev server for its version.
        with_postgres: Whether to ask PostgreSQL for its version.

    Raises:
        BenchError: PostgreSQL is not installed.
    """
    return Machine(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=psutil.virtual_memory().total / GIB,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        devserver=_devserver_version() if with_devserver else NOT_RUN,
        postgres=postgres_version() if with_postgres else NOT_RUN,
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _devserver_version() -> str:
    words = [find_temporal(), "--version"]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    return said.stdout.strip().removeprefix("temporal version ")
