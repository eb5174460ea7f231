"""`Quotas`: lets requests through to their handlers, or refuses them.

Theory of operation: a request counts against the process's limit and its namespace's, and listings
against one more. It is let through only if all of them admit it, and only then taken from them:
what one limit refuses costs the others nothing. Namespaces that do not exist have no limits of
their own, so that names which clients make up cost no memory; their requests are refused anyhow.
"""

from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.message import Message
from temporalio.api.enums.v1 import failed_cause_pb2 as enums

from perdure.core.errors import ResourceExhaustedError
from perdure.core.quotas import PriorityLimit
from perdure.frontend.quotas.classes import POLLS, PRIORITIES, VISIBILITY, Priority
from perdure.frontend.quotas.limits import QuotaSettings
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.runtime.ports import Clock

_RPS: Final = enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT
_CONCURRENT: Final = enums.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT
_NAMESPACE: Final = enums.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE
_SYSTEM: Final = enums.RESOURCE_EXHAUSTED_SCOPE_SYSTEM
_CLASSES: Final = len(Priority)
_HISTORY: Final = "GetWorkflowExecutionHistory"


class _Namespace:
    """The limits of one namespace, and how much of them is used."""

    __slots__ = ("most_polls", "polls", "requests", "visibility")

    def __init__(self, settings: QuotaSettings) -> None:
        ratio = settings.burst_ratio
        self.requests = PriorityLimit(
            rate=settings.namespace_rps, burst_ratio=ratio, classes=_CLASSES
        )
        self.visibility = PriorityLimit(rate=settings.visibility_rps, burst_ratio=ratio, classes=1)
        self.most_polls = settings.polls
        self.polls = 0

    def change(self, settings: QuotaSettings) -> None:
        ratio = settings.burst_ratio
        self.requests.change(rate=settings.namespace_rps, burst_ratio=ratio)
        self.visibility.change(rate=settings.visibility_rps, burst_ratio=ratio)
        self.most_polls = settings.polls


class Quotas:
    """The limits of a frontend process."""

    def __init__(
        self,
        *,
        settings: Callable[[str], QuotaSettings],
        is_namespace: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        """Makes limits of which nothing is used yet.

        Args:
            settings: Returns what holds for a namespace; "" for the process.
            is_namespace: Tells whether there is a namespace of a name.
            clock: Its monotonic clock measures rates.
        """
        self._settings = settings
        self._is_namespace = is_namespace
        self._now = clock.monotonic
        chosen = settings("")
        self._process = PriorityLimit(
            rate=chosen.rps, burst_ratio=chosen.burst_ratio, classes=_CLASSES
        )
        self._namespaces: dict[str, _Namespace] = {}

    @property
    def rps(self) -> float:
        """Requests per second that this process lets through; 0 for no limit."""
        return self._process.rate

    def namespace_rps(self) -> dict[str, float]:
        """Returns the same of each namespace that has been asked for, by name."""
        return {name: found.requests.rate for name, found in self._namespaces.items()}

    def change(self, settings: Callable[[str], QuotaSettings]) -> None:
        """Takes other settings; what is used up stays used up."""
        self._settings = settings
        chosen = settings("")
        self._process.change(rate=chosen.rps, burst_ratio=chosen.burst_ratio)
        for name in list(self._namespaces):
            if self._is_namespace(name):
                self._namespaces[name].change(settings(name))
            else:
                del self._namespaces[name]

    def guard(self, handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
        """Returns handlers, by `/package.Service/Name`, that refuse what is over a limit."""
        return {path: self._guarded(path, handler) for path, handler in handlers.items()}

    def _guarded(self, path: str, handler: Handler) -> Handler:
        name = path.rpartition("/")[2]
        counted = self._counted(handler, PRIORITIES[name], is_visibility=name in VISIBILITY)
        if name in POLLS:
            return self._held(handler, PRIORITIES[name])
        if name != _HISTORY:
            return counted
        watching = self._held(handler, Priority.WATCH)

        async def read(request: Message, context: RequestContext) -> Message | Encoded:
            waits = getattr(request, "wait_new_event", False)
            return await (watching if waits else counted)(request, context)

        return read

    def _counted(self, handler: Handler, priority: Priority, *, is_visibility: bool) -> Handler:
        async def answer(request: Message, context: RequestContext) -> Message | Encoded:
            name = getattr(request, "namespace", "")
            self._admit(name, priority, is_visibility=is_visibility)
            return await handler(request, context)

        return answer

    def _held(self, handler: Handler, priority: Priority) -> Handler:
        """Returns a handler that also counts for as long as it waits."""

        async def answer(request: Message, context: RequestContext) -> Message | Encoded:
            namespace = self._admit(getattr(request, "namespace", ""), priority)
            if namespace is None:
                return await handler(request, context)
            if 0 < namespace.most_polls <= namespace.polls:
                raise ResourceExhaustedError(
                    "namespace concurrent poller limit exceeded", _CONCURRENT, _NAMESPACE
                )
            namespace.polls += 1
            try:
                return await handler(request, context)
            finally:
                namespace.polls -= 1

        return answer

    def _admit(
        self, name: str, priority: Priority, *, is_visibility: bool = False
    ) -> _Namespace | None:
        """Counts a request; returns its namespace, if there is one.

        Raises:
            ResourceExhaustedError: It is over a limit.
        """
        now = self._now()
        namespace = self._namespaces.get(name) or self._find(name)
        if namespace is not None and not (
            namespace.requests.admits(priority, now)
            and (not is_visibility or namespace.visibility.admits(0, now))
        ):
            raise ResourceExhaustedError("namespace rate limit exceeded", _RPS, _NAMESPACE)
        if not self._process.admits(priority, now):
            raise ResourceExhaustedError("service rate limit exceeded", _RPS, _SYSTEM)
        self._process.count(priority, now)
        if namespace is not None:
            namespace.requests.count(priority, now)
            if is_visibility:
                namespace.visibility.count(0, now)
        return namespace

    def _find(self, name: str) -> _Namespace | None:
        if not name or not self._is_namespace(name):
            return None
        found = self._namespaces[name] = _Namespace(self._settings(name))
        return found
