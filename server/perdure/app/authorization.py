"""Puts guards in front of handlers, where an authorizer is configured.

What they are made of is loaded only then: tokens and certificates bring OpenSSL into the process.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from perdure.app.authorization_metrics import AuthorizationMetrics
from perdure.config import convert
from perdure.config.authorization import Authorization
from perdure.rpc.handler import Handler
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.runtime.ports import Clock
from perdure.runtime.tasks import TaskSet
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.tracing import Tracer

if TYPE_CHECKING:
    from perdure.access.tokens import TokenMapper

_HEADER = "authorization"
_PERMISSIONS = "permissions"


def for_nodes_only(handlers: Mapping[str, Handler], config: Authorization) -> Mapping[str, Handler]:
    """Returns what other nodes call, for nodes only; without an authorizer as it is."""
    if not config.authorizer:
        return handlers
    from perdure.access import nodes  # noqa: PLC0415

    return nodes.guarded(handlers, trust_domain=config.certificates.trust_domain)


async def authorized(
    handlers: Mapping[str, Handler],
    config: Authorization,
    *,
    metrics: Metrics,
    namespaces: NamespaceRegistry,
    across_namespaces: bool,
    clock: Clock,
    tasks: TaskSet,
    tracer: Tracer,
) -> Mapping[str, Handler]:
    """Returns what clients call, behind a guard; without an authorizer as it is.

    The guard has read the keys of tokens then, as far as their sources answer.

    Args:
        handlers: By what a client calls.
        config: What is configured.
        metrics: Those of the port.
        namespaces: Say which names may be told as labels.
        across_namespaces: Whether commands may name other namespaces.
        clock: Times decisions, and what tokens say of time.
        tasks: Where keys are kept fresh.
        tracer: Its spans learn who calls.
    """
    if not config.authorizer:
        return handlers
    from perdure.access.audit import Audit  # noqa: PLC0415
    from perdure.access.certificates import CertificateMapper  # noqa: PLC0415
    from perdure.access.guard import Guard  # noqa: PLC0415

    observer = AuthorizationMetrics(
        metrics, is_namespace=lambda name: namespaces.find(name) is not None
    )
    certificates = config.certificates
    guard = Guard(
        tokens=await _tokens(config, clock=clock, observer=observer, tasks=tasks),
        certificates=CertificateMapper(
            trust_domain=certificates.trust_domain, permissions=certificates.subjects
        ),
        header=(config.auth_header_name or _HEADER).lower(),
        across_namespaces=across_namespaces,
        clock=clock,
        observer=observer,
        audit=Audit(),
        tracer=tracer,
    )
    return guard.guard(handlers)


async def _tokens(
    config: Authorization, *, clock: Clock, observer: AuthorizationMetrics, tasks: TaskSet
) -> "TokenMapper | None":
    provider = config.jwt_key_provider
    if not provider.sources:
        return None
    from perdure.access.keys import KeyRing  # noqa: PLC0415
    from perdure.access.sources import fetch  # noqa: PLC0415
    from perdure.access.tokens import TokenForm, TokenMapper  # noqa: PLC0415

    keys = KeyRing(
        sources=provider.sources, fetch=fetch, clock=clock, observer=observer, tasks=tasks
    )
    await keys.refresh()
    if seconds := convert.seconds(provider.refresh_interval):
        tasks.spawn("refresh-keys", keys.keep_fresh(seconds))
    form = TokenForm.of(
        audience=config.audience,
        permissions_claim=config.permissions_claim_name or _PERMISSIONS,
        permissions_regex=config.permissions_regex,
    )
    return TokenMapper(keys=keys, form=form, clock=clock)
