"""An OpenTelemetry collector that keeps the spans that it is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(TraceServiceServicer):
    """What takes spans, in threads of its own: whoever sends them may block its event loop."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def Export(  # noqa: N802 the RPC's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Keeps the spans of a request."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return ExportTraceServiceResponse()

    def named(self, end: str) -> dict[tuple[str, str], Span]:
        """Returns the spans whose names end so, by trace id and span id."""
        return {
            (span.trace_id.hex(), span.span_id.hex()): span
            for span in self.spans
            if span.name.endswith(end)
        }


@contextmanager
def collector() -> Iterator[tuple[Collector, str]]:
    """Runs a collector; yields it and its address."""
    service = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield service, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
