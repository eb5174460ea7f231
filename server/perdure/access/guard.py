"""The guard in front of the public handlers: no call gets past it that its caller may not make.

Theory of operation: claims come from the caller's token if it sent one, else from its certificate:
a token speaks for somebody, a certificate for a connection that many may share, so that a bad token
is refused whatever the certificate says. Then the RPC's rule decides. It is asked before anything
else looks at the request.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import structlog
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.access.audit import ANONYMOUS, Audit
from perdure.access.certificates import CertificateMapper
from perdure.access.claims import Claims
from perdure.access.decision import allows, sees, sees_all
from perdure.access.methods import RULES, Access, Rule, Scope
from perdure.access.observer import AccessObserver
from perdure.access.targets import ANSWER, reached
from perdure.access.tokens import NoKeysError, TokenError, TokenMapper
from perdure.core.errors import PermissionDeniedError
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.runtime.ports import Clock
from perdure.telemetry.log_limits import RepeatLimiter
from perdure.telemetry.logging import get_logger
from perdure.telemetry.tracing import Tracer

REFUSAL: Final = "Request unauthorized."
"""All that a caller learns, as on the real server."""
_PRINCIPAL: Final = "enduser.id"
"""What OpenTelemetry calls the one on whose behalf a span is."""


class _Decision(NamedTuple):
    claims: Claims | None
    is_allowed: bool

    @property
    def principal(self) -> str:
        return (self.claims.subject if self.claims else "") or ANONYMOUS


class Guard:
    """Decides about calls of clients."""

    def __init__(
        self,
        *,
        tokens: TokenMapper | None,
        certificates: CertificateMapper,
        header: str,
        across_namespaces: bool,
        clock: Clock,
        observer: AccessObserver,
        audit: Audit,
        tracer: Tracer,
    ) -> None:
        """Makes a guard.

        Args:
            tokens: Makes claims of tokens; None where there are no keys to verify any.
            certificates: Makes claims of certificates.
            header: Where tokens stand, in lower case.
            across_namespaces: Whether commands may name other namespaces; else they are refused
                anyhow, with what tells the workflow's developer why.
            clock: Its monotonic clock times decisions.
            observer: Told of decisions.
            audit: Told of administrative calls.
            tracer: Its spans learn of the principal.
        """
        self._tokens = tokens
        self._certificates = certificates
        self._header = header
        self._across_namespaces = across_namespaces
        self._now = clock.monotonic
        self._observer = observer
        self._audit = audit
        self._tracer = tracer
        self._log = get_logger("authorization")
        self._lines = RepeatLimiter(clock.monotonic)

    def guard(self, handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
        """Returns the handlers, by `/package.Service/Name`, behind this guard.

        Those of RPCs that are open to all are returned as they are.
        """
        return {path: self._guarded(path, each) for path, each in handlers.items()}

    def _guarded(self, path: str, handler: Handler) -> Handler:
        rule, name = RULES[path], path.rpartition("/")[2]
        if rule.access is Access.OPEN:
            return handler
        if rule.access is Access.ADMIN:
            return self._audited(name, rule, handler)
        if rule.scope is Scope.SEEN:
            return self._seen(name, rule, handler)
        reaches = self._across_namespaces and path == ANSWER

        async def answer(request: Any, context: RequestContext) -> Message | Encoded:
            namespace = getattr(request, "namespace", "")
            decision = await self._decide(name, rule, namespace, context)
            if not decision.is_allowed:
                raise PermissionDeniedError(REFUSAL)
            if reaches:
                self._check_reached(request, decision)
            return await handler(request, context)

        return answer

    def _audited(self, name: str, rule: Rule, handler: Handler) -> Handler:
        async def answer(request: Any, context: RequestContext) -> Message | Encoded:
            namespace = getattr(request, "namespace", "")
            decision = await self._decide(name, rule, namespace, context)
            call = self._audit.call(
                name,
                # A namespace may be deleted by its id.
                namespace=namespace or getattr(request, "namespace_id", ""),
                principal=decision.principal,
                peer=context.peer,
            )
            if not decision.is_allowed:
                call.refused()
                raise PermissionDeniedError(REFUSAL)
            with call:
                return await handler(request, context)

        return answer

    def _seen(self, name: str, rule: Rule, handler: Handler) -> Handler:
        """Returns a handler whose answer leaves out the namespaces that its caller has no role in.

        A page may be short for that, or empty, as where it leaves out deleted ones.
        """

        async def answer(request: Any, context: RequestContext) -> Message | Encoded:
            claims, is_allowed = await self._decide(name, rule, "", context)
            if not is_allowed or claims is None:
                raise PermissionDeniedError(REFUSAL)
            response = await handler(request, context)
            assert isinstance(response, wf.ListNamespacesResponse)
            if not sees_all(claims):
                kept = [each for each in response.namespaces if sees(claims, _name_of(each))]
                del response.namespaces[:]
                response.namespaces.extend(kept)
            return response

        return answer

    async def _decide(
        self, name: str, rule: Rule, namespace: str, context: RequestContext
    ) -> _Decision:
        begun, reason = self._now(), "its roles do not allow it"
        claims: Claims | None = None
        try:
            claims = await self._claims(context)
            is_allowed = allows(claims, rule, namespace)
            if not is_allowed:
                self._observer.refused(namespace)
        except TokenError as error:
            reason, is_allowed = str(error), False
            told = self._observer
            (told.undecided if isinstance(error, NoKeysError) else told.refused)(namespace)
        finally:
            self._observer.decided(namespace, self._now() - begun)
        decision = _Decision(claims, is_allowed)
        if not is_allowed:
            self._explain(name, namespace, decision.principal, context.peer, reason)
        elif claims is not None:
            structlog.contextvars.bind_contextvars(principal=claims.subject)
            self._tracer.annotate(_PRINCIPAL, claims.subject)
        return decision

    async def _claims(self, context: RequestContext) -> Claims | None:
        """Returns what a caller may do; None for one who has shown nothing that is known here.

        Raises:
            TokenError: It has sent a token that is not good.
        """
        if self._tokens is not None and (header := context.metadata.get(self._header)):
            if isinstance(header, bytes):
                raise TokenError("the header is binary")
            return await self._tokens.map(header)
        certificate = context.certificate
        return None if certificate is None else self._certificates.map(certificate)

    def _check_reached(
        self, request: wf.RespondWorkflowTaskCompletedRequest, decision: _Decision
    ) -> None:
        """Refuses an answer whose commands reach where its worker may not.

        Raises:
            PermissionDeniedError: It names such a namespace.
        """
        for namespace, rule in reached(request):
            if not allows(decision.claims, rule, namespace):
                self._observer.refused(namespace)
                raise PermissionDeniedError(REFUSAL)

    def _explain(self, name: str, namespace: str, principal: str, peer: str, reason: str) -> None:
        """Says in the log why a call was refused, some lines of each kind."""
        left_out = self._lines.admit(principal, name)
        if left_out is None:
            return
        more = {"left_out": left_out} if left_out else {}
        self._log.warning(
            "a call was refused",
            principal=principal,
            method=name,
            namespace=namespace,
            peer=peer,
            reason=reason,
            **more,
        )


def _name_of(described: wf.DescribeNamespaceResponse) -> str:
    return described.namespace_info.name
