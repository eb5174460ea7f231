"""How a run begins: by a client's request, and what its workflow id's policies say."""

from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import task_queue_pb2 as queues
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.history.v1 import message_pb2 as history
from temporalio.api.sdk.v1 import user_metadata_pb2 as user_metadata
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core import retry
from perdure.core.child.state import keep_parent
from perdure.core.commit import RunKey
from perdure.core.errors import WorkflowExecutionAlreadyStartedError
from perdure.core.protobuf import (
    capped_ns,
    duration_ns,
    set_duration,
    set_limit,
    set_timestamp,
    timestamp_ns,
)
from perdure.core.workflow import cron, eager, options
from perdure.core.workflow.close import Termination, terminate
from perdure.core.workflow.state import Deadline, DeadlineKind, Run, new_run
from perdure.core.workflow.step import RunStep, Step
from perdure.core.workflow_task.transitions import schedule_if_needed
from perdure.proto import stored_pb2 as stored

_FAILED_STATUSES = frozenset(
    {
        enums.WORKFLOW_EXECUTION_STATUS_FAILED,
        enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
        enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
        enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    }
)


@dataclass(slots=True)
class NewRun:
    """A run to be created: its first event, and what that does not say.

    Attributes:
        run_id: The new run's id.
        attributes: The started event's attributes, complete but for what `begin` derives.
        request_id: The request that made it, for de-duplication.
        metadata: Summary and details that a person reads.
        links: Links to what caused it.
        backoff: How long its first workflow task waits, in nanoseconds.
    """

    run_id: str
    attributes: history.WorkflowExecutionStartedEventAttributes
    request_id: str
    metadata: user_metadata.UserMetadata | None = None
    links: list[common.Link] = field(default_factory=list)
    backoff: int = 0


@dataclass(slots=True, frozen=True)
class StartResult:
    """What a start request came to.

    `attached_request_id` is the request's own, when it was attached to a run that was open;
    `eager` is the step of a run whose first task is given out.
    """

    run_id: str
    started: bool
    status: enums.WorkflowExecutionStatus.ValueType
    first_run_id: str
    attached_request_id: str = ""
    eager: RunStep | None = None


def begin(step: Step, key: RunKey, new: NewRun) -> RunStep:
    """Creates a run with its started event, and makes it the current one."""
    attributes = new.attributes
    now = step.now
    start = _run_start(new, now, step.context.cause)
    run = new_run(
        key,
        start,
        stored.Attributes(memo=attributes.memo, search_attributes=attributes.search_attributes),
    )
    change = step.make_current(run)
    event = change.event(events.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    event.workflow_execution_started_event_attributes.CopyFrom(attributes)
    if new.metadata is not None:
        event.user_metadata.CopyFrom(new.metadata)
    event.links.extend(new.links)
    if attributes.memo.fields or attributes.search_attributes.indexed_fields:
        change.put_attributes()
    if new.backoff:
        run.state.first_workflow_task_due = now + new.backoff
        run.add_deadline(Deadline(now + new.backoff, DeadlineKind.FIRST_WORKFLOW_TASK))
    if attributes.HasField("prev_auto_reset_points"):
        run.state.auto_reset_points.extend(attributes.prev_auto_reset_points.points)
    change.visibility_changed = True
    return change


def _run_start(new: NewRun, now: int, cause: bytes) -> stored.RunStart:
    attributes = new.attributes
    execution_expiration = timestamp_ns(attributes.workflow_execution_expiration_time)
    run_timeout = duration_ns(attributes.workflow_run_timeout)
    run_expiration = now + new.backoff + run_timeout if run_timeout else 0
    if execution_expiration and run_expiration > execution_expiration:
        run_expiration = execution_expiration
    start = stored.RunStart(
        workflow_type=attributes.workflow_type.name,
        task_queue=attributes.task_queue.name,
        task_timeout=duration_ns(attributes.workflow_task_timeout),
        attempt=attributes.attempt,
        cron_schedule=attributes.cron_schedule,
        first_run_id=attributes.first_execution_run_id,
        original_run_id=attributes.original_execution_run_id,
        continued_run_id=attributes.continued_execution_run_id,
        request_id=new.request_id,
        start_time=now,
        execution_time=now + new.backoff,
        execution_expiration_time=execution_expiration,
        run_expiration_time=run_expiration,
        first_workflow_task_backoff=new.backoff,
        identity=attributes.identity,
        links=new.links,
        completion_callbacks=attributes.completion_callbacks,
        cause=cause,
    )
    for name in ("retry_policy", "priority", "versioning_override"):
        if attributes.HasField(name):
            getattr(start, name).CopyFrom(getattr(attributes, name))
    if attributes.HasField("workflow_execution_timeout"):
        start.execution_timeout = duration_ns(attributes.workflow_execution_timeout)
    if attributes.HasField("workflow_run_timeout"):
        start.run_timeout = run_timeout
    if attributes.HasField("root_workflow_execution"):
        start.root.CopyFrom(attributes.root_workflow_execution)
    keep_parent(attributes, start)
    if new.metadata is not None:
        start.user_metadata.CopyFrom(new.metadata)
    return start


def start_workflow(
    step: Step,
    namespace_id: str,
    request: wf.StartWorkflowExecutionRequest,
    before_first_task: Callable[[RunStep], None] | None = None,
    adopt: Callable[[history.WorkflowExecutionStartedEventAttributes], None] | None = None,
) -> StartResult:
    """Starts a workflow, or answers for the run that its workflow id has already.

    Args:
        step: The step.
        namespace_id: The namespace's id.
        request: What to start.
        before_first_task: Adds events to a new run before its first workflow task is scheduled.
        adopt: Says of a new run whose child it is.

    Raises:
        WorkflowExecutionAlreadyStartedError: The conflict or reuse policy refuses a new run.
    """
    existing = step.current
    if existing is not None:
        if before_first_task is None and request.request_id in existing.attached:
            return _attached(existing, request.request_id)
        answered = _apply_policies(step, existing, request)
        if answered is not None:
            return answered
    new = from_request(step, request)
    if adopt is not None:
        adopt(new.attributes)
    if existing is not None and existing.is_running:
        _terminate_existing(step, existing, new.run_id)
    change = begin(step, RunKey(namespace_id, request.workflow_id, new.run_id), new)
    if before_first_task is not None:
        before_first_task(change)
    schedule_if_needed(change)
    given = (
        eager.start_first_task(change, request) if eager.is_wanted(request, new.backoff) else None
    )
    return StartResult(
        new.run_id, True, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, new.run_id, eager=given
    )


def _terminate_existing(step: Step, existing: Run, new_run_id: str) -> None:
    terminate(
        step.edit(existing),
        Termination(
            reason="TerminateIfRunning WorkflowIdReusePolicy",
            identity="history-service",
            details=common.Payloads(
                payloads=[
                    common.Payload(
                        metadata={"encoding": b"json/plain"},
                        data=f'"terminated by new runID: {new_run_id}"'.encode(),
                    )
                ]
            ),
        ),
    )


def _apply_policies(
    step: Step, existing: Run, request: wf.StartWorkflowExecutionRequest
) -> StartResult | None:
    """Returns the answer that the existing run gives, or None to go on and start a new one."""
    run_id = existing.key.run_id
    if request.request_id == existing.start.request_id:
        return StartResult(
            run_id,
            True,
            existing.state.status,
            existing.start.first_run_id,
            eager=eager.given_before(step, existing, request),
        )
    if existing.is_running:
        match request.workflow_id_conflict_policy:
            case enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING:
                return _use_existing(step, existing, request)
            case enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
                return None
        if request.workflow_id_reuse_policy == enums.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
            return None
        raise _already_started(
            existing,
            "Workflow execution is already running. "
            f"WorkflowId: {existing.key.workflow_id}, RunId: {run_id}.",
        )
    _check_reuse(existing, request.workflow_id_reuse_policy)
    return None


def _use_existing(
    step: Step, existing: Run, request: wf.StartWorkflowExecutionRequest
) -> StartResult:
    if request.HasField("on_conflict_options"):
        options.attach(step.edit(existing), request)
    attached = request.on_conflict_options.attach_request_id
    return _attached(existing, request.request_id if attached else "")


def _attached(existing: Run, request_id: str) -> StartResult:
    """Returns the answer for a run that was there; `request_id` if that was attached to it."""
    return StartResult(
        existing.key.run_id,
        False,
        existing.state.status,
        existing.start.first_run_id,
        attached_request_id=request_id,
    )


def _check_reuse(existing: Run, policy: enums.WorkflowIdReusePolicy.ValueType) -> None:
    where = f"WorkflowId: {existing.key.workflow_id}, RunId: {existing.key.run_id}"
    if policy == enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
        raise _already_started(
            existing,
            f"Workflow execution already finished. {where}. "
            "Workflow Id reuse policy: reject duplicate workflow Id.",
        )
    if (
        policy == enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
        and existing.state.status not in _FAILED_STATUSES
    ):
        raise _already_started(
            existing,
            f"Workflow execution already finished successfully. {where}. "
            "Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
        )


def _already_started(existing: Run, message: str) -> WorkflowExecutionAlreadyStartedError:
    return WorkflowExecutionAlreadyStartedError(
        message,
        start_request_id=existing.start.request_id,
        run_id=existing.key.run_id,
        first_run_id=existing.start.first_run_id,
    )


def from_request(step: Step, request: wf.StartWorkflowExecutionRequest) -> NewRun:
    """Returns the run that a start request asks for."""
    run_id = step.context.ids.run_id()
    backoff = duration_ns(request.workflow_start_delay)
    attributes = history.WorkflowExecutionStartedEventAttributes(
        workflow_type=request.workflow_type,
        workflow_id=request.workflow_id,
        original_execution_run_id=run_id,
        first_execution_run_id=run_id,
        identity=request.identity,
        attempt=1,
        cron_schedule=request.cron_schedule,
        completion_callbacks=request.completion_callbacks,
    )
    attributes.task_queue.name = request.task_queue.name
    attributes.task_queue.kind = queues.TASK_QUEUE_KIND_NORMAL
    for name in (
        "input",
        "header",
        "memo",
        "search_attributes",
        "priority",
        "versioning_override",
        "continued_failure",
        "last_completion_result",
    ):
        if request.HasField(name):
            getattr(attributes, name).CopyFrom(getattr(request, name))
    if request.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(retry.with_defaults(request.retry_policy))
    _set_timeouts(step, attributes, request)
    backoff = capped_ns(request.workflow_start_delay)
    if request.cron_schedule:
        attributes.initiator = enums.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
        backoff = cron.backoff(request.cron_schedule, step.now, step.now)
    set_duration(attributes.first_workflow_task_backoff, backoff)
    attributes.eager_execution_accepted = eager.is_wanted(request, backoff)
    return NewRun(
        run_id,
        attributes,
        request.request_id,
        metadata=request.user_metadata if request.HasField("user_metadata") else None,
        links=list(request.links),
        backoff=backoff,
    )


def _set_timeouts(
    step: Step,
    attributes: history.WorkflowExecutionStartedEventAttributes,
    request: wf.StartWorkflowExecutionRequest,
) -> None:
    execution = duration_ns(request.workflow_execution_timeout)
    run = duration_ns(request.workflow_run_timeout) or execution
    if execution:
        run = min(run, execution)
        set_timestamp(attributes.workflow_execution_expiration_time, step.now + execution)
    set_limit(
        attributes.workflow_execution_timeout,
        execution,
        given=request.HasField("workflow_execution_timeout"),
    )
    set_limit(attributes.workflow_run_timeout, run, given=request.HasField("workflow_run_timeout"))
    set_duration(attributes.workflow_task_timeout, duration_ns(request.workflow_task_timeout))
