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
from perdure.persistence.postgres.connecting import Address, Connection
from perdure.persistence.postgres.pipelining import Pipeline, call
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
        self._pipeline: Pipeline | None = None
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
        pipeline = self._on(connection)
        return await _write(pipeline, BEGIN, [expect_epochs(commits)], commits, "COMMIT")

    async def _carefully(self, connection: Connection, commits: Sequence[Commit]) -> list[Outcome]:
        await _control(connection, "ROLLBACK")
        await _control(connection, BEGIN)
        outcomes = await _fence(connection, commits)
        held = [index for index, outcome in enumerate(outcomes) if outcome is COMMITTED]
        written = await _bisect(self._on(connection), [commits[index] for index in held])
        for index, outcome in zip(held, written, strict=True):
            outcomes[index] = outcome
        await _control(connection, "COMMIT")
        return outcomes

    def _on(self, connection: Connection) -> Pipeline:
        if self._pipeline is None or self._pipeline.connection is not connection:
            self._pipeline = Pipeline(connection)
        return self._pipeline


async def _write(
    pipeline: Pipeline,
    first: str,
    expectations: Sequence[tuple[str, tuple[object, ...]]],
    commits: Sequence[Commit],
    last: str,
) -> list[Outcome]:
    """Sends everything in one pipeline. Raises Refused, or psycopg.Error when it cannot be sent."""
    plans, outcomes = fold(commits)
    try:
        calls = [call(*each) for each in chain(expectations, *map(statements, plans))]
    except (StructError, UnicodeEncodeError) as error:
        # Whoever takes it up again finds the transaction or savepoint that is taken back.
        await pipeline.run([first])
        raise Refused(_refusal_of_value(error)) from error
    try:
        await pipeline.run([first, *calls, last])
    except psycopg.Error as error:
        if pipeline.connection.closed or (refused := _refusal(error)) is None:
            raise
        raise Refused(refused) from error
    return outcomes


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


async def _bisect(pipeline: Pipeline, commits: Sequence[Commit]) -> list[Outcome]:
    if not commits:
        return []
    try:
        return await _write(
            pipeline, "SAVEPOINT transition", (), commits, "RELEASE SAVEPOINT transition"
        )
    except Refused as refused:
        await _control(pipeline.connection, "ROLLBACK TO SAVEPOINT transition")
        if len(commits) == 1:
            return [refused.outcome]
    middle = len(commits) // 2
    outcomes = await _bisect(pipeline, commits[:middle])
    return outcomes + await _bisect(pipeline, commits[middle:])


def _refusal_of_value(error: Exception) -> Outcome:
    return Outcome(Result.REJECTED, f"the value cannot be sent: {error}")


def _refusal(error: psycopg.Error) -> Outcome | None:
    """Returns how a transition that stands alone ends, or None when it is not to blame."""
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
