"""Spans around handlers."""

from collections.abc import Mapping

import pytest
from google.protobuf.message import Message
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.traced import traced
from perdure.core.errors import NotFoundError
from perdure.rpc.handler import RequestContext
from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from perdure.telemetry.tracing import NO_TRACING

PATH = "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo"


class Call:
    metadata: Mapping[str, str | bytes] = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    peer = ""

    def time_remaining(self) -> float | None:
        return None


async def answer(request: Message, context: RequestContext) -> Message:
    return wf.GetSystemInfoResponse(server_version="1")


async def refuse(request: Message, context: RequestContext) -> Message:
    raise NotFoundError("no such workflow")


def test_without_tracing_handlers_are_left_alone() -> None:
    handlers = {PATH: answer}
    assert traced(handlers, NO_TRACING) is handlers


async def test_a_call_is_a_span_of_its_callers_trace() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OpenTelemetryTracer(provider)
    handlers = traced({PATH: answer, "/a.B/Refuse": refuse}, tracer)
    await handlers[PATH](wf.GetSystemInfoRequest(), Call())
    with pytest.raises(NotFoundError):
        await handlers["/a.B/Refuse"](wf.GetSystemInfoRequest(), Call())
    tracer.close()
    answered, refused = exporter.get_finished_spans()
    assert answered.name == PATH.removeprefix("/")
    assert answered.context is not None
    assert answered.context.trace_id == int("ab" * 16, 16)
    assert (refused.name, refused.status.is_ok) == ("a.B/Refuse", False)
