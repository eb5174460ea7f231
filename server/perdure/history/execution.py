"""The one path by which a workflow changes: load, step, commit, then answer.

Rules that hold here, in this order: the workflow is loaded; the step runs without interruption, on
a state whose commits may be in flight; its commit joins the queue; only when it is durable are
pollers answered, tasks handed to matching, waiters woken, and the result returned. An error is
returned only when what it was judged by is durable. A step that fails in the middle drops its
workflow from memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import Commit, ReceiptKey, RunKey
from perdure.core.errors import (
    InvalidArgumentError,
    ServiceError,
    UnavailableError,
)
from perdure.core.workflow.limits import RunLimitExceeded, check_limits
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import NeedsStartEvent, RunStep, Step, StepContext
from perdure.history.committer import CommitLost, Committer, is_committed
from perdure.history.dispatch import Dispatcher, FusedStart
from perdure.history.entries import EntryCache, WorkflowEntry
from perdure.history.ids import StepIdentifiers
from perdure.history.loading import Loader
from perdure.history.message_queue import MessageQueue
from perdure.history.ports import CommitObserver, HistorySettings, NamespaceDirectory
from perdure.history.schedule_starts import ScheduleStarts
from perdure.history.shards import ShardSet, SlotRange
from perdure.history.speculative import SpeculativeTasks
from perdure.history.timers import TimerQueue
from perdure.persistence.ports import Outcome, Result, StoreError, WorkflowStore
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
        schedule_starts: ScheduleStarts,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        self._schedule_starts = schedule_starts
        self.tracer = tracer
        self._speculative = speculative
        self._store = store
        self._loader = Loader(store=store, shards=shards, cache=cache)
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
            entry, run = await self._loader.find(key)
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
            entry = await self._loader.find_or_begin(key, assume_new=assumption[0])
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
            entry, run = await self._loader.find_any(key)
            step = self._step(entry)
            return await self._run(entry, step, lambda: action(step, run), _nothing)

        return await self._retrying(once)

    async def observe(self, key: RunKey, look: Callable[[WorkflowEntry, Run], T]) -> T:
        """Returns what a look at a run sees, once all of that is durable.

        A run goes on changing while its reader waits, so whatever is answered from must be taken
        by `look`, which runs at one moment.

        Raises:
            NotFoundError: There is no such run.
            ServiceError: Whatever the look raises.
        """

        async def once(_: StartEvents) -> T:
            entry, run = await self._loader.find(key)
            try:
                seen = look(entry, run)
            except ServiceError:
                # A refusal, too, is an answer from memory.
                await self._check_truth(entry)
                raise
            await self._check_truth(entry)
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
                    known[key.run_id] = await self._loader.read_start_event(key)
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
            start_pause=partial(self._schedule_starts.pause, info.name),
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
        if entry.current is None:
            self.cache.drop(entry)
        await self._check_truth(entry)

    async def _check_truth(self, entry: WorkflowEntry) -> None:
        """Makes sure that what has just been seen is the store's state, before it is answered.

        It rests on commits in flight: had they failed, the answer might be another.
        """
        if not await entry.settled():
            raise TryAgain
        self._shards.check_lease()

    async def _commit(
        self, entry: WorkflowEntry, step: Step, commit: Commit, starts: list[FusedStart]
    ) -> None:
        _remember(entry, step)
        future = self._committer.submit(commit)
        entry.last_commit = future
        self._loader.committing(entry.key, future)
        entry.in_flight += 1
        self.cache.resize(entry)
        self._forget_deleted(entry, step, future)
        # Who waits may be cancelled; the commit goes on.
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def landed(ended: asyncio.Future[Outcome]) -> None:
            # Runs whether or not the caller still waits: what is durable must take effect.
            entry.in_flight -= 1
            self._loader.landed(entry.key, ended)
            if not over.done():
                over.set_result(None)
            if _is_lost(ended):
                self._dispatcher.release(starts)
                self.cache.drop(entry)
                return
            self._took_effect(entry, commit, starts)

        future.add_done_callback(landed)
        await over
        outcome = future.result()
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
        self._loader.deleting[entry.key] = future
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
        await self._loader.finish(slots)

    async def find(self, key: RunKey) -> tuple[WorkflowEntry, Run]:
        """Returns a run as the newest step left it; `Loader.find` says how."""
        return await self._loader.find(key)


def _is_lost(ended: asyncio.Future[Outcome]) -> bool:
    return bool(ended.cancelled() or ended.exception() or not is_committed(ended.result()))


def beyond(change: RunStep) -> RunStep:
    """Returns a collector for what goes on in memory when a run's step has been finished."""
    return RunStep(change.run, change.context, change.now, change.run.version)


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
