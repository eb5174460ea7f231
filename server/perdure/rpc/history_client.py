"""What the other roles ask of history; `perdure.rpc.clients` says what holds for such Protocols."""

from typing import Protocol

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded, Namespace, Poller


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
