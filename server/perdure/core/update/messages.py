"""The messages that come with a completed workflow task: a worker's answers to updates.

A PROTOCOL_MESSAGE command says where in the order of commands a message belongs; a message that no
command names comes after all of them.
"""

from collections.abc import Iterable

from temporalio.api.protocol.v1 import message_pb2 as protocol
from temporalio.api.update.v1 import message_pb2 as update

Body = update.Acceptance | update.Rejection | update.Response

_PREFIX = "temporal.api.update.v1."
_TYPES: dict[str, type[Body]] = {
    f"{_PREFIX}Acceptance": update.Acceptance,
    f"{_PREFIX}Rejection": update.Rejection,
    f"{_PREFIX}Response": update.Response,
}


class Inbox:
    """The messages of one completion that no command has taken yet."""

    __slots__ = ("_waiting",)

    def __init__(self, messages: Iterable[protocol.Message]) -> None:
        self._waiting = {message.id: message for message in messages}

    def take(self, message_id: str) -> protocol.Message | None:
        """Returns a message that a command names, once."""
        return self._waiting.pop(message_id, None)

    def take_rest(self) -> list[protocol.Message]:
        """Returns what no command has named, in the order in which it came."""
        rest = list(self._waiting.values())
        self._waiting.clear()
        return rest


def type_name(message: protocol.Message) -> str:
    """Returns the full name of the type of a message's body."""
    return message.body.TypeName()


def body_of(message: protocol.Message) -> Body | None:
    """Returns what a message says; None when it is none of an update's.

    Raises:
        DecodeError: It is not what its type says.
    """
    kind = _TYPES.get(type_name(message))
    return None if kind is None else kind.FromString(message.body.value)


def count_answers(messages: Iterable[protocol.Message]) -> tuple[int, int, int]:
    """Returns how many updates are accepted, rejected and completed."""
    names = [type_name(message) for message in messages]
    return (
        names.count(f"{_PREFIX}Acceptance"),
        names.count(f"{_PREFIX}Rejection"),
        names.count(f"{_PREFIX}Response"),
    )


def are_rejections(messages: Iterable[protocol.Message]) -> bool:
    """Tells whether a worker refuses whatever it was sent."""
    return all(type_name(message) == f"{_PREFIX}Rejection" for message in messages)


def request_in(body: Body) -> update.Request | None:
    """Returns the request that an answer is to, where the worker sends it back."""
    if isinstance(body, update.Acceptance) and body.HasField("accepted_request"):
        return body.accepted_request
    if isinstance(body, update.Rejection) and body.HasField("rejected_request"):
        return body.rejected_request
    return None
