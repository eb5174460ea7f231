"""PostgreSQL servers of a scenario: durable, killed, filled, replicated.

Every process of Perdure names itself to the database, so that a trigger can compare who writes a
run with who owns its shard: a write by anybody else is kept in a table of the harness.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from chaos.errors import ChaosError
from chaos.processes import PERDURE, run
from contract.cluster import PostgresCluster, free_port
from waiting import until_asked

_DURABLE = ("fsync=on", "full_page_writes=on", "max_connections=150", "synchronous_commit=on")
_PASSWORD = "chaos"  # noqa: S105 of a server that lives for a minute
_ADMISSION = """\
local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
host all all 10.99.0.0/24 scram-sha-256
"""
_SMALL_DISK_MIB = 64
_REPLICA_SECONDS = 30.0
_POLL_SECONDS = 0.1
_WATCH = """
CREATE TABLE chaos_nodes (id text PRIMARY KEY, name text NOT NULL);
CREATE FUNCTION chaos_note_node() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_nodes VALUES (NEW.id, NEW.name) ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON nodes
    FOR EACH ROW EXECUTE FUNCTION chaos_note_node();

CREATE TABLE chaos_foreign_writes (
    at timestamptz NOT NULL, writer text NOT NULL, slot int NOT NULL, owner text, epoch bigint
);
CREATE FUNCTION chaos_watch_run() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    writer CONSTANT text := current_setting('application_name');
    owned record;
BEGIN
    SELECT chaos_nodes.name, shards.epoch INTO owned
        FROM shards LEFT JOIN chaos_nodes ON chaos_nodes.id = shards.owner
        WHERE shards.first_slot = (SELECT max(first_slot) FROM shards WHERE first_slot <= NEW.slot);
    IF owned.name IS DISTINCT FROM writer THEN
        INSERT INTO chaos_foreign_writes
            VALUES (clock_timestamp(), writer, NEW.slot, owned.name, owned.epoch);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON runs
    FOR EACH ROW EXECUTE FUNCTION chaos_watch_run();
"""


class Database:
    """A PostgreSQL server with a database of Perdure's.

    Attributes:
        addresses: Hosts and ports by which Perdure reaches it, in the order of the DSN.
    """

    def __init__(self, server: PostgresCluster, name: str) -> None:
        self.addresses: list[tuple[str, int]] = [("127.0.0.1", server.port)]
        self._server = server
        self._name = name
        self._replica: PostgresCluster | None = None
        self._disk: Path | None = None
        self._shard_epochs: dict[int, int] = {}

    @classmethod
    async def start(cls, *, small_disk: bool = False, hosts: Sequence[str] = ()) -> "Database":
        """Starts a server and makes an empty database.

        Args:
            small_disk: Whether the database's files are on a small disk of their own.
            hosts: Further addresses of this machine to listen on.
        """
        server = await asyncio.to_thread(PostgresCluster.start, *_DURABLE, passwords=True)
        try:
            return await cls._prepare(server, small_disk, hosts)
        except BaseException:
            await asyncio.to_thread(server.stop)
            raise

    @classmethod
    async def _prepare(
        cls, server: PostgresCluster, small_disk: bool, hosts: Sequence[str]
    ) -> "Database":
        (server.folder / "data" / "pg_hba.conf").write_text(_ADMISSION, "utf-8")
        await asyncio.to_thread(server.halt)
        listening = ",".join(("127.0.0.1", *hosts))
        server.settings = (*server.settings, f"listen_addresses={listening}")
        await asyncio.to_thread(server.resume)
        await _execute(server.conninfo("postgres"), f"ALTER ROLE perdure PASSWORD '{_PASSWORD}'")
        options: tuple[str, ...] = ()
        disk = None
        if small_disk:
            disk = server.folder / "disk"
            await _mount(disk)
            place = disk / "space"
            place.mkdir()
            shutil.chown(place, server.user)
            await _execute(
                server.conninfo("postgres"), f"CREATE TABLESPACE small LOCATION '{place}'"
            )
            options = ("--tablespace=small",)
        conninfo = await asyncio.to_thread(server.create_database, *options)
        database = cls(server, str(conninfo_to_dict(conninfo)["dbname"]))
        database._disk = disk
        return database

    def dsn(self, application: str) -> str:
        """Returns the connection string of a process, by TCP."""
        hosts = ",".join(host for host, _ in self.addresses)
        ports = ",".join(str(port) for _, port in self.addresses)
        return (
            f"host={hosts} port={ports} dbname={self._name} user=perdure password={_PASSWORD}"
            f" application_name={application} target_session_attrs=read-write"
        )

    async def set_up(self) -> None:
        """Makes Perdure's tables, and the watch on them."""
        await run(PERDURE, "db", "setup", "--dsn", self._conninfo)
        await _execute(self._conninfo, _WATCH)

    async def add_replica(self) -> None:
        """Starts a synchronous replica; processes started from now on know of both."""
        folder = Path(tempfile.mkdtemp(prefix="perdure-postgres-"))
        server = self._server
        if os.geteuid() == 0:
            shutil.chown(folder, server.user)
        replica = PostgresCluster(folder, server.binaries, server.user, port=free_port())
        self._replica = replica
        replica.settings = tuple(s for s in server.settings if not s.startswith("port="))
        replica.settings += (f"port={replica.port}", "cluster_name=replica")
        source = ("-h", server.folder, "-p", server.port, "-U", "perdure")
        await _run(replica, "pg_basebackup", *source, "-D", folder / "data", "-R", "-c", "fast")
        await asyncio.to_thread(replica.resume)
        conninfo = server.conninfo("postgres")
        await _execute(conninfo, "ALTER SYSTEM SET synchronous_standby_names = 'replica'")
        await _execute(conninfo, "SELECT pg_reload_conf()")
        query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"

        async def is_synchronous() -> bool:
            return await _execute(conninfo, query) == [(1,)]

        await until_asked(is_synchronous, _REPLICA_SECONDS, pause_seconds=_POLL_SECONDS)
        self.addresses.append(("127.0.0.1", replica.port))

    async def promote(self) -> None:
        """Kills the server and makes the replica the one that can be written."""
        assert self._replica is not None
        await asyncio.to_thread(self._server.kill)
        dead, self._server = self._server, self._replica
        self._replica = None
        shutil.rmtree(dead.folder)
        await _run(self._server, "pg_ctl", "-D", self._server.folder / "data", "-w", "promote")

    async def restart(self, down_seconds: float) -> None:
        """Restarts the server as an operator does: what runs is ended, then nobody is there."""
        data = self._server.folder / "data"
        await _run(self._server, "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
        await asyncio.sleep(down_seconds)
        await asyncio.to_thread(self._server.resume)

    async def kill(self, down_seconds: float) -> None:
        """Kills every process of the server; it recovers when it starts again."""
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(down_seconds)
        await asyncio.to_thread(self._server.resume)

    async def fill_disk(self) -> None:
        """Leaves no room for the database's files to grow."""
        assert self._disk is not None
        await asyncio.to_thread(_fill, self._disk / "ballast")

    def empty_disk(self) -> None:
        """Gives the room back."""
        assert self._disk is not None
        (self._disk / "ballast").unlink()

    async def node_shards(self, name: str) -> int:
        """Returns how many shards a node owns, by the node's name."""
        ((number,),) = await _execute(
            self._conninfo,
            "SELECT count(*) FROM shards JOIN chaos_nodes ON id = owner WHERE name = %s",
            name,
        )
        return int(number)

    async def until_node_has_shards(self, name: str, *, some: bool, seconds: float) -> None:
        """Waits until a node owns some shards, or none; TimeoutError when it never does."""

        async def holds() -> bool:
            return (await self.node_shards(name) > 0) == some

        await until_asked(holds, seconds, pause_seconds=_POLL_SECONDS)

    async def foreign_writes(self) -> list[str]:
        """Returns what was written to shards by nodes that did not own them, as sentences."""
        rows = await _execute(
            self._conninfo,
            "SELECT writer, COALESCE(owner, 'nobody'), count(*), min(at), max(at)"
            " FROM chaos_foreign_writes GROUP BY 1, 2",
        )
        return [
            f"{writer} wrote {number} times to shards of {owner}, {first:%T.%f} to {last:%T.%f}"
            for writer, owner, number, first, last in rows
        ]

    async def epochs_that_fell(self) -> list[str]:
        """Returns shards whose epoch is lower than when this was last asked, as sentences."""
        rows = await _execute(self._conninfo, "SELECT first_slot, epoch FROM shards")
        now = {int(slot): int(epoch) for slot, epoch in rows}
        before, self._shard_epochs = self._shard_epochs, now
        return [
            f"the epoch of the shard from slot {slot} fell from {epoch} to {now.get(slot)}"
            for slot, epoch in before.items()
            if now.get(slot, 0) < epoch
        ]

    async def leftovers(self) -> list[str]:
        """Returns rows that outlived their closed runs, as sentences."""
        found = []
        for table in ("tasks", "timers", "messages"):
            ((number,),) = await _execute(self._conninfo, f"SELECT count(*) FROM {table}")  # noqa: S608 our own names
            if number:
                found.append(f"{number} rows of closed runs are left in {table}")
        return found

    async def stop(self) -> None:
        """Stops everything and removes its files."""
        for server in (self._replica, self._server):
            if server is not None:
                await asyncio.to_thread(_stop, server, self._disk)

    @property
    def _conninfo(self) -> str:
        return self._server.conninfo(self._name)


async def _execute(conninfo: str, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Runs a statement on a connection of its own; returns its rows."""
    connecting = psycopg.AsyncConnection.connect(conninfo, autocommit=True)
    async with await connecting as connection:
        # Without arguments, so that several statements may stand in one text.
        cursor = await connection.execute(statement.encode(), arguments or None)
        return await cursor.fetchall() if cursor.description else []


async def _run(server: PostgresCluster, program: str, *arguments: object) -> None:
    await asyncio.to_thread(partial(server.run, program, *arguments))


async def _mount(folder: Path) -> None:
    size = f"size={_SMALL_DISK_MIB}m"
    await run("mkdir", folder)
    await run("mount", "-t", "tmpfs", "-o", size, "chaos", folder)


def _fill(path: Path) -> None:
    chunk = bytes(1 << 16)
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(chunk)


def _stop(server: PostgresCluster, disk: Path | None) -> None:
    if disk is None or disk.parent != server.folder:
        server.stop()
        return
    if (server.folder / "data" / "postmaster.pid").exists():
        server.halt()
    _unmount(disk)
    shutil.rmtree(server.folder)


def _unmount(folder: Path) -> None:
    done = subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    if done.returncode:
        raise ChaosError(f"{folder} cannot be unmounted: {done.stderr.decode().strip()}")
