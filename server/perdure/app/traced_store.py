"""Spans of the store's work, below those of the RPCs that it is done for, where tracing is on.

A transaction serves many RPCs. Each of them gets a span of its own for it, with the number of
transitions that shared it: so every trace shows where its time went, also where the others of the
batch are not sampled. One span that is linked to all of them would be missing from most traces; as
a child of the first it would seem that only that one had committed.

A transition's span hangs on `committed` being called in the context of whoever made the transition.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from perdure.core.commit import Commit
from perdure.history.ports import CommitObserver
from perdure.persistence.observation import StoreObserver
from perdure.persistence.ports import Outcome, Result, Store
from perdure.runtime.ports import Clock
from perdure.telemetry.tracing import Tracer

_SYSTEMS = {"postgres": "postgresql"}
"""OpenTelemetry's names of stores, where they are not ours."""


class _Batch(NamedTuple):
    """A durable transaction; times are nanoseconds since the Unix epoch."""

    began: int
    ended: int
    size: int


class StoreSpans:
    """Makes the spans of one store. With tracing off it gives everything back as it is."""

    def __init__(self, tracer: Tracer, clock: Clock, *, store_kind: str) -> None:
        self._tracer = tracer
        self._clock = clock
        self._attributes = {"db.system.name": _SYSTEMS.get(store_kind, store_kind)}
        self._batches: dict[int, _Batch] = {}

    def of_reads(self, observer: StoreObserver) -> StoreObserver:
        """Returns an observer for the store that makes spans of everything but commits."""
        return _Reads(observer, self) if self._tracer.enabled else observer

    def of_commits(self, store: Store) -> Store:
        """Returns the store for the role that commits, with an eye on its transactions."""
        # Everything but `commit` is looked up in the store itself, which types cannot say.
        return cast("Store", _Commits(store, self)) if self._tracer.enabled else store

    def of_transitions(self, observer: CommitObserver) -> CommitObserver:
        """Returns an observer that makes the spans of the transactions that `of_commits` saw."""
        return _Transitions(observer, self) if self._tracer.enabled else observer

    def now(self) -> int:
        """Returns the time, as spans have it."""
        return self._clock.now()

    def read(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """Makes the span of a call that has just ended."""
        ended = self._clock.now()
        self._tracer.record(
            f"store.{operation}",
            began=ended - round(seconds * 1e9),
            ended=ended,
            attributes={**self._attributes, "db.operation.name": operation},
            error=str(error) or type(error).__name__ if error is not None else "",
        )

    def durable(self, batch: Sequence[Commit], outcomes: Sequence[Outcome], began: int) -> None:
        """Remembers a transaction until its transitions are reported as committed."""
        done = _Batch(began, self._clock.now(), len(batch))
        for commit, outcome in zip(batch, outcomes, strict=True):
            if outcome.result is Result.COMMITTED:
                self._batches[id(commit)] = done

    def committed(self, commit: Commit) -> None:
        """Makes the span of a transition."""
        batch = self._batches.pop(id(commit))
        runs = {"temporalRunID": commit.runs[-1].run_id} if commit.runs else {}
        self._tracer.record(
            "store.commit",
            began=batch.began,
            ended=batch.ended,
            attributes={
                **self._attributes,
                "db.operation.name": "commit",
                "db.operation.batch.size": batch.size,
                "temporalWorkflowID": commit.workflow_id,
                **runs,
            },
        )


class _Reads:
    """A `StoreObserver`."""

    __slots__ = ("_observer", "_spans")

    def __init__(self, observer: StoreObserver, spans: StoreSpans) -> None:
        self._observer = observer
        self._spans = spans

    def commit_done(self, size: int, seconds: float) -> None:
        """Passes it on."""
        self._observer.commit_done(size, seconds)

    def operation_done(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """Passes it on, and makes a span."""
        self._observer.operation_done(operation, seconds, error)
        # The committer's context is that of whichever RPC woke it, long ago.
        if operation != "commit":
            self._spans.read(operation, seconds, error)


class _Commits:
    """A store whose commits are noted."""

    __slots__ = ("_spans", "_store")

    def __init__(self, store: Store, spans: StoreSpans) -> None:
        self._store = store
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Sequence[Commit]) -> Sequence[Outcome]:
        """Commits, and notes when."""
        began = self._spans.now()
        outcomes = await self._store.commit(batch)
        self._spans.durable(batch, outcomes, began)
        return outcomes


class _Transitions:
    """A `CommitObserver`."""

    __slots__ = ("_observer", "_spans")

    def __init__(self, observer: CommitObserver, spans: StoreSpans) -> None:
        self._observer = observer
        self._spans = spans

    def committed(self, commit: Commit) -> None:
        """Makes a span, and passes it on."""
        self._spans.committed(commit)
        self._observer.committed(commit)

    def commits_lost(self, unknown: bool) -> None:
        """Passes it on."""
        self._observer.commits_lost(unknown)
