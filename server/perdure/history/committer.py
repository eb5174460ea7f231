"""Group commit: transitions that arrive while a transaction is in flight share the next one.

Theory of operation: whoever shared a transaction is answered at the same moment, and comes again at
about the same moment. So the next transaction waits until as many have come as shared the last one,
for no longer than a transaction takes: under load that makes few and large ones, which cost less
and so let everybody through sooner; a lone client never waits. The numbers are in
docs/decisions/0010-postgres-speed.md.

Rules that hold here: commits leave in the order they were submitted, and at most one transaction is
in flight. When the store cannot say that a batch was committed, everything that was submitted
fails, since later transitions may have stepped on what was lost.
"""

import asyncio
import contextlib
from collections.abc import Callable

from perdure.core.commit import Commit
from perdure.persistence.ports import (
    Outcome,
    Result,
    StoreError,
    UnknownOutcome,
    WorkflowStore,
)
from perdure.runtime.tasks import TaskSet

GATHER_SECONDS = 0.006
"""About what a transaction takes on a database whose disk is a few milliseconds away."""


class CommitLost(Exception):
    """The store did not say that the commit is durable.

    Attributes:
        unknown: Whether it may be durable all the same.
    """

    def __init__(self, *, unknown: bool) -> None:
        super().__init__("outcome unknown" if unknown else "store unavailable")
        self.unknown = unknown


class Committer:
    """Hands batches of transitions to the store, for all shards of the process."""

    def __init__(
        self,
        *,
        store: WorkflowStore,
        tasks: TaskSet,
        max_batch: int,
        on_lost: Callable[[bool], None],
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        """Makes a committer.

        Args:
            store: Where transitions go.
            tasks: Where the background work runs.
            max_batch: Most transitions in one transaction.
            on_lost: Called, before any waiter learns of it, when commits were lost; told whether
                their outcome is unknown.
            gather_seconds: How long a transaction waits for as many transitions as the last had.
        """
        self._store = store
        self._tasks = tasks
        self._max_batch = max_batch
        self._on_lost = on_lost
        self._gather_seconds = gather_seconds
        self._queue: list[tuple[Commit, asyncio.Future[Outcome]]] = []
        self._last_size = 1
        self._enough = asyncio.Event()
        self._draining = False

    def submit(self, commit: Commit) -> asyncio.Future[Outcome]:
        """Queues a transition; the future ends when it is durable or refused.

        The future raises CommitLost when the store does not say.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((commit, future))
        if len(self._queue) >= self._last_size:
            self._enough.set()
        if not self._draining:
            self._draining = True
            self._tasks.spawn("group-commit", self._drain())
        return future

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._gather()
                batch = self._queue[: self._max_batch]
                del self._queue[: self._max_batch]
                self._last_size = len(batch)
                await self._commit(batch)
        finally:
            self._draining = False

    async def _gather(self) -> None:
        """Waits until as many have come as shared the last transaction, for a bounded time."""
        if len(self._queue) >= self._last_size:
            return
        self._enough.clear()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._gather_seconds):
                    await self._enough.wait()
        except BaseException:
            self._lose([], unknown=False)
            raise

    async def _commit(self, batch: list[tuple[Commit, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._store.commit([commit for commit, _ in batch])
        except StoreError as error:
            self._lose(batch, unknown=isinstance(error, UnknownOutcome))
            return
        except BaseException:
            self._lose(batch, unknown=True)
            raise
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    def _lose(self, batch: list[tuple[Commit, asyncio.Future[Outcome]]], *, unknown: bool) -> None:
        lost = batch + self._queue
        self._queue = []
        self._on_lost(unknown)
        for _, future in lost:
            if not future.done():
                future.set_exception(CommitLost(unknown=unknown))
                # Background work may have no one left who looks at it.
                future.exception()


def is_committed(outcome: Outcome) -> bool:
    """Tells whether a transition is durable."""
    return outcome.result is Result.COMMITTED
