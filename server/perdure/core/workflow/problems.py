"""Why a workflow task fails although its worker has answered."""

from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.api.enums.v1 import failed_cause_pb2 as causes

Cause = causes.WorkflowTaskFailedCause


@dataclass(slots=True, frozen=True)
class CommandProblem:
    """What is wrong with a command.

    Attributes:
        cause: The public cause.
        message: A sentence, which may be empty.
        terminates: Whether the run ends too: a worker that replays it would send the same again.
    """

    cause: Cause.ValueType
    message: str = ""
    terminates: bool = False

    def text(self) -> str:
        """Returns what the worker and the history read."""
        name = Cause.Name(self.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
        return f"{camel_case(name)}: {self.message}" if self.message else camel_case(name)


_PENDING: Mapping[Cause.ValueType, str] = {
    Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED: "activities",
    Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED: (
        "child workflow executions"
    ),
    Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED: (
        "signals to external workflows"
    ),
    Cause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED: (
        "requests to cancel external workflows"
    ),
}


def pending_problem(cause: Cause.ValueType, pending: int, limit: int) -> CommandProblem | None:
    """Returns a problem when a run has as much pending as it may.

    Args:
        cause: Which limit it is.
        pending: How many there are already, those of the same task included.
        limit: How many there may be.
    """
    if pending < limit:
        return None
    return CommandProblem(
        cause,
        f"the number of pending {_PENDING[cause]}, {pending}, has reached the per-workflow limit "
        f"of {limit}",
    )


def camel_case(name: str) -> str:
    """Returns an enum value's name as the real server prints it."""
    return "".join(part.capitalize() for part in name.split("_"))
