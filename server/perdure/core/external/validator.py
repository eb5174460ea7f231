"""What the commands that signal other workflows, or ask them to cancel, must look like.

Texts, and the order in which things are looked at, are the real server's.
"""

from collections.abc import Collection

from temporalio.api.command.v1 import message_pb2 as commands

from perdure.core.uuids import is_uuid
from perdure.core.workflow.problems import Cause, CommandProblem
from perdure.core.workflow.step import StepContext

_SIGNAL = "SignalExternalWorkflowExecutionCommand"
_CANCEL = "RequestCancelExternalWorkflowExecutionCommand"
_BAD_SIGNAL = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES
_BAD_CANCEL = (
    Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES
)


def signal_problem(
    attributes: commands.SignalExternalWorkflowExecutionCommandAttributes, context: StepContext
) -> CommandProblem | None:
    """Returns what is wrong with a signal to another workflow.

    Raises:
        NamespaceNotFoundError: The namespace that it names does not exist.
    """
    foreign = _is_foreign(attributes.namespace, context)
    found = _signal_text(attributes, context, foreign=foreign)
    return None if found is None else CommandProblem(_BAD_SIGNAL, found)


def cancel_problem(
    attributes: commands.RequestCancelExternalWorkflowExecutionCommandAttributes,
    context: StepContext,
) -> CommandProblem | None:
    """Returns what is wrong with a cancel request to another workflow.

    Raises:
        NamespaceNotFoundError: The namespace that it names does not exist.
    """
    foreign = _is_foreign(attributes.namespace, context)
    found = _cancel_text(attributes, context, foreign=foreign)
    return None if found is None else CommandProblem(_BAD_CANCEL, found)


def early_cancel_problem(
    attributes: commands.RequestCancelExternalWorkflowExecutionCommandAttributes,
    started: Collection[str],
) -> CommandProblem | None:
    """Returns a problem when a cancel request is for a child that the same task starts.

    Args:
        attributes: The command's.
        started: The workflow ids of the children that earlier commands of the task start.
    """
    if attributes.workflow_id not in started:
        return None
    return CommandProblem(
        _BAD_CANCEL,
        "Start and RequestCancel for child workflow is not allowed in same workflow task. "
        f"WorkflowId={attributes.workflow_id} RunId={attributes.run_id} "
        f"Namespace={attributes.namespace}",
    )


def _is_foreign(namespace: str, context: StepContext) -> bool:
    """Tells whether a namespace may not be named: it is another one than the workflow's own."""
    if not namespace or namespace == context.namespace:
        return False
    context.find_namespace(namespace)
    return not context.settings.cross_namespace_commands


def _signal_text(
    attributes: commands.SignalExternalWorkflowExecutionCommandAttributes,
    context: StepContext,
    *,
    foreign: bool,
) -> str | None:
    if not attributes.HasField("execution"):
        return f"Execution is not set on {_SIGNAL}."
    if foreign:
        return "cross namespace commands are not allowed"
    workflow_id, run_id = attributes.execution.workflow_id, attributes.execution.run_id
    where = f"Namespace={attributes.namespace} RunId={run_id}"
    named = f"SignalName={attributes.signal_name}"
    if not workflow_id:
        return f"WorkflowId is not set on {_SIGNAL}. {where} {named}"
    if found := _too_long(_SIGNAL, workflow_id, context.settings.max_id_length):
        return f"{found} {where} {named}"
    if run_id and not is_uuid(run_id):
        return f"Invalid RunId set on {_SIGNAL}. WorkflowId={workflow_id} {where} {named}"
    if not attributes.signal_name:
        return f"SignalName is not set on {_SIGNAL}. WorkflowId={workflow_id} {where}"
    return None


def _cancel_text(
    attributes: commands.RequestCancelExternalWorkflowExecutionCommandAttributes,
    context: StepContext,
    *,
    foreign: bool,
) -> str | None:
    if foreign:
        return "cross namespace commands are not allowed"
    namespace = f"Namespace={attributes.namespace}"
    workflow_id, run = attributes.workflow_id, f"RunId={attributes.run_id}"
    if not workflow_id:
        return f"WorkflowId is not set on {_CANCEL}. {namespace} {run}"
    if found := _too_long(_CANCEL, workflow_id, context.settings.max_id_length):
        return f"{found} {run} {namespace}"
    if attributes.run_id and not is_uuid(attributes.run_id):
        return f"Invalid RunId set on {_CANCEL}. WorkflowId={workflow_id} {run} {namespace}"
    return None


def _too_long(command: str, workflow_id: str, limit: int) -> str | None:
    length = len(workflow_id.encode())
    if length <= limit:
        return None
    return (
        f"WorkflowId on {command} exceeds length limit. "
        f"WorkflowId={workflow_id} Length={length} Limit={limit}"
    )
