"""How errors cross between nodes: as public statuses, and back into what was raised.

A status always carries `grpc-status-details-bin` here, so that an answer of the other node is told
from what the transport says when there is none. Its detail names the class where callers look for
one.
"""

from collections.abc import Iterator
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from temporalio.api.errordetails.v1 import message_pb2 as details

from perdure.core import errors
from perdure.core.errors import Code, ServiceError, UnavailableError
from perdure.proto import internode_pb2 as internode
from perdure.rpc.clients import NotOwnerError, StaleTask


class PeerUnreachableError(UnavailableError):
    """Another node did not answer.

    Attributes:
        address: The node's.
        maybe_sent: Whether it may have got the request, and carried it out; if not, it certainly
            has not.
    """

    def __init__(self, address: str, *, maybe_sent: bool) -> None:
        super().__init__("The node that serves this does not answer; try again.")
        self.address = address
        self.maybe_sent = maybe_sent


class RemoteError(ServiceError):
    """What another node answered, where no class of ours says it."""

    def __init__(self, code: Code, message: str, detail: Message | None = None) -> None:
        super().__init__(message, detail)
        self.code = code


class StaleTaskError(ServiceError):
    """`StaleTask`, on the wire."""

    code = Code.ABORTED

    def __init__(self) -> None:
        super().__init__("the task is not pending any more", internode.StaleTask())


class ForeignRequestError(ServiceError):
    """`NotOwnerError`, on the wire."""

    code = Code.UNAVAILABLE

    def __init__(self, error: NotOwnerError) -> None:
        super().__init__(error.message, internode.NotOwner(owner=error.owner))


_DETAILED: Final[dict[str, type[ServiceError]]] = {
    kind.DESCRIPTOR.full_name: error
    for kind, error in (
        (details.NotFoundFailure, errors.NotFoundError),
        (details.NamespaceNotFoundFailure, errors.NamespaceNotFoundError),
        (details.NamespaceAlreadyExistsFailure, errors.NamespaceAlreadyExistsError),
        (
            details.WorkflowExecutionAlreadyStartedFailure,
            errors.WorkflowExecutionAlreadyStartedError,
        ),
        (details.QueryFailedFailure, errors.QueryFailedError),
        (details.WorkflowNotReadyFailure, errors.WorkflowNotReadyError),
        (details.PermissionDeniedFailure, errors.PermissionDeniedError),
        (details.ResourceExhaustedFailure, errors.ResourceExhaustedError),
    )
}
_PLAIN: Final[dict[Code, type[ServiceError]]] = {
    kind.code: kind
    for kind in (
        errors.InvalidArgumentError,
        errors.FailedPreconditionError,
        errors.UnimplementedError,
        errors.UnavailableError,
        errors.DeadlineExceededError,
    )
}
_DETAIL_TYPES: Final = {
    message.full_name: GetMessageClass(message)
    for file in (details.DESCRIPTOR, internode.DESCRIPTOR)
    for message in file.message_types_by_name.values()
}


def raised_by(status: bytes) -> ServiceError | StaleTask:
    """Returns what the other node raised; `status` is a serialised google.rpc.Status.

    A detail of a type that this release does not know is lost, and the rest is passed on.
    """
    try:
        parsed = Status.FromString(status)
    except DecodeError:
        return UnavailableError("a node answers in a way that is not understood")
    code, message = Code(parsed.code), parsed.message
    detail = next(_details(parsed.details), None)
    if isinstance(detail, internode.StaleTask):
        return StaleTask()
    if isinstance(detail, internode.NotOwner):
        return NotOwnerError(detail.owner)
    kind = _PLAIN.get(code) if detail is None else _DETAILED.get(detail.DESCRIPTOR.full_name)
    if kind is None or kind.code is not code:
        return RemoteError(code, message, detail)
    # Constructors make texts and details of what is known where the error arises.
    error = kind.__new__(kind)
    ServiceError.__init__(error, message, detail)
    return error


def _details(packed: list[Any]) -> Iterator[Message]:
    for each in packed:
        kind = _DETAIL_TYPES.get(each.TypeName())
        if kind is not None:
            yield kind.FromString(each.value)
