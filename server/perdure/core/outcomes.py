"""What a step says of a run beside its rows. Told to observers, never stored."""

from enum import Enum
from typing import NamedTuple


class WorkflowTaskEnding(Enum):
    """What became of a workflow task."""

    STARTED = "started"
    """It has not ended: a worker has taken it."""
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class CommandNote(NamedTuple):
    """A command that was taken: the number of its type, and the bytes of its payloads.

    It has None of those when commands of its type carry none.
    """

    command_type: int
    payload_bytes: int | None


class WorkflowTaskOutcome(NamedTuple):
    """The start or the end of one attempt of a workflow task.

    `cause` is the number of the WorkflowTaskFailedCause of one that failed, `refused` tells that
    it failed because the server refused what the worker answered. `timeout` is the real server's
    name of the timeout that ended it, such as "StartToClose". Of one that was completed, `sticky`
    tells whether its worker keeps the run.
    """

    ending: WorkflowTaskEnding
    attempt: int
    cause: int = 0
    refused: bool = False
    timeout: str = ""
    commands: tuple[CommandNote, ...] = ()
    sticky: bool = False


class RunSizes(NamedTuple):
    """How large a run is after a step. `closed` tells that this step has closed it."""

    transitions: int
    history_events: int
    history_bytes: int
    state_bytes: int
    closed: bool
