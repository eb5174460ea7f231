"""The bulk loader: puts workflows whose first task waits for a worker straight into a store.

`python -m bench.bulk_loader` adds or removes a range of numbered workflows, thousands in one
transaction, through the store's own `commit`, while no server runs. What it writes is what a server
writes: one workflow is started by the core, and its commit is the mould from which the others are
cast. Ids of one length change places in the serialised rows, everything else is the same in all.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import click
import uvloop
from google.protobuf.duration_pb2 import Duration
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1.request_response_pb2 import StartWorkflowExecutionRequest

from bench import requests
from bench.errors import BenchError
from bench.targets import NAMESPACE
from bench.wire import varint
from perdure.core.commit import Commit, CurrentWrite, HistoryBatch, RunKey, RunWrite
from perdure.core.slots import slot_of
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow.start import start_workflow
from perdure.core.workflow.step import Step, StepContext
from perdure.persistence.ports import Result, Shard
from perdure.persistence.postgres.store import PostgresStore
from perdure.runtime.clock import SystemClock
from perdure.runtime.ids import SystemIds

ADDED_AT_ONCE = 4_000
REMOVED_AT_ONCE = 500
"""Workflows of one transaction. Each removal is compared with all others of its transaction."""

FIRST_TASK_ID = 1 << 36
"""Task ids from here have varints of one length, and lie below those of every server."""

TASK_TIMEOUT_S = 120
"""Of workflow tasks: longer than any measurement, so that none comes twice."""

RETENTION_NS = 86_400 * 10**9


class NumberedIds:
    """The ids of a numbered workflow, all of a fixed length."""

    def __init__(self, number: int) -> None:
        """Choose the workflow."""
        self.number = number
        self.workflow_id = f"backlog-{number:012d}"

    def run_id(self) -> str:
        """A run id of the usual form."""
        return f"{self.number:08x}-0000-7000-8000-{self.number:012x}"

    def request_id(self) -> str:
        """What makes the start of the workflow unique."""
        return f"{self.number:08x}-0000-4000-8000-{self.number:012x}"

    def nonce(self) -> str:
        """16 hexadecimal digits."""
        return f"{self.number:016x}"

    def task_id(self) -> int:
        """The id of its one task."""
        return FIRST_TASK_ID + self.number

    def random(self) -> float:
        """No jitter."""
        return 0.0


def start_commit(ids: NumberedIds, *, namespace_id: str, queue: str, now: int) -> Commit:
    """What the core asks a store to write when a client starts the workflow."""
    context = StepContext(
        now=now,
        ids=ids,
        epoch=0,
        settings=WorkflowSettings(),
        namespace=NAMESPACE,
        retention=RETENTION_NS,
        search_attributes={},
        find_namespace=lambda _: namespace_id,
        has_poller=lambda _: False,
        tail_budget=0,
    )
    request = StartWorkflowExecutionRequest(
        namespace=NAMESPACE,
        workflow_id=ids.workflow_id,
        workflow_type=requests.WORKFLOW_TYPE,
        task_queue=TaskQueue(name=queue),
        workflow_task_timeout=Duration(seconds=TASK_TIMEOUT_S),
        input=requests.PAYLOADS,
        identity=requests.IDENTITY,
        request_id=ids.request_id(),
    )
    step = Step(context=context, current=None)
    start_workflow(step, namespace_id, request)
    commit = step.finish()
    assert commit is not None
    assert not commit.timers_added, "a timer's row would have to be cast too"
    assert not commit.messages_added, "a message would have to be cast too"
    return commit


class Mould:
    """Casts the commits of workflows from that of one."""

    def __init__(self, *, namespace_id: str, queue: str, now: int) -> None:
        """Start the pattern, a workflow that is never stored.

        Args:
            namespace_id: Where the workflows are.
            queue: The task queue of all of them.
            now: When all of them start, in nanoseconds since 1970.
        """
        self._ids = NumberedIds(0xABCD_EF01)
        self._pattern = start_commit(self._ids, namespace_id=namespace_id, queue=queue, now=now)
        self._namespace_id = namespace_id
        places = _places(self._ids)
        self._split = re.compile(b"(" + b"|".join(map(re.escape, places)) + b")").split
        self._order = {place: number for number, place in enumerate(places)}
        (self._run,) = self._pattern.runs
        (self._task,) = self._pattern.tasks_added
        (self._visibility,) = self._pattern.visibility
        assert self._run.start is not None
        self._start = self._parts(self._run.start)
        self._state = self._parts(self._run.state)
        self._history = [(batch, self._parts(batch.blob)) for batch in self._run.history]

    def cast(self, number: int) -> Commit:
        """The commit that starts a numbered workflow; its epoch is for whoever writes it."""
        ids = NumberedIds(number)
        key = RunKey(self._namespace_id, ids.workflow_id, ids.run_id())
        slot = slot_of(*key[:2])
        values = _places(ids)
        run = RunWrite(
            run_id=key.run_id,
            expected_version=0,
            version=FIRST_TASK_ID,
            start=_fill(self._start, values),
            state=_fill(self._state, values),
            history=[
                HistoryBatch(batch.first_event_id, batch.last_event_id, _fill(parts, values))
                for batch, parts in self._history
            ],
        )
        task_key = self._task.key._replace(task_id=ids.task_id())
        visibility = replace(
            self._visibility,
            run_id=key.run_id,
            workflow_id=key.workflow_id,
            root_run_id=self._visibility.root_run_id and key.run_id,
            root_workflow_id=self._visibility.root_workflow_id and key.workflow_id,
        )
        return Commit(
            namespace_id=key.namespace_id,
            workflow_id=key.workflow_id,
            slot=slot,
            epoch=0,
            current=CurrentWrite("", key.run_id),
            runs=[run],
            tasks_added=[replace(self._task, key=task_key, slot=slot, run=key)],
            visibility=[visibility],
        )

    def removal(self, number: int) -> Commit:
        """The commit that removes a workflow as it was cast, with its task."""
        ids = NumberedIds(number)
        return Commit(
            namespace_id=self._namespace_id,
            workflow_id=ids.workflow_id,
            slot=slot_of(self._namespace_id, ids.workflow_id),
            epoch=0,
            runs=[RunWrite(ids.run_id(), FIRST_TASK_ID, b"", deleted=True)],
            tasks_deleted=[self._task.key._replace(task_id=ids.task_id())],
        )

    def _parts(self, blob: bytes) -> list[bytes | int]:
        """Cuts a serialised message where ids stand, which become their place in the order."""
        return [self._order.get(part, part) for part in self._split(blob)]


def _places(ids: NumberedIds) -> tuple[bytes, ...]:
    return (
        ids.workflow_id.encode(),
        ids.run_id().encode(),
        ids.request_id().encode(),
        varint(ids.task_id()),
    )


def _fill(parts: Sequence[bytes | int], values: Sequence[bytes]) -> bytes:
    return b"".join(values[part] if isinstance(part, int) else part for part in parts)


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with which workflows."""

    dsn: str
    queue: str
    first: int
    count: int
    is_removal: bool


async def carry_out(order: Order) -> None:
    """Add or remove the workflows.

    Raises:
        BenchError: The store does not take one of them, or has no namespace or shards yet.
    """
    ids = SystemIds(clock=SystemClock())
    store = await PostgresStore.open(order.dsn, ids=ids)
    try:
        mould = Mould(
            namespace_id=await _namespace_id(store), queue=order.queue, now=time.time_ns()
        )
        make = mould.removal if order.is_removal else mould.cast
        epochs = _epochs((await store.read_cluster()).shards)
        for numbers in _batches(order):
            commits = [make(number) for number in numbers]
            for commit in commits:
                commit.epoch = epochs[commit.slot]
            outcomes = await store.commit(commits)
            refused = [each for each in outcomes if each.result is not Result.COMMITTED]
            if refused:
                msg = f"the store refused {len(refused)} workflows: {refused[0].detail}"
                raise BenchError(msg)
            await asyncio.sleep(0)
    finally:
        await store.close()


async def _namespace_id(store: PostgresStore) -> str:
    for row in await store.list_namespaces():
        if row.name == NAMESPACE:
            return row.id
    msg = "a server must have run on the database once: it has no namespace yet"
    raise BenchError(msg)


def _epochs(shards: Sequence[Shard]) -> dict[int, int]:
    """The epoch of each slot, as it is while no server runs."""
    return {
        slot: shard.epoch
        for shard in shards
        for slot in range(shard.first_slot, shard.last_slot + 1)
    }


def _batches(order: Order) -> Iterator[range]:
    end = order.first + order.count
    size = REMOVED_AT_ONCE if order.is_removal else ADDED_AT_ONCE
    for begin in range(order.first, end, size):
        yield range(begin, min(begin + size, end))


@click.command()
@click.option("--dsn", required=True, help="Database, as a server has left it.")
@click.option("--queue", required=True, help="Task queue of the workflows.")
@click.option("--first", required=True, type=int, help="Number of the first workflow.")
@click.option("--count", required=True, type=int, help="How many workflows.")
@click.option("--remove", "is_removal", is_flag=True, help="Remove them instead.")
def main(*, dsn: str, queue: str, first: int, count: int, is_removal: bool) -> None:
    """Add numbered workflows, whose first task waits on a queue, to a store; or remove them."""
    uvloop.run(carry_out(Order(dsn, queue, first, count, is_removal)))


if __name__ == "__main__":
    main()
