"""What a worker's answer to a workflow task does to the run."""

from dataclasses import dataclass, field

from temporalio.api.failure.v1 import message_pb2 as failures
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.workflow.v1 import message_pb2 as workflow
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.errors import NotFoundError
from perdure.core.outcomes import CommandNote, WorkflowTaskEnding, WorkflowTaskOutcome
from perdure.core.protobuf import capped_ns, set_timestamp
from perdure.core.update import outcomes as updates
from perdure.core.update.messages import Inbox, are_rejections
from perdure.core.update.tasks import wait_for_task
from perdure.core.update.transitions import abort_with_task, reject_unprocessed
from perdure.core.workflow import commands
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.problems import Cause, CommandProblem
from perdure.core.workflow.signals import require_open
from perdure.core.workflow.sizes import payload_bytes
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow.validator import first_problem
from perdure.core.workflow_task import transitions
from perdure.core.workflow_task.state import is_started
from perdure.proto import stored_pb2 as stored

TASK_NOT_FOUND = "Workflow task not found."
_UNHANDLED_COMMAND = Cause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


@dataclass(slots=True)
class CompletedTask:
    """What completing a workflow task came to.

    Attributes:
        problem: Why the task failed instead, if it did.
        eager: Activities to be started at once for the worker.
        reset_history_event_id: The last started event that the worker is to keep, where the task
            is discarded; 0 where it is written.
        updates_wait: Whether the worker is to be given a speculative task at once, after this
            step: updates wait for one, and nothing else does.
    """

    problem: CommandProblem | None = None
    eager: list[stored.ActivityInfo] = field(default_factory=list)
    reset_history_event_id: int = 0
    updates_wait: bool = False


def check_token(change: RunStep, token: stored.TaskToken) -> None:
    """Raises NotFoundError unless the token is that of the workflow task being run."""
    task = change.state.workflow_task
    if (
        not change.run.is_running
        or not is_started(change.state)
        or task.scheduled_event_id != token.scheduled_event_id
        or task.nonce != token.nonce
    ):
        raise NotFoundError(TASK_NOT_FOUND)


def complete_task(
    step: Step,
    change: RunStep,
    token: stored.TaskToken,
    request: wf.RespondWorkflowTaskCompletedRequest,
) -> CompletedTask:
    """Applies a completed workflow task, or records its failure when a command is bad.

    Raises:
        NotFoundError: The task is not being run any more, or has only heartbeated for too long.
        NeedsStartEvent: See `commands.prepare`.
    """
    check_token(change, token)
    commands.prepare(change, request.commands)
    task = change.state.workflow_task
    original_scheduled_time = 0
    if request.force_create_new_workflow_task and not (request.commands or request.messages):
        original_scheduled_time = task.original_scheduled_time
    problem = first_problem(change, request.commands, request.messages)
    if problem is not None:
        if task.attempt == 1 or problem.cause == _UNHANDLED_COMMAND:
            _fail_for(change, problem, request)
        # A worker that errs again gets its next attempt when this one's time is up, and not at
        # once: nothing else would slow it down.
        return CompletedTask(problem)
    if _leaves_no_trace(change, request):
        return _discard(change, request)
    _note_completed(change, request)
    completed_event_id = transitions.complete(change, _completion(request))
    _remember_worker(change, request, completed_event_id)
    change.holds_external = True
    applied = commands.apply(
        step,
        change,
        request.commands,
        request.identity,
        completed_event_id,
        inbox=Inbox(request.messages),
    )
    change.holds_external = False
    done = CompletedTask(eager=applied.eager)
    if not change.run.is_running:
        return done
    if not request.force_create_new_workflow_task:
        reject_unprocessed(change)
    if change.run.buffered or applied.needs_task or request.force_create_new_workflow_task:
        transitions.schedule(change, original_scheduled_time=original_scheduled_time)
    else:
        _bring_updates(change, request, done)
    return done


def _note_completed(change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest) -> None:
    change.task_outcomes.append(
        WorkflowTaskOutcome(
            WorkflowTaskEnding.COMPLETED,
            change.state.workflow_task.attempt,
            commands=tuple(
                CommandNote(command.command_type, payload_bytes(command))
                for command in request.commands
            ),
            sticky=bool(request.sticky_attributes.worker_task_queue.name),
        )
    )


def _note_failed(change: RunStep, cause: Cause.ValueType, *, refused: bool) -> None:
    change.task_outcomes.append(
        WorkflowTaskOutcome(
            WorkflowTaskEnding.FAILED,
            change.state.workflow_task.attempt,
            cause=cause,
            refused=refused,
        )
    )


def _leaves_no_trace(change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest) -> bool:
    """Tells whether a speculative task has come to nothing: its worker refuses all updates.

    A worker that was shown events with the task will be shown them again; not all can take that.
    """
    if not change.run.speculative or request.commands or request.force_create_new_workflow_task:
        return False
    state, settings = change.state, change.context.settings
    if not state.last_completed_event_id:
        # There is nothing before it that a worker could go back to.
        return False
    # After a completed task comes whatever its commands wrote.
    shown = state.workflow_task.scheduled_event_id - (state.last_completed_event_id + 1)
    repeatable = request.capabilities.discard_speculative_workflow_task_with_events
    if shown > (settings.discardable_events if repeatable else 0):
        return False
    return are_rejections(request.messages)


def _discard(change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest) -> CompletedTask:
    transitions.drop_speculative(change)
    _remember_stickiness(change, request)
    for message in request.messages:
        updates.answer(change, message)
    reject_unprocessed(change)
    done = CompletedTask(reset_history_event_id=change.state.last_started_event_id)
    _bring_updates(change, request, done)
    return done


def _bring_updates(
    change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest, done: CompletedTask
) -> None:
    """Sees to it that updates that came while the task was run get one of their own."""
    if not wait_for_task(change.run):
        return
    if request.return_new_workflow_task:
        done.updates_wait = True
    else:
        transitions.schedule(change)


def heartbeats_too_long(
    change: RunStep, token: stored.TaskToken, request: wf.RespondWorkflowTaskCompletedRequest
) -> bool:
    """Tells whether the task has done nothing but heartbeat for as long as it may."""
    check_token(change, token)
    if not request.force_create_new_workflow_task or request.commands or request.messages:
        return False
    since = change.state.workflow_task.original_scheduled_time
    return change.now - since >= change.context.settings.workflow_task_heartbeat_timeout


def expire_heartbeats(change: RunStep) -> None:
    """Times out a task that has only heartbeated, and schedules another attempt."""
    transitions.time_out(change)
    transitions.schedule(change)


def _fail_for(
    change: RunStep, problem: CommandProblem, request: wf.RespondWorkflowTaskCompletedRequest
) -> None:
    if problem.cause == _UNHANDLED_COMMAND:
        change.run.close_attempted = True
    abort_with_task(change)
    failure = failures.Failure(message=problem.text())
    failure.server_failure_info.SetInParent()
    _note_failed(change, problem.cause, refused=True)
    transitions.fail(
        change,
        transitions.Failure(problem.cause, request.identity, failure, build_id=build_id(request)),
    )
    if problem.terminates:
        terminate(change, Termination(problem.text(), identity="history-service"))
    else:
        transitions.schedule(change)


def _completion(request: wf.RespondWorkflowTaskCompletedRequest) -> transitions.Completion:
    extra = history.WorkflowTaskCompletedEventAttributes()
    if request.HasField("metering_metadata"):
        extra.metering_metadata.CopyFrom(request.metering_metadata)
    if build := build_id(request):
        extra.worker_version.CopyFrom(request.worker_version_stamp)
        extra.worker_version.build_id = build
    else:
        extra.binary_checksum = request.binary_checksum
    return transitions.Completion(
        identity=request.identity,
        sdk_metadata=request.sdk_metadata if request.HasField("sdk_metadata") else None,
        extra=extra,
    )


def _remember_worker(
    change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest, completed_event_id: int
) -> None:
    state = change.state
    _remember_stickiness(change, request)
    build = state.build_id = build_id(request)
    checksum = "" if build else request.binary_checksum
    if all(
        (point.build_id, point.binary_checksum) != (build, checksum)
        for point in state.auto_reset_points
    ):
        _add_reset_point(change, build, checksum, completed_event_id)


def _remember_stickiness(change: RunStep, request: wf.RespondWorkflowTaskCompletedRequest) -> None:
    state = change.state
    if request.HasField("sticky_attributes") and request.sticky_attributes.worker_task_queue.name:
        sticky = request.sticky_attributes
        state.sticky_task_queue = sticky.worker_task_queue.name
        state.sticky_timeout = capped_ns(sticky.schedule_to_start_timeout)
    else:
        transitions.clear_stickiness(state)


def build_id(request: wf.RespondWorkflowTaskCompletedRequest) -> str:
    """Returns which build of the worker has answered, if it says so."""
    return request.worker_version_stamp.build_id or request.deployment_options.build_id


def _add_reset_point(change: RunStep, build: str, checksum: str, completed_event_id: int) -> None:
    points = change.state.auto_reset_points
    point = workflow.ResetPointInfo(
        build_id=build,
        binary_checksum=checksum,
        run_id=change.run.key.run_id,
        first_workflow_task_completed_id=completed_event_id,
        resettable=True,
    )
    set_timestamp(point.create_time, change.now)
    points.append(point)
    if len(points) > change.context.settings.max_auto_reset_points:
        del points[0]


def fail_task(
    change: RunStep, token: stored.TaskToken, request: wf.RespondWorkflowTaskFailedRequest
) -> None:
    """Records a failed workflow task and schedules the next attempt.

    Raises:
        NotFoundError: The task is not being run any more.
    """
    require_open(change)
    check_token(change, token)
    _note_failed(change, request.cause, refused=False)
    transitions.fail(
        change,
        transitions.Failure(
            request.cause,
            request.identity,
            request.failure if request.HasField("failure") else None,
            build_id=request.worker_version.build_id or request.deployment_options.build_id,
        ),
    )
    transitions.schedule(change)
