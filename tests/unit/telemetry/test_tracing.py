"""Spans: nothing when off, W3C contexts when on."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.telemetry import tracing
from perdure.telemetry.opentelemetry import OpenTelemetryTracer

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_off_is_one_object_that_records_nothing() -> None:
    tracer = tracing.connect(endpoint="", service_version="1")
    assert not tracer.enabled
    with tracer.span("a") as first, tracer.span("b", parent=PARENT) as second:
        first.set("name", 1)
        first.failed("no")
    assert first is second
    assert (first.traceparent(), first.trace_id()) == ("", "")


def test_a_span_continues_its_parent() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer: tracing.Tracer = OpenTelemetryTracer(provider)
    with tracer.span("rpc", kind="server", parent=PARENT, attributes={"a": 1}) as span:
        span.set("b", "x")
        span.failed("it broke")
        assert span.trace_id() == "ab" * 16
        assert span.traceparent().startswith(f"00-{'ab' * 16}-")
        with tracer.span("store"):
            pass
    tracer.close()
    inner, outer = exporter.get_finished_spans()
    assert outer.parent is not None
    assert outer.context is not None
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes or {}) == {"a": 1, "b": "x"}
    assert outer.status.description == "it broke"


def test_an_exception_passes_through() -> None:
    tracer: tracing.Tracer = OpenTelemetryTracer(TracerProvider())
    with pytest.raises(KeyError), tracer.span("a"):
        raise KeyError("k")
    tracer.close()
