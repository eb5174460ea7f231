"""Matching in front of a store that holds the rows: nothing it forgets is lost."""

import asyncio
import random

import pytest
from temporalio.api.taskqueue.v1.message_pb2 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import Commit, DispatchKey, DispatchTask, RunKey, TaskQueueKey, TaskType
from perdure.core.matching.partitions import partition_of
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.matching.engine import MatchingEngine
from perdure.matching.settings import MatchingSettings
from perdure.persistence.memory.store import MemoryStore
from perdure.persistence.ports import Result
from perdure.rpc.clients import Encoded, Namespace, Poller, StaleTask
from perdure.rpc.partitions.client import PartitionedMatching
from perdure.runtime.clock import SystemClock
from perdure.runtime.deterministic import SeededIds

NAMESPACE = Namespace("11111111-2222-3333-4444-555555555555", "default")
QUEUE = TaskQueueKey(NAMESPACE.id, "queue", TaskType.WORKFLOW)


class Owner:
    """A history that knows of tasks only: it writes their rows and deletes them on a start."""

    def __init__(self, store: MemoryStore, epoch: int, partitions: int) -> None:
        self.store = store
        self.epoch = epoch
        self.partitions = partitions
        self.pending: set[DispatchKey] = set()

    async def schedule(self, number: int) -> DispatchTask:
        workflow_id = f"workflow-{number}"
        slot = slot_of(NAMESPACE.id, workflow_id)
        queue = QUEUE._replace(partition=partition_of(number, self.partitions))
        key = DispatchKey(queue, "", number % 5 + 1, "", number)
        run = RunKey(NAMESPACE.id, workflow_id, f"run-{number}")
        task = DispatchTask(key, slot, run, 2, 1, 1)
        await self._commit(task, added=[task], deleted=[])
        self.pending.add(key)
        return task

    async def record_workflow_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        del poller
        if task.key not in self.pending:
            raise StaleTask
        self.pending.remove(task.key)
        await self._commit(task, added=[], deleted=[task.key])
        response = wf.PollWorkflowTaskQueueResponse(task_token=task.run.workflow_id.encode())
        return Encoded(response.SerializeToString())

    record_activity_task_started = record_workflow_task_started

    async def undo_task_started(self, task: DispatchTask, request_id: str) -> None:
        raise AssertionError("no poller vanishes here")

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        raise AssertionError("no task is sticky here")

    async def _commit(
        self, task: DispatchTask, *, added: list[DispatchTask], deleted: list[DispatchKey]
    ) -> None:
        commit = Commit(
            NAMESPACE.id,
            task.run.workflow_id,
            task.slot,
            self.epoch,
            tasks_added=added,
            tasks_deleted=deleted,
        )
        (outcome,) = await self.store.commit([commit])
        assert outcome.result is Result.COMMITTED


def new_engine(store: MemoryStore, owner: Owner, ids: SeededIds) -> MatchingEngine:
    errors: list[tuple[str, BaseException]] = []
    engine = MatchingEngine(
        store=store,
        clock=SystemClock(),
        ids=ids,
        settings=MatchingSettings(
            held_tasks_per_queue=8,
            page_size=4,
            read_partitions=owner.partitions,
            write_partitions=owner.partitions,
        ),
        incarnation="incarnation",
        on_error=lambda name, error: errors.append((name, error)),
    )
    engine.attach_history(owner)
    return engine


@pytest.mark.parametrize("partitions", [1, 4])
async def test_a_backlog_outlives_the_process_and_a_small_memory(partitions: int) -> None:
    ids = SeededIds(generator=random.Random(1), clock=SystemClock())
    store = MemoryStore(ids=ids)
    shard = await store.acquire_shard(0, SLOT_COUNT - 1, "node")
    owner = Owner(store, shard.epoch, partitions)
    first = new_engine(store, owner, ids)
    for number in range(100):
        first.add_tasks([await owner.schedule(number)])
    await first.close()

    second = new_engine(store, owner, ids)
    for number in range(100, 200):
        task = await owner.schedule(number)
        if number % 2:
            second.add_tasks([task])
    client = PartitionedMatching(
        second,
        read_partitions=partitions,
        partitions=partitions,
        move_seconds=0.02,
        random=ids.random,
    )
    request = wf.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=QUEUE.name))

    async def worker() -> list[bytes]:
        polls = range(20)
        return [await client.poll_workflow_task_queue(NAMESPACE, request, 30) for _ in polls]

    responses = await asyncio.gather(*[worker() for _ in range(10)])
    parse = wf.PollWorkflowTaskQueueResponse.FromString
    seen = sorted(parse(response).task_token for batch in responses for response in batch)
    assert seen == sorted(f"workflow-{number}".encode() for number in range(200))
    assert await store.read_tasks(0, SLOT_COUNT - 1, None, 10) == []
    await second.close()
    await store.close()
