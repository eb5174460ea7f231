"""What clients do to workflows: start, signal, cancel, terminate."""

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import RunKey
from perdure.core.errors import NotFoundError
from perdure.core.workflow import options, signals
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.deletion import request_deletion
from perdure.core.workflow.start import StartResult, start_workflow
from perdure.core.workflow.state import Run
from perdure.core.workflow.step import Step
from perdure.history.dispatch import Dispatcher
from perdure.history.execution import Executor
from perdure.history.responses import StartedWorkflowTask
from perdure.rpc.clients import Namespace


def run_key(namespace: Namespace, execution: common.WorkflowExecution) -> RunKey:
    """Returns the run that a request names; an empty run id names the current one."""
    return RunKey(namespace.id, execution.workflow_id, execution.run_id)


def check_chain(run: Run, first_run_id: str) -> None:
    """Raises NotFoundError unless a run belongs to the chain that a request names, if any."""
    if first_run_id and run.start.first_run_id != first_run_id:
        raise NotFoundError("workflow execution not found")


class Workflows:
    """Starts and ends workflows, and passes messages to them."""

    def __init__(self, *, executor: Executor, dispatcher: Dispatcher) -> None:
        self._executor = executor
        self._dispatcher = dispatcher

    async def start(
        self, namespace: Namespace, request: wf.StartWorkflowExecutionRequest
    ) -> wf.StartWorkflowExecutionResponse:
        """Starts a workflow, or applies its conflict and reuse policies."""
        given: list[StartedWorkflowTask] = []

        def capture(result: StartResult) -> None:
            given[:] = (
                [self._dispatcher.capture_workflow_task(result.eager, full_history=True)]
                if result.eager is not None
                else []
            )

        result = await self._executor.start(
            namespace.id,
            request.workflow_id,
            lambda step: start_workflow(step, namespace.id, request),
            assume_new=True,
            after=capture,
        )
        response = wf.StartWorkflowExecutionResponse(
            run_id=result.run_id,
            first_execution_run_id=result.first_run_id,
            started=result.started,
            status=result.status,
        )
        link_to_start(response.link, namespace, request.workflow_id, result)
        if given:
            task = await self._dispatcher.encode(given[0])
            response.eager_workflow_task.MergeFromString(task)
        return response

    async def signal_with_start(
        self, namespace: Namespace, request: wf.SignalWithStartWorkflowExecutionRequest
    ) -> wf.SignalWithStartWorkflowExecutionResponse:
        """Signals the running run, or starts one with the signal in it."""
        result = await self._executor.start(
            namespace.id,
            request.workflow_id,
            lambda step: signals.signal_with_start(step, namespace.id, request),
            assume_new=False,
        )
        response = wf.SignalWithStartWorkflowExecutionResponse(
            run_id=result.run_id,
            first_execution_run_id=result.first_run_id,
            started=result.started,
        )
        key = RunKey(namespace.id, request.workflow_id, result.run_id)
        _link_to_signal(response.signal_link, namespace, key, request.request_id)
        return response

    async def signal(
        self, namespace: Namespace, request: wf.SignalWorkflowExecutionRequest
    ) -> wf.SignalWorkflowExecutionResponse:
        """Signals a run."""

        def act(step: Step, run: Run) -> RunKey:
            signals.signal(step.edit(run), request)
            return run.key

        key = await self._executor.update(run_key(namespace, request.workflow_execution), act)
        response = wf.SignalWorkflowExecutionResponse()
        _link_to_signal(response.link, namespace, key, request.request_id)
        return response

    async def request_cancel(
        self, namespace: Namespace, request: wf.RequestCancelWorkflowExecutionRequest
    ) -> wf.RequestCancelWorkflowExecutionResponse:
        """Asks a run to cancel itself."""

        def act(step: Step, run: Run) -> None:
            check_chain(run, request.first_execution_run_id)
            signals.request_cancel(step.edit(run), request)

        await self._executor.update(run_key(namespace, request.workflow_execution), act)
        return wf.RequestCancelWorkflowExecutionResponse()

    async def terminate(
        self, namespace: Namespace, request: wf.TerminateWorkflowExecutionRequest
    ) -> wf.TerminateWorkflowExecutionResponse:
        """Ends a run at once."""
        termination = Termination(
            reason=request.reason or "terminated by user via frontend",
            identity=request.identity,
            details=request.details if request.HasField("details") else None,
            links=tuple(request.links),
        )

        def act(step: Step, run: Run) -> None:
            check_chain(run, request.first_execution_run_id)
            change = step.edit(run)
            signals.require_open(change)
            terminate(change, termination)

        await self._executor.update(run_key(namespace, request.workflow_execution), act)
        return wf.TerminateWorkflowExecutionResponse()

    async def delete(
        self, namespace: Namespace, request: wf.DeleteWorkflowExecutionRequest
    ) -> wf.DeleteWorkflowExecutionResponse:
        """Deletes a run; an open one is terminated first, and deleted soon after."""
        await self._executor.update(
            run_key(namespace, request.workflow_execution),
            lambda step, run: request_deletion(step.edit(run)),
        )
        return wf.DeleteWorkflowExecutionResponse()

    async def update_options(
        self, namespace: Namespace, request: wf.UpdateWorkflowExecutionOptionsRequest
    ) -> wf.UpdateWorkflowExecutionOptionsResponse:
        """Changes options of an open run."""

        def act(step: Step, run: Run) -> wf.UpdateWorkflowExecutionOptionsResponse:
            change = step.edit(run)
            signals.require_open(change)
            changed = options.update(change, request)
            return wf.UpdateWorkflowExecutionOptionsResponse(workflow_execution_options=changed)

        return await self._executor.update(run_key(namespace, request.workflow_execution), act)


def link_to_start(
    link: common.Link, namespace: Namespace, workflow_id: str, result: StartResult
) -> None:
    """Fills in a link to the event that a run begins with."""
    event = link.workflow_event
    event.namespace = namespace.name
    event.workflow_id = workflow_id
    event.run_id = result.run_id
    if result.attached_request_id:
        reference = event.request_id_ref
        reference.request_id = result.attached_request_id
        reference.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED
        return
    event.event_ref.event_id = 1
    event.event_ref.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED


def _link_to_signal(link: common.Link, namespace: Namespace, key: RunKey, request_id: str) -> None:
    event = link.workflow_event
    event.namespace = namespace.name
    event.workflow_id = key.workflow_id
    event.run_id = key.run_id
    event.request_id_ref.request_id = request_id
    event.request_id_ref.event_type = events.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
