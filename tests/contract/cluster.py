"""A private PostgreSQL cluster in a temporary folder, from the binaries that are installed.

Rules that hold here: it listens on a Unix socket in its own folder only, and never as root.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

UNPRIVILEGED = ("postgres", "nobody")
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=50", "listen_addresses=")


class MissingPostgres(Exception):
    """The server's programs are not installed; the message says how to get them."""


@dataclass
class PostgresCluster:
    """A running server; `stop` ends it and removes its files."""

    folder: Path
    binaries: Path
    user: str
    settings: tuple[str, ...] = SETTINGS

    @classmethod
    def start(cls, *settings: str) -> "PostgresCluster":
        """Starts a cluster. Raises MissingPostgres when there is no server to start."""
        binaries = find_binaries()
        folder = Path(tempfile.mkdtemp(prefix="perdure-postgres-"))
        cluster = cls(folder, binaries, _unprivileged_user())
        if os.geteuid() == 0:
            shutil.chown(folder, cluster.user)
        data = folder / "data"
        cluster.run("initdb", "-D", data, "-U", "perdure", "-A", "trust", "-E", "UTF8", "-N")
        cluster.settings = (*SETTINGS, *settings)
        cluster.resume()
        return cluster

    def run(self, program: str, *arguments: object) -> str:
        """Runs one of the server's programs as the unprivileged user and returns its output."""
        command = [str(self.binaries / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        output = done.stdout.decode()
        assert done.returncode == 0, f"{command} failed:\n{output}"
        return output

    def conninfo(self, database: str) -> str:
        """Returns the connection string of a database."""
        return f"postgresql://perdure@/{database}?host={self.folder}"

    def create_database(self, *options: str) -> str:
        """Creates an empty database and returns its connection string."""
        name = f"d{uuid4().hex}"
        self.run("createdb", "-h", self.folder, "-U", "perdure", *options, name)
        return self.conninfo(name)

    def halt(self) -> None:
        """Stops the server, at once and without ceremony."""
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def resume(self) -> None:
        """Starts the server."""
        options = " ".join(f"-c {setting}" for setting in self.settings)
        log = ("-l", self.folder / "log", "-o", f"-k {self.folder} {options}")
        self.run("pg_ctl", "-D", self.folder / "data", "-w", *log, "start")

    def stop(self) -> None:
        """Stops the server and removes its files."""
        self.halt()
        shutil.rmtree(self.folder)


def find_binaries() -> Path:
    """Returns the folder of the newest installed server."""
    candidates = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _complete(path)]
    if candidates:
        return max(candidates, key=lambda path: int(path.parent.name))
    for program in ("/usr/local/bin/postgres", shutil.which("postgres")):
        if program is not None and _complete(Path(program).parent):
            return Path(program).parent
    raise MissingPostgres(
        "These tests start a PostgreSQL server of their own: apt-get install postgresql"
    )


def _complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("postgres", "initdb", "pg_ctl", "createdb"))


def _unprivileged_user() -> str:
    for name in UNPRIVILEGED:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise MissingPostgres("PostgreSQL does not run as root: add a user postgres")
