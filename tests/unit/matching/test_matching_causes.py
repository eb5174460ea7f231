"""Spans of a task's way to its worker: of one that was hinted, and of one read from the store."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask
from perdure.core.protobuf import first_field
from perdure.matching.causes import cause_of
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import Encoded
from perdure.telemetry.opentelemetry import OpenTelemetryTracer
from unit.matching.world import ACTIVITIES, WORKFLOWS, World, run, task_of

STORED, HINTED = bytes(range(24)), bytes(range(100, 124))
RESPONSES = (wf.PollWorkflowTaskQueueResponse, wf.PollActivityTaskQueueResponse)


def started(task: DispatchTask, *, cause: bytes = STORED) -> Encoded:
    """What history answers of a task that it has started."""
    token = stored.TaskToken(workflow_id=task.run.workflow_id, cause=cause)
    made = RESPONSES[task.key.queue.task_type - 1](task_token=token.SerializeToString())
    made.workflow_execution.workflow_id = task.run.workflow_id
    return Encoded(made.SerializeToString())


async def read_from_the_store(world: World) -> None:
    for queue in (WORKFLOWS, ACTIVITIES):
        world.rows.write(task_of(1, queue=queue))
        await world.poll(queue)


async def hinted(world: World) -> None:
    for queue in (WORKFLOWS, ACTIVITIES):
        world.commit(replace(task_of(1, queue=queue), cause=HINTED))
        await world.poll(queue)


@pytest.mark.parametrize(("arrive", "cause"), [(read_from_the_store, STORED), (hinted, HINTED)])
def test_the_span_of_a_dispatch_is_below_what_brought_the_task_about(
    arrive: Callable[[World], Awaitable[None]], cause: bytes
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def scenario(world: World) -> None:
        world.history.answer = started
        await arrive(world)

    run(scenario, tracer=OpenTelemetryTracer(provider))
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["matching.dispatch"] * 2
    for span in spans:
        assert span.parent is not None
        named = span.parent.trace_id.to_bytes(16) + span.parent.span_id.to_bytes(8)
        assert named == cause


def test_nothing_is_read_of_an_answer_where_tracing_is_off() -> None:
    class Unread(Encoded):
        def __getitem__(self, _key: object) -> int:  # type: ignore[override]
            raise AssertionError("it was looked into")

    async def scenario(world: World) -> None:
        world.history.answer = lambda task: Unread(started(task))
        await read_from_the_store(world)

    run(scenario)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        wf.PollWorkflowTaskQueueResponse(attempt=3).SerializeToString(),
        wf.PollWorkflowTaskQueueResponse(task_token=b"\xff\xff\xff").SerializeToString(),
        started(task_of(1), cause=b""),
    ],
)
def test_an_answer_may_name_no_cause(response: bytes) -> None:
    assert cause_of(Encoded(response)) == b""


@pytest.mark.parametrize("size", [1, 127, 128, 20_000])
def test_the_first_field_is_found_whatever_its_length(size: int) -> None:
    message = wf.PollWorkflowTaskQueueResponse(task_token=b"t" * size, attempt=3)
    assert first_field(message.SerializeToString(), 1) == b"t" * size
