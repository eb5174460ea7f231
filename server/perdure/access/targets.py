"""Other namespaces that a worker's answer reaches into: each is a call of its own there.

As on the real server, whoever answers a workflow task needs in the other namespace what the RPC
would ask for that does the same as the command.
"""

from collections.abc import Iterator
from typing import Any, Final

from temporalio.api.command.v1 import message_pb2 as commands
from temporalio.api.enums.v1 import command_type_pb2 as types
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.access.methods import RULES, Rule
from perdure.rpc.methods import WORKFLOW_SERVICE, path_of

ANSWER: Final = path_of(WORKFLOW_SERVICE, "RespondWorkflowTaskCompleted")


def reached(
    request: wf.RespondWorkflowTaskCompletedRequest,
) -> Iterator[tuple[str, Rule]]:
    """Yields the other namespaces that an answer's commands name, and what each asks for there."""
    own = request.namespace
    seen = set()
    for command in request.commands:
        found = _FIELDS.get(command.command_type)
        if found is None:
            continue
        field, rule = found
        attributes: Any = getattr(command, field)
        target = attributes.namespace
        if target and target != own and (target, field) not in seen:
            seen.add((target, field))
            yield target, rule


def _rule(name: str) -> Rule:
    return RULES[path_of(WORKFLOW_SERVICE, name)]


_FIELDS: Final = {
    types.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: (
        "signal_external_workflow_execution_command_attributes",
        _rule("SignalWorkflowExecution"),
    ),
    types.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: (
        "start_child_workflow_execution_command_attributes",
        _rule("StartWorkflowExecution"),
    ),
    types.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: (
        "request_cancel_external_workflow_execution_command_attributes",
        _rule("RequestCancelWorkflowExecution"),
    ),
}
assert all(field in commands.Command.DESCRIPTOR.fields_by_name for field, _ in _FIELDS.values())
