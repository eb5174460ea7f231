"""Errors that clients see: a status code, a sentence, and the public failure detail.

Rules that hold here: codes are gRPC's numbers but nothing imports grpc; texts and details are the
real server's (compared by the conformance suite). `rpc/` turns them into a status with
`grpc-status-details-bin`.
"""

from collections.abc import Sequence
from enum import IntEnum

from google.protobuf.message import Message
from temporalio.api.errordetails.v1 import message_pb2 as details
from temporalio.api.failure.v1 import message_pb2 as failures


class Code(IntEnum):
    """gRPC status codes, by number."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServiceError(Exception):
    """An answer to a client that is not OK.

    Attributes:
        code: The gRPC status code.
        message: What the client reads.
        detail: The public failure message that SDKs look for, if the real server sends one.
    """

    code: Code = Code.INTERNAL

    def __init__(self, message: str, detail: Message | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class InvalidArgumentError(ServiceError):
    """The request can never succeed as it is."""

    code = Code.INVALID_ARGUMENT


class NotFoundError(ServiceError):
    """The workflow, run, activity, task … does not exist."""

    code = Code.NOT_FOUND

    def __init__(self, message: str) -> None:
        super().__init__(message, details.NotFoundFailure())


class NamespaceNotFoundError(ServiceError):
    """The namespace does not exist.

    Attributes:
        namespace: Its name, or its id where it was asked for by that.
    """

    code = Code.NOT_FOUND

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        super().__init__(
            f"Namespace {namespace} is not found.",
            details.NamespaceNotFoundFailure(namespace=namespace),
        )


class NamespaceAlreadyExistsError(ServiceError):
    """A namespace of that name exists."""

    code = Code.ALREADY_EXISTS

    def __init__(self, message: str) -> None:
        super().__init__(message, details.NamespaceAlreadyExistsFailure())


class WorkflowExecutionAlreadyStartedError(ServiceError):
    """The workflow id is in use, or its policy refuses another run."""

    code = Code.ALREADY_EXISTS

    def __init__(
        self, message: str, *, start_request_id: str, run_id: str, first_run_id: str
    ) -> None:
        super().__init__(
            message,
            details.WorkflowExecutionAlreadyStartedFailure(
                start_request_id=start_request_id,
                run_id=run_id,
                first_execution_run_id=first_run_id,
            ),
        )


class QueryFailedError(ServiceError):
    """The workflow's query handler failed."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, message: str, detail: Message | None = None) -> None:
        super().__init__(message, detail or details.QueryFailedFailure())


class WorkflowNotReadyError(ServiceError):
    """The run cannot answer queries in its present state."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, message: str) -> None:
        super().__init__(message, details.WorkflowNotReadyFailure())


class FailedPreconditionError(ServiceError):
    """The request is sound but not now."""

    code = Code.FAILED_PRECONDITION


class PermissionDeniedError(ServiceError):
    """The caller may not do that."""

    code = Code.PERMISSION_DENIED

    def __init__(self, message: str) -> None:
        super().__init__(message, details.PermissionDeniedFailure())


class ResourceExhaustedError(ServiceError):
    """A limit is reached; `cause` and `scope` are the public enums' numbers."""

    code = Code.RESOURCE_EXHAUSTED

    def __init__(self, message: str, cause: int, scope: int = 1) -> None:
        super().__init__(
            message,
            details.ResourceExhaustedFailure(cause=cause, scope=scope),  # type: ignore[arg-type]
        )
        self.cause = cause
        self.scope = scope


class UnimplementedError(ServiceError):
    """The RPC, or this use of it, does not exist here."""

    code = Code.UNIMPLEMENTED


class UnavailableError(ServiceError):
    """Try again: the store or an owner is not there right now."""

    code = Code.UNAVAILABLE


class DeadlineExceededError(ServiceError):
    """The caller's time is up."""

    code = Code.DEADLINE_EXCEEDED


class AbortedError(ServiceError):
    """What was under way has been given up; the caller may begin anew."""

    code = Code.ABORTED


class MultiOperationError(ServiceError):
    """An update and the start of its workflow have failed together.

    Attributes:
        errors: What became of each operation; None for one that has succeeded.
    """

    def __init__(self, errors: Sequence[ServiceError | None]) -> None:
        detail = details.MultiOperationExecutionFailure()
        for error in errors:
            status = detail.statuses.add()
            if error is None:
                continue
            status.code, status.message = error.code, error.message
            if error.detail is not None:
                status.details.add().Pack(error.detail)
        super().__init__("Update-with-Start could not be executed.", detail)
        self.errors = errors
        own = [error.code for error in errors if error and not _is_abortion(error)]
        self.code = own[0] if own else Code.ABORTED


def operation_aborted() -> ServiceError:
    """Returns what is said of an operation that fails because another one does."""
    return AbortedError("Operation was aborted.", failures.MultiOperationExecutionAborted())


def _is_abortion(error: ServiceError) -> bool:
    return isinstance(error.detail, failures.MultiOperationExecutionAborted)
