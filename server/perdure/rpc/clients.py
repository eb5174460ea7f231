"""Where roles meet: what the frontend, history and matching ask of each other.

Two implementations of each Protocol exist: in process (no serialisation, no hop) and, between
machines, gRPC. Nothing else in the code knows which one it has. Rules that hold here: arguments
are public request messages plus plain values, so that any of them can cross a wire; a response may
be `Encoded`, its serialised bytes, where building a message object would only be undone.

All methods raise `perdure.core.errors.ServiceError`. A caller that goes away cancels the coroutine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, RunKey, TaskQueueKey
from perdure.core.errors import UnavailableError


class Encoded(bytes):
    """A serialised response message, sent to the client as it is."""

    __slots__ = ()


class Namespace(NamedTuple):
    """What the other roles need to know of a namespace."""

    id: str
    name: str


class Poller(NamedTuple):
    """Who is asking for a task; `request_id` makes recording the start idempotent."""

    request_id: str
    identity: str
    request: wf.PollWorkflowTaskQueueRequest | wf.PollActivityTaskQueueRequest


class QueryTask(NamedTuple):
    """A query that a worker shall answer: it lives in memory only.

    `response_head` is the serialised PollWorkflowTaskQueueResponse that history made for it
    (execution, type, history, query), without the task token.
    """

    query_task_id: str
    namespace_id: str
    run: RunKey
    response_head: bytes


@dataclass(slots=True, frozen=True)
class QueryOutcome:
    """How a worker answered a query."""

    request: wf.RespondQueryTaskCompletedRequest


class ForwardOutcome(IntEnum):
    """What became of a task that a partition sent to its queue's root. Numbers cross machines."""

    UNTAKEN = 0
    """No poller came for it in time."""
    STARTED = 1
    STALE = 2
    """It is not pending any more."""
    FAILED = 3
    """History could not say."""


class StaleTask(Exception):
    """The task that was to be started is not pending any more: drop it."""


class NotOwnerError(UnavailableError):
    """This node does not own the workflow's shard, or the queue: its owner must be asked.

    Attributes:
        owner: The id of the node that owns it, as far as is known; else empty.
    """

    def __init__(self, owner: str = "") -> None:
        super().__init__("The owner is being looked for; try again.")
        self.owner = owner


class Reservation(Protocol):
    """A poller that waits in this process, held back from other tasks (a fused start)."""

    @property
    def poller(self) -> Poller:
        """Who waits."""
        ...

    def deliver(self, response: Encoded, task: DispatchTask | None = None) -> bool:
        """Answers the poller; False when it is gone, and the start must be undone.

        The poller may still go before its own next step. Then matching has `task` undone, if it
        was named.
        """
        ...

    def release(self) -> None:
        """Puts the poller back: there is no task for it after all."""
        ...


class MatchingClient(Protocol):
    """What others ask of matching."""

    def reserve(self, queue: TaskQueueKey) -> Reservation | None:
        """Takes a poller that waits in this process; None when there is none."""
        ...

    def add_tasks(self, tasks: Sequence[DispatchTask]) -> None:
        """Hands over committed tasks as hints; what does not fit is dropped and read later."""
        ...

    async def poll_workflow_task_queue(
        self, namespace: Namespace, request: wf.PollWorkflowTaskQueueRequest, timeout: float
    ) -> Encoded:
        """Waits for a workflow or query task; an empty response after `timeout` seconds."""
        ...

    async def poll_activity_task_queue(
        self, namespace: Namespace, request: wf.PollActivityTaskQueueRequest, timeout: float
    ) -> Encoded:
        """Waits for an activity task; an empty response after `timeout` seconds."""
        ...

    async def query(self, queue: TaskQueueKey, task: QueryTask, timeout: float) -> QueryOutcome:
        """Has a worker of the queue answer a query.

        Raises FailedPreconditionError when no worker polls the queue, DeadlineExceededError.
        """
        ...

    async def respond_query_task_completed(
        self, query_task_id: str, request: wf.RespondQueryTaskCompletedRequest
    ) -> None:
        """Passes a worker's answer on; NotFoundError when nobody waits for it any more."""
        ...

    def has_recent_poller(self, queue: TaskQueueKey) -> bool:
        """Tells whether a poller was seen on the queue in the last 10 s, or waits now."""
        ...

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics."""
        ...

    async def abandon_queue(self, namespace_id: str, task_queue: str) -> None:
        """Notes that the worker of a sticky queue is going away: nobody will poll it again."""
        ...

    async def cancel_polls(
        self, namespace_id: str, task_queue: str, worker_instance_key: str
    ) -> int:
        """Ends a worker's outstanding polls with an empty response; returns how many."""
        ...

    async def record_worker_heartbeat(
        self, namespace: Namespace, request: wf.RecordWorkerHeartbeatRequest
    ) -> wf.RecordWorkerHeartbeatResponse:
        """Takes heartbeats of workers of a namespace."""
        ...

    async def list_workers(
        self, namespace: Namespace, request: wf.ListWorkersRequest
    ) -> wf.ListWorkersResponse:
        """Returns a page of the workers of a namespace."""
        ...

    async def describe_worker(
        self, namespace: Namespace, request: wf.DescribeWorkerRequest
    ) -> wf.DescribeWorkerResponse:
        """Returns what a worker said last; NotFoundError when it is not known."""
        ...

    async def count_workers(
        self, namespace: Namespace, request: wf.CountWorkersRequest
    ) -> wf.CountWorkersResponse:
        """Returns how many workers of a namespace there are."""
        ...


class MatchingNode(MatchingClient, Protocol):
    """What the cluster asks of the node that serves a partition of a queue.

    Partition 0 is the root: the one where pollers wait for whatever comes to the queue. What asks
    for the queue as a whole asks for its root.
    """

    async def poll_workflow_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollWorkflowTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for a task of a partition or a query; empty after `timeout` seconds."""
        ...

    async def poll_activity_task_queue(
        self,
        namespace: Namespace,
        request: wf.PollActivityTaskQueueRequest,
        timeout: float,
        partition: int = 0,
    ) -> Encoded:
        """Waits for a task of a partition; an empty response after `timeout` seconds."""
        ...

    async def describe_task_queue(
        self, namespace: Namespace, request: wf.DescribeTaskQueueRequest, partition: int = 0
    ) -> wf.DescribeTaskQueueResponse:
        """Returns pollers and statistics of a partition."""
        ...

    async def forward_task(
        self, task: DispatchTask, limited: bool, timeout: float
    ) -> ForwardOutcome:
        """Has a poller of the root start a task of another partition, where nobody polls.

        `limited` says that the partition keeps to the rate that workers set. Waits for a poller for
        `timeout` seconds.
        """
        ...
