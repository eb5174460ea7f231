"""Builds transitions for the contract tests: short to call, complete in the result."""

from collections.abc import Iterable, Sequence

from perdure.core.commit import (
    Commit,
    CurrentWrite,
    DispatchKey,
    DispatchTask,
    HistoryBatch,
    ItemKey,
    ItemKind,
    MessageKey,
    MessageRow,
    ReceiptKey,
    ReceiptRow,
    RunKey,
    RunWrite,
    SearchValue,
    TaskQueueKey,
    TaskType,
    TimerRow,
    VisibilityRow,
)
from perdure.core.slots import SLOT_COUNT, slot_of
from perdure.persistence.ports import NodeRow, NodeState, Outcome, Result, Shard, Store

NAMESPACE = "7a3c1a58-53e4-4a3f-8f70-3a2c6b1a9f00"
SLOT = 5
FOREVER = 1 << 62
"""Nanoseconds: later than anything that a test writes, and a lease that no test outlives."""


def run_key(run_id: str, workflow_id: str = "workflow", namespace: str = NAMESPACE) -> RunKey:
    return RunKey(namespace, workflow_id, run_id)


def batch(first: int, last: int, text: str = "") -> HistoryBatch:
    return HistoryBatch(first, last, (text or f"events {first} to {last}").encode())


def item(key: str, kind: ItemKind = ItemKind.ACTIVITY) -> ItemKey:
    return ItemKey(kind, key)


def queue(name: str = "queue", task_type: TaskType = TaskType.WORKFLOW) -> TaskQueueKey:
    return TaskQueueKey(NAMESPACE, name, task_type)


def task(
    task_id: int,
    *,
    of: TaskQueueKey | None = None,
    run: RunKey | None = None,
    slot: int = SLOT,
    pinned: str = "",
    priority: int = 3,
    fairness: str = "",
) -> DispatchTask:
    return DispatchTask(
        key=DispatchKey(of or queue(), pinned, priority, fairness, task_id),
        slot=slot,
        run=run or run_key("run-1"),
        scheduled_event_id=2,
        attempt=1,
        scheduled_time=1_700_000_000_000_000_000,
        expiry=1_700_000_001_000_000_000,
        sticky=task_id % 2 == 0,
    )


def timer(due: int, *, run: RunKey | None = None, slot: int = SLOT) -> TimerRow:
    return TimerRow(due, slot, run or run_key("run-1"))


def message(
    message_id: str,
    *,
    due: int = 100,
    slot: int = SLOT,
    run: RunKey | None = None,
    data: bytes = b"",
) -> MessageRow:
    key = MessageKey(due, slot, message_id)
    return MessageRow(key, run or run_key("run-1"), data or b"message " + message_id.encode())


def receipt_key(request_id: str, workflow_id: str = "workflow") -> ReceiptKey:
    return ReceiptKey(NAMESPACE, workflow_id, request_id)


def receipt(
    request_id: str, *, workflow_id: str = "workflow", expiry: int = FOREVER, data: bytes = b""
) -> ReceiptRow:
    """A receipt; its slot is the workflow id's."""
    key = receipt_key(request_id, workflow_id)
    return ReceiptRow(key, _slot(NAMESPACE, workflow_id), expiry, data)


def node(node_id: str, name: str = "", *, lease: int = FOREVER) -> NodeRow:
    """A node that serves everything; its name is its id unless another is given."""
    return NodeRow(
        id=node_id,
        name=name or node_id,
        roles="frontend,history,matching",
        address="10.0.0.1:7233",
        version="1.2.3",
        format=2,
        state=NodeState.UP,
        lease=lease,
    )


def visible(
    run_id: str,
    *,
    workflow_id: str = "workflow",
    namespace: str = NAMESPACE,
    start_time: int = 100,
    close_time: int = 0,
    status: int = 1,
    values: dict[str, SearchValue] | None = None,
) -> VisibilityRow:
    return VisibilityRow(
        namespace_id=namespace,
        run_id=run_id,
        workflow_id=workflow_id,
        workflow_type="Type",
        task_queue="queue",
        status=status,
        start_time=start_time,
        execution_time=start_time,
        close_time=close_time,
        history_length=5 if close_time else 0,
        root_workflow_id=workflow_id,
        root_run_id=run_id,
        search_values=values or {},
    )


def transition(
    shard: Shard,
    *runs: RunWrite,
    workflow_id: str = "workflow",
    namespace: str = NAMESPACE,
    current: tuple[str, str] | None = None,
    tasks: Iterable[DispatchTask] = (),
    tasks_deleted: Iterable[DispatchKey] = (),
    timers: Iterable[TimerRow] = (),
    timers_deleted: Iterable[TimerRow] = (),
    messages: Iterable[MessageRow] = (),
    messages_deleted: Iterable[MessageKey] = (),
    receipts: Iterable[ReceiptRow] = (),
    visibility: Iterable[VisibilityRow] = (),
    slot: int | None = None,
) -> Commit:
    return Commit(
        namespace_id=namespace,
        workflow_id=workflow_id,
        slot=_slot(namespace, workflow_id) if slot is None else slot,
        epoch=shard.epoch,
        current=CurrentWrite(*current) if current is not None else None,
        runs=list(runs),
        tasks_added=list(tasks),
        tasks_deleted=list(tasks_deleted),
        timers_added=list(timers),
        timers_deleted=list(timers_deleted),
        messages_added=list(messages),
        messages_deleted=list(messages_deleted),
        receipts_added=list(receipts),
        visibility=list(visibility),
    )


def _slot(namespace: str, workflow_id: str) -> int:
    """The workflow id's slot, where its rows are looked for; any for text that has none."""
    try:
        return slot_of(namespace, workflow_id)
    except UnicodeEncodeError:
        return SLOT


def start(shard: Shard, run_id: str, workflow_id: str = "workflow", replacing: str = "") -> Commit:
    """A transition that starts a run with two events and makes it current."""
    write = RunWrite(
        run_id=run_id,
        expected_version=0,
        state=b"state 1",
        start=b"start of " + run_id.encode(),
        history=[batch(1, 2)],
        items_put={ItemKey(ItemKind.ATTRIBUTES, ""): b"attributes"},
    )
    row = visible(run_id, workflow_id=workflow_id)
    return transition(
        shard, write, workflow_id=workflow_id, current=(replacing, run_id), visibility=[row]
    )


def step(run_id: str, version: int, state: bytes = b"", **changes: object) -> RunWrite:
    """A write that replaces a version of a run."""
    write = RunWrite(run_id, version, state or f"state {version + 1}".encode())
    for name, value in changes.items():
        setattr(write, name, value)
    return write


def deletion(run_id: str, version: int) -> RunWrite:
    return RunWrite(run_id, version, b"", deleted=True)


async def whole_shard(store: Store, owner: str = "node-1") -> Shard:
    return await store.acquire_shard(0, SLOT_COUNT - 1, owner)


async def commit_all(store: Store, *commits: Commit) -> None:
    """Commits one batch and asserts that all of it was committed."""
    outcomes = await store.commit(commits)
    assert [outcome.result for outcome in outcomes] == [Result.COMMITTED] * len(commits), outcomes


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]
