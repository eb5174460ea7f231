"""Says in one sentence why a database cannot be used, and what to do about it.

Rules that hold here: the sentence is for an operator who has not read our code, and holds no
password. Servers tell connection failures by text alone; what is not recognised is quoted.
"""

import re

import psycopg

from perdure.persistence.ports import StartupError
from perdure.persistence.postgres.connecting import Address

OLDEST_SERVER = 140_000
"""PostgreSQL 14, in `server_version_num`'s form: the first with exact EXTRACT and SQL bodies."""

_REMEDIES = (
    (
        r"password authentication failed|no password supplied",
        "its user or password is wrong: correct them in the connection string or in PGPASSWORD",
    ),
    (r"no pg_hba.conf entry", "it lets nobody in from here: add a line to its pg_hba.conf"),
    (r'role "[^"]*" does not exist', "there is no such user: create it with CREATE ROLE … LOGIN"),
    (
        r'database "[^"]*" does not exist|no such database',
        "there is no such database: create it with CREATE DATABASE … ENCODING 'UTF8'",
    ),
    (
        r"permission denied for database",
        "its user may not connect: GRANT CONNECT ON DATABASE to it",
    ),
    (
        r"too many clients|connection slots|too many connections|no more connections",
        "it has no connection left: raise its max_connections, or lower store.readers",
    ),
    (
        r"could not translate host name|[Nn]ame resolution|failed to resolve|Name or service",
        "its host is unknown: correct the host in the connection string",
    ),
    (
        r"timeout expired|timed out",
        "it does not answer in time: check host, port and firewall, or raise store.timeout_seconds",
    ),
    (
        r"read-only|hot standby|not read-write|in recovery",
        "it is a standby or read-only: name the primary, or all hosts with commas between",
    ),
    (
        r"starting up|shutting down|not yet accepting",
        "it is starting or stopping: wait until it accepts connections",
    ),
    (
        r"Connection refused|No such file or directory|Network is unreachable|No route to host",
        "nobody listens there: start it, or correct host and port in the connection string",
    ),
    (r"invalid ", "it has no such value: correct the connection string"),
    (r"SSL|certificate", "TLS failed: correct sslmode and sslrootcert in the connection string"),
)


def unreachable(address: Address, error: Exception) -> StartupError:
    """Returns what to say of a connection that cannot be made."""
    reason = address.without_password(" ".join(str(error).split()))
    remedy = next(
        (remedy for pattern, remedy in _REMEDIES if re.search(pattern, reason)),
        "start it, or correct the connection string",
    )
    return StartupError(
        f"The PostgreSQL database at {address.place()} cannot be reached, {remedy} ({reason})."
    )


def refused(address: Address, error: psycopg.Error) -> StartupError:
    """Returns what to say of a database that refuses a statement of a server that starts."""
    reason = address.without_password(" ".join(str(error).split()))
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return StartupError(
            f"The PostgreSQL database at {address.place()} denies its user what a server needs"
            f" ({reason}): let the user own the schema's tables, and GRANT CREATE ON SCHEMA to it."
        )
    return StartupError(
        f"The PostgreSQL database at {address.place()} cannot be used ({reason}):"
        " correct that and start again."
    )


def check_server(encoding: str, version: int, standby: bool) -> None:
    """Checks what `inspect` read. Raises StartupError when the server cannot be used."""
    if encoding != "UTF8":
        raise StartupError(
            f"The PostgreSQL database is encoded in {encoding}: create it with ENCODING 'UTF8'."
        )
    if version < OLDEST_SERVER:
        raise StartupError(
            f"The PostgreSQL server is version {version // 10_000}: upgrade it to 14 or newer."
        )
    if standby:
        raise StartupError(
            "The PostgreSQL server is a standby, which cannot be written: name the primary."
        )
