"""A cluster in a memory store, for commands that read one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Self

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1.message_pb2 import Failure
from temporalio.api.history.v1.message_pb2 import History, HistoryEvent

from contract.rows import FOREVER, commit_all, message, node, task, timer, transition
from perdure.app.reading import Opened
from perdure.config.static import Store as StoreConfig
from perdure.core.commit import HistoryBatch, ItemKey, ItemKind, RunKey, RunWrite
from perdure.core.slots import slot_of
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import NamespaceRow, NodeState
from perdure.proto import stored_pb2 as stored
from perdure.runtime.deterministic import ManualClock, SeededIds

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
NAMESPACE_ID = "7a3c1a58-53e4-4a3f-8f70-3a2c6b1a9f00"
WORKFLOW_ID = "order-[red]1"
SLOT = slot_of(NAMESPACE_ID, WORKFLOW_ID)
RUN = RunKey(NAMESPACE_ID, WORKFLOW_ID, "run-1")
SECRET = b'"ACME"'


class StoredCluster:
    """Two nodes and two shards; one workflow that waits for everything that one can wait for.

    Node east is up and owns the lower half; west, which owns the upper half, is as a test says.
    """

    def __init__(self) -> None:
        self.clock = ManualClock(wall_nanoseconds=START)
        ids = SeededIds(generator=Random(1), clock=self.clock)
        self.store = MemoryStore(ids=ids, clock=self.clock)

    @asynccontextmanager
    async def opened(self, _: StoreConfig) -> AsyncIterator[Opened]:
        """What stands in for `reading.opened`."""
        yield Opened(self.store, "memory", 7)

    async def fill(self, *, roles: str = "frontend,history,matching,worker") -> Self:
        """Makes nodes, shards and the namespace."""
        east = replace(node("e", "east", lease=FOREVER), roles=roles)
        west = replace(node("w", "west", lease=6 * SECOND), address="[::1]:7234")
        assert await self.store.register_node(east) is None
        assert await self.store.register_node(west) is None
        await self.store.create_shards(2)
        lower, upper = (await self.store.read_cluster()).shards
        await self.store.take_shards([lower], "e")
        await self.store.take_shards([upper], "w")
        row = NamespaceRow(NAMESPACE_ID, "default", 1, b"")
        assert await self.store.create_namespace(row)
        return self

    async def let_west_expire(self) -> None:
        """Lets west's lease run out 4 s ago; east renews."""
        self.clock.advance(10)
        await self.store.renew_node("e", NodeState.UP)

    async def add_workflow(self) -> None:
        """Commits a run with rows in every table, and a neighbour in its slot."""
        shards = (await self.store.read_cluster()).shards
        shard = next(each for each in shards if each.first_slot <= SLOT <= each.last_slot)
        await commit_all(
            self.store,
            transition(
                shard,
                _run(),
                workflow_id=WORKFLOW_ID,
                current=("", RUN.run_id),
                tasks=[task(id_, run=RUN, slot=SLOT) for id_ in range(1, 251)],
                timers=[timer(START + 5 * SECOND, run=RUN, slot=SLOT)],
                messages=[message("m-1", run=RUN, slot=SLOT, due=START, data=_message())],
            ),
            transition(
                shard,
                RunWrite("other-run", 0, b"no state", start=b""),
                workflow_id="other",
                current=("", "other-run"),
                tasks=[task(999, run=OTHER, slot=SLOT)],
                timers=[timer(START, run=OTHER, slot=SLOT)],
                messages=[message("m-2", run=OTHER, slot=SLOT)],
                slot=SLOT,
            ),
        )


OTHER = RunKey(NAMESPACE_ID, "other", "other-run")


def _run() -> RunWrite:
    signal = HistoryEvent(event_type=events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    signal.workflow_execution_signaled_event_attributes.input.payloads.add(data=SECRET)
    activity = stored.ActivityInfo(
        scheduled_event_id=5,
        activity_id="a-1",
        activity_type="Charge",
        attempt=3,
        retry_due=START + 1_500_000_000,
        retry_interval=2 * SECOND,
        last_failure=Failure(message="no money", stack_trace="line 1\nline 2"),
        heartbeat_details=common.Payloads(payloads=[common.Payload(data=SECRET)]),
    )
    attributes = stored.Attributes()
    attributes.memo.fields["customer"].metadata["encoding"] = b"json/plain"
    attributes.memo.fields["customer"].data = SECRET
    started = stored.TimerInfo(timer_id="t-1", started_event_id=6, due=START + 5 * SECOND)
    child = stored.ChildInfo(
        initiated_event_id=7,
        workflow_id="packing-1",
        started_run_id="child-run",
        parent_close_policy=enums.PARENT_CLOSE_POLICY_TERMINATE,
    )
    return RunWrite(
        RUN.run_id,
        0,
        _state().SerializeToString(),
        start=stored.RunStart(
            workflow_type="Order", start_time=START, task_timeout=10 * SECOND
        ).SerializeToString(),
        history=[
            HistoryBatch(first, first + 1, History(events=[HistoryEvent()]).SerializeToString())
            for first in range(1, 501, 2)
        ],
        items_put={
            ItemKey(ItemKind.ATTRIBUTES, ""): attributes.SerializeToString(),
            ItemKey(ItemKind.ACTIVITY, "5"): activity.SerializeToString(),
            ItemKey(ItemKind.TIMER, "t-1"): started.SerializeToString(),
            ItemKey(ItemKind.CHILD, "7"): child.SerializeToString(),
            ItemKey(ItemKind.SIGNAL_REQUEST, "s-1"): b"",
            ItemKey(ItemKind.BUFFERED_EVENT, "1"): signal.SerializeToString(),
        },
    )


def _message() -> bytes:
    made = stored.Message(target=common.WorkflowExecution(workflow_id="invoice-1"))
    made.signal.input.payloads.add(data=SECRET)
    return made.SerializeToString()


def _state() -> stored.RunState:
    return stored.RunState(
        status=enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
        next_event_id=501,
        timer_due=START + 5 * SECOND,
        workflow_task=stored.WorkflowTask(scheduled_event_id=500, attempt=1, task_queue="orders"),
    )
