"""The tracer that is on: OpenTelemetry's SDK. Loaded only where traces are asked for.

The span around the caller is OpenTelemetry's current span, so that whatever else knows
OpenTelemetry sees it too.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from perdure.telemetry.tracing import Cause, Span, SpanKind

_KINDS = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
    "internal": trace.SpanKind.INTERNAL,
}
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class CauseSampler(Sampler):
    """Samples what begins a trace as if it were a child of the first span that it is linked to.

    So a timer that fires later is sampled when the request that started it was, whatever share of
    the traces is.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0917 - OpenTelemetry's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Decides on a span."""
        context = parent_context
        if links and not trace.get_current_span(context).get_span_context().is_valid:
            context = _context_of(links[0].context)
        return self._sampler.should_sample(
            context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Returns what the sampler is called."""
        return self._sampler.get_description()


class OpenTelemetryTracer:
    """Makes OpenTelemetry spans."""

    enabled = True

    def __init__(self, provider: TracerProvider) -> None:
        """Makes a tracer; it closes the provider."""
        provider.sampler = CauseSampler(provider.sampler)
        self._provider = provider
        self._tracer = provider.get_tracer("perdure")

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        caller: Mapping[str, str | bytes] | None = None,
        causes: Sequence[Cause] = (),
        attributes: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        """Opens a span until the context ends; see `Tracer.span`."""
        context = None if caller is None else _PROPAGATOR.extract(caller, Context())
        links = [trace.Link(_span_context(cause)) for cause in causes if _is_whole(cause)]
        return self._open(name, kind, context, links, attributes)

    def record(
        self,
        name: str,
        *,
        began: int,
        ended: int,
        kind: SpanKind = "client",
        below: Cause | None = None,
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes a span of what is over; without one above it, nothing."""
        if below is not None and not _is_whole(below):
            return
        context = _context_of(_span_context(below)) if below else None
        if not trace.get_current_span(context).get_span_context().is_valid:
            return
        span = self._tracer.start_span(
            name, context=context, kind=_KINDS[kind], attributes=attributes, start_time=began
        )
        if error:
            span.set_status(trace.StatusCode.ERROR, error)
        span.end(end_time=ended)

    def link(self, cause: Cause) -> None:
        """Links the span around the caller to another one, if there are both."""
        if _is_whole(cause):
            trace.get_current_span().add_link(_span_context(cause))

    def cause(self) -> Cause:
        """Returns the name of the span around the caller; empty if it is not sampled."""
        context = trace.get_current_span().get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return b""
        return context.trace_id.to_bytes(_TRACE_ID_BYTES) + context.span_id.to_bytes(_SPAN_ID_BYTES)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Returns what a call has to carry; nothing where there is no span around the caller."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return tuple(carrier.items())

    def ids(self) -> tuple[str, str] | None:
        """Returns trace id and span id, in hexadecimal, of the span around the caller."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def close(self) -> None:
        """Sends what has not been sent, for a bounded time; blocks meanwhile."""
        self._provider.shutdown()

    @contextmanager
    def _open(
        self,
        name: str,
        kind: SpanKind,
        context: Context | None,
        links: Sequence[trace.Link],
        attributes: Mapping[str, str | int] | None,
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, context=context, kind=_KINDS[kind], links=links, attributes=attributes
        ) as span:
            yield _OpenSpan(span)


class _OpenSpan:
    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | float | bool) -> None:
        """Adds an attribute."""
        self._span.set_attribute(name, value)

    def failed(self, sentence: str) -> None:
        """Marks the span as failed."""
        self._span.set_status(trace.StatusCode.ERROR, sentence)


def _is_whole(cause: Cause) -> bool:
    # Clients hand back what they were given in task tokens, or something else.
    return len(cause) == _TRACE_ID_BYTES + _SPAN_ID_BYTES


def _span_context(cause: Cause) -> trace.SpanContext:
    return trace.SpanContext(
        trace_id=int.from_bytes(cause[:_TRACE_ID_BYTES]),
        span_id=int.from_bytes(cause[_TRACE_ID_BYTES:]),
        is_remote=True,
        trace_flags=_SAMPLED,
    )


def _context_of(span: trace.SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
