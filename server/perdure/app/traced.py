"""Spans around RPC handlers, where tracing is on."""

from collections.abc import Mapping

from google.protobuf.message import Message

from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.telemetry.tracing import Tracer


def traced(handlers: Mapping[str, Handler], tracer: Tracer) -> Mapping[str, Handler]:
    """Returns the handlers, each in a span that continues its caller's trace.

    With tracing off they are returned as they are.
    """
    if not tracer.enabled:
        return handlers
    return {path: _in_span(path, handler, tracer) for path, handler in handlers.items()}


def _in_span(path: str, handler: Handler, tracer: Tracer) -> Handler:
    service, _, method = path.strip("/").partition("/")
    name = f"{service}/{method}"
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}

    async def answer(request: Message, context: RequestContext) -> Message | Encoded:
        parent = context.metadata.get("traceparent", "")
        traceparent = parent if isinstance(parent, str) else ""
        with tracer.span(name, kind="server", parent=traceparent, attributes=attributes):
            return await handler(request, context)

    return answer
