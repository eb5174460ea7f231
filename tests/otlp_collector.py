"""A collector for tests: takes traces by OTLP over gRPC and over HTTP, and keeps them."""

import gzip
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@dataclass(frozen=True)
class Received:
    """A span; ids are in hexadecimal, and empty where there is none."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    failed: bool

    @property
    def id(self) -> tuple[str, str]:
        """By which links name it."""
        return self.trace_id, self.span_id


@dataclass
class Collector:
    """What has been received.

    Attributes:
        grpc_endpoint: A URL for exporters.
        http_endpoint: A URL for exporters, without the path of the signal.
        spans: All spans, as they came.
        headers: Of every batch, by lower-case name.
        paths: Where batches came to by HTTP.
    """

    grpc_endpoint: str = ""
    http_endpoint: str = ""
    spans: list[Received] = field(default_factory=list)
    headers: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answer: int = 200

    def take(self, request: ExportTraceServiceRequest, headers: dict[str, Any]) -> None:
        """Keeps a batch."""
        self.headers.append(headers)
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_received(service, span) for span in scope.spans]

    def named(self, end: str, service: str = "") -> list[Received]:
        """Returns the spans whose name ends so, of one service or of any."""
        return [
            span
            for span in list(self.spans)
            if span.name.endswith(end) and service in {"", span.service}
        ]


def missing_parents(spans: Sequence[Received], outside: Sequence[str] = ()) -> list[Received]:
    """Returns the spans whose parent is not there; `outside` names parents of the caller's."""
    known = {span.id for span in spans}
    return [
        span
        for span in spans
        if span.parent_id
        and span.parent_id not in outside
        and (span.trace_id, span.parent_id) not in known
    ]


def linked_traces(spans: Sequence[Received], trace_id: str) -> set[str]:
    """Returns a trace and all that are linked with it, in either direction, however far."""
    found, wanted = set[str](), {trace_id}
    while wanted:
        found |= wanted
        wanted = {
            other
            for span in spans
            for link, _ in span.links
            for here, other in ((span.trace_id, link), (link, span.trace_id))
            if here in found
        } - found
    return found


def _received(service: str, span: Any) -> Received:
    return Received(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_attributes(span.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collector() -> Iterator[Collector]:
    """Runs a collector on free ports."""
    result = Collector()
    rpc_server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(_Servicer(result), rpc_server)
    port = rpc_server.add_insecure_port("127.0.0.1:0")
    rpc_server.start()
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(result))
    thread = Thread(target=http_server.serve_forever)
    thread.start()
    result.grpc_endpoint = f"http://127.0.0.1:{port}"
    result.http_endpoint = f"http://127.0.0.1:{http_server.server_port}"
    try:
        yield result
    finally:
        rpc_server.stop(None).wait()
        http_server.shutdown()
        http_server.server_close()
        thread.join()


class _Servicer(TraceServiceServicer):
    def __init__(self, result: Collector) -> None:
        self._result = result

    def Export(  # noqa: N802 - the service's
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        self._result.take(request, dict(context.invocation_metadata()))
        return ExportTraceServiceResponse()


def _handler(result: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            result.paths.append(self.path)
            if result.answer == 200:
                headers = {name.lower(): value for name, value in self.headers.items()}
                result.take(ExportTraceServiceRequest.FromString(body), headers)
            self.send_response(result.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Says nothing."""

    return Handler
