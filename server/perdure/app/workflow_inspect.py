"""`perdure workflow inspect`: what is stored of one run, decoded."""

from pathlib import Path
from typing import Any

import click
from google.protobuf.message import DecodeError
from temporalio.api.enums.v1.event_type_pb2 import EventType

from perdure.app import reading, tables
from perdure.app.failures import said_in_a_sentence
from perdure.app.reading import Opened
from perdure.app.shard_list import of_shard
from perdure.app.stored_rows import RunRows, read_rows
from perdure.app.stored_view import plain, time_text
from perdure.config.errors import ConfigError
from perdure.config.names import suggestion
from perdure.core.commit import DispatchTask, ItemKey, ItemKind, MessageRow, RunKey
from perdure.core.slots import slot_of
from perdure.core.workflow.state import Run, load_run
from perdure.persistence.ports import NamespaceRow, Store, StoredRun
from perdure.proto import stored_pb2

_BATCHES_SHOWN = 20
"""Of a history, on a terminal: the last ones."""


@click.command("inspect")
@click.option("-n", "--namespace", required=True, help="Name of the namespace.")
@click.option("-w", "--workflow-id", required=True)
@click.option("-r", "--run-id", default="", help="Without it, the current run.")
@click.option("--payloads", is_flag=True, help="Show payloads themselves, not their sizes.")
@reading.of_store
def inspect(
    *,
    namespace: str,
    workflow_id: str,
    run_id: str,
    payloads: bool,
    path: Path | None,
    dsn: str,
    db_filename: str,
    output: str,
) -> None:
    """Show what is stored of a run: state, pending work, tasks, timers, messages, history."""

    async def ask(opened: Opened) -> dict[str, Any]:
        return await look(opened.store, namespace, workflow_id, run_id, payloads=payloads)

    with said_in_a_sentence():
        found = reading.read(path, dsn, db_filename, ask)
    if output == "json":
        tables.print_json(found)
    else:
        _print(found)


async def look(
    store: Store, namespace: str, workflow_id: str, run_id: str, *, payloads: bool
) -> dict[str, Any]:
    """Returns what a store holds of a run, as JSON has it.

    Raises:
        ConfigError: There is no such namespace or run.
    """
    of = await _namespace(store, namespace)
    current = await store.load_current(of.id, workflow_id)
    loaded = await store.load_run(RunKey(of.id, workflow_id, run_id)) if run_id else current
    if loaded is None:
        what = f'run "{run_id}" of workflow' if run_id else "workflow"
        raise ConfigError(f'namespace "{namespace}" holds no {what} "{workflow_id}"')
    slot = slot_of(of.id, workflow_id)
    cluster = await store.read_cluster()
    shard = next((s for s in cluster.shards if s.first_slot <= slot <= s.last_slot), None)
    rows = await read_rows(store, loaded, slot, shard)
    owner = of_shard(shard, cluster) if shard is not None else None
    return {
        "namespace": of.name,
        "namespace_id": of.id,
        "workflow_id": workflow_id,
        "run_id": loaded.key.run_id,
        "is_current": current is not None and current.key == loaded.key,
        "slot": slot,
        "owner": owner.owner if owner else "",
        "owner_state": owner.owner_state if owner else "nobody",
        "epoch": shard.epoch if shard else 0,
        **_decoded(rows, payloads=payloads),
    }


async def _namespace(store: Store, name: str) -> NamespaceRow:
    rows = await store.list_namespaces()
    for row in rows:
        if row.name == name:
            return row
    near = suggestion(name, [row.name for row in rows])
    raise ConfigError(f'there is no namespace "{name}"{near}')


def _decoded(rows: RunRows, *, payloads: bool) -> dict[str, Any]:
    stored = rows.run
    try:
        run = load_run(stored.key, stored.version, stored.start, stored.state, stored.items)
        messages = [_message(message, payloads=payloads) for message in rows.messages]
    except DecodeError as error:
        raise ConfigError(f"what is stored of the run cannot be decoded: {error}") from error
    state = plain(run.state, payloads=payloads)
    return {
        "version": stored.version,
        "workflow_task": state.pop("workflow_task", None),
        "state": state,
        "start": plain(run.start, payloads=payloads),
        "attributes": plain(run.attributes, payloads=payloads),
        "activities": [plain(each, payloads=payloads) for each in run.activities.values()],
        "timers": [plain(each, payloads=payloads) for each in run.timers.values()],
        "children": [plain(each, payloads=payloads) for each in run.children.values()],
        "signal_requests": sorted(run.signal_requests),
        "buffered_events": _buffered(run, stored, payloads=payloads),
        **_schedule(run, payloads=payloads),
        "tasks": [_task(task) for task in rows.tasks],
        "timer_rows": [{"due": time_text(timer.due)} for timer in rows.timers],
        "messages": messages,
        "stored_bytes": {
            "start": len(stored.start),
            "state": len(stored.state),
            "items": sum(map(len, stored.items.values())),
            "history": sum(batch.bytes for batch in rows.history),
        },
        "history": [
            {
                "first_event_id": batch.first_event_id,
                "last_event_id": batch.last_event_id,
                "bytes": batch.bytes,
            }
            for batch in rows.history
        ],
    }


def _buffered(run: Run, stored: StoredRun, *, payloads: bool) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "event_type": EventType.Name(event.event_type),
            "bytes": len(stored.items[ItemKey(ItemKind.BUFFERED_EVENT, str(key))]),
            "event": plain(event, payloads=payloads),
        }
        for key, event in run.buffered.items()
    ]


def _schedule(run: Run, *, payloads: bool) -> dict[str, Any]:
    """Returns what only the run of a schedule has."""
    if run.schedule is None:
        return {}
    return {
        "schedule": plain(run.schedule.definition, payloads=payloads),
        "schedule_state": plain(run.schedule.state, payloads=payloads),
    }


def _task(task: DispatchTask) -> dict[str, Any]:
    return {
        "task_queue": task.key.queue.name,
        "task_type": task.key.queue.task_type.name.lower(),
        "partition": task.key.queue.partition,
        "pinned_version": task.key.pinned_version,
        "priority": task.key.priority,
        "fairness_key": task.key.fairness_key,
        "task_id": task.key.task_id,
        "scheduled_event_id": task.scheduled_event_id,
        "attempt": task.attempt,
        "scheduled_time": time_text(task.scheduled_time),
        "expiry": time_text(task.expiry),
        "sticky": task.sticky,
    }


def _message(row: MessageRow, *, payloads: bool) -> dict[str, Any]:
    message = stored_pb2.Message.FromString(row.data)
    return {
        "id": row.key.id,
        "due": time_text(row.key.due),
        "kind": message.WhichOneof("payload"),
        "to": message.target.workflow_id,
        "bytes": len(row.data),
        "message": plain(message, payloads=payloads),
    }


_SECTIONS: dict[str, tuple[str, ...]] = {
    "activities": (
        *("activity_id", "activity_type", "attempt", "started_time", "retry_due"),
        *("last_heartbeat_time", "identity", "last_failure"),
    ),
    "timers": ("timer_id", "due", "started_event_id"),
    "children": (
        *("workflow_id", "workflow_type", "started_run_id", "initiated_event_id"),
        "parent_close_policy",
    ),
    "buffered_events": ("key", "event_type", "bytes"),
    "tasks": (
        *("task_type", "task_queue", "partition", "priority", "task_id", "scheduled_event_id"),
        *("attempt", "scheduled_time", "sticky"),
    ),
    "timer_rows": ("due",),
    "messages": ("id", "due", "kind", "to", "bytes"),
}
"""What a terminal shows of each list; JSON has everything."""


def _print(found: dict[str, Any]) -> None:
    scalars = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    tables.print_fields(scalars)
    for section in ("state", "workflow_task", "start", "attributes", "stored_bytes"):
        if found[section]:
            tables.print_fields(found[section], title=_title(section))
    for section, columns in _SECTIONS.items():
        if found[section]:
            _print_list(section, columns, found[section])
    if found["signal_requests"]:
        tables.print_fields({"signal requests": len(found["signal_requests"])})
    _print_history(found["history"])


def _print_history(batches: list[dict[str, Any]]) -> None:
    left_out = len(batches) - _BATCHES_SHOWN
    columns = ("first_event_id", "last_event_id", "bytes")
    _print_list("history", columns, batches[-_BATCHES_SHOWN:])
    if left_out > 0:
        click.echo(f"and {left_out} earlier batches, which --output json lists")


def _print_list(section: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    told = [column for column in columns if any(row.get(column) is not None for row in rows)]
    tables.print_table(
        [column.replace("_", " ") for column in told],
        ([_brief(row.get(column)) for column in told] for row in rows),
        title=_title(section),
    )


def _brief(value: object) -> object:
    """Returns a failure's message alone: its stack trace would fill the terminal."""
    return value.get("message", value) if isinstance(value, dict) else value


def _title(section: str) -> str:
    return section.replace("_", " ").capitalize()
