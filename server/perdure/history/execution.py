"""The one path by which a workflow changes: load, step, commit, then answer.

Rules that hold here, in this order: the workflow is loaded; the step runs without interruption, on
a state whose commits may be in flight; its commit joins the queue; only when it is durable are
pollers answered, tasks handed to matching, waiters woken, and the result returned. An error is
returned only when what it was judged by is durable. A step that fails in the middle drops its
workflow from memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import Commit, ReceiptKey, RunKey
from perdure.core.errors import (
    InvalidArgumentError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from perdure.core.slots import slot_of
from perdure.core.workflow.limits import RunLimitExceeded, check_limits
from perdure.core.workflow.state import Run, load_run
from perdure.core.workflow.step import NeedsStartEvent, RunStep, Step, StepContext
from perdure.history.committer import CommitLost, Committer, is_committed
from perdure.history.dispatch import Dispatcher, FusedStart
from perdure.history.entries import EntryCache, WorkflowEntry, WorkflowKey
from perdure.history.ids import StepIdentifiers
from perdure.history.message_queue import MessageQueue
from perdure.history.ports import CommitObserver, HistorySettings, NamespaceDirectory
from perdure.history.shards import ShardSet, SlotRange
from perdure.history.speculative import SpeculativeTasks
from perdure.history.timers import TimerQueue
from perdure.persistence.ports import Outcome, Result, StoredRun, StoreError, WorkflowStore
from perdure.rpc.clients import StaleTask
from perdure.runtime.ports import Clock
from perdure.telemetry.tracing import NO_TRACING, Tracer

T = TypeVar("T")
Action = Callable[[Step, Run], T]
StartAction = Callable[[Step], T]
StartEvents = dict[str, history.HistoryEvent]
"""First events that were loaded for an operation, by run id: its later tries need them too."""


def _nothing(_: Any) -> None:
    """Does nothing."""


class Executor:
    """Runs steps over workflows.

    Attributes:
        cache: The workflows in memory.
        tracer: Knows the span that a step is made in.
    """

    def __init__(
        self,
        *,
        store: WorkflowStore,
        shards: ShardSet,
        committer: Committer,
        cache: EntryCache,
        dispatcher: Dispatcher,
        timers: TimerQueue,
        messages: MessageQueue,
        namespaces: NamespaceDirectory,
        clock: Clock,
        ids: StepIdentifiers,
        settings: HistorySettings,
        observer: CommitObserver,
        speculative: SpeculativeTasks,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        self.tracer = tracer
        self._speculative = speculative
        self._store = store
        self._shards = shards
        self._committer = committer
        self.cache = cache
        self._dispatcher = dispatcher
        self._timers = timers
        self._messages = messages
        self._namespaces = namespaces
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._observer = observer
        self._in_flight: dict[WorkflowKey, asyncio.Future[Outcome]] = {}
        self._deleting: dict[WorkflowKey, asyncio.Future[Outcome]] = {}
        self._loading: dict[WorkflowKey, asyncio.Task[WorkflowEntry | None]] = {}
        self._overtaken: set[WorkflowKey] = set()

    # Steps

    async def update(
        self, key: RunKey, action: Action[T], after: Callable[[T], None] = _nothing
    ) -> T:
        """Steps a run; an empty run id names the current one.

        Args:
            key: The run.
            action: The step; called again on a reloaded state when its commit did not land.
            after: Called with the action's result once the step has finished, before anything
                else can happen to the run.

        Raises:
            NotFoundError: There is no such run.
            ServiceError: Whatever the action raises.
        """

        async def once(known: StartEvents) -> T:
            entry, run = await self.find(key)
            _restore_start_event(run, known)
            step = self._step(entry)
            return await self._run(entry, step, lambda: action(step, run), after)

        return await self._retrying(once)

    async def start(
        self,
        namespace_id: str,
        workflow_id: str,
        action: StartAction[T],
        *,
        assume_new: bool,
        after: Callable[[T], None] = _nothing,
    ) -> T:
        """Steps a workflow id that may have no run yet; `after` is that of `update`.

        With `assume_new` the first try supposes that it has none unless memory says otherwise: the
        commit finds out, which saves a read for every workflow that is really new.
        """
        key = (namespace_id, workflow_id)
        assumption = [assume_new]

        async def once(known: StartEvents) -> T:
            entry = await self._find_or_begin(key, assume_new=assumption[0])
            assumption[0] = False
            if entry.current is not None:
                _restore_start_event(entry.current, known)
            step = self._step(entry)
            return await self._run(entry, step, lambda: action(step), after)

        return await self._retrying(once)

    async def receive(
        self, key: RunKey, receipt: ReceiptKey | None, action: Callable[[Step, Run | None], bytes]
    ) -> bytes:
        """Steps a workflow id that a message has come to, unless it has come before.

        Args:
            key: Who it is for; an empty run id names the current run. There may be no such run.
            receipt: What the step's receipt is called; None when it keeps none.
            action: The step, which adds the receipt; it returns the receipt's data.

        Returns:
            The data of the receipt, which may be an earlier one.
        """

        async def once(_: StartEvents) -> bytes:
            # Of two that come at once both find none here: the store takes one receipt only, and
            # the other one is then found.
            data = await self._store.load_receipt(receipt) if receipt else None
            if data is not None:
                return data
            entry, run = await self._find_any(key)
            step = self._step(entry)
            return await self._run(entry, step, lambda: action(step, run), _nothing)

        return await self._retrying(once)

    async def _find_any(self, key: RunKey) -> tuple[WorkflowEntry, Run | None]:
        """Returns a run as the newest step left it, None when there is no such run.

        Nothing may be awaited between this and a step.
        """
        absent = False
        while True:
            entry = await self._find_or_begin((key.namespace_id, key.workflow_id), assume_new=False)
            run = entry.runs.get(key.run_id) if key.run_id else entry.current
            if run is not None or absent or not key.run_id:
                return entry, run
            try:
                await self._load_run(entry, key)
            except NotFoundError:
                absent = True

    async def _find_or_begin(self, key: WorkflowKey, *, assume_new: bool) -> WorkflowEntry:
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

    async def observe(self, key: RunKey, look: Callable[[WorkflowEntry, Run], T]) -> T:
        """Returns what a look at a run sees, once all of that is durable.

        A run goes on changing while its reader waits, so whatever is answered from must be taken
        by `look`, which runs at one moment.

        Raises:
            NotFoundError: There is no such run.
        """

        async def once(_: StartEvents) -> T:
            entry, run = await self.find(key)
            seen = look(entry, run)
            if not await entry.settled():
                raise TryAgain
            self._shards.check_lease()
            return seen

        return await self._retrying(once)

    async def _retrying(self, once: Callable[[StartEvents], Awaitable[T]]) -> T:
        known: StartEvents = {}
        tries = 0
        while tries < self._settings.commit_retries:
            try:
                try:
                    return await once(known)
                except RunLimitExceeded as overgrown:
                    await self.update(overgrown.run, overgrown.end)
                    raise InvalidArgumentError(overgrown.reason) from None
                except NeedsStartEvent as needed:
                    # No try is lost by it: each run has one such event, and it never changes.
                    key = needed.run.key
                    assert key.run_id not in known, "a step that has its start event wants it again"
                    known[key.run_id] = await self._read_start_event(key)
            except TryAgain:
                tries += 1
            except (CommitLost, StoreError) as error:
                raise UnavailableError("The store is not available; try again.") from error
        raise UnavailableError("The workflow is being changed elsewhere; try again.")

    def _step(self, entry: WorkflowEntry) -> Step:
        namespace_id = entry.key[0]
        info = self._namespaces.info(namespace_id)
        context = StepContext(
            now=self._clock.now(),
            ids=self._ids,
            epoch=self._shards.epoch(entry.slot),
            settings=self._settings.workflow,
            namespace=info.name,
            retention=info.retention,
            search_attributes=info.search_attributes,
            find_namespace=self._namespaces.find,
            has_poller=lambda queue: self._dispatcher.has_poller(namespace_id, queue),
            tail_budget=self._settings.tail_bytes,
            cause=self.tracer.cause() if self.tracer.enabled else b"",
        )
        return Step(context, entry.current)

    async def _run(
        self,
        entry: WorkflowEntry,
        step: Step,
        act: Callable[[], T],
        after: Callable[[T], None],
    ) -> T:
        starts: list[FusedStart] = []
        try:
            result = act()
            check_limits(step)
            starts = self._dispatcher.start_fused(step)
            commit = step.finish()
            self._dispatcher.capture(starts)
            after(result)
            self._speculative.watch(step)
        except NeedsStartEvent:
            assert not any(change.touched for change in step.runs.values()), "changed, then needed"
            raise
        except (ServiceError, StaleTask):
            assert not any(change.touched for change in step.runs.values()), "changed, then refused"
            await self._settle(entry)
            raise
        except BaseException:
            self._dispatcher.release(starts)
            self.cache.drop(entry)
            raise
        if commit is None:
            self._take_effect_unwritten(entry, step, starts)
            await self._settle(entry)
        else:
            await self._commit(entry, step, commit, starts)
        return result

    def _take_effect_unwritten(
        self, entry: WorkflowEntry, step: Step, starts: list[FusedStart]
    ) -> None:
        """Has what a step changed in memory only take effect once all it rests on is durable."""
        changes = step.runs.values()
        offers = [task for change in changes for task in change.offers.values()]
        wakes = any(change.wakes for change in changes)
        if not (starts or offers or wakes):
            return

        def rests_on(ended: asyncio.Future[Outcome] | None) -> None:
            # Runs whether or not the caller still waits.
            if entry.dropped or (ended is not None and _is_lost(ended)):
                self._dispatcher.release(starts)
                return
            self._dispatcher.deliver(starts)
            if offers:
                self._dispatcher.offer(offers)
            if wakes:
                entry.wake()

        last = entry.last_commit
        if last is None or last.done():
            rests_on(last)
        else:
            last.add_done_callback(rests_on)

    async def _settle(self, entry: WorkflowEntry) -> None:
        # The answer rests on commits in flight; had they failed, it might be another.
        if entry.current is None:
            self.cache.drop(entry)
        if not await entry.settled():
            raise TryAgain
        self._shards.check_lease()

    async def _commit(
        self, entry: WorkflowEntry, step: Step, commit: Commit, starts: list[FusedStart]
    ) -> None:
        _remember(entry, step)
        future = self._committer.submit(commit)
        entry.last_commit = future
        self._in_flight[entry.key] = future
        if entry.key in self._loading:
            self._overtaken.add(entry.key)
        entry.in_flight += 1
        self.cache.resize(entry)
        self._forget_deleted(entry, step, future)

        def landed(ended: asyncio.Future[Outcome]) -> None:
            # Runs whether or not the caller still waits: what is durable must take effect.
            entry.in_flight -= 1
            for under_way in (self._in_flight, self._deleting):
                if under_way.get(entry.key) is ended:
                    del under_way[entry.key]
            if _is_lost(ended):
                self._dispatcher.release(starts)
                self.cache.drop(entry)
                return
            self._took_effect(entry, commit, starts)

        future.add_done_callback(landed)
        outcome = await asyncio.shield(future)
        if outcome.result is Result.FENCED:
            self._shards.fenced(commit.slot, commit.epoch)
        if outcome.result is Result.REJECTED and not commit.receipts_added:
            # The same rows would be refused again, whatever state they are made from. (A receipt
            # may be there already, and is found then.)
            raise InvalidArgumentError(f"The store refuses what was sent: {outcome.detail}.")
        if not is_committed(outcome):
            raise TryAgain

    def _forget_deleted(
        self, entry: WorkflowEntry, step: Step, future: asyncio.Future[Outcome]
    ) -> None:
        """Takes runs out of memory whose deletion is in flight."""
        deleted = [run_id for run_id, change in step.runs.items() if change.deleted]
        if not deleted:
            return
        self._deleting[entry.key] = future
        if entry.current is not None and entry.current.key.run_id in deleted:
            # Whoever looks next waits until it has landed.
            self.cache.drop(entry)
            return
        for run_id in deleted:
            del entry.runs[run_id]
        entry.deletions += len(deleted)
        self.cache.resize(entry)

    def _took_effect(self, entry: WorkflowEntry, commit: Commit, starts: list[FusedStart]) -> None:
        self._timers.apply(commit)
        self._messages.apply(commit)
        self._dispatcher.deliver(starts)
        if commit.tasks_added:
            self._dispatcher.offer(commit.tasks_added)
        entry.wake()
        self._observer.committed(commit)
        if entry.current is None:
            # Nobody was there to take a message in.
            self.cache.drop(entry)

    async def finish(self, slots: SlotRange) -> None:
        """Waits until no commit of some slots is in flight; no step may begin meanwhile."""
        while pending := [
            future
            for key, future in self._in_flight.items()
            if slots.first <= slot_of(*key) <= slots.last
        ]:
            await asyncio.wait(pending)

    # Loading

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
            while (pending := self._in_flight.get(key)) is not None:
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
        while (deleting := self._deleting.get(entry.key)) is not None:
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

    async def _read_start_event(self, key: RunKey) -> history.HistoryEvent:
        batches = await self._store.read_history(key, 1, 2, 1)
        assert batches, "every run has a first event"
        return history.History.FromString(batches[0].blob).events[0]


def beyond(change: RunStep) -> RunStep:
    """Returns a collector for what goes on in memory when a run's step has been finished."""
    return RunStep(change.run, change.context, change.now, change.run.version)


def _is_lost(ended: asyncio.Future[Outcome]) -> bool:
    return bool(ended.cancelled() or ended.exception() or not is_committed(ended.result()))


class TryAgain(Exception):
    """The state that a step was taken on turned out not to be the store's: reload and repeat."""


def _remember(entry: WorkflowEntry, step: Step) -> None:
    """Takes what a step made into memory, ahead of its commit."""
    for run_id, change in step.runs.items():
        entry.runs[run_id] = change.run
    if step.new_current is not None:
        entry.current = step.new_current


def _restore_start_event(run: Run, known: StartEvents) -> None:
    """Gives a run its first event back, which was loaded for it before it left memory."""
    if (event := known.get(run.key.run_id)) is not None:
        run.start_event = event


def _to_run(stored: StoredRun) -> Run:
    return load_run(stored.key, stored.version, stored.start, stored.state, stored.items)


def _not_found(key: RunKey) -> NotFoundError:
    if key.run_id:
        return NotFoundError(
            f'workflow execution not found for workflow ID "{key.workflow_id}" '
            f'and run ID "{key.run_id}"'
        )
    return NotFoundError(f"workflow not found for ID: {key.workflow_id}")
