"""The PostgreSQL of the benchmark: its own server with durability as PostgreSQL ships it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import BenchError
from bench.processes import environment
from bench.targets import PERDURE
from contract.cluster import MissingPostgres, PostgresCluster, find_binaries

DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on")


@dataclass(frozen=True, slots=True)
class Database:
    """An empty database with Perdure's schema.

    Attributes:
        dsn: Its connection string.
        pid: The first process of its server; all others descend from it.
    """

    dsn: str
    pid: int


@contextlib.contextmanager
def running_database() -> Iterator[Database]:
    """Start a server with one database for the length of the block; its files go with it.

    Raises:
        BenchError: PostgreSQL is not installed, or Perdure could not set the database up.
    """
    try:
        cluster = PostgresCluster.start(*DURABLE)
    except MissingPostgres as error:
        raise BenchError(str(error)) from error
    try:
        dsn = cluster.create_database()
        _set_up(dsn)
        lines = (cluster.folder / "data" / "postmaster.pid").read_text("utf-8").splitlines()
        yield Database(dsn, int(lines[0]))
    finally:
        cluster.stop()


def postgres_version() -> str:
    """The version of the PostgreSQL that `running_database` would start.

    Raises:
        BenchError: PostgreSQL is not installed.
    """
    try:
        program = find_binaries() / "postgres"
    except MissingPostgres as error:
        raise BenchError(str(error)) from error
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.removeprefix("postgres (PostgreSQL)").split()[0]


def _set_up(dsn: str) -> None:
    command = [sys.executable, "-c", PERDURE, "db", "setup", "--dsn", dsn]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(environment())
    )
    if said.returncode:
        msg = f"the database could not be set up: {said.stderr.strip()}"
        raise BenchError(msg)
