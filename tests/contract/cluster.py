"""A private PostgreSQL cluster in a temporary folder, from the binaries that are installed.

Rules that hold here: it listens on a Unix socket in its own folder only, and never as root.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

UNPRIVILEGED = ("postgres", "nobody")
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=50", "listen_addresses=")

ASKING = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
"""A pg_hba.conf: who comes by TCP needs a password."""


class MissingPostgres(Exception):
    """The server's programs are not installed; the message says how to get them."""


@dataclass
class PostgresCluster:
    """A running server; `stop` ends it and removes its files."""

    folder: Path
    binaries: Path
    user: str
    settings: tuple[str, ...] = SETTINGS
    port: int = 5432

    @classmethod
    def start(cls, *settings: str, passwords: bool = False) -> "PostgresCluster":
        """Starts a cluster.

        Args:
            settings: As `postgres -c` takes them; they override SETTINGS.
            passwords: Whether it also listens on a TCP port of 127.0.0.1, where it asks for them.

        Raises MissingPostgres when there is no server to start.
        """
        binaries = find_binaries()
        folder = Path(tempfile.mkdtemp(prefix="perdure-postgres-"))
        cluster = cls(folder, binaries, _unprivileged_user())
        if os.geteuid() == 0:
            shutil.chown(folder, cluster.user)
        data = folder / "data"
        cluster.run("initdb", "-D", data, "-U", "perdure", "-A", "trust", "-E", "UTF8", "-N")
        cluster.settings = (*SETTINGS, *settings)
        if passwords:
            cluster.port = free_port()
            cluster.settings += ("listen_addresses=127.0.0.1", f"port={cluster.port}")
            (folder / "data" / "pg_hba.conf").write_text(ASKING)
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
        return f"postgresql://perdure@/{database}?host={self.folder}&port={self.port}"

    def by_tcp(self, database: str, *, user: str) -> str:
        """Returns the connection string of a database by TCP for a user, or `user:password`."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self, *options: str) -> str:
        """Creates an empty database and returns its connection string."""
        name = f"d{uuid4().hex}"
        place = ("-h", self.folder, "-p", self.port)
        self.run("createdb", *place, "-U", "perdure", *options, name)
        return self.conninfo(name)

    def halt(self) -> None:
        """Stops the server, at once and without ceremony."""
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        """Ends the server and all its processes with SIGKILL."""
        first = (self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]
        server = psutil.Process(int(first))
        ended = [*server.children(recursive=True), server]
        server.kill()
        for process in ended[:-1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ended, timeout=30)

    def resume(self) -> None:
        """Starts the server."""
        options = " ".join(f"-c {setting}" for setting in self.settings)
        log = ("-l", self.folder / "log", "-o", f"-k {self.folder} {options}")
        self.run("pg_ctl", "-D", self.folder / "data", "-w", *log, "start")

    def stop(self) -> None:
        """Stops the server and removes its files."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.halt()
        shutil.rmtree(self.folder)


def free_port() -> int:
    """Returns a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
