"""Sampling profiles of a server with py-spy, as collapsed stacks, and the functions on top."""

import contextlib
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.processes import running, stop, tail

SAMPLES_PER_SECOND = 200
MAX_DURATION_S = 3600
NAMING = "--process"
"""The option by which a supervisor tells a process which one it is."""
ONLY = "server"


@dataclass(frozen=True, slots=True)
class Hot:
    """A function in a profile: its share of the samples, itself and with what it calls."""

    function: str
    own_share: float
    total_share: float


@contextlib.contextmanager
def profiled(pid: int, *, output: Path, log: Path) -> Iterator[None]:
    """Profile a Python process for the length of the block.

    Args:
        pid: The process; it must live until the block ends.
        output: File for the stacks, one a line with its count (speedscope and flamegraph.pl read
            this format).
        log: File for what py-spy says.

    Raises:
        BenchError: py-spy is not installed, or could not write a profile.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    record = [find_py_spy(), "record", "--pid", str(pid), "--output", str(output.resolve())]
    how = ["--format", "raw", "--nonblocking", "--rate", str(SAMPLES_PER_SECOND)]
    with running([*record, *how, "--duration", str(MAX_DURATION_S)], log=log) as spy:
        yield
        stop(spy, signal.SIGINT)
        if not output.exists():
            msg = f"py-spy wrote no profile (it may need root): {tail(log)}"
            raise BenchError(msg)


def processes_of(pid: int) -> dict[str, int]:
    """The processes of a server by name: those that it has started, or itself.

    Args:
        pid: A server in one process, or the supervisor of several.
    """
    named = {}
    for child in psutil.Process(pid).children():
        # A supervisor also starts programs that end at once.
        with contextlib.suppress(psutil.NoSuchProcess):
            words = child.cmdline()
            if NAMING in words:
                named[words[words.index(NAMING) + 1]] = child.pid
    return named or {ONLY: pid}


def find_py_spy() -> str:
    """Find py-spy in this environment, or else on the PATH.

    Raises:
        BenchError: There is none.
    """
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        msg = "profiling needs py-spy: pip install py-spy"
        raise BenchError(msg)
    return found


def hottest(stacks: str, count: int) -> list[Hot]:
    """The functions with the most samples of their own.

    Args:
        stacks: Lines of `frame;frame;frame count`, outermost frame first.
        count: Functions to return.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = [_without_line(frame) for frame in stack.split(";")]
        own[frames[-1]] += int(samples)
        for function in set(frames):
            total[function] += int(samples)
    everything = sum(own.values())
    return [
        Hot(function, samples / everything, total[function] / everything)
        for function, samples in own.most_common(count)
    ]


def _without_line(frame: str) -> str:
    """Turn `name (file.py:12)` into `name (file.py)`, so that a function's lines count as one."""
    head, colon, rest = frame.rpartition(":")
    return f"{head})" if colon and rest.removesuffix(")").isdigit() else frame
