"""Which latencies carry exemplars, where tracing is on: those of requests, calls and the store.

An RPC is counted when its span has ended. So the innermost part of its handler leaves the span's
ids in the call's own context, where they are found when the call is counted.
"""

from collections.abc import Mapping
from contextvars import ContextVar

from google.protobuf.message import Message

from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.runtime.ports import Clock
from perdure.telemetry import catalogue
from perdure.telemetry.collectors import Metrics, Traces
from perdure.telemetry.series import CurrentSpan, SpanIds
from perdure.telemetry.tracing import Tracer

_SECONDS = 1e-9
_request_span: ContextVar[SpanIds | None] = ContextVar("request_span", default=None)


def with_exemplars(metrics: Metrics, tracer: Tracer, clock: Clock) -> Metrics:
    """Returns metrics whose latencies carry exemplars; with tracing off, as they are."""
    if not tracer.enabled:
        return metrics
    current = _current_span()
    spans = {
        catalogue.SERVICE_LATENCY: _request_span.get,
        catalogue.CLIENT_LATENCY: current,
        catalogue.PERSISTENCE_LATENCY: current,
    }
    return metrics.traced(Traces(spans=spans, now=lambda: clock.now() * _SECONDS))


def remembered(handlers: Mapping[str, Handler], tracer: Tracer) -> Mapping[str, Handler]:
    """Returns the handlers, each leaving the ids of the span around it to whoever counts calls.

    With tracing off they are returned as they are.
    """
    if not tracer.enabled:
        return handlers
    current = _current_span()
    return {path: _remembered(handler, current) for path, handler in handlers.items()}


def _remembered(handler: Handler, current: CurrentSpan) -> Handler:
    async def answer(request: Message, context: RequestContext) -> Message | Encoded:
        # Every call has a context of its own: there is nothing to put back.
        _request_span.set(current())
        return await handler(request, context)

    return answer


def _current_span() -> CurrentSpan:
    from perdure.telemetry.current_span import current_span  # noqa: PLC0415 needs the packages of tracing

    return current_span
