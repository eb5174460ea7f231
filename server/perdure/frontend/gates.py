"""What every handler does first: which namespace a request is for, and whose task a token names."""

from google.protobuf.message import DecodeError

from perdure.core.errors import InvalidArgumentError, PermissionDeniedError
from perdure.frontend.validation.identifiers import is_too_long
from perdure.proto.stored_pb2 import TaskToken
from perdure.rpc.clients import Namespace
from perdure.rpc.namespaces import NamespaceRegistry


class NamespaceGate:
    """Finds the namespace that a request names."""

    def __init__(self, *, registry: NamespaceRegistry, max_bytes: int) -> None:
        self._registry = registry
        self._max_bytes = max_bytes

    async def enter(self, name: str) -> Namespace:
        """Returns the namespace of a name.

        Raises:
            InvalidArgumentError: There is no name, or it is too long.
            NamespaceNotFoundError: The namespace does not exist.
        """
        return self._registry.find(name) or await self._enter_unknown(name)

    async def enter_by_id(self, namespace_id: str) -> Namespace:
        """Returns the namespace of an id. Raises NamespaceNotFoundError."""
        return await self._registry.resolve_id(namespace_id)

    async def _enter_unknown(self, name: str) -> Namespace:
        if not name:
            raise InvalidArgumentError("Namespace is empty.")
        if is_too_long(name, self._max_bytes):
            raise InvalidArgumentError("Namespace length exceeds limit.")
        return await self._registry.resolve(name)


class ScheduleGate:
    """The gate of requests about schedules, where there may be none."""

    def __init__(self, *, namespaces: NamespaceGate, enabled: bool) -> None:
        self._namespaces = namespaces
        self._enabled = enabled

    async def enter(self, name: str) -> Namespace:
        """Returns the namespace of a name.

        Raises:
            InvalidArgumentError: There is no name, or it is too long.
            NamespaceNotFoundError: The namespace does not exist.
            PermissionDeniedError: There are no schedules.
        """
        namespace = await self._namespaces.enter(name)
        if not self._enabled:
            raise PermissionDeniedError("Schedules are disabled on this namespace.")
        return namespace


class TokenGate:
    """Finds the namespace of a task token, which need not be named beside it."""

    def __init__(self, *, namespaces: NamespaceGate) -> None:
        self._namespaces = namespaces

    async def enter(self, name: str, token: bytes) -> tuple[Namespace, TaskToken]:
        """Returns the namespace and the token.

        Args:
            name: The namespace that the request names; may be empty.
            token: The task token.

        Raises:
            NamespaceNotFoundError: The namespace does not exist.
            InvalidArgumentError: The token is none, or of another namespace.
        """
        namespace = await self._namespaces.enter(name) if name else None
        parsed = _parse(token)
        if namespace is None:
            return await self._namespaces.enter_by_id(parsed.namespace_id), parsed
        if namespace.id != parsed.namespace_id:
            raise InvalidArgumentError(
                "Operation requested with a token from a different namespace."
            )
        return namespace, parsed


def _parse(token: bytes) -> TaskToken:
    if not token:
        raise InvalidArgumentError("Task token not set on request.")
    try:
        parsed = TaskToken.FromString(token)
    except DecodeError:
        raise InvalidArgumentError("Error deserializing task token.") from None
    if not parsed.namespace_id:
        raise InvalidArgumentError("Namespace not set on request.")
    return parsed
