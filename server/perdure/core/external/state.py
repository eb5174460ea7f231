"""A signal or cancel request to another workflow: pending until its outcome is known.

The outcome, and the end of the run that sent it, remove it: either way its message goes too.
"""

from enum import Enum, auto

from perdure.core.workflow.state import Run
from perdure.proto import stored_pb2 as stored


class ExternalKind(Enum):
    """What was sent."""

    SIGNAL = auto()
    CANCEL_REQUEST = auto()


def pending(run: Run, kind: ExternalKind) -> dict[int, stored.ExternalInfo]:
    """Returns what a run has sent of a kind without knowing its outcome, by initiated event."""
    return run.external_signals if kind is ExternalKind.SIGNAL else run.external_cancels


def find(run: Run, message_id: str, initiated_event_id: int) -> ExternalKind | None:
    """Returns of which kind the pending item of a message is; None when it is pending no more."""
    for kind in ExternalKind:
        info = pending(run, kind).get(initiated_event_id)
        if info is not None and info.message_id == message_id:
            return kind
    return None
