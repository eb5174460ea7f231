"""An update of a run: what a client asks of it, and what becomes of that.

Theory of operation. A client's request is admitted in memory only, and sent to the worker with the
run's next workflow task. The worker rejects it, which leaves no trace, or accepts it, which is the
first that is written; later, or at once, it completes it. What a run has accepted is a row of its
own. Whoever waits for an update holds the `Update`; when the run leaves memory what was not
accepted is gone, and is admitted anew when its client asks again by the same id.
"""

from dataclasses import dataclass
from enum import Enum, auto

from temporalio.api.update.v1 import message_pb2 as update

from perdure.core.errors import ServiceError
from perdure.proto import stored_pb2 as stored


class UpdateStatus(Enum):
    """How far an update has come."""

    ADMITTED = auto()
    SENT = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    REJECTED = auto()
    ABORTED = auto()


IN_FLIGHT = frozenset({UpdateStatus.ADMITTED, UpdateStatus.SENT, UpdateStatus.ACCEPTED})
UNACCEPTED = frozenset({UpdateStatus.ADMITTED, UpdateStatus.SENT})


@dataclass(slots=True, eq=False)
class Update:
    """One update, as the newest step left it.

    Attributes:
        update_id: What the client calls it; unique within the run.
        status: How far it has come.
        request: What the worker is to be sent; None where it has it from an event.
        admitted_event_id: The event that holds the request of an update that a reset carried over.
        accepted_event_id: The event that says that it was accepted.
        outcome: How it ended, if it did: a worker's answer, a rejection, or the run's end.
        error: Why it ended without an outcome.
    """

    update_id: str
    status: UpdateStatus = UpdateStatus.ADMITTED
    request: update.Request | None = None
    admitted_event_id: int = 0
    accepted_event_id: int = 0
    outcome: update.Outcome | None = None
    error: ServiceError | None = None

    @property
    def size_bytes(self) -> int:
        """About how many bytes it holds of what counts against the limit of a run."""
        return len(self.update_id) + (0 if self.request is None else self.request.ByteSize())


def status(subject: Update) -> UpdateStatus:
    """Returns how far an update has come."""
    return subject.status


def from_row(info: stored.UpdateInfo) -> Update:
    """Returns an update that is not completed from its row."""
    accepted = info.accepted_event_id
    return Update(
        info.update_id,
        UpdateStatus.ACCEPTED if accepted else UpdateStatus.ADMITTED,
        admitted_event_id=info.admitted_event_id,
        accepted_event_id=accepted,
    )
