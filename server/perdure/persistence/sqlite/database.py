"""Opens the database file: the lock, the connections, the schema.

Rules that hold here: one server owns a file, by a lock on a side file that the kernel drops when
the process dies, however it dies; whatever keeps the file from being used is a `StartupError` of
one sentence that says the fix.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure.persistence.ports import StartupError
from perdure.persistence.sql_files import load_migrations, load_statements
from perdure.runtime.ports import Ids

APPLICATION_ID = 0x50445552
"""Marks the file as Perdure's ("PDUR") in SQLite's header."""

BUSY_TIMEOUT_SECONDS = 2.0
"""How long to wait, at start and in threads, for a tool that holds the file's lock."""

BUSY_TIMEOUT_ON_LOOP_MILLISECONDS = 50
"""The same for connections whose statements run on the event loop, which stands still meanwhile."""

_FOLDER = Path(__file__).parent
STATEMENTS = load_statements(_FOLDER / "statements.sql")
MIGRATIONS = load_migrations(_FOLDER / "migrations")
SCHEMA_VERSION = max(MIGRATIONS)


class FileLock:
    """The ownership of a database file, held until `release` or the end of the process.

    Raises StartupError when another process owns the file or the folder cannot be used.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unusable(database, error.strerror) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StartupError(
                f"The database file {database} is in use by another Perdure server:"
                " stop that one, or give this one a file of its own."
            ) from error

    def release(self) -> None:
        """Gives the file up."""
        os.close(self._descriptor)


def check_path(database: Path) -> Path:
    """Returns the real path of a database file. Raises StartupError when it cannot be one."""
    real = database.resolve()
    if not real.parent.is_dir():
        raise StartupError(
            f"The folder {real.parent} for the database file does not exist:"
            " create it, or name another file."
        )
    if real.is_dir():
        raise StartupError(f"The database file {real} is a folder: name a file in it.")
    if real.exists() and not os.access(real, os.W_OK):
        raise _unusable(real, "it is read-only for this user")
    return real


@contextmanager
def explained(database: Path) -> Iterator[None]:
    """Turns SQLite's errors while the file is opened into a `StartupError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise StartupError(
                f"The database file {database} is locked by another program:"
                " end that program (a SQLite shell, a backup tool) and start again."
            ) from error
        raise _unusable(database, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise StartupError(
            f"The file {database} is not a usable SQLite database ({error}):"
            " restore it from a backup, or name another file."
        ) from error


def connect(database: Path) -> sqlite3.Connection:
    """Returns a connection without implicit transactions, usable from any one thread at a time."""
    connection = sqlite3.connect(
        database,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cache_size = -16384")
    return connection


def connect_writer(database: Path, ids: Ids) -> sqlite3.Connection:
    """Returns the writing connection of a file whose schema is this release's.

    WAL with `synchronous=FULL`: a commit is one sync of the log. Checkpoints are the store's.
    """
    connection = connect(database)
    try:
        _recognise(connection, database)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        _migrate(connection, ids)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(database: Path) -> sqlite3.Connection:
    """Returns a connection that cannot write."""
    connection = connect(database)
    connection.execute("PRAGMA query_only = ON")
    return connection


def spare_the_loop(connection: sqlite3.Connection) -> None:
    """Lets a connection that is open now wait for locks only so long as the loop may stand."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_ON_LOOP_MILLISECONDS}")


def _recognise(connection: sqlite3.Connection, database: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (tables or application_id or version):
        raise StartupError(
            f"The file {database} is the database of another application: name another file."
        )
    if version > SCHEMA_VERSION:
        raise StartupError(
            f"The database file {database} has schema version {version}, and this release knows"
            f" {SCHEMA_VERSION} at most: start the release that wrote it, or restore the backup"
            " made before the upgrade."
        )


def _migrate(connection: sqlite3.Connection, ids: Ids) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number in range(version + 1, SCHEMA_VERSION + 1):
        script = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} {script} COMMIT;")
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute(STATEMENTS["read_store"]).fetchone() is None:
        names = (ids.request_id(), ids.request_id())
        connection.execute(STATEMENTS["create_store"], names)
    connection.execute("COMMIT")


def _unusable(database: Path, why: str | None) -> StartupError:
    return StartupError(
        f"The database file {database} cannot be opened for writing ({why}):"
        " give this user the right to write the file and its folder, or name another file."
    )
