"""The history role's parts and its life: what it is made of, and what goes on without a request."""

import asyncio
import itertools
from collections.abc import Sequence

from perdure.core.commit import DispatchTask, MessageRow, RunKey, TaskType, TimerRow
from perdure.core.errors import NotFoundError, ServiceError
from perdure.core.workflow.deadlines import expire_workflow_task, fire_due
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.core.workflow_task.state import deadline
from perdure.history.activities import Activities
from perdure.history.activity_operations import ActivityOperations
from perdure.history.committer import Committer
from perdure.history.dispatch import Dispatcher
from perdure.history.entries import EntryCache, WorkflowEntry
from perdure.history.execution import Executor
from perdure.history.ids import StepIdentifiers
from perdure.history.message_queue import MessageQueue
from perdure.history.messages import Messages
from perdure.history.ports import (
    CommitObserver,
    HistorySettings,
    HistoryStatistics,
    MessageObserver,
    NamespaceDirectory,
    ShardObserver,
    SilentObserver,
    UpdateObserver,
)
from perdure.history.queries import BufferedQueries
from perdure.history.query import Querier
from perdure.history.reads import HistoryReader
from perdure.history.receipts import ReceiptSweep
from perdure.history.resets import Resets
from perdure.history.responses import PageLimit
from perdure.history.schedule_starts import ScheduleSettings, ScheduleStarts
from perdure.history.schedules import Schedules
from perdure.history.shards import REACQUIRE, ShardAuthority, ShardSet, SlotRange
from perdure.history.speculative import SpeculativeTasks
from perdure.history.timers import TimerQueue
from perdure.history.tokens import TokenMaker
from perdure.history.tracing import QueueSpans
from perdure.history.updates import Updates
from perdure.history.workflow_tasks import WorkflowTasks
from perdure.history.workflows import Workflows
from perdure.persistence.ports import Store, StoreError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import MatchingClient, NotOwnerError
from perdure.rpc.history_client import HistoryMessages
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.tracing import NO_TRACING, Tracer

REHINT_PAGE = 1000


class HistoryRole:
    """Owns the state of the workflows of its shards; `HistoryEngine` answers for it.

    Attributes:
        shards: What it owns: nothing, until its authority has it adopt some.
    """

    def __init__(
        self,
        *,
        store: Store,
        matching: MatchingClient,
        namespaces: NamespaceDirectory,
        clock: Clock,
        ids: Ids,
        tasks: TaskSet,
        settings: HistorySettings,
        observer: CommitObserver,
        authority: ShardAuthority,
        incarnation: str,
        shard_observer: ShardObserver | None = None,
        message_observer: MessageObserver | None = None,
        update_observer: UpdateObserver | None = None,
        schedule_starts: ScheduleStarts | None = None,
        tracer: Tracer = NO_TRACING,
    ) -> None:
        """Wires the role.

        `tasks` runs background work and is closed by its owner after `stop`; `authority` decides
        which shards are owned; `incarnation` is the store's, a part of every task token.
        """
        self._store = store
        self._matching = matching
        self._tasks = tasks
        self._ids = ids
        self._observer = observer
        self._tracer = tracer
        self._message_observer = message_observer or SilentObserver()
        self._update_observer = update_observer or SilentObserver()
        self._schedule_starts = schedule_starts or ScheduleStarts(
            settings=lambda _: ScheduleSettings(), clock=clock
        )
        page = PageLimit(settings.page_batches, settings.page_bytes)
        tokens = TokenMaker(incarnation=incarnation)
        self._queries = BufferedQueries(limit=settings.workflow.max_buffered_queries)
        self._starts_undone = 0
        self.shards = ShardSet(
            authority=authority, ids=ids, tasks=tasks, listener=self, observer=shard_observer
        )
        self._cache = EntryCache(budget_bytes=settings.cache_bytes, on_evict=self._evicted)
        self._timers = self._make_timers(clock, settings, shard_observer or SilentObserver())
        self._outbox = self._make_outbox(clock, settings)
        self._speculative = SpeculativeTasks(clock=clock, tasks=tasks, expire=self._expire)
        dispatcher = self._make_dispatcher(tokens, page)
        self._executor = executor = self._make_executor(dispatcher, namespaces, clock, settings)
        self._spans = QueueSpans(tracer=tracer, executor=executor, clock=clock)
        self._messages = self._make_messages()
        self._receipts = self._make_receipts(clock, settings)
        self._workflows = Workflows(executor=executor, dispatcher=dispatcher)
        self._updates = Updates(executor=executor, store=store, observer=self._update_observer)
        self._schedules = Schedules(executor=executor)
        self._workflow_tasks = WorkflowTasks(
            executor=executor,
            dispatcher=dispatcher,
            queries=self._queries,
            tokens=tokens,
            ids=ids,
            speculative=self._speculative,
            observer=self._update_observer,
        )
        self._activity_operations = ActivityOperations(executor=executor)
        self._activities = Activities(executor=executor, dispatcher=dispatcher, tokens=tokens)
        self._querier = self._make_querier(dispatcher)
        self._resets = self._make_resets(settings)
        self._reader = HistoryReader(executor=executor, store=store, page=page)

    def _make_executor(
        self,
        dispatcher: Dispatcher,
        namespaces: NamespaceDirectory,
        clock: Clock,
        settings: HistorySettings,
    ) -> Executor:
        return Executor(
            store=self._store,
            shards=self.shards,
            committer=self._make_committer(settings),
            cache=self._cache,
            dispatcher=dispatcher,
            timers=self._timers,
            messages=self._outbox,
            namespaces=namespaces,
            clock=clock,
            ids=StepIdentifiers(ids=self._ids, shards=self.shards),
            settings=settings,
            observer=self._observer,
            speculative=self._speculative,
            schedule_starts=self._schedule_starts,
            tracer=self._tracer,
        )

    def _make_dispatcher(self, tokens: TokenMaker, page: PageLimit) -> Dispatcher:
        return Dispatcher(
            matching=self._matching,
            store=self._store,
            queries=self._queries,
            tokens=tokens,
            tasks=self._tasks,
            ids=self._ids,
            page=page,
            undo=self.undo_task_started,
            observer=self._update_observer,
        )

    def _make_messages(self) -> Messages:
        return Messages(executor=self._executor, receivers=self, observer=self._message_observer)

    def _make_querier(self, dispatcher: Dispatcher) -> Querier:
        return Querier(
            executor=self._executor,
            dispatcher=dispatcher,
            queries=self._queries,
            matching=self._matching,
            ids=self._ids,
        )

    def _make_timers(
        self, clock: Clock, settings: HistorySettings, observer: ShardObserver
    ) -> TimerQueue:
        return TimerQueue(
            store=self._store,
            clock=clock,
            tasks=self._tasks,
            horizon_seconds=settings.timer_horizon,
            page_rows=settings.timer_batch,
            concurrency=settings.concurrent_timers,
            fire=self._fire,
            on_fire=observer.timer_fired,
        )

    def _make_outbox(self, clock: Clock, settings: HistorySettings) -> MessageQueue:
        return MessageQueue(
            store=self._store,
            clock=clock,
            ids=self._ids,
            tasks=self._tasks,
            settings=settings.messages,
            observer=self._message_observer,
            send=self._send,
        )

    def _make_committer(self, settings: HistorySettings) -> Committer:
        return Committer(
            store=self._store,
            tasks=self._tasks,
            max_batch=settings.commit_batch,
            on_lost=self._lost,
        )

    def _make_resets(self, settings: HistorySettings) -> Resets:
        return Resets(
            executor=self._executor, store=self._store, ids=self._ids, settings=settings.workflow
        )

    def _make_receipts(self, clock: Clock, settings: HistorySettings) -> ReceiptSweep:
        return ReceiptSweep(
            store=self._store,
            clock=clock,
            tasks=self._tasks,
            period_seconds=settings.messages.sweep_seconds,
            ranges=lambda: self.shards.ranges,
        )

    # Life cycle

    def attach_cluster(self, receivers: HistoryMessages) -> None:
        """Has messages sent through the cluster's history; without it, to this process's runs."""
        self._messages.receivers = receivers

    def stop(self) -> None:
        """Stops firing timers and sending messages; requests in progress may still end."""
        self._timers.stop()
        self._speculative.stop()
        self._outbox.stop()
        self._receipts.stop()

    def statistics(self) -> HistoryStatistics:
        """Returns what is in memory and has been counted, for metrics."""
        cache = self._cache
        return HistoryStatistics(
            cache_entries=len(cache),
            cache_bytes=cache.total_bytes,
            cache_limit_bytes=cache.budget,
            cache_requests=cache.requests,
            cache_misses=cache.misses,
            timers=self._timers.in_memory,
            starts_undone=self._starts_undone,
            messages=len(self._outbox),
        )

    def gained(self, ranges: Sequence[SlotRange]) -> None:
        """Goes on with every timer, message and task of some slots that is in the store."""
        self._timers.start(self.shards.ranges)
        self._outbox.start(self.shards.ranges)
        self._receipts.start()
        for slots in ranges:
            self._tasks.spawn("offer-tasks", self._offer_stored_tasks(slots))

    def lost(self, ranges: Sequence[SlotRange]) -> None:
        """Forgets what is in memory of slots that are not this process's any more."""
        for first, last in ranges:
            self._cache.drop_slots(first, last)
        self._timers.start(self.shards.ranges)
        self._outbox.start(self.shards.ranges)

    async def finish(self, slots: SlotRange) -> None:
        """Waits until nothing of some slots is in flight."""
        await self._executor.finish(slots)

    async def _offer_stored_tasks(self, slots: SlotRange) -> None:
        """Tells matching of the tasks that an earlier owner, or a lost commit's memory, left."""
        after: DispatchTask | None = None
        for attempt in itertools.count(1):
            try:
                tasks = await self._store.read_tasks(*slots, after, REHINT_PAGE)
            except StoreError:
                await asyncio.sleep(REACQUIRE.pause_seconds(attempt, self._ids))
                continue
            self._matching.add_tasks(tasks)
            if len(tasks) < REHINT_PAGE:
                return
            after = tasks[-1]

    def _lost(self, unknown: bool) -> None:
        self._observer.commits_lost(unknown)
        self.shards.recover()
        self._cache.drop_all()

    def _evicted(self, entry: WorkflowEntry) -> None:
        for run_id in entry.runs:
            self._queries.release(run_id)

    async def _fire(self, row: TimerRow) -> None:
        await self._spans.timer(row, lambda: self._fire_due(row))

    async def _fire_due(self, row: TimerRow) -> None:
        def act(step: Step, run: Run) -> None:
            if run.state.timer_due == row.due:
                change = step.edit(run)
                fire_due(step, change)
                step.consume_timer(row, run)

        try:
            await self._executor.update(row.run, act)
        except (NotFoundError, NotOwnerError):
            # The run was deleted with its rows after this one was read, or is another node's.
            return

    async def _expire(self, key: RunKey, due: int) -> None:
        def act(step: Step, run: Run) -> None:
            if run.speculative and deadline(run.state) == due:
                expire_workflow_task(step.edit(run))

        try:
            await self._executor.update(key, act)
        except ServiceError:
            # What is not in memory any more has died with it.
            return

    async def _send(self, row: MessageRow, message: stored.Message) -> None:
        await self._spans.message(row.run, message, lambda: self._messages.send(row, message))

    async def deliver_message(self, message: stored.Message) -> stored.Receipt:
        """Has the receiver of a message take it in; a repeated delivery answers as the first."""
        return await self._messages.take_in(message)

    async def undo_task_started(self, task: DispatchTask, request_id: str) -> None:
        """Makes a started task pending again: its poller never got it.

        Raises:
            UnavailableError: The store is away; the caller tries again.
        """
        self._starts_undone += 1
        try:
            if task.key.queue.task_type is TaskType.WORKFLOW:
                await self._workflow_tasks.undo_started(task, request_id)
            else:
                await self._activities.undo_started(task, request_id)
        except NotFoundError:
            # The run is gone, and the task with it.
            return
