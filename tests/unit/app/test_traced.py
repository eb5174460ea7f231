"""Spans around handlers."""

from collections.abc import Mapping

import pytest
from google.protobuf.message import Message
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.traced import continued, subject, traced
from perdure.core.errors import NotFoundError
from perdure.proto.stored_pb2 import TaskToken
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
    assert continued(handlers, NO_TRACING) is handlers


def test_a_request_names_what_it_is_about() -> None:
    described = wf.DescribeWorkflowExecutionRequest(namespace="n")
    described.execution.workflow_id = "w"
    described.execution.run_id = "r"
    assert subject(described) == {
        "temporalNamespace": "n",
        "temporalWorkflowID": "w",
        "temporalRunID": "r",
    }
    token = TaskToken(workflow_id="w", run_id="r").SerializeToString()
    completed = wf.RespondActivityTaskCompletedRequest(namespace="n", task_token=token)
    assert subject(completed) == subject(described)
    by_id = wf.RespondActivityTaskCompletedByIdRequest(namespace="n", workflow_id="w", run_id="r")
    assert subject(by_id) == subject(described)
    refused = wf.RespondActivityTaskCompletedRequest(task_token=b"\xff")
    assert subject(refused) == {}
    assert subject(wf.GetSystemInfoRequest()) == {}


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
    assert dict(refused.attributes or {})["rpc.grpc.status_code"] == 5


class Unasked(Call):
    metadata: Mapping[str, str | bytes] = {}


async def test_of_what_nodes_do_unasked_there_is_no_span() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OpenTelemetryTracer(provider)
    handlers = continued({PATH: answer}, tracer)
    await handlers[PATH](wf.GetSystemInfoRequest(), Unasked())
    assert exporter.get_finished_spans() == ()
    await handlers[PATH](wf.GetSystemInfoRequest(), Call())
    assert len(exporter.get_finished_spans()) == 1


async def test_a_workers_answer_is_linked_to_what_brought_its_task_about() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handlers = traced({PATH: answer}, OpenTelemetryTracer(provider))
    token = TaskToken(workflow_id="w", cause=b"\x01" * 24).SerializeToString()
    request = wf.RespondWorkflowTaskCompletedRequest(task_token=token)
    await handlers[PATH](request, Unasked())
    (span,) = exporter.get_finished_spans()
    assert [link.context.trace_id for link in span.links] == [int("01" * 16, 16)]
