"""The lives of child processes: each one ends when its `with` block does, whatever happened.

Children run in sessions of their own, so that Ctrl-C reaches the orchestrator only, which then ends
them in order: asked first, killed after a while.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PACKAGES = (TESTS, TESTS.parent / "server", TESTS.parent / "tls")
STOP_TIMEOUT_S = 10.0
TAIL_BYTES = 2000


def environment() -> Mapping[str, str]:
    """The environment of every child: this repository's packages come first."""
    path = [*map(str, PACKAGES), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in path if part)}


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, stdout: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a child process for the length of the block.

    Args:
        command: Program and arguments.
        log: File for its errors, and for its output unless `stdout` says otherwise.
        stdout: `subprocess.PIPE` to read the output.
    """
    with log.open("w") as sink:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            env=dict(environment()),
            cwd=log.parent,
            start_new_session=True,
            text=True,
        )
        try:
            yield child
        finally:
            stop(child, signal.SIGTERM)


def stop(child: subprocess.Popen[str], first: signal.Signals) -> None:
    """End a child and whatever it started; kill what does not go within ten seconds."""
    if child.poll() is None:
        child.send_signal(first)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def tail(log: Path) -> str:
    """The last lines of a log, to be shown with an error."""
    return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
