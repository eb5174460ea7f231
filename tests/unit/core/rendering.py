"""Events and rows in one line each, for transcripts."""

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.commit import (
    Commit,
    DispatchKey,
    DispatchTask,
    MessageRow,
    TaskType,
    TimerRow,
)
from perdure.core.protobuf import NANOSECONDS_PER_SECOND, duration_ns, timestamp_ns
from perdure.proto import stored_pb2 as stored
from unit.core.driver import EPOCH_START, Driver
from unit.core.folding import attributes_of

NOT_SHOWN = frozenset(
    {
        "history_size_bytes",
        "identity",
        "original_execution_run_id",
        "prev_auto_reset_points",
        "request_id",
        "retry_policy",
        "source",
        "task_queue.kind",
        "task_queue.normal_name",
        "workflow_id",
        "workflow_task_completed_event_id",
        "workflow_task_timeout",
        "workflow_type",
        "activity_type",
    }
)
"""Fields that say nothing of what a transcript is about, or the same every time."""


class Changes:
    """Tells what a driver's commits have changed since it was last asked."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._commits = 0
        self._tasks: dict[DispatchKey, DispatchTask] = {}
        self._buffered: set[tuple[str, int]] = set()

    def since(self) -> list[str]:
        """Returns the lines of what has changed."""
        lines: list[str] = []
        for commit in self._driver.commits[self._commits :]:
            lines += self._commit(commit)
        self._commits = len(self._driver.commits)
        lines += self._newly_buffered()
        return lines

    def _commit(self, commit: Commit) -> Iterator[str]:
        for write in commit.runs:
            if write.start is not None:
                yield f"{write.run_id}:"
            for batch in write.history:
                for event in self._driver.rows.history(write.run_id):
                    if batch.first_event_id <= event.event_id <= batch.last_event_id:
                        yield f"{event.event_id:3} {event_line(event)}"
        for key in commit.tasks_deleted:
            yield f"  - {_task(self._tasks.pop(key))}"
        for task in commit.tasks_added:
            self._tasks[task.key] = task
            yield f"  + {_task(task)}"
        for row in commit.timers_deleted:
            yield f"  - {_timer(row)}"
        for row in commit.timers_added:
            yield f"  + {_timer(row)}"
        yield from _messages(commit)

    def _newly_buffered(self) -> Iterator[str]:
        now = {
            (run_id, key): event
            for run_id in self._driver.rows.runs
            for key, event in self._driver.run(run_id).buffered.items()
        }
        for where, event in now.items():
            if where not in self._buffered:
                yield f"  buffered {event_line(event)}"
        self._buffered = set(now)


def _task(task: DispatchTask) -> str:
    kind = "workflow" if task.key.queue.task_type is TaskType.WORKFLOW else "activity"
    expiry = f" expires @{_offset(task.expiry)}" if task.expiry else ""
    attempt = f" attempt {task.attempt}" if task.attempt > 1 else ""
    return f"{kind} task {task.scheduled_event_id}{attempt} on {task.key.queue.name}{expiry}"


def _messages(commit: Commit) -> Iterator[str]:
    for key in commit.messages_deleted:
        yield f"  - message {key.id}"
    for message in commit.messages_added:
        yield f"  + {_message(message)}"
    for receipt in commit.receipts_added:
        yield f"  + receipt of {receipt.key.request_id} until @{_offset(receipt.expiry)}"


def _message(row: MessageRow) -> str:
    message = stored.Message.FromString(row.data)
    kind = message.WhichOneof("payload")
    return f"message {row.key.id}: {kind} to {message.target.workflow_id}, from {row.run.run_id}"


def _timer(row: TimerRow) -> str:
    return f"timer @{_offset(row.due)} of {row.run.run_id}"


def event_line(event: HistoryEvent) -> str:
    """Returns an event: when, what, and its attributes."""
    name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    attributes = " ".join(_attributes(attributes_of(event)))
    return f"@{_offset(timestamp_ns(event.event_time))} {name} {attributes}".rstrip()


def _attributes(message: Message, prefix: str = "") -> Iterator[str]:
    for descriptor, value in message.ListFields():
        name = f"{prefix}{descriptor.name}"
        if name in NOT_SHOWN or descriptor.name in NOT_SHOWN:
            continue
        if descriptor.is_repeated or descriptor.message_type is None:
            yield f"{name}={_scalar(descriptor, value)}"
        elif isinstance(value, Duration):
            if duration_ns(value):
                yield f"{name}={_number(duration_ns(value))}"
        elif isinstance(value, Timestamp):
            yield f"{name}=@{_offset(timestamp_ns(value))}"
        elif isinstance(value, Payloads):
            yield f"{name}={','.join(_payload(payload) for payload in value.payloads)}"
        else:
            yield from _attributes(value, f"{name}.")


def _scalar(descriptor: FieldDescriptor, value: object) -> str:
    if descriptor.enum_type is not None and isinstance(value, int):
        return _short(descriptor.enum_type.values_by_number[value].name, descriptor)
    return str(value)


def _short(name: str, descriptor: FieldDescriptor) -> str:
    """Returns an enum value's name without what all of its names begin with."""
    assert descriptor.enum_type is not None
    first = descriptor.enum_type.values_by_number[0].name
    return name.removeprefix(first.removesuffix("UNSPECIFIED"))


def _payload(payload: Payload) -> str:
    return payload.data.decode()


def _offset(nanoseconds: int) -> str:
    return _number(nanoseconds - EPOCH_START)


def _number(nanoseconds: int) -> str:
    return f"{nanoseconds / NANOSECONDS_PER_SECOND:g}s"
