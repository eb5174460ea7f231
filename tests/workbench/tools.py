"""How commands run the environment's tools: from the repository's root, whatever the directory."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from workbench.paths import ROOT


def tool(name: str) -> str:
    """Returns the path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


def call(command: Sequence[str]) -> int:
    """Runs a command from the repository's root; returns its exit code."""
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def become(command: Sequence[str]) -> NoReturn:
    """Replaces this process, so that signals and the exit code are the command's own."""
    sys.stdout.flush()
    os.execv(command[0], list(command))
