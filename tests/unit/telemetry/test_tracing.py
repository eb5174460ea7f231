"""Spans: nothing when off, W3C contexts when on."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from perdure.telemetry import opentelemetry, tracing
from perdure.telemetry.opentelemetry import OpenTelemetryTracer

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_off_is_one_object_that_records_nothing() -> None:
    tracer = tracing.connect(endpoint="", service_version="1", environment={})
    assert not tracer.enabled
    tracer.record("c", began=1, ended=2, error="no")
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


def spans_of(exporter: InMemorySpanExporter) -> tracing.Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetryTracer(provider)


def test_what_is_over_is_a_span_below_the_one_around_it() -> None:
    exporter = InMemorySpanExporter()
    tracer = spans_of(exporter)
    tracer.record("nobody's", began=1, ended=2)
    with tracer.span("rpc", parent=PARENT) as rpc:
        tracer.record("store.read", began=5, ended=9, attributes={"a": 1}, error="it broke")
    tracer.close()
    read, _ = exporter.get_finished_spans()
    assert (read.name, read.start_time, read.end_time) == ("store.read", 5, 9)
    assert dict(read.attributes or {}) == {"a": 1}
    assert read.status.description == "it broke"
    assert read.parent is not None
    assert f"{read.parent.span_id:016x}" == rpc.traceparent().split("-")[2]


@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_the_environment_may_name_the_endpoint(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints: list[str | None] = []

    def exporter(endpoint: str | None) -> InMemorySpanExporter:
        endpoints.append(endpoint)
        return InMemorySpanExporter()

    monkeypatch.setattr(opentelemetry, "OTLPSpanExporter", exporter)
    environment = {variable: "http://127.0.0.1:4317"}
    tracer = tracing.connect(endpoint="", service_version="1", environment=environment)
    assert tracer.enabled
    tracer.close()
    tracing.connect(endpoint="http://x:1", service_version="1", environment={}).close()
    assert endpoints == [None, "http://x:1"], "None: the exporter reads the environment"


def test_the_environment_has_the_last_word_on_names(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = opentelemetry.resource("1.2").attributes
    assert (ours["service.name"], ours["service.version"]) == ("perdure", "1.2")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "zone=b,service.version=7")
    theirs = opentelemetry.resource("1.2").attributes
    assert (theirs["service.name"], theirs["service.version"]) == ("orders", "7")
    assert theirs["zone"] == "b"


def test_the_environment_may_choose_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(opentelemetry, "OTLPSpanExporter", lambda endpoint: exporter)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracer = tracing.connect(endpoint="http://x:1", service_version="1", environment={})
    with tracer.span("rpc"):
        tracer.record("store.read", began=1, ended=2)
    tracer.close()
    assert exporter.get_finished_spans() == ()


def test_an_exception_passes_through() -> None:
    tracer: tracing.Tracer = OpenTelemetryTracer(TracerProvider())
    with pytest.raises(KeyError), tracer.span("a"):
        raise KeyError("k")
    tracer.close()
