"""What no database could hold: found before a transition reaches one.

Rules that hold here: the limits are those of the strictest store, so that a transition is refused
alike on all of them; what slips through (a key too long for an index …) the stores still refuse
row by row.
"""

from collections.abc import Iterable
from math import isfinite

from perdure.core.commit import Commit, RunKey, SearchValue, VisibilityRow
from perdure.core.slots import SLOT_COUNT

EVENT_ID_BITS = 24
"""Event ids are below 2**24: one run's history may share a 64-bit key with the run's number."""

_LOWEST = -(1 << 63)
_HIGHEST = (1 << 63) - 1


def storable(*texts: str) -> bool:
    """Returns whether every database can hold these texts: no NUL, no unpaired surrogate."""
    return not _bad_text(texts)


def refusal(commit: Commit) -> str:
    """Returns the sentence that says why the rows cannot be stored; empty when they can."""
    texts = [commit.namespace_id, commit.workflow_id]
    numbers = [0]
    if not 0 <= commit.slot < SLOT_COUNT:
        return f"slot {commit.slot} does not exist"
    if commit.current is not None:
        texts += (commit.current.expected_run_id, commit.current.run_id)
    bad_event = _collect_runs(commit, texts, numbers)
    _collect_outbox(commit, texts, numbers)
    for row in commit.visibility:
        _collect_visibility(row, texts, numbers)
    if bad_event:
        return bad_event
    for rows in (commit.messages_added, commit.receipts_added):
        if len({row.key for row in rows}) < len(rows):
            return "a message or receipt is added twice"
    if min(numbers) < _LOWEST or max(numbers) > _HIGHEST:
        return "a number is outside 64 bits"
    return _bad_text(texts)


def _collect_runs(commit: Commit, texts: list[str], numbers: list[int]) -> str:
    for run in commit.runs:
        texts.append(run.run_id)
        numbers.append(run.expected_version)
        for batch in run.history:
            if not 0 < batch.first_event_id <= batch.last_event_id < 1 << EVENT_ID_BITS:
                return f"events {batch.first_event_id} to {batch.last_event_id} cannot be numbered"
        if run.items_put:
            texts += [item.key for item in run.items_put]
        if run.items_deleted:
            texts += [item.key for item in run.items_deleted]
    return ""


def _collect_outbox(commit: Commit, texts: list[str], numbers: list[int]) -> None:
    for task in commit.tasks_added:
        texts += task.run
        numbers += (task.scheduled_event_id, task.attempt, task.scheduled_time, task.expiry)
        numbers += (task.slot,)
    for key in (*[task.key for task in commit.tasks_added], *commit.tasks_deleted):
        texts += (key.queue.namespace_id, key.queue.name, key.pinned_version, key.fairness_key)
        numbers += (key.queue.partition, key.priority, key.task_id)
    for timer in (*commit.timers_added, *commit.timers_deleted):
        texts += timer.run
        numbers += (timer.due, timer.slot)
    for message in commit.messages_added:
        texts += message.run
    for name in (*[message.key for message in commit.messages_added], *commit.messages_deleted):
        texts.append(name.id)
        numbers += (name.due, name.slot)
    for receipt in commit.receipts_added:
        texts += receipt.key
        numbers += (receipt.slot, receipt.expiry)


def _collect_visibility(row: VisibilityRow, texts: list[str], numbers: list[int]) -> None:
    texts += RunKey(row.namespace_id, row.workflow_id, row.run_id)
    texts += (row.workflow_type, row.task_queue, row.parent_workflow_id, row.parent_run_id)
    texts += (row.root_workflow_id, row.root_run_id, *row.search_values)
    numbers += (row.status, row.start_time, row.execution_time, row.close_time)
    numbers += (row.history_length, row.history_size_bytes, row.state_transition_count)
    for value in row.search_values.values():
        _collect_value(value, texts, numbers)


def _collect_value(value: SearchValue, texts: list[str], numbers: list[int]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list | frozenset):
        texts += value
    elif isinstance(value, int):
        numbers.append(value)
    elif isinstance(value, float) and not isfinite(value):
        numbers.append(_HIGHEST + 1)


def _bad_text(texts: Iterable[str]) -> str:
    joined = "".join(texts)
    if "\0" in joined:
        return "text holds a NUL character"
    if joined.isascii():
        return ""
    try:
        joined.encode()
    except UnicodeEncodeError:
        return "text holds an unpaired surrogate"
    return ""
