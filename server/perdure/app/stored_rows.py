"""Reads everything that a store holds of one run, page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from perdure.core.commit import DispatchTask, HistoryBatch, MessageKey, MessageRow, RunKey, TimerRow
from perdure.persistence.ports import Shard, StoredRun, WorkflowStore

PAGE_ROWS = 200
_FOREVER = (1 << 63) - 1

R = TypeVar("R")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class BatchSize:
    """A batch of a history, without its events."""

    first_event_id: int
    last_event_id: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RunRows:
    """A run's rows in every table.

    They are read one after the other: while a server runs, they may be of different moments.
    """

    run: StoredRun
    slot: int
    shard: Shard | None
    tasks: list[DispatchTask]
    timers: list[TimerRow]
    messages: list[MessageRow]
    history: list[BatchSize]


async def read_rows(
    store: WorkflowStore, run: StoredRun, slot: int, shard: Shard | None
) -> RunRows:
    """Returns the rows of a run that was loaded, which lives in a slot."""
    return RunRows(
        run=run,
        slot=slot,
        shard=shard,
        tasks=[task async for task in _tasks(store, slot) if task.run == run.key],
        timers=[timer async for timer in _timers(store, slot) if timer.run == run.key],
        messages=[message async for message in _messages(store, slot) if message.run == run.key],
        history=[_size(batch) async for batch in _batches(store, run.key)],
    )


def _tasks(store: WorkflowStore, slot: int) -> AsyncIterator[DispatchTask]:
    async def page(after: DispatchTask | None) -> list[DispatchTask]:
        return await store.read_tasks(slot, slot, after, PAGE_ROWS)

    return _pages(page, lambda task: task)


def _timers(store: WorkflowStore, slot: int) -> AsyncIterator[TimerRow]:
    async def page(after: TimerRow | None) -> list[TimerRow]:
        return await store.read_timers(slot, slot, _FOREVER, after, PAGE_ROWS)

    return _pages(page, lambda timer: timer)


def _messages(store: WorkflowStore, slot: int) -> AsyncIterator[MessageRow]:
    async def page(after: MessageKey | None) -> list[MessageRow]:
        return await store.read_messages(slot, slot, _FOREVER, after, PAGE_ROWS)

    return _pages(page, lambda message: message.key)


def _batches(store: WorkflowStore, run: RunKey) -> AsyncIterator[HistoryBatch]:
    async def page(after: int | None) -> list[HistoryBatch]:
        return await store.read_history(run, (after or 0) + 1, _FOREVER, PAGE_ROWS)

    return _pages(page, lambda batch: batch.last_event_id)


async def _pages(
    page: Callable[[C | None], Awaitable[list[R]]], cursor: Callable[[R], C]
) -> AsyncIterator[R]:
    after: C | None = None
    while rows := await page(after):
        for row in rows:
            yield row
        if len(rows) < PAGE_ROWS:
            return
        after = cursor(rows[-1])


def _size(batch: HistoryBatch) -> BatchSize:
    return BatchSize(batch.first_event_id, batch.last_event_id, len(batch.blob))
