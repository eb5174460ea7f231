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
from perdure.proto import stored_pb2 as stored


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


class HistoryTasks(Protocol):
    """What matching asks of history."""

    async def record_workflow_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that a workflow task has started; idempotent by `poller.request_id`.

        Returns a serialised PollWorkflowTaskQueueResponse. Raises StaleTask.
        """
        ...

    async def record_activity_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that an activity task has started; idempotent by `poller.request_id`.

        Returns a serialised PollActivityTaskQueueResponse. Raises StaleTask.
        """
        ...

    async def undo_task_started(self, task: DispatchTask, request_id: str) -> None:
        """Makes a started task pending again, because its poller was gone before the reply.

        It does nothing when the task is gone. Raises UnavailableError: try again.
        """
        ...

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        """Moves the pending workflow task of a run whose sticky worker is gone to the normal queue.

        It does nothing when the task is not pending any more.
        """
        ...


class HistoryMessages(Protocol):
    """What history asks of itself: the sender of a message of its receiver."""

    async def deliver_message(self, message: stored.Message) -> stored.Receipt:
        """Has the receiver of a message take it in; a repeated delivery answers as the first.

        Raises UnavailableError: try again.
        """
        ...


class HistoryClient(HistoryTasks, HistoryMessages, Protocol):
    """What the frontend asks of history. Requests are validated in form by the frontend."""

    async def start_workflow_execution(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> wf.StartWorkflowExecutionResponse:
        """Starts a workflow, or applies its conflict and reuse policies."""
        ...

    async def signal_with_start_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWithStartWorkflowExecutionRequest
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """Signals the running run, or starts one with the signal in it."""
        ...

    async def signal_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals a run."""
        ...

    async def request_cancel_workflow_execution(
        self, namespace: Namespace, request: wf.RequestCancelWorkflowExecutionRequest
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """Asks a run to cancel itself."""
        ...

    async def terminate_workflow_execution(
        self, namespace: Namespace, request: wf.TerminateWorkflowExecutionRequest
    ) -> wf.TerminateWorkflowExecutionResponse:
        """Ends a run at once."""
        ...

    async def delete_workflow_execution(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run; an open one is terminated first, and deleted soon after."""
        ...

    async def update_workflow_execution_options(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionOptionsRequest
    ) -> wf.UpdateWorkflowExecutionOptionsResponse:
        """Changes options of an open run."""
        ...

    async def reset_workflow_execution(
        self, namespace: Namespace, request: wf.ResetWorkflowExecutionRequest
    ) -> wf.ResetWorkflowExecutionResponse:
        """Begins a run with another one's history up to a workflow task."""
        ...

    async def describe_workflow_execution(
        self, namespace: Namespace, request: wf.DescribeWorkflowExecutionRequest
    ) -> wf.DescribeWorkflowExecutionResponse:
        """Describes a run."""
        ...

    async def get_workflow_execution_history(
        self, namespace: Namespace, request: wf.GetWorkflowExecutionHistoryRequest, timeout: float
    ) -> Encoded:
        """Returns a page of history; waits up to `timeout` seconds where that is asked."""
        ...

    async def get_workflow_execution_history_reverse(
        self, namespace: Namespace, request: wf.GetWorkflowExecutionHistoryReverseRequest
    ) -> Encoded:
        """Returns a page of history, newest event first."""
        ...

    async def query_workflow(
        self, namespace: Namespace, request: wf.QueryWorkflowRequest, timeout: float
    ) -> wf.QueryWorkflowResponse:
        """Has a worker answer a query."""
        ...

    async def update_workflow_execution(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionRequest, timeout: float
    ) -> wf.UpdateWorkflowExecutionResponse:
        """Updates a run, and waits up to `timeout` seconds for the stage that is asked for."""
        ...

    async def poll_workflow_execution_update(
        self, namespace: Namespace, request: wf.PollWorkflowExecutionUpdateRequest, timeout: float
    ) -> wf.PollWorkflowExecutionUpdateResponse:
        """Waits up to `timeout` seconds for an update to reach a stage."""
        ...

    async def execute_multi_operation(
        self, namespace: Namespace, request: wf.ExecuteMultiOperationRequest, timeout: float
    ) -> wf.ExecuteMultiOperationResponse:
        """Updates a workflow, which is started if need be; waits up to `timeout` seconds.

        The request has exactly two operations: a start and an update of one workflow id.
        """
        ...

    async def create_schedule(
        self, namespace: Namespace, request: wf.CreateScheduleRequest
    ) -> wf.CreateScheduleResponse:
        """Creates a schedule."""
        ...

    async def describe_schedule(
        self, namespace: Namespace, request: wf.DescribeScheduleRequest
    ) -> wf.DescribeScheduleResponse:
        """Describes a schedule."""
        ...

    async def update_schedule(
        self, namespace: Namespace, request: wf.UpdateScheduleRequest
    ) -> wf.UpdateScheduleResponse:
        """Replaces a schedule's definition."""
        ...

    async def patch_schedule(
        self, namespace: Namespace, request: wf.PatchScheduleRequest
    ) -> wf.PatchScheduleResponse:
        """Triggers, backfills, pauses or unpauses a schedule."""
        ...

    async def list_schedule_matching_times(
        self, namespace: Namespace, request: wf.ListScheduleMatchingTimesRequest
    ) -> wf.ListScheduleMatchingTimesResponse:
        """Returns the times of a schedule in a range."""
        ...

    async def delete_schedule(
        self, namespace: Namespace, request: wf.DeleteScheduleRequest
    ) -> wf.DeleteScheduleResponse:
        """Ends a schedule."""
        ...

    async def respond_workflow_task_completed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskCompletedRequest
    ) -> Encoded:
        """Applies a workflow task's commands."""
        ...

    async def respond_workflow_task_failed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskFailedRequest
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """Records a failed workflow task."""
        ...

    async def respond_activity_task_completed(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedRequest
    ) -> wf.RespondActivityTaskCompletedResponse:
        """Completes an activity, by token."""
        ...

    async def respond_activity_task_failed(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedRequest
    ) -> wf.RespondActivityTaskFailedResponse:
        """Fails an activity attempt, by token."""
        ...

    async def respond_activity_task_canceled(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledRequest
    ) -> wf.RespondActivityTaskCanceledResponse:
        """Cancels an activity, by token."""
        ...

    async def record_activity_task_heartbeat(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatRequest
    ) -> wf.RecordActivityTaskHeartbeatResponse:
        """Records a heartbeat, by token."""
        ...

    async def respond_activity_task_completed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedByIdRequest
    ) -> wf.RespondActivityTaskCompletedByIdResponse:
        """Completes an activity, by its id."""
        ...

    async def respond_activity_task_failed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedByIdRequest
    ) -> wf.RespondActivityTaskFailedByIdResponse:
        """Fails an activity attempt, by its id."""
        ...

    async def respond_activity_task_canceled_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledByIdRequest
    ) -> wf.RespondActivityTaskCanceledByIdResponse:
        """Cancels an activity, by its id."""
        ...

    async def record_activity_task_heartbeat_by_id(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatByIdRequest
    ) -> wf.RecordActivityTaskHeartbeatByIdResponse:
        """Records a heartbeat, by the activity's id."""
        ...

    async def pause_activity(
        self, namespace: Namespace, request: wf.PauseActivityRequest
    ) -> wf.PauseActivityResponse:
        """Pauses activities."""
        ...

    async def unpause_activity(
        self, namespace: Namespace, request: wf.UnpauseActivityRequest
    ) -> wf.UnpauseActivityResponse:
        """Ends the pause of activities."""
        ...

    async def reset_activity(
        self, namespace: Namespace, request: wf.ResetActivityRequest
    ) -> wf.ResetActivityResponse:
        """Counts attempts of activities anew."""
        ...

    async def update_activity_options(
        self, namespace: Namespace, request: wf.UpdateActivityOptionsRequest
    ) -> wf.UpdateActivityOptionsResponse:
        """Changes options of activities."""
        ...

    async def reset_sticky_task_queue(
        self, namespace: Namespace, request: wf.ResetStickyTaskQueueRequest
    ) -> wf.ResetStickyTaskQueueResponse:
        """Forgets the worker that has the run in its cache."""
        ...
