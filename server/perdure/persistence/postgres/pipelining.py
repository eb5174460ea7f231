"""Pipelines of prepared statements, written and read at once.

The driver's own pipeline waits for the socket with every statement, which costs ten turns of the
event loop for each group commit; here the whole batch is put into libpq's buffer, flushed once, and
the answers are read in one go. docs/decisions/0010-postgres-speed.md has the numbers.

Rules that hold here: everything is encoded before anything is sent. A statement counts as prepared
only when the server has said so, since a pipeline that it gave up may have skipped it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from perdure.persistence.postgres.columns import encoded, parameter_types
from perdure.persistence.postgres.connecting import Connection
from perdure.persistence.postgres.statements import STATEMENTS

Control = str
"""A command without parameters and rows, such as COMMIT; never prepared."""

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)


@dataclass(frozen=True, slots=True)
class Call:
    """A named statement with its parameters as they travel."""

    name: str
    parameters: list[bytes]


def call(name: str, parameters: Sequence[Any]) -> Call:
    """Encodes the parameters of a named statement.

    Raises:
        struct.error: A number is out of its type's range.
        UnicodeEncodeError: A text cannot be written as UTF-8.
    """
    return Call(name, encoded(name, parameters))


@dataclass(slots=True)
class Pipeline:
    """A connection, and which statements it has prepared."""

    connection: Connection
    _prepared: set[str] = field(default_factory=set)

    async def run(self, commands: Sequence[Control | Call]) -> None:
        """Runs commands in order, up to the first that fails.

        Raises:
            psycopg.Error: What the first one that failed came to, or the connection died.
        """
        calls = [command.name for command in commands if isinstance(command, Call)]
        fresh = [name for name in dict.fromkeys(calls) if name not in self._prepared]
        connection = self.connection
        async with connection.lock:
            results = await connection.wait(_exchange(connection.pgconn, fresh, commands))
        for name, result in zip(fresh, results, strict=False):
            if result.status == ExecStatus.COMMAND_OK:
                self._prepared.add(name)
        for result in results:
            if result.status in _FAILED:
                # Those behind the first are only told that the pipeline was given up.
                raise psycopg.errors.error_from_result(result, encoding="utf-8")


def _exchange(
    pgconn: PGconn, fresh: Sequence[str], commands: Sequence[Control | Call]
) -> PQGen[list[PGresult]]:
    """Prepares statements, sends commands, and returns the result of each, in this order."""
    pgconn.enter_pipeline_mode()
    try:
        for name in fresh:
            pgconn.send_prepare(name.encode(), _SQL[name], param_types=parameter_types(name))
        for command in commands:
            if isinstance(command, Call):
                _send_call(pgconn, command)
            else:
                pgconn.send_query_params(command.encode(), None)
        pgconn.pipeline_sync()
        yield from send(pgconn)
        results = []
        for _ in range(len(fresh) + len(commands)):
            (result,) = yield from fetch_many(pgconn)
            results.append(result)
        yield from fetch_many(pgconn)
        pgconn.exit_pipeline_mode()
    except BaseException:
        # Answers that nobody has read would be taken for those of what comes next.
        pgconn.finish()
        raise
    return results


def _send_call(pgconn: PGconn, command: Call) -> None:
    formats = [Format.BINARY] * len(command.parameters)
    pgconn.send_query_prepared(command.name.encode(), command.parameters, param_formats=formats)


def _numbered(sql: str) -> bytes:
    """Writes a statement's parameters as the server counts them."""
    return b"".join(_pieces(sql))


def _pieces(sql: str) -> Iterator[bytes]:
    first, *rest = sql.split("%b")
    yield first.encode()
    for number, piece in enumerate(rest, 1):
        yield f"${number}{piece}".encode()


_SQL = {name: _numbered(sql) for name, sql in STATEMENTS.items() if "%b" in sql}
