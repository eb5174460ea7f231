"""Spans around RPC handlers, where tracing is on: with what they are about, where a request says.

Attributes are called as the SDKs call them.
"""

from collections.abc import Mapping

from google.protobuf.message import DecodeError, Message

from perdure.core.errors import ServiceError
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.telemetry.tracing import Tracer

_EXECUTIONS = ("workflow_execution", "execution")
"""Fields that name a run."""


def traced(handlers: Mapping[str, Handler], tracer: Tracer) -> Mapping[str, Handler]:
    """Returns the handlers, each in a span that continues its caller's trace or begins one.

    With tracing off they are returned as they are.
    """
    if not tracer.enabled:
        return handlers
    return {path: _in_span(path, handler, tracer) for path, handler in handlers.items()}


def continued(handlers: Mapping[str, Handler], tracer: Tracer) -> Mapping[str, Handler]:
    """Returns the handlers, each in a span where its caller has one: that of other nodes' calls.

    Of what nodes do unasked there are no traces.
    """
    if not tracer.enabled:
        return handlers
    spans = traced(handlers, tracer)
    return {path: _if_asked(handler, spans[path]) for path, handler in handlers.items()}


def _if_asked(handler: Handler, in_span: Handler) -> Handler:
    async def answer(request: Message, context: RequestContext) -> Message | Encoded:
        chosen = in_span if "traceparent" in context.metadata else handler
        return await chosen(request, context)

    return answer


def _in_span(path: str, handler: Handler, tracer: Tracer) -> Handler:
    service, _, method = path.strip("/").partition("/")
    name = f"{service}/{method}"
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}

    async def answer(request: Message, context: RequestContext) -> Message | Encoded:
        token = _token(request)
        about = {**attributes, **_subject(request, token)}
        # The worker's answer is linked to what brought its task about.
        causes = (token.cause,) if token is not None else ()
        with tracer.span(
            name, kind="server", caller=context.metadata, causes=causes, attributes=about
        ) as span:
            try:
                response = await handler(request, context)
            except ServiceError as error:
                span.set("rpc.grpc.status_code", int(error.code))
                raise
            if run_id := getattr(response, "run_id", ""):
                span.set("temporalRunID", run_id)
            return response

    return answer


def subject(request: Message) -> dict[str, str]:
    """Returns the namespace, workflow id and run id that a request names."""
    return _subject(request, _token(request))


def _subject(request: Message, token: stored.TaskToken | None) -> dict[str, str]:
    execution = next(
        (part for name in _EXECUTIONS if (part := getattr(request, name, None)) is not None), token
    )
    found = {
        "temporalNamespace": getattr(request, "namespace", ""),
        "temporalWorkflowID": _text(execution, request, "workflow_id"),
        "temporalRunID": _text(execution, request, "run_id"),
    }
    return {name: value for name, value in found.items() if value}


def _text(execution: Message | None, request: Message, name: str) -> str:
    value = getattr(request if execution is None else execution, name, "")
    return value if isinstance(value, str) else ""


def _token(request: Message) -> stored.TaskToken | None:
    blob = getattr(request, "task_token", b"")
    if not blob:
        return None
    try:
        return stored.TaskToken.FromString(blob)
    except DecodeError:
        # Whoever serves the request refuses it.
        return None
