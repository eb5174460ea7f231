"""The queue to a collector: bounded, never in the way, and quiet."""

import io
import json
import logging as stdlib_logging
import threading
from collections.abc import Iterator, Sequence

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from perdure.telemetry import logging
from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from perdure.telemetry.span_export import QueueLimits, SpanQueue
from unit.telemetry.spans import Spans
from waiting import until_sync


class Gate(SpanExporter):
    """An exporter whose calls wait until they may end, and end as they are told."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.calls = 0
        self.result: SpanExportResult | Exception = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        self.open.wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        self.open.set()


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = stdlib_logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    logging.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = before


class World:
    """A tracer to a queue of four."""

    def __init__(self) -> None:
        self.gate, self.observer = Gate(), Spans()
        provider = TracerProvider(shutdown_on_exit=False)
        limits = QueueLimits(spans=4, batch=2, delay_seconds=60.0)
        self.queue = SpanQueue(
            self.gate, collector="http://c:1", limits=limits, observer=self.observer
        )
        provider.add_span_processor(self.queue)
        self.tracer = OpenTelemetryTracer(provider)

    def make(self, count: int) -> None:
        for _ in range(count):
            with self.tracer.span("rpc", caller={}):
                pass


def test_a_collector_that_hangs_costs_bounded_memory_and_no_time() -> None:
    world = World()
    world.make(2)
    until_sync(lambda: world.gate.calls == 1)
    world.make(100)
    assert world.observer.dropped == 96
    world.gate.open.set()
    assert world.queue.force_flush()
    assert world.observer.exported == 6
    world.tracer.close()


def test_a_collector_that_is_away_is_told_of_once(output: io.StringIO) -> None:
    world = World()
    world.gate.open.set()
    world.gate.result = SpanExportResult.FAILURE
    for _ in range(3):
        world.make(2)
        assert world.queue.force_flush()
    world.gate.result = RuntimeError("broken")
    world.make(2)
    assert world.queue.force_flush()
    assert (world.observer.refused, world.observer.exported) == (8, 0)
    world.gate.result = SpanExportResult.SUCCESS
    world.make(2)
    assert world.queue.force_flush()
    world.tracer.close()
    away, back = map(json.loads, output.getvalue().splitlines())
    assert (away["level"], away["collector"]) == ("warn", "http://c:1")
    assert (back["level"], back["lost"]) == ("info", 8)


def test_closing_sends_what_waits() -> None:
    world = World()
    world.gate.open.set()
    world.make(1)
    world.tracer.close()
    assert world.observer.exported == 1
    world.make(1)
    assert world.observer.dropped == 1


def test_closing_does_not_wait_for_a_collector_that_is_away() -> None:
    world = World()
    world.gate.open.set()
    world.gate.result = SpanExportResult.FAILURE
    world.make(2)
    assert world.queue.force_flush()
    world.make(1)
    world.tracer.close()
    assert world.gate.calls == 1


def test_what_is_not_sampled_is_not_sent() -> None:
    world = World()
    world.gate.open.set()
    with world.tracer.span("rpc", caller={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00"}):
        pass
    world.tracer.close()
    assert (world.observer.exported, world.gate.calls) == (0, 0)


def test_limits_are_opentelemetrys() -> None:
    assert QueueLimits.read({}) == QueueLimits()
    told = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_SCHEDULE_DELAY": "250"}
    assert QueueLimits.read(told) == QueueLimits(100, 100, 0.25)
