"""What a step asks the store to make durable: rows, and nothing else that a store looks at.

A `Commit` is one atomic transition of one workflow id: it may touch several runs of it. The core
builds it, the committer batches it, a store applies it; beside its rows it carries what observers
count once it is durable. Rules that hold here: plain data, no
behaviour that needs a store; times are nanoseconds since the Unix epoch, 0 meaning "none".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import NamedTuple

from perdure.core.outcomes import RunSizes, WorkflowTaskOutcome


class ItemKind(IntEnum):
    """What a row of a run's pending items holds. Numbers are stored: never reuse one."""

    ATTRIBUTES = 1
    ACTIVITY = 2
    TIMER = 3
    SIGNAL_REQUEST = 4
    BUFFERED_EVENT = 5
    EXTERNAL_SIGNAL = 6
    EXTERNAL_CANCEL = 7
    CHILD = 8
    UPDATE = 9
    CALLBACK = 11
    SCHEDULE = 12
    SCHEDULE_STATE = 13


class TaskType(IntEnum):
    """The queue that a task is dispatched through. Numbers are those of TaskQueueType."""

    WORKFLOW = 1
    ACTIVITY = 2


class ItemKey(NamedTuple):
    """Names one pending item within its run."""

    kind: ItemKind
    key: str


class RunKey(NamedTuple):
    """Names one run."""

    namespace_id: str
    workflow_id: str
    run_id: str


class TaskQueueKey(NamedTuple):
    """Names one partition of one task queue."""

    namespace_id: str
    name: str
    task_type: TaskType
    partition: int = 0


class DispatchKey(NamedTuple):
    """Names one durable task. Sorts in dispatch order within its queue."""

    queue: TaskQueueKey
    pinned_version: str
    priority: int
    fairness_key: str
    task_id: int


@dataclass(slots=True, frozen=True)
class DispatchTask:
    """A workflow or activity task that waits for a poller: the outbox row, and the hint.

    `scheduled_event_id` and `attempt` let history drop the task when the state has moved on.
    `expiry` is when it stops being worth dispatching (schedule-to-start); 0 means never. `cause` is
    the span that brought it about: of the hint only, since the run's pending task has it too.
    """

    key: DispatchKey
    slot: int
    run: RunKey
    scheduled_event_id: int
    attempt: int
    scheduled_time: int
    expiry: int = 0
    sticky: bool = False
    cause: bytes = field(default=b"", compare=False)


class TimerRow(NamedTuple):
    """A run's wake-up call. A run has at most one row: at its earliest deadline, or earlier."""

    due: int
    slot: int
    run: RunKey


class MessageKey(NamedTuple):
    """Names one undelivered message. `slot` is its sender's; `due` is when it may be sent."""

    due: int
    slot: int
    id: str


@dataclass(slots=True, frozen=True)
class MessageRow:
    """What a run has to tell another workflow id: delivered at least once, until it is deleted.

    `run` is the sender. `data` is a serialised `perdure.stored.v1.Message`; the receiver tells
    repeated deliveries apart by `key.id`.
    """

    key: MessageKey
    run: RunKey
    data: bytes


class ReceiptKey(NamedTuple):
    """Names a message, or a request, that a workflow id has taken in."""

    namespace_id: str
    workflow_id: str
    request_id: str


@dataclass(slots=True, frozen=True)
class ReceiptRow:
    """Proof that a workflow id has taken a message in, and what it answered.

    It belongs to the workflow id, not to a run: it outlives close, continue-as-new and reuse of
    the id, until `expiry`.
    """

    key: ReceiptKey
    slot: int
    expiry: int
    data: bytes = b""


@dataclass(slots=True, frozen=True)
class HistoryBatch:
    """Events that one step appended, as one serialised `temporal.api.history.v1.History`.

    Concatenating the blobs of successive batches gives the serialised longer History.
    """

    first_event_id: int
    last_event_id: int
    blob: bytes


SearchValue = str | int | float | bool | datetime | list[str] | frozenset[str]
"""A decoded search attribute: Text and Keyword, Int, Double, Bool, Datetime (UTC), KeywordList."""


@dataclass(slots=True)
class VisibilityRow:
    """What List and Count see of a run. `close_time` 0 means that it is open.

    `memo` and `search_attributes` are the serialised public messages (returned as they are);
    `search_values` holds the decoded attributes that queries compare with.
    """

    namespace_id: str
    run_id: str
    workflow_id: str
    workflow_type: str
    task_queue: str
    status: int
    start_time: int
    execution_time: int
    close_time: int = 0
    history_length: int = 0
    history_size_bytes: int = 0
    state_transition_count: int = 0
    parent_workflow_id: str = ""
    parent_run_id: str = ""
    root_workflow_id: str = ""
    root_run_id: str = ""
    memo: bytes = b""
    search_attributes: bytes = b""
    search_values: Mapping[str, SearchValue] = field(default_factory=dict)


@dataclass(slots=True)
class RunWrite:
    """What changed in one run.

    `expected_version` is the version that this write replaces, 0 for a new run; `version` is the
    new one. Two steps that start from one state must not make the same version: else a step on
    the one that was refused would pass for a step on the one that was committed. (0 counts on from
    `expected_version`, which is safe only for a lone writer.) `start` is given for a new run only.
    `deleted` removes the run with all its rows.
    """

    run_id: str
    expected_version: int
    state: bytes
    start: bytes | None = None
    history: list[HistoryBatch] = field(default_factory=list)
    items_put: dict[ItemKey, bytes] = field(default_factory=dict)
    items_deleted: set[ItemKey] = field(default_factory=set)
    deleted: bool = False
    version: int = 0

    def __post_init__(self) -> None:
        """Fills in the version of a lone writer."""
        self.version = self.version or self.expected_version + 1


@dataclass(slots=True)
class CurrentWrite:
    """Which run of the workflow id is current: replaces `expected_run_id` ("" = no row yet)."""

    expected_run_id: str
    run_id: str


class ActivityEnding(Enum):
    """How an attempt of an activity ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"


class ActivityOutcome(NamedTuple):
    """The end of one attempt of an activity. Told to observers, never stored.

    `closed` says that no other attempt comes. Latencies are nanoseconds: since a worker took this
    attempt (None when none had), and since the activity was scheduled. `timeout` is the real
    server's name of the timeout that ended the attempt, such as "StartToClose". `attempt` is its
    number, from 1.
    """

    ending: ActivityEnding
    activity_type: str
    task_queue: str
    workflow_type: str
    closed: bool
    start_to_close: int | None
    schedule_to_close: int
    timeout: str = ""
    attempt: int = 1


class ScheduleEvent(Enum):
    """What happened to a time of a schedule."""

    STARTED = "started"
    REFUSED = "refused"
    """There is a workflow of that id already."""
    MISSED = "missed"
    SKIPPED = "skipped"
    DROPPED = "dropped"
    DELAYED = "delayed"
    """More are started at the time than may be."""


class ScheduleOutcome(NamedTuple):
    """What happened to a time of a schedule. Told to observers, never stored.

    `delay` is from the time to the start of its workflow, in nanoseconds.
    """

    event: ScheduleEvent
    delay: int = 0


@dataclass(slots=True)
class Commit:
    """One atomic transition of one workflow id.

    It is applied whole or not at all: the fence (`epoch` of the shard that holds `slot`), the
    current-run expectation and every run's version must hold. Outcomes are for observers: a store
    ignores them, so that only what is durable is counted.
    """

    namespace_id: str
    workflow_id: str
    slot: int
    epoch: int
    current: CurrentWrite | None = None
    runs: list[RunWrite] = field(default_factory=list)
    tasks_added: list[DispatchTask] = field(default_factory=list)
    tasks_deleted: list[DispatchKey] = field(default_factory=list)
    timers_added: list[TimerRow] = field(default_factory=list)
    timers_deleted: list[TimerRow] = field(default_factory=list)
    messages_added: list[MessageRow] = field(default_factory=list)
    messages_deleted: list[MessageKey] = field(default_factory=list)
    receipts_added: list[ReceiptRow] = field(default_factory=list)
    visibility: list[VisibilityRow] = field(default_factory=list)
    outcomes: list[ActivityOutcome] = field(default_factory=list)
    schedule_outcomes: list[ScheduleOutcome] = field(default_factory=list)
    task_outcomes: list[WorkflowTaskOutcome] = field(default_factory=list)
    sizes: list[RunSizes] = field(default_factory=list)
