"""Why a workflow task fails although its worker has answered."""

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


def camel_case(name: str) -> str:
    """Returns an enum value's name as the real server prints it."""
    return "".join(part.capitalize() for part in name.split("_"))
