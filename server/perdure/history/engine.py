"""The history role: owns workflow state, and implements `HistoryClient` in process.

This module wires the role's parts and spells out the public methods; each family's logic is in a
module of its own.
"""

import asyncio
import itertools
from collections.abc import Sequence

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, MessageRow, RunKey, TaskType, TimerRow
from perdure.core.errors import NotFoundError, ServiceError
from perdure.core.workflow.deadlines import expire_workflow_task, fire_due
from perdure.core.workflow.describe import describe
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
from perdure.history.schedules import Schedules
from perdure.history.shards import REACQUIRE, ShardAuthority, ShardSet, SlotRange
from perdure.history.speculative import SpeculativeTasks
from perdure.history.timers import TimerQueue
from perdure.history.tokens import TokenMaker
from perdure.history.updates import Updates
from perdure.history.workflow_tasks import WorkflowTasks
from perdure.history.workflows import Workflows, run_key
from perdure.persistence.ports import Store, StoreError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import (
    Encoded,
    HistoryMessages,
    MatchingClient,
    Namespace,
    NotOwnerError,
    Poller,
)
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.tasks import TaskSet

REHINT_PAGE = 1000


class HistoryEngine:
    """Implements `perdure.rpc.clients.HistoryClient`, for the workflows of its shards.

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
        self._message_observer = message_observer or SilentObserver()
        self._shard_observer = shard_observer or SilentObserver()
        self._update_observer = update_observer or SilentObserver()
        page = PageLimit(settings.page_batches, settings.page_bytes)
        tokens = TokenMaker(incarnation=incarnation)
        self._queries = BufferedQueries(limit=settings.workflow.max_buffered_queries)
        self._starts_undone = 0
        self.shards = ShardSet(
            authority=authority, ids=ids, tasks=tasks, listener=self, observer=shard_observer
        )
        self._cache = EntryCache(budget_bytes=settings.cache_bytes, on_evict=self._evicted)
        self._timers = self._make_timers(clock, settings)
        self._outbox = self._make_outbox(clock, settings)
        self._speculative = SpeculativeTasks(clock=clock, tasks=tasks, expire=self._expire)
        dispatcher = self._make_dispatcher(tokens, page)
        self._executor = executor = self._make_executor(dispatcher, namespaces, clock, settings)
        self._messages = Messages(
            executor=executor, receivers=self, observer=self._message_observer
        )
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
        self._querier = Querier(
            executor=executor,
            dispatcher=dispatcher,
            queries=self._queries,
            matching=matching,
            ids=ids,
        )
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

    def _make_timers(self, clock: Clock, settings: HistorySettings) -> TimerQueue:
        return TimerQueue(
            store=self._store,
            clock=clock,
            tasks=self._tasks,
            horizon_seconds=settings.timer_horizon,
            page_rows=settings.timer_batch,
            concurrency=settings.concurrent_timers,
            fire=self._fire,
            on_fire=self._shard_observer.timer_fired,
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
        await self._messages.send(row, message)

    async def deliver_message(self, message: stored.Message) -> stored.Receipt:
        """Has the receiver of a message take it in; a repeated delivery answers as the first."""
        return await self._messages.take_in(message)

    # Clients

    async def start_workflow_execution(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> wf.StartWorkflowExecutionResponse:
        """Starts a workflow, or applies its conflict and reuse policies."""
        return await self._workflows.start(namespace, request)

    async def signal_with_start_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWithStartWorkflowExecutionRequest
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """Signals the running run, or starts one with the signal in it."""
        return await self._workflows.signal_with_start(namespace, request)

    async def signal_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals a run."""
        return await self._workflows.signal(namespace, request)

    async def request_cancel_workflow_execution(
        self, namespace: Namespace, request: wf.RequestCancelWorkflowExecutionRequest
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """Asks a run to cancel itself."""
        return await self._workflows.request_cancel(namespace, request)

    async def terminate_workflow_execution(
        self, namespace: Namespace, request: wf.TerminateWorkflowExecutionRequest
    ) -> wf.TerminateWorkflowExecutionResponse:
        """Ends a run at once."""
        return await self._workflows.terminate(namespace, request)

    async def delete_workflow_execution(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run; an open one is terminated first, and deleted soon after."""
        return await self._workflows.delete(namespace, request)

    async def update_workflow_execution_options(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionOptionsRequest
    ) -> wf.UpdateWorkflowExecutionOptionsResponse:
        """Changes options of an open run."""
        return await self._workflows.update_options(namespace, request)

    async def reset_workflow_execution(
        self, namespace: Namespace, request: wf.ResetWorkflowExecutionRequest
    ) -> wf.ResetWorkflowExecutionResponse:
        """Begins a run with another one's history up to a workflow task."""
        return await self._resets.reset(namespace, request)

    async def describe_workflow_execution(
        self, namespace: Namespace, request: wf.DescribeWorkflowExecutionRequest
    ) -> wf.DescribeWorkflowExecutionResponse:
        """Describes a run."""
        key = run_key(namespace, request.execution)
        return await self._executor.observe(key, lambda _, run: describe(run))

    async def get_workflow_execution_history(
        self,
        namespace: Namespace,
        request: wf.GetWorkflowExecutionHistoryRequest,
        timeout: float,
    ) -> Encoded:
        """Returns a page of history; waits up to `timeout` seconds where that is asked."""
        return await self._reader.page(namespace, request, timeout)

    async def get_workflow_execution_history_reverse(
        self, namespace: Namespace, request: wf.GetWorkflowExecutionHistoryReverseRequest
    ) -> Encoded:
        """Returns a page of history, newest event first."""
        return await self._reader.reverse(namespace, request)

    async def query_workflow(
        self,
        namespace: Namespace,
        request: wf.QueryWorkflowRequest,
        timeout: float,
    ) -> wf.QueryWorkflowResponse:
        """Has a worker answer a query."""
        return await self._querier.query(namespace, request, timeout)

    async def update_workflow_execution(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionRequest, timeout: float
    ) -> wf.UpdateWorkflowExecutionResponse:
        """Updates a run, and waits up to `timeout` seconds for the stage that is asked for."""
        return await self._updates.update(namespace, request, timeout)

    async def poll_workflow_execution_update(
        self, namespace: Namespace, request: wf.PollWorkflowExecutionUpdateRequest, timeout: float
    ) -> wf.PollWorkflowExecutionUpdateResponse:
        """Waits up to `timeout` seconds for an update to reach a stage."""
        return await self._updates.poll(namespace, request, timeout)

    async def execute_multi_operation(
        self, namespace: Namespace, request: wf.ExecuteMultiOperationRequest, timeout: float
    ) -> wf.ExecuteMultiOperationResponse:
        """Updates a workflow, which is started if need be; waits up to `timeout` seconds."""
        return await self._updates.start_and_update(namespace, request, timeout)

    async def create_schedule(
        self, namespace: Namespace, request: wf.CreateScheduleRequest
    ) -> wf.CreateScheduleResponse:
        """Creates a schedule."""
        return await self._schedules.create(namespace, request)

    async def describe_schedule(
        self, namespace: Namespace, request: wf.DescribeScheduleRequest
    ) -> wf.DescribeScheduleResponse:
        """Describes a schedule."""
        return await self._schedules.describe(namespace, request)

    async def update_schedule(
        self, namespace: Namespace, request: wf.UpdateScheduleRequest
    ) -> wf.UpdateScheduleResponse:
        """Replaces a schedule's definition."""
        return await self._schedules.update(namespace, request)

    async def patch_schedule(
        self, namespace: Namespace, request: wf.PatchScheduleRequest
    ) -> wf.PatchScheduleResponse:
        """Triggers, backfills, pauses or unpauses a schedule."""
        return await self._schedules.patch(namespace, request)

    async def list_schedule_matching_times(
        self, namespace: Namespace, request: wf.ListScheduleMatchingTimesRequest
    ) -> wf.ListScheduleMatchingTimesResponse:
        """Returns the times of a schedule in a range."""
        return await self._schedules.matching_times(namespace, request)

    async def delete_schedule(
        self, namespace: Namespace, request: wf.DeleteScheduleRequest
    ) -> wf.DeleteScheduleResponse:
        """Ends a schedule."""
        return await self._schedules.delete(namespace, request)

    # Workers

    async def record_workflow_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that a workflow task has started."""
        return await self._workflow_tasks.record_started(task, poller)

    async def record_activity_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that an activity task has started."""
        return await self._activities.record_started(task, poller)

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

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        """Moves the pending workflow task of a run whose sticky worker is gone."""
        try:
            await self._workflow_tasks.sticky_queue_unpolled(task)
        except NotFoundError:
            # The run is gone, and the task with it.
            return

    async def respond_workflow_task_completed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskCompletedRequest
    ) -> Encoded:
        """Applies a workflow task's commands."""
        return await self._workflow_tasks.complete(namespace, request)

    async def respond_workflow_task_failed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskFailedRequest
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """Records a failed workflow task."""
        return await self._workflow_tasks.fail(namespace, request)

    async def reset_sticky_task_queue(
        self, namespace: Namespace, request: wf.ResetStickyTaskQueueRequest
    ) -> wf.ResetStickyTaskQueueResponse:
        """Forgets the worker that has the run in its cache."""
        return await self._workflow_tasks.reset_sticky(namespace, request)

    async def respond_activity_task_completed(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedRequest
    ) -> wf.RespondActivityTaskCompletedResponse:
        """Completes an activity, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        await self._activities.complete(target, request)
        return wf.RespondActivityTaskCompletedResponse()

    async def respond_activity_task_failed(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedRequest
    ) -> wf.RespondActivityTaskFailedResponse:
        """Fails an activity attempt, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        await self._activities.fail(target, request)
        return wf.RespondActivityTaskFailedResponse()

    async def respond_activity_task_canceled(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledRequest
    ) -> wf.RespondActivityTaskCanceledResponse:
        """Cancels an activity, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        details = request.details if request.HasField("details") else None
        await self._activities.cancel(target, details, request.identity)
        return wf.RespondActivityTaskCanceledResponse()

    async def record_activity_task_heartbeat(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatRequest
    ) -> wf.RecordActivityTaskHeartbeatResponse:
        """Records a heartbeat, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        details = request.details if request.HasField("details") else None
        told = await self._activities.heartbeat(target, details, request.identity)
        return wf.RecordActivityTaskHeartbeatResponse(**told._asdict())

    async def respond_activity_task_completed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedByIdRequest
    ) -> wf.RespondActivityTaskCompletedByIdResponse:
        """Completes an activity, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        await self._activities.complete(target, request)
        return wf.RespondActivityTaskCompletedByIdResponse()

    async def respond_activity_task_failed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedByIdRequest
    ) -> wf.RespondActivityTaskFailedByIdResponse:
        """Fails an activity attempt, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        await self._activities.fail(target, request)
        return wf.RespondActivityTaskFailedByIdResponse()

    async def respond_activity_task_canceled_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledByIdRequest
    ) -> wf.RespondActivityTaskCanceledByIdResponse:
        """Cancels an activity, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        details = request.details if request.HasField("details") else None
        await self._activities.cancel(target, details, request.identity)
        return wf.RespondActivityTaskCanceledByIdResponse()

    async def record_activity_task_heartbeat_by_id(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatByIdRequest
    ) -> wf.RecordActivityTaskHeartbeatByIdResponse:
        """Records a heartbeat, by the activity's id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        details = request.details if request.HasField("details") else None
        told = await self._activities.heartbeat(target, details, request.identity)
        return wf.RecordActivityTaskHeartbeatByIdResponse(**told._asdict())

    async def pause_activity(
        self, namespace: Namespace, request: wf.PauseActivityRequest
    ) -> wf.PauseActivityResponse:
        """Pauses activities."""
        return await self._activity_operations.pause(namespace, request)

    async def unpause_activity(
        self, namespace: Namespace, request: wf.UnpauseActivityRequest
    ) -> wf.UnpauseActivityResponse:
        """Ends the pause of activities."""
        return await self._activity_operations.unpause(namespace, request)

    async def reset_activity(
        self, namespace: Namespace, request: wf.ResetActivityRequest
    ) -> wf.ResetActivityResponse:
        """Counts attempts of activities anew."""
        return await self._activity_operations.reset(namespace, request)

    async def update_activity_options(
        self, namespace: Namespace, request: wf.UpdateActivityOptionsRequest
    ) -> wf.UpdateActivityOptionsResponse:
        """Changes options of activities."""
        return await self._activity_operations.update_options(namespace, request)
