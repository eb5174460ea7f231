"""Finds workflows in memory, and loads them from the store.

Rules that hold here: what is in flight is waited for before anything is read, and what was read
while it changed is read again. Nothing may be awaited between finding a workflow and a step.
"""

import asyncio

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import RunKey
from perdure.core.errors import NotFoundError
from perdure.core.slots import slot_of
from perdure.core.workflow.state import Run, load_run
from perdure.history.entries import EntryCache, WorkflowEntry, WorkflowKey
from perdure.history.shards import ShardSet, SlotRange
from perdure.persistence.ports import Outcome, StoredRun, WorkflowStore


class Loader:
    """Finds the workflows that steps are taken on.

    Attributes:
        cache: The workflows in memory.
        in_flight: The last commit of each workflow that has one under way.
        deleting: The last deletion of each workflow that has one under way.
    """

    def __init__(self, *, store: WorkflowStore, shards: ShardSet, cache: EntryCache) -> None:
        self._store = store
        self._shards = shards
        self.cache = cache
        self.in_flight: dict[WorkflowKey, asyncio.Future[Outcome]] = {}
        self.deleting: dict[WorkflowKey, asyncio.Future[Outcome]] = {}
        self._loading: dict[WorkflowKey, asyncio.Task[WorkflowEntry | None]] = {}
        self._overtaken: set[WorkflowKey] = set()

    def committing(self, key: WorkflowKey, ended: asyncio.Future[Outcome]) -> None:
        """Notes a commit under way: what is being loaded of its workflow is out of date."""
        self.in_flight[key] = ended
        if key in self._loading:
            self._overtaken.add(key)

    def landed(self, key: WorkflowKey, ended: asyncio.Future[Outcome]) -> None:
        """Notes that a commit has ended, in whatever way."""
        for under_way in (self.in_flight, self.deleting):
            if under_way.get(key) is ended:
                del under_way[key]

    async def find_any(self, key: RunKey) -> tuple[WorkflowEntry, Run | None]:
        """Returns a run as the newest step left it, None when there is no such run.

        Nothing may be awaited between this and a step.
        """
        absent = False
        while True:
            entry = await self.find_or_begin((key.namespace_id, key.workflow_id), assume_new=False)
            run = entry.runs.get(key.run_id) if key.run_id else entry.current
            if run is not None or absent or not key.run_id:
                return entry, run
            try:
                await self._load_run(entry, key)
            except NotFoundError:
                absent = True

    async def find_or_begin(self, key: WorkflowKey, *, assume_new: bool) -> WorkflowEntry:
        """Returns the entry in memory, loaded if need be; an empty one where there is no run.

        Nothing may be awaited between this and a step: while a load was awaited, another step may
        have begun the workflow, or the loaded entry may have been dropped.
        """
        self.cache.requests += 1
        known_absent = assume_new
        slot = slot_of(*key)
        while True:
            if not self._shards.epoch(slot):
                await self._shards.ready(slot)
                continue
            entry = self.cache.get(key)
            if entry is not None:
                return entry
            if known_absent:
                if assume_new:
                    self.cache.misses += 1
                entry = WorkflowEntry(key, slot, None)
                self.cache.add(entry)
                return entry
            known_absent = await self._load(key, slot) is None

    async def find(self, key: RunKey) -> tuple[WorkflowEntry, Run]:
        """Returns a run as the newest step left it, loading it if need be.

        Nothing may be awaited between this and a step.

        Raises:
            NotFoundError: There is no such run.
        """
        self.cache.requests += 1
        cache_key = (key.namespace_id, key.workflow_id)
        slot = slot_of(*cache_key)
        while True:
            epoch = self._shards.epoch(slot)
            if not epoch:
                await self._shards.ready(slot)
                continue
            entry = self.cache.get(cache_key)
            if entry is None:
                entry = await self._load(cache_key, slot)
                # Under another epoch others may have begun it since it was looked for.
                if entry is None and self._shards.epoch(slot) == epoch:
                    return await self._find_earlier(key, slot)
                continue
            run = entry.runs.get(key.run_id) if key.run_id else entry.current
            if run is not None:
                return entry, run
            await self._load_run(entry, key)

    async def _find_earlier(self, key: RunKey, slot: int) -> tuple[WorkflowEntry, Run]:
        """Returns a closed run whose workflow id has no current run: that one was deleted.

        Its entry stays out of memory, where it would stand for a workflow id without a run.
        """
        entry = WorkflowEntry((key.namespace_id, key.workflow_id), slot, None)
        if key.run_id:
            await self._load_run(entry, key)
        self._shards.check_lease()
        run = entry.runs.get(key.run_id)
        if run is None:
            raise _not_found(key)
        entry.dropped = True
        return entry, run

    async def _load(self, key: WorkflowKey, slot: int) -> WorkflowEntry | None:
        self.cache.misses += 1
        loading = self._loading.get(key)
        if loading is None or loading.done():
            # (What has just ended may have left memory already.) Whoever waits for it gets its
            # error, so it is not one of the supervised tasks.
            loading = asyncio.create_task(self._load_entry(key, slot), name="load-workflow")
            self._loading[key] = loading
            loading.add_done_callback(lambda ended: self._loaded(key, ended))
        return await asyncio.shield(loading)

    def _loaded(self, key: WorkflowKey, ended: asyncio.Task[WorkflowEntry | None]) -> None:
        if self._loading.get(key) is ended:
            del self._loading[key]
            self._overtaken.discard(key)
        if not ended.cancelled():
            ended.exception()

    async def _load_entry(self, key: WorkflowKey, slot: int) -> WorkflowEntry | None:
        while True:
            # A dropped entry may have commits under way, which a read now would not see.
            while (pending := self.in_flight.get(key)) is not None:
                await asyncio.wait([pending])
            await self._shards.ready(slot)
            epoch = self._shards.epoch(slot)
            self._overtaken.discard(key)
            stored = await self._store.load_current(*key)
            # What was read under an earlier epoch may lack what a dying transaction wrote. What was
            # read before a workflow was begun in memory lacks it, and memory may have lost it again
            # before the answer came.
            if self._shards.epoch(slot) == epoch and key not in self._overtaken:
                break
        known = self.cache.get(key)
        if known is not None or stored is None:
            return known
        entry = WorkflowEntry(key, slot, _to_run(stored))
        self.cache.add(entry)
        return entry

    async def _load_run(self, entry: WorkflowEntry, key: RunKey) -> None:
        while (deleting := self.deleting.get(entry.key)) is not None:
            await asyncio.wait([deleting])
        deletions = entry.deletions
        stored = await self._store.load_run(key) if key.run_id else None
        if entry.deletions != deletions:
            # What was read may be of a run that is being deleted.
            return
        if stored is None:
            if not await entry.settled():
                return
            raise _not_found(key)
        if not entry.dropped and key.run_id not in entry.runs:
            entry.runs[key.run_id] = _to_run(stored)
            if self.cache.holds(entry):
                self.cache.resize(entry)

    async def read_start_event(self, key: RunKey) -> history.HistoryEvent:
        """Returns the first event of a run that exists."""
        batches = await self._store.read_history(key, 1, 2, 1)
        assert batches, "every run has a first event"
        return history.History.FromString(batches[0].blob).events[0]

    async def finish(self, slots: SlotRange) -> None:
        """Waits until no commit of some slots is in flight; no step may begin meanwhile."""
        while pending := [
            future
            for key, future in self.in_flight.items()
            if slots.first <= slot_of(*key) <= slots.last
        ]:
            await asyncio.wait(pending)


def _to_run(stored: StoredRun) -> Run:
    return load_run(stored.key, stored.version, stored.start, stored.state, stored.items)


def _not_found(key: RunKey) -> NotFoundError:
    if key.run_id:
        return NotFoundError(
            f'workflow execution not found for workflow ID "{key.workflow_id}" '
            f'and run ID "{key.run_id}"'
        )
    return NotFoundError(f"workflow not found for ID: {key.workflow_id}")
