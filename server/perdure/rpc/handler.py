"""What an RPC handler gets and gives, whatever transport carries it.

A handler is `async def handler(request, context) -> Message | Encoded`; it raises
`perdure.core.errors.ServiceError`, and is cancelled when its caller goes away.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from google.protobuf.message import Message

from perdure.rpc.clients import Encoded


class RequestContext(Protocol):
    """What a handler may know of a call besides its request. Nothing is computed unasked."""

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """The call's headers, by lower-case name; the last one of a name wins."""
        ...

    @property
    def peer(self) -> str:
        """The caller's address."""
        ...

    def time_remaining(self) -> float | None:
        """Returns the seconds until the caller gives up; None when it never does."""
        ...


Handler = Callable[[Any, RequestContext], Awaitable[Message | Encoded]]
"""Answers one RPC. The request's type is that of the method's descriptor."""


class OperationObserver(Protocol):
    """Counts and times the calls of one RPC."""

    def begin(self) -> float:
        """Notes that a call has come in; returns what `end` wants back."""
        ...

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        """Notes how a call ended.

        Args:
            begun: What `begin` returned.
            namespace: As the request names it: not yet known to exist, empty when it names none.
            error: A ServiceError, CancelledError, or what was not expected; None for success.
            waits: Whether it asked to wait for something new, where its RPC leaves that open.
        """
        ...


class RpcObserver(Protocol):
    """Where the server reports its calls to."""

    def operation(self, service: str, name: str) -> OperationObserver:
        """Returns the observer of one RPC; called once for each, when the server is made.

        Args:
            service: The service's full name.
            name: The RPC's name; "unknown" for whatever has no handler.
        """
        ...


class SilentObserver:
    """An `RpcObserver`, and all its operations, that notes nothing."""

    __slots__ = ()

    def operation(self, service: str, name: str) -> "SilentObserver":
        """Returns itself."""
        return self

    def begin(self) -> float:
        """Notes nothing."""
        return 0.0

    def end(
        self, begun: float, namespace: str, error: BaseException | None, waits: bool = False
    ) -> None:
        """Notes nothing."""
