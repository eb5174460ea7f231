"""What must hold of the store when all workflows have ended: no left-overs, all runs listed."""

from collections.abc import AsyncIterator, Collection

from temporalio.api.history.v1 import message_pb2 as history

from perdure.core.commit import ItemKind, RunKey, TaskQueueKey, TaskType, VisibilityRow
from perdure.core.slots import SLOT_COUNT
from perdure.core.visibility.query import Everything
from perdure.persistence.ports import Store
from perdure.proto import stored_pb2 as stored
from simulation.commands import TASK_QUEUE
from simulation.invariants import FinalRun, Runs, status

ALL = 1_000_000
NEVER = 1 << 62
RUNNING = 1


async def read_runs(store: Store, namespace_id: str) -> dict[str, FinalRun]:
    """Returns every run that is listed, with its history."""
    rows = await store.list_workflows(namespace_id, Everything(), None, ALL)
    return {row.run_id: await _read_run(store, row) for row in rows}


async def _read_run(store: Store, row: VisibilityRow) -> FinalRun:
    key = RunKey(row.namespace_id, row.workflow_id, row.run_id)
    batches = await store.read_history(key, 1, ALL, ALL)
    whole = history.History.FromString(b"".join(batch.blob for batch in batches))
    return FinalRun(row.workflow_id, row.run_id, list(whole.events))


async def describe_open_runs(store: Store, namespace_id: str) -> AsyncIterator[str]:
    """Yields what the store knows of every run that has not ended, to find out why."""
    for task in await store.read_tasks(0, SLOT_COUNT - 1, None, ALL):
        yield f"task row {task}"
    for timer in await store.read_timers(0, SLOT_COUNT - 1, NEVER, None, ALL):
        yield f"timer row {timer}"
    for message in await store.read_messages(0, SLOT_COUNT - 1, NEVER, None, ALL):
        yield f"message row {message.key} of {message.run}"
    for run in (await read_runs(store, namespace_id)).values():
        if status(run) != RUNNING:
            continue
        key = RunKey(namespace_id, run.workflow_id, run.run_id)
        stored_run = await store.load_run(key)
        types = " ".join(str(event.event_type) for event in run.events)
        yield f"open run {key}: events {types}"
        if stored_run is not None:
            state = str(stored.RunState.FromString(stored_run.state))
            yield f"open run {key}: {' '.join(state.split())}, items {list(stored_run.items)}"


async def check_store(store: Store, namespace_id: str, runs: Runs) -> AsyncIterator[str]:
    """Yields what is left over, and what a row says that the history does not."""
    for task_type in TaskType:
        queue = TaskQueueKey(namespace_id, TASK_QUEUE, task_type)
        for task in await store.read_queue(queue, None, ALL):
            yield f"task {task.key.task_id} of {task.run} is left on its queue"
    for task in await store.read_tasks(0, SLOT_COUNT - 1, None, ALL):
        yield f"task {task.key.task_id} of {task.run} is left in its slot"
    for timer in await store.read_timers(0, SLOT_COUNT - 1, NEVER, None, ALL):
        if timer.run.run_id not in runs:
            yield f"a timer of {timer.run} is left, a run that is not listed"
    for message in await store.read_messages(0, SLOT_COUNT - 1, NEVER, None, ALL):
        yield f"message {message.key} of {message.run} is left"
    for row in await store.list_workflows(namespace_id, Everything(), None, ALL):
        async for problem in _check_row(store, row, runs[row.run_id]):
            yield f"run {row.run_id} of {row.workflow_id}: {problem}"


async def _check_row(store: Store, row: VisibilityRow, run: FinalRun) -> AsyncIterator[str]:
    if row.status != status(run):
        yield f"it is listed with status {row.status}, its history ends with {status(run)}"
    if row.history_length != len(run.events):
        yield f"it is listed with {row.history_length} events, and has {len(run.events)}"
    stored_run = await store.load_run(RunKey(row.namespace_id, row.workflow_id, row.run_id))
    if stored_run is None:
        yield "it is listed and has no state"
        return
    state = stored.RunState.FromString(stored_run.state)
    if state.status != row.status:
        yield f"it is listed with status {row.status}, its state says {state.status}"
    if state.next_event_id != len(run.events) + 1:
        yield f"its state expects event {state.next_event_id}, and it has {len(run.events)}"


async def is_at_rest(store: Store, namespace_id: str, deleted: Collection[str]) -> bool:
    """Tells whether all runs have closed, the deleted ones are gone, and messages have arrived.

    An open run is deleted a moment after it was terminated: when the clock of its owner has come to
    the time of its last event, which another clock gave it.
    """
    if await store.read_messages(0, SLOT_COUNT - 1, NEVER, None, 1):
        return False
    rows = await store.list_workflows(namespace_id, Everything(), None, ALL)
    return all(row.close_time and row.run_id not in deleted for row in rows)


async def is_open(store: Store, namespace_id: str, workflow_id: str) -> bool:
    """Tells whether the current run of a workflow id is open."""
    run = await store.load_current(namespace_id, workflow_id)
    return run is not None and stored.RunState.FromString(run.state).status == RUNNING


async def attempt_is_recorded(store: Store, key: RunKey, activity_id: str, attempt: int) -> bool:
    """Tells whether the store knows that an attempt of an activity has started.

    An activity that is not pending any more has been recorded by its closing events.
    """
    run = await store.load_run(key)
    if run is None:
        return False
    for item, blob in run.items.items():
        if item.kind is not ItemKind.ACTIVITY:
            continue
        info = stored.ActivityInfo.FromString(blob)
        if info.activity_id == activity_id:
            return info.attempt > attempt or (info.attempt == attempt and info.started_time > 0)
    return True
