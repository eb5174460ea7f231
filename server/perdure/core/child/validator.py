"""What a StartChildWorkflowExecution command must look like, and the timeouts that follow from it.

Texts, and the order in which things are looked at, are the real server's; what only a NUL is wrong
with has a text of our own, because no store could hold it.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import message_pb2 as commands

from perdure.core import retry
from perdure.core.commit import SearchValue
from perdure.core.errors import InvalidArgumentError
from perdure.core.protobuf import capped_ns, duration_problem
from perdure.core.visibility.attributes import check_names, check_values, searchable_values
from perdure.core.workflow import cron
from perdure.core.workflow.problems import Cause, CommandProblem
from perdure.core.workflow.settings import WorkflowSettings
from perdure.core.workflow.step import RunStep, StepContext

Attributes = commands.StartChildWorkflowExecutionCommandAttributes

_NAME = "StartChildWorkflowExecutionCommand"
_BAD = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES
_BAD_SEARCH = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES
_RESERVED_PREFIX = "/_sys/"
_SYSTEM_WORKERS_QUEUE = "temporal-sys-per-ns-tq"


@dataclass(slots=True, frozen=True)
class ChildTimeouts:
    """A child's timeouts, in nanoseconds; 0 means none."""

    execution: int
    run: int
    task: int


def derive_timeouts(attributes: Attributes, settings: WorkflowSettings) -> ChildTimeouts:
    """Fills in the timeouts that were not given; none outlasts the one around it."""
    execution = capped_ns(attributes.workflow_execution_timeout)
    run = capped_ns(attributes.workflow_run_timeout)
    if execution:
        run = min(run or execution, execution)
    task = capped_ns(attributes.workflow_task_timeout) or settings.default_workflow_task_timeout
    task = min(task, settings.max_workflow_task_timeout)
    return ChildTimeouts(execution, run, min(task, run or task))


def start_problem(step: RunStep, attributes: Attributes) -> CommandProblem | None:
    """Returns what is wrong with a command that starts a child.

    Raises:
        NamespaceNotFoundError: The namespace that it names does not exist.
    """
    context = step.context
    if attributes.namespace and attributes.namespace != context.namespace:
        context.find_namespace(attributes.namespace)
        if not context.settings.cross_namespace_commands:
            return CommandProblem(_BAD, "cross namespace commands are not allowed")
    if found := _unknown_attribute(attributes, context):
        return CommandProblem(_BAD_SEARCH, found)
    if found := (
        _identity_problem(attributes, context)
        or _value_problem(attributes, context)
        or _priority_problem(attributes)
    ):
        return CommandProblem(_BAD, found)
    if found := _attribute_problem(attributes, context):
        return CommandProblem(_BAD_SEARCH, found)
    if found := _queue_problem(attributes, step):
        return CommandProblem(_BAD, found)
    return None


def _where(attributes: Attributes, context: StepContext) -> str:
    namespace = attributes.namespace or context.namespace
    return (
        f"WorkflowId={attributes.workflow_id} WorkflowType={attributes.workflow_type.name} "
        f"Namespace={namespace}"
    )


def _identity_problem(attributes: Attributes, context: StepContext) -> str | None:
    workflow_id, workflow_type = attributes.workflow_id, attributes.workflow_type.name
    namespace = f"Namespace={attributes.namespace or context.namespace}"
    limit = context.settings.max_id_length
    if not workflow_id:
        return (
            f"Required field WorkflowId is not set on {_NAME}. "
            f"WorkflowType={workflow_type} {namespace}"
        )
    if not workflow_type:
        return (
            f"Required field WorkflowType is not set on {_NAME}. "
            f"WorkflowId={workflow_id} {namespace}"
        )
    if (length := len(workflow_id.encode())) > limit:
        return (
            f"WorkflowId on {_NAME} exceeds length limit. WorkflowId={workflow_id} "
            f"Length={length} Limit={limit} WorkflowType={workflow_type} {namespace}"
        )
    if (length := len(workflow_type.encode())) > limit:
        return (
            f"WorkflowType on {_NAME} exceeds length limit. WorkflowId={workflow_id} "
            f"WorkflowType={workflow_type} Length={length} Limit={limit} {namespace}"
        )
    for name, text in (
        ("WorkflowId", workflow_id),
        ("WorkflowType", workflow_type),
        ("TaskQueue", attributes.task_queue.name),
        ("FairnessKey", attributes.priority.fairness_key),
    ):
        if "\0" in text:
            return f"{name} on {_NAME} contains a NUL character. {namespace}"
    return None


def _value_problem(attributes: Attributes, context: StepContext) -> str | None:
    where = _where(attributes, context)
    for name, value in (
        ("WorkflowExecutionTimeout", attributes.workflow_execution_timeout),
        ("WorkflowRunTimeout", attributes.workflow_run_timeout),
        ("WorkflowTaskTimeout", attributes.workflow_task_timeout),
    ):
        if found := duration_problem(value):
            return f"Invalid {name} on {_NAME}: {found}. {where}"
    if attributes.HasField("retry_policy") and (found := retry.problem(attributes.retry_policy)):
        return f"invalid WorkflowRetryPolicy on {_NAME}: {found}. {where}"
    if attributes.cron_schedule:
        try:
            cron.check(attributes.cron_schedule)
        except cron.CronError as error:
            return f"invalid CronSchedule on {_NAME}: {error}. {where}"
    if attributes.HasField("versioning_override"):
        return "VersioningOverride is not served by this release."
    return None


def _priority_problem(attributes: Attributes) -> str | None:
    priority = attributes.priority
    if priority.priority_key < 0:
        return "priority key can't be negative"
    if priority.fairness_weight < 0:
        return "must be greater than zero"
    return None


def _unknown_attribute(attributes: Attributes, context: StepContext) -> str | None:
    try:
        check_names(
            attributes.search_attributes, context.search_attributes, namespace=context.namespace
        )
    except InvalidArgumentError as error:
        return error.message
    return None


def _attribute_problem(attributes: Attributes, context: StepContext) -> str | None:
    try:
        check_values(
            attributes.search_attributes,
            context.search_attributes,
            context.settings.search_attributes,
        )
    except InvalidArgumentError as error:
        return (
            f"invalid SearchAttributes on StartChildWorkflowCommand: {error.message}. "
            f"{_where(attributes, context)}"
        )
    values = searchable_values(attributes.search_attributes, context.search_attributes).values()
    if any("\0" in part for value in values for part in _texts(value)):
        return f"SearchAttributes on {_NAME} contain a NUL character. {_where(attributes, context)}"
    return None


def _texts(value: SearchValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []


def _queue_problem(attributes: Attributes, step: RunStep) -> str | None:
    name = attributes.task_queue.name
    if not name:
        return None
    if len(name.encode()) > step.context.settings.max_id_length:
        found = "taskQueue length exceeds limit"
    elif name.startswith(_RESERVED_PREFIX):
        found = f"task queue name cannot start with reserved prefix {_RESERVED_PREFIX}"
    elif name == _SYSTEM_WORKERS_QUEUE:
        found = (
            f"cannot use internal per-namespace task queue:{name} "
            f"(in parent component task queue: {step.run.start.task_queue})"
        )
    else:
        return None
    return (
        f"invalid TaskQueue on {_NAME}: {found}. {_where(attributes, step.context)} "
        f'TaskQueue=name:"{name}"  kind:TASK_QUEUE_KIND_NORMAL'
    )
