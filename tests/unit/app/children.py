"""Stand-ins for the processes that a supervisor starts: small scripts, quick to begin."""

import sys
from collections.abc import Sequence
from pathlib import Path

READY = """
import os, signal, socket, sys
lifeline = socket.socket(fileno=int(os.environ.pop("PERDURE_LIFELINE")))
"""
SERVES = f"""{READY}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGHUP, lambda *_: print("hangup", flush=True))
print("serving", os.environ.get("NOTIFY_SOCKET"), flush=True)
lifeline.sendall(b"READY\\n")
lifeline.recv(1)
print("orphaned", flush=True)
"""
"""Says that it serves, prints signals, ends on SIGTERM or with its supervisor."""
STUBBORN = f"""{READY}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
lifeline.sendall(b"READY\\n")
lifeline.recv(1)
"""
"""Ends on SIGKILL only."""
REFUSED = "print('refused', flush=True); raise SystemExit(1)"


def script(source: str) -> Sequence[str]:
    """The command line of a stand-in."""
    return (sys.executable, "-S", "-E", "-c", source)


def counting(path: Path, source: str) -> str:
    """A stand-in that adds a line to a file first: how often it was started can be counted."""
    return f"open({str(path)!r}, 'a').write('started\\n')\n{source}"


def starts(path: Path) -> int:
    """How often a counting stand-in was started."""
    return len(path.read_text("utf-8").splitlines()) if path.exists() else 0
