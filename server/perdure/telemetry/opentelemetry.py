"""The tracer that is on: OpenTelemetry's SDK. Only `tracing.connect` imports this module.

The SDK reads the standard variables: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
OTEL_TRACES_SAMPLER, OTEL_SDK_DISABLED, OTEL_EXPORTER_OTLP_*, OTEL_BSP_*.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from perdure.telemetry.tracing import Span, SpanKind

_KINDS = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "internal": trace.SpanKind.INTERNAL,
}
_PROPAGATOR = TraceContextTextMapPropagator()


def otlp_tracer(endpoint: str, service_version: str) -> "OpenTelemetryTracer | None":
    """Returns a tracer that sends batches of spans by OTLP over gRPC, from its own thread.

    An empty endpoint leaves it to the environment. None when the environment disables the SDK.
    """
    provider = TracerProvider(resource=resource(service_version))
    if isinstance(provider.get_tracer("perdure"), trace.NoOpTracer):
        return None
    exporter = OTLPSpanExporter(endpoint=endpoint or None)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryTracer(provider)


def resource(service_version: str) -> Resource:
    """Returns what every span says of this server; the environment has the last word."""
    ours = Resource.create({SERVICE_NAME: "perdure", SERVICE_VERSION: service_version})
    return ours.merge(OTELResourceDetector().detect())


class OpenTelemetryTracer:
    """Makes OpenTelemetry spans."""

    enabled = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("perdure")

    def span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        parent: str = "",
        attributes: Mapping[str, str | int] | None = None,
    ) -> AbstractContextManager[Span]:
        """Opens a span; without a parent it is a child of the span around it, if there is one."""
        return self._open(name, kind, parent, attributes)

    def record(
        self,
        name: str,
        *,
        began: int,
        ended: int,
        attributes: Mapping[str, str | int] | None = None,
        error: str = "",
    ) -> None:
        """Makes a span of what is over, below the span around the caller; without one, nothing."""
        if not trace.get_current_span().get_span_context().is_valid:
            return
        span = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=began
        )
        if error:
            span.set_status(trace.StatusCode.ERROR, error)
        span.end(end_time=ended)

    def close(self) -> None:
        """Sends what has not been sent."""
        self._provider.shutdown()

    @contextmanager
    def _open(
        self, name: str, kind: SpanKind, parent: str, attributes: Mapping[str, str | int] | None
    ) -> Iterator[Span]:
        context = _PROPAGATOR.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name, context=context, kind=_KINDS[kind], attributes=attributes
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

    def traceparent(self) -> str:
        """Returns the W3C context that makes other spans children of this one."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get("traceparent", "")

    def trace_id(self) -> str:
        """Returns the trace's id in 32 hexadecimal digits."""
        return trace.format_trace_id(self._span.get_span_context().trace_id)
