"""The history role: owns workflow state, and implements `HistoryClient` in process.

This module spells out the public methods; each family's logic is in a module of its own.
"""

from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask
from perdure.core.errors import NotFoundError
from perdure.core.workflow.describe import describe
from perdure.history.role import HistoryRole
from perdure.history.workflows import run_key
from perdure.rpc.clients import Encoded, Namespace, Poller


class HistoryEngine(HistoryRole):
    """Implements `perdure.rpc.history_client.HistoryClient`, for the workflows of its shards."""

    # Clients

    async def start_workflow_execution(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> wf.StartWorkflowExecutionResponse:
        """Starts a workflow, or applies its conflict and reuse policies."""
        return await self._workflows.start(namespace, request)

    async def signal_with_start_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWithStartWorkflowExecutionRequest
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """Signals the running run, or starts one with the signal in it."""
        return await self._workflows.signal_with_start(namespace, request)

    async def signal_workflow_execution(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals a run."""
        return await self._workflows.signal(namespace, request)

    async def request_cancel_workflow_execution(
        self, namespace: Namespace, request: wf.RequestCancelWorkflowExecutionRequest
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """Asks a run to cancel itself."""
        return await self._workflows.request_cancel(namespace, request)

    async def terminate_workflow_execution(
        self, namespace: Namespace, request: wf.TerminateWorkflowExecutionRequest
    ) -> wf.TerminateWorkflowExecutionResponse:
        """Ends a run at once."""
        return await self._workflows.terminate(namespace, request)

    async def delete_workflow_execution(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run; an open one is terminated first, and deleted soon after."""
        return await self._workflows.delete(namespace, request)

    async def update_workflow_execution_options(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionOptionsRequest
    ) -> wf.UpdateWorkflowExecutionOptionsResponse:
        """Changes options of an open run."""
        return await self._workflows.update_options(namespace, request)

    async def reset_workflow_execution(
        self, namespace: Namespace, request: wf.ResetWorkflowExecutionRequest
    ) -> wf.ResetWorkflowExecutionResponse:
        """Begins a run with another one's history up to a workflow task."""
        return await self._resets.reset(namespace, request)

    async def describe_workflow_execution(
        self, namespace: Namespace, request: wf.DescribeWorkflowExecutionRequest
    ) -> wf.DescribeWorkflowExecutionResponse:
        """Describes a run."""
        key = run_key(namespace, request.execution)
        return await self._executor.observe(key, lambda _, run: describe(run))

    async def get_workflow_execution_history(
        self,
        namespace: Namespace,
        request: wf.GetWorkflowExecutionHistoryRequest,
        timeout: float,
    ) -> Encoded:
        """Returns a page of history; waits up to `timeout` seconds where that is asked."""
        return await self._reader.page(namespace, request, timeout)

    async def get_workflow_execution_history_reverse(
        self, namespace: Namespace, request: wf.GetWorkflowExecutionHistoryReverseRequest
    ) -> Encoded:
        """Returns a page of history, newest event first."""
        return await self._reader.reverse(namespace, request)

    async def query_workflow(
        self,
        namespace: Namespace,
        request: wf.QueryWorkflowRequest,
        timeout: float,
    ) -> wf.QueryWorkflowResponse:
        """Has a worker answer a query."""
        return await self._querier.query(namespace, request, timeout)

    async def update_workflow_execution(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionRequest, timeout: float
    ) -> wf.UpdateWorkflowExecutionResponse:
        """Updates a run, and waits up to `timeout` seconds for the stage that is asked for."""
        return await self._updates.update(namespace, request, timeout)

    async def poll_workflow_execution_update(
        self, namespace: Namespace, request: wf.PollWorkflowExecutionUpdateRequest, timeout: float
    ) -> wf.PollWorkflowExecutionUpdateResponse:
        """Waits up to `timeout` seconds for an update to reach a stage."""
        return await self._updates.poll(namespace, request, timeout)

    async def execute_multi_operation(
        self, namespace: Namespace, request: wf.ExecuteMultiOperationRequest, timeout: float
    ) -> wf.ExecuteMultiOperationResponse:
        """Updates a workflow, which is started if need be; waits up to `timeout` seconds."""
        return await self._updates.start_and_update(namespace, request, timeout)

    async def create_schedule(
        self, namespace: Namespace, request: wf.CreateScheduleRequest
    ) -> wf.CreateScheduleResponse:
        """Creates a schedule."""
        return await self._schedules.create(namespace, request)

    async def describe_schedule(
        self, namespace: Namespace, request: wf.DescribeScheduleRequest
    ) -> wf.DescribeScheduleResponse:
        """Describes a schedule."""
        return await self._schedules.describe(namespace, request)

    async def update_schedule(
        self, namespace: Namespace, request: wf.UpdateScheduleRequest
    ) -> wf.UpdateScheduleResponse:
        """Replaces a schedule's definition."""
        return await self._schedules.update(namespace, request)

    async def patch_schedule(
        self, namespace: Namespace, request: wf.PatchScheduleRequest
    ) -> wf.PatchScheduleResponse:
        """Triggers, backfills, pauses or unpauses a schedule."""
        return await self._schedules.patch(namespace, request)

    async def list_schedule_matching_times(
        self, namespace: Namespace, request: wf.ListScheduleMatchingTimesRequest
    ) -> wf.ListScheduleMatchingTimesResponse:
        """Returns the times of a schedule in a range."""
        return await self._schedules.matching_times(namespace, request)

    async def delete_schedule(
        self, namespace: Namespace, request: wf.DeleteScheduleRequest
    ) -> wf.DeleteScheduleResponse:
        """Ends a schedule."""
        return await self._schedules.delete(namespace, request)

    # Workers

    async def record_workflow_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that a workflow task has started."""
        return await self._workflow_tasks.record_started(task, poller)

    async def record_activity_task_started(self, task: DispatchTask, poller: Poller) -> Encoded:
        """Records that an activity task has started."""
        return await self._activities.record_started(task, poller)

    async def sticky_queue_unpolled(self, task: DispatchTask) -> None:
        """Moves the pending workflow task of a run whose sticky worker is gone."""
        try:
            await self._workflow_tasks.sticky_queue_unpolled(task)
        except NotFoundError:
            # The run is gone, and the task with it.
            return

    async def respond_workflow_task_completed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskCompletedRequest
    ) -> Encoded:
        """Applies a workflow task's commands."""
        return await self._workflow_tasks.complete(namespace, request)

    async def respond_workflow_task_failed(
        self, namespace: Namespace, request: wf.RespondWorkflowTaskFailedRequest
    ) -> wf.RespondWorkflowTaskFailedResponse:
        """Records a failed workflow task."""
        return await self._workflow_tasks.fail(namespace, request)

    async def reset_sticky_task_queue(
        self, namespace: Namespace, request: wf.ResetStickyTaskQueueRequest
    ) -> wf.ResetStickyTaskQueueResponse:
        """Forgets the worker that has the run in its cache."""
        return await self._workflow_tasks.reset_sticky(namespace, request)

    async def respond_activity_task_completed(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedRequest
    ) -> wf.RespondActivityTaskCompletedResponse:
        """Completes an activity, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        await self._activities.complete(target, request)
        return wf.RespondActivityTaskCompletedResponse()

    async def respond_activity_task_failed(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedRequest
    ) -> wf.RespondActivityTaskFailedResponse:
        """Fails an activity attempt, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        await self._activities.fail(target, request)
        return wf.RespondActivityTaskFailedResponse()

    async def respond_activity_task_canceled(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledRequest
    ) -> wf.RespondActivityTaskCanceledResponse:
        """Cancels an activity, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        details = request.details if request.HasField("details") else None
        await self._activities.cancel(target, details, request.identity)
        return wf.RespondActivityTaskCanceledResponse()

    async def record_activity_task_heartbeat(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatRequest
    ) -> wf.RecordActivityTaskHeartbeatResponse:
        """Records a heartbeat, by token."""
        target = self._activities.by_token(namespace, request.task_token)
        details = request.details if request.HasField("details") else None
        told = await self._activities.heartbeat(target, details, request.identity)
        return wf.RecordActivityTaskHeartbeatResponse(**told._asdict())

    async def respond_activity_task_completed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCompletedByIdRequest
    ) -> wf.RespondActivityTaskCompletedByIdResponse:
        """Completes an activity, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        await self._activities.complete(target, request)
        return wf.RespondActivityTaskCompletedByIdResponse()

    async def respond_activity_task_failed_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskFailedByIdRequest
    ) -> wf.RespondActivityTaskFailedByIdResponse:
        """Fails an activity attempt, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        await self._activities.fail(target, request)
        return wf.RespondActivityTaskFailedByIdResponse()

    async def respond_activity_task_canceled_by_id(
        self, namespace: Namespace, request: wf.RespondActivityTaskCanceledByIdRequest
    ) -> wf.RespondActivityTaskCanceledByIdResponse:
        """Cancels an activity, by its id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        details = request.details if request.HasField("details") else None
        await self._activities.cancel(target, details, request.identity)
        return wf.RespondActivityTaskCanceledByIdResponse()

    async def record_activity_task_heartbeat_by_id(
        self, namespace: Namespace, request: wf.RecordActivityTaskHeartbeatByIdRequest
    ) -> wf.RecordActivityTaskHeartbeatByIdResponse:
        """Records a heartbeat, by the activity's id."""
        target = self._activities.by_id(
            namespace, request.workflow_id, request.run_id, request.activity_id
        )
        details = request.details if request.HasField("details") else None
        told = await self._activities.heartbeat(target, details, request.identity)
        return wf.RecordActivityTaskHeartbeatByIdResponse(**told._asdict())

    async def pause_activity(
        self, namespace: Namespace, request: wf.PauseActivityRequest
    ) -> wf.PauseActivityResponse:
        """Pauses activities."""
        return await self._activity_operations.pause(namespace, request)

    async def unpause_activity(
        self, namespace: Namespace, request: wf.UnpauseActivityRequest
    ) -> wf.UnpauseActivityResponse:
        """Ends the pause of activities."""
        return await self._activity_operations.unpause(namespace, request)

    async def reset_activity(
        self, namespace: Namespace, request: wf.ResetActivityRequest
    ) -> wf.ResetActivityResponse:
        """Counts attempts of activities anew."""
        return await self._activity_operations.reset(namespace, request)

    async def update_activity_options(
        self, namespace: Namespace, request: wf.UpdateActivityOptionsRequest
    ) -> wf.UpdateActivityOptionsResponse:
        """Changes options of activities."""
        return await self._activity_operations.update_options(namespace, request)
