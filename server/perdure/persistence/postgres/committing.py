"""The commit connection: group commit in one round trip.

Theory of operation: the hopeful way sends BEGIN, all statements and COMMIT in one pipeline; what a
batch expects of the database is checked by the statements themselves, which end the transaction
when it does not hold. Then the batch is gone through carefully in a second transaction: fenced
transitions are dropped by one locked read of the epochs, the rest is bisected between savepoints
until what was refused stands alone.

Rules that hold here: there is one connection and the store's lock is held around every call. An
outcome is unknown from the moment that COMMIT may have been sent on a connection that then died.
"""

from collections.abc import Sequence
from itertools import chain
from struct import error as StructError  # noqa: N812 - a class by any other name

import psycopg

from perdure.core.commit import Commit
from perdure.persistence.coalescing import COMMITTED, fold
from perdure.persistence.ports import Outcome, Result, StoreUnavailable, UnknownOutcome
from perdure.persistence.postgres.columns import typed
from perdure.persistence.postgres.connecting import Address, Connection
from perdure.persistence.postgres.rows import expect_epochs, statements
from perdure.persistence.postgres.session import Session
from perdure.persistence.postgres.statements import STATEMENTS

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"

_BROKEN_EXPECTATION = "PDX01"
_REFUSING_CLASSES = ("22", "23", "54")
"""SQLSTATE classes: data exception, integrity violation, program limit exceeded."""

_RESULTS = {
    "fence": Result.FENCED,
    "current": Result.CURRENT_MISMATCH,
    "version": Result.VERSION_MISMATCH,
}
_DUPLICATES = {
    "current_runs": Result.CURRENT_MISMATCH,
    "runs": Result.VERSION_MISMATCH,
}
"""What it means that a row is there already, by its table; anything else is REJECTED."""


class Refused(Exception):
    """The database refuses a batch: an expectation is broken or a row cannot be held."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Committer:
    """Writes batches on a connection of its own, which it makes again when it broke."""

    def __init__(self, address: Address) -> None:
        self._session = Session(address, setup="configure_commits")
        self.careful = 0

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Applies transitions in order. Raises StoreUnavailable or UnknownOutcome."""
        async with self._session.connected() as connection:
            try:
                try:
                    return await self._hopefully(connection, commits)
                except Refused:
                    self.careful += 1
                    return await self._carefully(connection, commits)
            except psycopg.Error as error:
                if connection.closed:
                    raise UnknownOutcome(f"the connection died around a commit: {error}") from error
                await connection.close()
                raise StoreUnavailable(f"the database did not commit: {error}") from error

    async def close(self) -> None:
        """Closes the connection."""
        await self._session.close()

    async def _hopefully(self, connection: Connection, commits: Sequence[Commit]) -> list[Outcome]:
        return await _write(connection, BEGIN, [expect_epochs(commits)], commits, "COMMIT")

    async def _carefully(self, connection: Connection, commits: Sequence[Commit]) -> list[Outcome]:
        await _control(connection, "ROLLBACK")
        await _control(connection, BEGIN)
        outcomes = await _fence(connection, commits)
        held = [index for index, outcome in enumerate(outcomes) if outcome is COMMITTED]
        written = await _bisect(connection, [commits[index] for index in held])
        for index, outcome in zip(held, written, strict=True):
            outcomes[index] = outcome
        await _control(connection, "COMMIT")
        return outcomes


async def _write(
    connection: Connection,
    first: str,
    expectations: Sequence[tuple[str, tuple[object, ...]]],
    commits: Sequence[Commit],
    last: str,
) -> list[Outcome]:
    """Sends everything in one pipeline. Raises Refused, or psycopg.Error when it cannot be sent."""
    plans, outcomes = fold(commits)
    failure: Exception | None = None
    try:
        async with connection.pipeline():
            try:
                await _control(connection, first)
                for name, parameters in chain(expectations, *map(statements, plans)):
                    columns = typed(name, parameters)
                    await connection.execute(STATEMENTS[name], columns, prepare=True)
                await _control(connection, last)
            except (psycopg.Error, StructError, UnicodeEncodeError) as error:
                failure = error
    except psycopg.Error as error:
        failure = failure or _first(error)
    if failure is None:
        return outcomes
    if connection.closed and not isinstance(failure, psycopg.Error):
        raise psycopg.OperationalError("the connection is closed") from failure
    if connection.closed or (refused := _refusal(failure)) is None:
        raise failure
    raise Refused(refused) from failure


def _first(error: psycopg.Error) -> psycopg.Error:
    """Returns the error that made the server give up a pipeline, which psycopg may cover."""
    while isinstance(error, psycopg.errors.PipelineAborted) and isinstance(
        error.__context__, psycopg.Error
    ):
        error = error.__context__
    return error


async def _control(connection: Connection, command: str) -> None:
    """Sends a transaction command.

    Never prepared: psycopg would still believe in a command that was prepared in a pipeline that
    the server gave up before.
    """
    await connection.execute(command.encode(), prepare=False)


async def _fence(connection: Connection, commits: Sequence[Commit]) -> list[Outcome]:
    epochs = list({commit.epoch for commit in commits})
    cursor = await connection.execute(STATEMENTS["lock_epochs"], (epochs,))
    held = {row[3]: range(row[0], row[1] + 1) for row in await cursor.fetchall()}
    return [
        COMMITTED
        if commit.slot in held.get(commit.epoch, ())
        else Outcome(Result.FENCED, f"slot {commit.slot} is not held at {commit.epoch}")
        for commit in commits
    ]


async def _bisect(connection: Connection, commits: Sequence[Commit]) -> list[Outcome]:
    if not commits:
        return []
    try:
        return await _write(
            connection, "SAVEPOINT transition", (), commits, "RELEASE SAVEPOINT transition"
        )
    except Refused as refused:
        await _control(connection, "ROLLBACK TO SAVEPOINT transition")
        if len(commits) == 1:
            return [refused.outcome]
    middle = len(commits) // 2
    outcomes = await _bisect(connection, commits[:middle])
    return outcomes + await _bisect(connection, commits[middle:])


def _refusal(error: Exception) -> Outcome | None:
    """Returns how a transition that stands alone ends, or None when it is not to blame."""
    if not isinstance(error, psycopg.Error) or (
        isinstance(error, psycopg.DataError) and error.sqlstate is None
    ):
        return Outcome(Result.REJECTED, f"the driver refuses a value: {error}")
    state = error.sqlstate or ""
    reason = error.diag.message_primary or str(error)
    if state == _BROKEN_EXPECTATION:
        return Outcome(_RESULTS[reason], f"the {reason} is not the expected one")
    if state.startswith(_REFUSING_CLASSES):
        table = (error.diag.table_name or "").rstrip("0123456789").removesuffix("_")
        duplicate = isinstance(error, psycopg.errors.UniqueViolation)
        result = _DUPLICATES.get(table, Result.REJECTED) if duplicate else Result.REJECTED
        return Outcome(result, f"the database refuses a row: {reason}")
    return None
