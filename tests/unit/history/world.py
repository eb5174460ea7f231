"""The history room's real parts over the memory store, on virtual time.

The store can be made slow, absent or silent, at the moment that a test wants it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import (
    Commit,
    HistoryBatch,
    MessageKey,
    MessageRow,
    ReceiptKey,
    RunKey,
    TimerRow,
)
from perdure.history.engine import HistoryEngine
from perdure.history.ports import (
    CommitObserver,
    HistorySettings,
    MessageObserver,
    SilentObserver,
)
from perdure.history.schedule_starts import ScheduleStarts
from perdure.history.shards import ShardAuthority, ShardSet, SoleOwner
from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import Outcome, Shard, StoredRun, StoreError
from perdure.rpc.clients import Encoded, Namespace
from perdure.runtime.deterministic import SeededIds
from perdure.runtime.tasks import TaskSet
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop
from simulation.node import OneNamespace

NAMESPACE = Namespace("11111111-2222-3333-4444-555555555555", "default")
QUEUE = "queue"

T = TypeVar("T")


class Faults:
    """What goes wrong around the store's calls.

    Attributes:
        open: While it is not set, commits wait, unapplied.
        losses: What the next commits raise before anything is applied, one each.
        away: What every call raises, while it is not None.
        batches: The workflow ids of each batch that came to be committed.
        most_in_flight: Most batches that were ever in the store at once.
        before_read: Called with the name of each read, before it is done.
    """

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.losses: list[BaseException] = []
        self.away: StoreError | None = None
        self.batches: list[list[str]] = []
        self.most_in_flight = 0
        self.before_read: Callable[[str], Awaitable[None]] | None = None
        self._in_flight = 0

    async def before_commit(self, batch: Sequence[Commit]) -> None:
        """Waits while commits are held up, and loses the batch if that is wanted."""
        self.batches.append([commit.workflow_id for commit in batch])
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            if self.losses:
                raise self.losses.pop(0)
            self._reach()
        finally:
            self._in_flight -= 1

    async def after_commit(self, batch: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
        """Does nothing."""

    async def read(self, name: str) -> None:
        """Is called before a read."""
        await asyncio.sleep(0)
        self._reach()
        if self.before_read is not None:
            await self.before_read(name)

    def _reach(self) -> None:
        if self.away is not None:
            raise self.away


class UnreliableStore(MemoryStore):
    """A memory store whose reads go wrong too.

    Attributes:
        timer_reads: The row after which each read of timers began.
        after_reading_receipt: Called when a receipt has been read, before the reader has it.
    """

    def __init__(self, *, ids: SeededIds, faults: Faults) -> None:
        super().__init__(ids=ids, faults=faults)
        self._reads = faults
        self.timer_reads: list[TimerRow | None] = []
        self.after_reading_receipt: Callable[[], Awaitable[None]] | None = None

    async def load_current(self, namespace_id: str, workflow_id: str) -> StoredRun | None:
        """Returns the workflow id's current run."""
        await self._reads.read("load_current")
        return await super().load_current(namespace_id, workflow_id)

    async def load_run(self, key: RunKey) -> StoredRun | None:
        """Returns one run."""
        await self._reads.read("load_run")
        return await super().load_run(key)

    async def read_history(
        self, key: RunKey, first_event_id: int, end_event_id: int, max_batches: int
    ) -> list[HistoryBatch]:
        """Returns batches of events."""
        await self._reads.read("read_history")
        return await super().read_history(key, first_event_id, end_event_id, max_batches)

    async def read_timers(
        self, first_slot: int, last_slot: int, due_before: int, after: TimerRow | None, limit: int
    ) -> list[TimerRow]:
        """Returns timers."""
        await self._reads.read("read_timers")
        self.timer_reads.append(after)
        return await super().read_timers(first_slot, last_slot, due_before, after, limit)

    async def read_messages(
        self, first_slot: int, last_slot: int, due_before: int, after: MessageKey | None, limit: int
    ) -> list[MessageRow]:
        """Returns messages."""
        await self._reads.read("read_messages")
        return await super().read_messages(first_slot, last_slot, due_before, after, limit)

    async def load_receipt(self, key: ReceiptKey) -> bytes | None:
        """Returns the data of a receipt."""
        await self._reads.read("load_receipt")
        found = await super().load_receipt(key)
        if self.after_reading_receipt is not None:
            await self.after_reading_receipt()
        return found

    async def delete_expired_receipts(
        self, first_slot: int, last_slot: int, expired_before: int, limit: int
    ) -> int:
        """Deletes receipts."""
        await self._reads.read("delete_expired_receipts")
        return await super().delete_expired_receipts(first_slot, last_slot, expired_before, limit)

    async def acquire_shard(self, first_slot: int, last_slot: int, owner: str) -> Shard:
        """Takes over a range of slots."""
        await self._reads.read("acquire_shard")
        return await super().acquire_shard(first_slot, last_slot, owner)


class Owner(ShardAuthority, Protocol):
    """A `ShardAuthority` that has a set adopt what it owns."""

    async def begin(self, shards: ShardSet) -> None:
        """Takes over what is owned."""
        ...


class PartOwner:
    """An `Owner` of some of a store's shards, named by their first slots."""

    def __init__(self, *, store: MemoryStore, node_id: str, first_slots: Sequence[int]) -> None:
        self._store = store
        self._node_id = node_id
        self._first_slots = first_slots

    def lease_valid(self) -> bool:
        """Returns that nobody else has taken over."""
        return True

    async def begin(self, shards: ShardSet) -> None:
        """Takes over what is owned."""
        known = (await self._store.read_cluster()).shards
        own = [shard for shard in known if shard.first_slot in self._first_slots]
        shards.adopt(await self.take(own))

    async def take(self, shards: Sequence[Shard]) -> Sequence[Shard]:
        """Raises the epochs of shards."""
        return await self._store.take_shards(shards, self._node_id)

    async def release(self, shard: Shard) -> None:
        """Makes a shard nobody's."""
        await self._store.release_shard(shard)

    def takes_back(self) -> bool:
        """Returns that others keep what they have taken."""
        return False


class World:
    """A store, its faults, a clock, and background tasks.

    Attributes:
        errors: What background tasks have died of, with their names.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.clock = SimulatedClock(loop=loop)
        self.ids = SeededIds(generator=random.Random(1), clock=self.clock)
        self.faults = Faults()
        self.store = UnreliableStore(ids=self.ids, faults=self.faults)
        self.errors: list[tuple[str, BaseException]] = []
        self.tasks = TaskSet(on_error=self._on_error)
        self.servers: list[Server] = []

    def _on_error(self, name: str, error: BaseException) -> None:
        self.errors.append((name, error))

    async def serve(
        self,
        settings: HistorySettings | None = None,
        *,
        owner: "Owner | None" = None,
        observer: MessageObserver | None = None,
        commit_observer: CommitObserver | None = None,
        schedule_starts: ScheduleStarts | None = None,
    ) -> "Server":
        """Starts the engines over the store, which own every slot unless an owner is given."""
        owner = owner or SoleOwner(store=self.store, node_id="node")
        server = Server(
            self,
            settings or HistorySettings(),
            owner,
            observer,
            commit_observer=commit_observer,
            schedule_starts=schedule_starts,
        )
        self.servers.append(server)
        await server.owner.begin(server.history.shards)
        return server

    async def close(self) -> None:
        """Ends whatever runs."""
        for server in self.servers:
            server.history.stop()
            await server.matching.close()
        await self.tasks.close()


class Server:
    """The history and matching engines, and the calls of clients and workers."""

    def __init__(
        self,
        world: World,
        settings: HistorySettings,
        owner: Owner,
        observer: MessageObserver | None,
        *,
        commit_observer: CommitObserver | None = None,
        schedule_starts: ScheduleStarts | None = None,
    ) -> None:
        self.world = world
        self.owner = owner
        self.matching = MatchingEngine(
            store=world.store,
            clock=world.clock,
            ids=world.ids,
            settings=MatchingSettings(),
            incarnation="incarnation",
            on_error=world._on_error,
        )
        self.history = HistoryEngine(
            store=world.store,
            matching=self.matching,
            namespaces=OneNamespace(NAMESPACE),
            clock=world.clock,
            ids=world.ids,
            tasks=world.tasks,
            settings=settings,
            observer=commit_observer or SilentObserver(),
            authority=self.owner,
            incarnation="incarnation",
            message_observer=observer,
            schedule_starts=schedule_starts,
        )
        self.matching.attach_history(self.history)

    async def start(self, workflow_id: str, **fields: Any) -> str:
        """Starts a workflow; returns its run id."""
        defaults: dict[str, Any] = {
            "namespace": NAMESPACE.name,
            "workflow_id": workflow_id,
            "workflow_type": {"name": "Workflow"},
            "task_queue": {"name": QUEUE},
            "workflow_task_timeout": {"seconds": 10},
            "workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_FAIL",
            "workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE",
            "request_id": self.world.ids.request_id(),
        }
        request = wf.StartWorkflowExecutionRequest(**(defaults | fields))
        return (await self.history.start_workflow_execution(NAMESPACE, request)).run_id

    async def signal(self, workflow_id: str, name: str = "signal") -> None:
        """Signals a workflow."""
        request = wf.SignalWorkflowExecutionRequest(
            workflow_execution=execution(workflow_id), signal_name=name
        )
        await self.history.signal_workflow_execution(NAMESPACE, request)

    async def terminate(self, workflow_id: str) -> None:
        """Ends a workflow."""
        request = wf.TerminateWorkflowExecutionRequest(workflow_execution=execution(workflow_id))
        await self.history.terminate_workflow_execution(NAMESPACE, request)

    async def describe(self, workflow_id: str) -> wf.DescribeWorkflowExecutionResponse:
        """Describes a workflow."""
        request = wf.DescribeWorkflowExecutionRequest(execution=execution(workflow_id))
        return await self.history.describe_workflow_execution(NAMESPACE, request)

    async def read(
        self, workflow_id: str, *, seconds: float = 20.0, run_id: str = "", **fields: Any
    ) -> wf.GetWorkflowExecutionHistoryResponse:
        """Reads a page of history."""
        request = wf.GetWorkflowExecutionHistoryRequest(
            execution=execution(workflow_id, run_id), **fields
        )
        encoded = await self.history.get_workflow_execution_history(NAMESPACE, request, seconds)
        return wf.GetWorkflowExecutionHistoryResponse.FromString(encoded)

    async def read_reverse(
        self, workflow_id: str, **fields: Any
    ) -> wf.GetWorkflowExecutionHistoryReverseResponse:
        """Reads a page of history, newest event first."""
        request = wf.GetWorkflowExecutionHistoryReverseRequest(
            execution=execution(workflow_id), **fields
        )
        encoded = await self.history.get_workflow_execution_history_reverse(NAMESPACE, request)
        return wf.GetWorkflowExecutionHistoryReverseResponse.FromString(encoded)

    def poll(self) -> asyncio.Task[Encoded]:
        """Starts a poll for a workflow task."""
        request = wf.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=QUEUE))
        return self.world.loop.create_task(
            self.matching.poll_workflow_task_queue(NAMESPACE, request, 60.0)
        )

    async def take(self) -> wf.PollWorkflowTaskQueueResponse:
        """Takes a workflow task."""
        response = wf.PollWorkflowTaskQueueResponse.FromString(await self.poll())
        assert response.task_token, "no workflow task came"
        return response

    async def complete(self, task: wf.PollWorkflowTaskQueueResponse, *batch: Command) -> None:
        """Completes a workflow task."""
        request = wf.RespondWorkflowTaskCompletedRequest(task_token=task.task_token, commands=batch)
        await self.history.respond_workflow_task_completed(NAMESPACE, request)


def execution(workflow_id: str, run_id: str = "") -> WorkflowExecution:
    """Names a run."""
    return WorkflowExecution(workflow_id=workflow_id, run_id=run_id)


async def settle() -> None:
    """Lets everything run that does not wait for time."""
    for _ in range(50):
        await asyncio.sleep(0)


def run(scenario: Callable[[World], Coroutine[Any, Any, T]], *, failures: int = 0) -> T:
    """Runs a scenario on virtual time.

    Args:
        scenario: What happens.
        failures: How many background tasks must die on the way.
    """
    loop = SimulatedLoop(generator=random.Random(1))

    async def main() -> tuple[T, World]:
        world = World(loop)
        try:
            return await scenario(world), world
        finally:
            await world.close()

    try:
        result, world = loop.run_until_complete(main())
    finally:
        loop.close()
    assert len(world.errors) == failures, world.errors
    return result
