"""OpenTelemetry's current span, as exemplars name it. Loaded only where tracing is on."""

from opentelemetry import trace

from perdure.telemetry.series import SpanIds


def current_span() -> SpanIds | None:
    """Returns the span around the caller; None where there is none, or it is not sampled."""
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return SpanIds(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))
