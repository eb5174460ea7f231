"""Spans: nothing when off; W3C contexts, links and causes when on."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler

from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from perdure.telemetry.tracing import NO_TRACING, Tracer

TRACE_ID, SPAN_ID = "ab" * 16, "cd" * 8
CALLER = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"}
CAUSE = bytes.fromhex(TRACE_ID + SPAN_ID)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def tracer_to(exporter: InMemorySpanExporter, sampler: Sampler | None = None) -> Tracer:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetryTracer(provider)


def test_off_is_one_object_that_records_nothing() -> None:
    tracer = NO_TRACING
    assert not tracer.enabled
    tracer.record("c", began=1, ended=2, error="no")
    tracer.link(CAUSE)
    with tracer.span("a") as first, tracer.span("b", caller=CALLER) as second:
        first.set("name", 1)
        first.failed("no")
        assert (tracer.cause(), tracer.headers(), tracer.ids()) == (b"", (), None)
    tracer.close()
    assert first is second


def test_a_span_continues_its_callers_trace(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    with tracer.span("rpc", kind="server", caller=CALLER, attributes={"a": 1}) as span:
        span.set("b", "x")
        span.failed("it broke")
        headers = dict(tracer.headers())
        ids = tracer.ids()
        with tracer.span("store"):
            pass
    inner, outer = exporter.get_finished_spans()
    assert outer.context is not None
    assert outer.parent is not None
    assert inner.parent is not None
    assert trace.format_span_id(outer.parent.span_id) == SPAN_ID
    assert inner.parent.span_id == outer.context.span_id
    own = trace.format_span_id(outer.context.span_id)
    assert ids == (TRACE_ID, own)
    assert headers == {"traceparent": f"00-{TRACE_ID}-{own}-01", "tracestate": "vendor=1"}
    assert dict(outer.attributes or {}) == {"a": 1, "b": "x"}
    assert outer.status.description == "it broke"


def test_the_span_around_the_caller_is_opentelemetrys_own(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    with tracer.span("rpc", caller=CALLER):
        current = trace.get_current_span().get_span_context()
        assert tracer.cause() == current.trace_id.to_bytes(16) + current.span_id.to_bytes(8)
    assert tracer.cause() == b""


def test_what_is_over_is_a_span_below_another_one(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    tracer.record("nobody's", began=1, ended=2)
    tracer.record("nobody's either", began=1, ended=2, below=b"")
    tracer.record("later", began=1, ended=2, below=CAUSE)
    with tracer.span("rpc", caller=CALLER):
        tracer.record("store.read", began=5, ended=9, attributes={"a": 1}, error="it broke")
    later, read, rpc = exporter.get_finished_spans()
    assert later.parent is not None
    assert trace.format_span_id(later.parent.span_id) == SPAN_ID
    assert (read.name, read.start_time, read.end_time) == ("store.read", 5, 9)
    assert dict(read.attributes or {}) == {"a": 1}
    assert read.status.description == "it broke"
    assert read.parent is not None
    assert rpc.context is not None
    assert read.parent.span_id == rpc.context.span_id


def test_causes_become_links(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    with tracer.span("timer", caller={}, causes=[CAUSE, b"", b"no cause"]):
        tracer.link(CAUSE)
        tracer.link(b"")
        tracer.link(b"what a client made up" * 9)
    tracer.link(CAUSE)
    (timer,) = exporter.get_finished_spans()
    assert timer.parent is None
    assert [link.context.trace_id for link in timer.links] == [int(TRACE_ID, 16)] * 2


def test_what_is_not_sampled_leaves_nothing_to_store(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    with tracer.span("rpc", caller=UNSAMPLED):
        assert tracer.cause() == b""
        assert dict(tracer.headers())["traceparent"].endswith("-00")
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("sampler", "names"), [(ParentBased(ALWAYS_OFF), ["timer"]), (ALWAYS_OFF, [])]
)
def test_a_cause_is_sampled_as_a_parent(
    exporter: InMemorySpanExporter, sampler: Sampler, names: list[str]
) -> None:
    tracer = tracer_to(exporter, sampler)
    with tracer.span("root", caller={}):
        pass
    with tracer.span("timer", caller={}, causes=[CAUSE]):
        pass
    assert [span.name for span in exporter.get_finished_spans()] == names


def test_an_exception_passes_through(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_to(exporter)
    with pytest.raises(KeyError), tracer.span("a"):
        raise KeyError("k")
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
