"""What the messages of a completed workflow task must look like, and the limits of updates.

Texts and causes are the real server's. Messages are checked before any is applied, so what earlier
ones of the same task do is only supposed here.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError
from temporalio.api.enums.v1 import failed_cause_pb2 as failed_causes
from temporalio.api.protocol.v1 import message_pb2 as protocol
from temporalio.api.update.v1 import message_pb2 as update

from perdure.core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
)
from perdure.core.update.messages import Body, Inbox, body_of, request_in, type_name
from perdure.core.update.state import UpdateStatus
from perdure.core.workflow.problems import Cause, CommandProblem
from perdure.core.workflow.step import RunStep

_BAD_MESSAGE = Cause.WORKFLOW_TASK_FAILED_CAUSE_BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE

_NAMES = {
    UpdateStatus.ADMITTED: "Admitted",
    UpdateStatus.SENT: "Sent",
    UpdateStatus.ACCEPTED: "Accepted",
    UpdateStatus.COMPLETED: "Completed",
    UpdateStatus.REJECTED: "Completed",
    UpdateStatus.ABORTED: "Aborted",
}
_UNANSWERED = frozenset({"Admitted", "Sent"})
_PROVISIONALLY_ACCEPTED = "ProvisionallyAccepted"
_PROVISIONALLY_COMPLETED = "ProvisionallyCompleted"
_ACCEPTED = frozenset({"Accepted", _PROVISIONALLY_ACCEPTED})


def check_limits(step: RunStep, request: update.Request) -> None:
    """Refuses an update that the run does not know when it may have no more of them.

    Raises:
        ResourceExhaustedError: Too many are in flight, or they are too large together.
        FailedPreconditionError: The run has had as many as it may.
    """
    run, settings = step.run, step.context.settings
    in_flight = len(run.updates)
    most = settings.max_in_flight_updates
    if most and in_flight >= most:
        raise ResourceExhaustedError(
            f"limit on number of concurrent in-flight updates has been reached ({most})",
            failed_causes.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
        )
    _check_total(step)
    most = settings.max_in_flight_update_bytes
    held = sum(each.size_bytes for each in run.updates.values())
    if most and held + request.ByteSize() >= most:
        raise ResourceExhaustedError(
            f"limit on total payload size of in-flight updates has been reached ({most} bytes)",
            failed_causes.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
        )


def _check_total(step: RunStep) -> None:
    most = step.context.settings.max_total_updates
    if most and len(step.run.updates) + len(step.run.completed_updates) >= most:
        raise FailedPreconditionError(
            "The limit on the total number of distinct updates in this workflow has been reached "
            f"({most}). Make sure any duplicate updates share an Update ID so the server can "
            "deduplicate them, and consider rejecting updates that you aren't going to process. "
            "You can also Continue-as-New to avoid this; we recommend you check Continue-as-New "
            "Suggested in your Workflow."
        )


class MessageChecks:
    """Checks the messages of one completion in the order in which they would be applied."""

    __slots__ = ("_inbox", "_states", "_step")

    def __init__(self, step: RunStep, messages: Iterable[protocol.Message]) -> None:
        self._step = step
        self._inbox = Inbox(messages)
        self._states: dict[str, str] = {}

    def named(self, message_id: str) -> tuple[CommandProblem | None, int]:
        """Checks the message that a command names; also says how many events it will write."""
        if not message_id:
            return _problem("MessageID is not set on ProtocolMessageCommand."), 0
        message = self._inbox.take(message_id)
        if message is None:
            return _problem(f"ProtocolMessageCommand referenced absent message ID {message_id}"), 0
        found, events = self._check(message)
        return found, events

    def rest(self, *, closing: bool) -> CommandProblem | None:
        """Checks what no command has named; a run that closes takes only rejections."""
        for message in self._inbox.take_rest():
            if closing and not type_name(message).endswith(".Rejection"):
                continue
            found, _ = self._check(message)
            if found is not None:
                return found
        return None

    def _check(self, message: protocol.Message) -> tuple[CommandProblem | None, int]:
        if not message.HasField("body"):
            raise InvalidArgumentError("nil message body")
        if found := self._size_problem(message):
            return found, 0
        try:
            body = body_of(message)
        except DecodeError as error:
            return _problem(f"unable to unmarshal request: {error}"), 0
        if body is None:
            return _problem(f"unsupported protocol type {_protocol_of(message)}"), 0
        return self._check_body(message.protocol_instance_id, body)

    def _size_problem(self, message: protocol.Message) -> CommandProblem | None:
        if message.body.ByteSize() <= self._step.context.settings.blob_size_limit:
            return None
        return CommandProblem(
            _BAD_MESSAGE,
            f"Message type {type_name(message)} exceeds size limit.",
            terminates=True,
        )

    def _check_body(self, update_id: str, body: Body) -> tuple[CommandProblem | None, int]:
        state = self._state(update_id, body)
        if state is None:
            return _problem(
                f"update {update_id} wasn't found on the server. This is most likely a transient "
                "error which will be resolved automatically by retries"
            ), 0
        allowed = _ACCEPTED if isinstance(body, update.Response) else _UNANSWERED
        if state not in allowed:
            return _problem(
                f"invalid state transition attempted for Update {update_id}: received "
                f"*update.{type(body).__name__} message while in state {state}"
            ), 0
        if isinstance(body, update.Response):
            found = _response_problem(update_id, body)
            self._states[update_id] = _PROVISIONALLY_COMPLETED
            return found, 1
        if isinstance(body, update.Acceptance):
            self._states[update_id] = _PROVISIONALLY_ACCEPTED
            return None, 1
        self._states[update_id] = _PROVISIONALLY_COMPLETED
        return None, 0

    def _state(self, update_id: str, body: Body) -> str | None:
        supposed = self._states.get(update_id)
        if supposed is not None:
            return supposed
        run = self._step.run
        known = run.updates.get(update_id)
        if known is not None:
            return _NAMES[known.status]
        if update_id in run.completed_updates:
            return "Completed"
        return "Admitted" if request_in(body) is not None else None


def _response_problem(update_id: str, response: update.Response) -> CommandProblem | None:
    for missing, label in (
        (not response.HasField("meta"), "meta"),
        (not response.meta.update_id, "meta.update_id"),
    ):
        if missing:
            return _problem(f"invalid *update.Response: {label} is not set")
    if response.meta.update_id != update_id:
        return _problem(f"invalid *update.Response: meta.update_id != {update_id}")
    if not response.HasField("outcome"):
        return _problem("invalid *update.Response: outcome is not set")
    return None


def _protocol_of(message: protocol.Message) -> str:
    return type_name(message).rpartition(".")[0]


def _problem(message: str) -> CommandProblem:
    return CommandProblem(_BAD_MESSAGE, message)
