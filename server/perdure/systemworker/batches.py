"""Does what jobs ask for, to all the workflows that they name or that their query matches.

Theory of operation. Whoever looks after a namespace looks for its jobs every so often, and goes
through the listing page by page; after each page it writes how far it is, which also tells it
whether the job was stopped. After a crash, on whatever node, the page that was not written is done
again: operations carry the same request ids then. Rules that hold here: a job leaves alone what has
been started or closed since it began, so that it ends, and does nothing twice.
"""

import asyncio
from collections.abc import Sequence

from temporalio.api.common.v1.message_pb2 import WorkflowExecution
from temporalio.api.enums.v1 import batch_operation_pb2 as enums
from temporalio.api.enums.v1 import workflow_pb2 as workflows

from perdure.core.commit import VisibilityRow
from perdure.core.errors import InvalidArgumentError, ServiceError, UnavailableError
from perdure.core.visibility import catalogue
from perdure.core.visibility.parser import parse_query
from perdure.core.visibility.query import And, Comparison, Operator, VisibilityFilter
from perdure.persistence.ports import StoreError, VisibilityCursor, VisibilityStore
from perdure.proto import stored_pb2 as stored
from perdure.rpc.batch_jobs import BatchJobs
from perdure.rpc.clients import Namespace
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.runtime.ports import Clock, Ids
from perdure.runtime.retry import Backoff, retry
from perdure.runtime.tasks import TaskSet
from perdure.systemworker.batch_operations import BatchOperation
from perdure.systemworker.ports import LooksAfter
from perdure.systemworker.settings import SystemWorkerSettings

RETRY = Backoff(initial_seconds=0.1, maximum_seconds=5.0, attempts=10)
"""How often an operation is tried while the owner of its workflow is away."""
_OF_OPEN = frozenset({"termination_operation", "signal_operation", "cancellation_operation"})
"""Of a query's workflows only the open ones are these done to."""


class BatchRunner:
    """Runs the jobs of the namespaces that this node looks after."""

    def __init__(
        self,
        *,
        jobs: BatchJobs,
        visibility: VisibilityStore,
        history: HistoryClient,
        namespaces: NamespaceRegistry,
        search_attributes: SearchAttributeRegistry,
        clock: Clock,
        ids: Ids,
        settings: SystemWorkerSettings,
        looks_after: LooksAfter,
    ) -> None:
        self._jobs = jobs
        self._visibility = visibility
        self._history = history
        self._namespaces = namespaces
        self._search_attributes = search_attributes
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._looks_after = looks_after
        self._under_way: set[str] = set()

    def start(self, tasks: TaskSet) -> None:
        """Begins; it goes on until the tasks are closed."""
        tasks.spawn("run-batches", self._look_forever(tasks))

    async def _look_forever(self, tasks: TaskSet) -> None:
        while True:
            await asyncio.sleep(self._settings.batch_period)
            try:
                await self._look(tasks)
            except (ServiceError, StoreError):
                # The next round finds the same.
                continue

    async def _look(self, tasks: TaskSet) -> None:
        for namespace_id in await self._jobs.active():
            if not self._looks_after(namespace_id):
                continue
            namespace = self._namespaces.find_id(namespace_id)
            for job in await self._jobs.running(namespace_id):
                if namespace is not None and job.run_id not in self._under_way:
                    self._under_way.add(job.run_id)
                    tasks.spawn("run-batch", self._run(namespace, job))

    async def _run(self, namespace: Namespace, job: stored.BatchJob) -> None:
        """Goes on with a job until it ends, or until somebody else must."""
        try:
            await self._go_on(namespace, job)
        except (ServiceError, StoreError):
            # A later round goes on from what was written.
            return
        finally:
            self._under_way.discard(job.run_id)

    async def _go_on(self, namespace: Namespace, job: stored.BatchJob) -> None:
        try:
            where = await self._where(namespace, job)
        except InvalidArgumentError:
            # The query names a search attribute that has been removed since.
            self._end(job, enums.BATCH_OPERATION_STATE_FAILED)
            await self._jobs.save(namespace.id, job)
            return
        if not job.total:
            job.total = await self._count(namespace, job, where)
        operation = BatchOperation(namespace=namespace, job=job, history=self._history)
        while job.state == enums.BATCH_OPERATION_STATE_RUNNING:
            began = self._clock.monotonic()
            page, last = await self._next_page(namespace, job, where)
            await self._apply(operation, job, page)
            if last:
                self._end(job, enums.BATCH_OPERATION_STATE_COMPLETED)
            if not self._looks_after(namespace.id) or not await self._jobs.save(namespace.id, job):
                return
            rate = job.request.max_operations_per_second or self._settings.batch_rate
            await asyncio.sleep(max(0.0, began + len(page) / rate - self._clock.monotonic()))

    def _end(self, job: stored.BatchJob, state: enums.BatchOperationState.ValueType) -> None:
        job.state = state
        job.close_time = self._clock.now()

    # Which workflows

    async def _where(self, namespace: Namespace, job: stored.BatchJob) -> VisibilityFilter | None:
        """Returns which runs a job is about; None for those that it names."""
        if not job.request.visibility_query:
            return None
        types = await self._search_attributes.types(namespace.id)
        query = parse_query(job.request.visibility_query, types)
        started = Comparison(catalogue.START_TIME, Operator.LESS_EQUAL, (job.start_time,))
        conditions: list[VisibilityFilter] = [query.visible, started]
        if job.request.WhichOneof("operation") in _OF_OPEN:
            running = workflows.WORKFLOW_EXECUTION_STATUS_RUNNING
            conditions.append(Comparison(catalogue.STATUS, Operator.EQUAL, (running,)))
        return And(tuple(conditions))

    async def _count(
        self, namespace: Namespace, job: stored.BatchJob, where: VisibilityFilter | None
    ) -> int:
        if where is None:
            return len(job.request.target_executions)
        return await self._visibility.count_workflows(namespace.id, where)

    async def _next_page(
        self, namespace: Namespace, job: stored.BatchJob, where: VisibilityFilter | None
    ) -> tuple[list[WorkflowExecution], bool]:
        """Returns the next workflows, and whether they are the last; the job notes where it is."""
        size = self._settings.batch
        if where is None:
            named = job.request.target_executions[job.named_done : job.named_done + size]
            job.named_done += len(named)
            page = [
                WorkflowExecution(workflow_id=each.business_id, run_id=each.run_id)
                for each in named
            ]
            return page, job.named_done >= len(job.request.target_executions)
        after = None
        if job.HasField("after"):
            after = VisibilityCursor(job.after.close_time, job.after.start_time, job.after.run_id)
        rows = await self._visibility.list_workflows(namespace.id, where, after, size)
        if rows:
            job.after.close_time = rows[-1].close_time
            job.after.start_time = rows[-1].start_time
            job.after.run_id = rows[-1].run_id
        return [_execution(row) for row in _untouched(rows, job)], len(rows) < size

    # What is done to them

    async def _apply(
        self, operation: BatchOperation, job: stored.BatchJob, page: Sequence[WorkflowExecution]
    ) -> None:
        """Does the operation to a page, some at a time, and counts how that went."""
        slots = asyncio.Semaphore(self._settings.batch_concurrency)

        async def one(execution: WorkflowExecution) -> bool:
            async with slots:
                try:
                    await retry(
                        lambda: operation.apply(execution),
                        backoff=RETRY,
                        ids=self._ids,
                        retryable=(UnavailableError,),
                    )
                except ServiceError:
                    return False
                return True

        done = sum(await asyncio.gather(*map(one, page)))
        job.complete += done
        job.failed += len(page) - done


def _untouched(rows: Sequence[VisibilityRow], job: stored.BatchJob) -> list[VisibilityRow]:
    """Returns the runs that have not closed since the job began: it may have closed those."""
    return [row for row in rows if not row.close_time or row.close_time < job.start_time]


def _execution(row: VisibilityRow) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=row.workflow_id, run_id=row.run_id)
