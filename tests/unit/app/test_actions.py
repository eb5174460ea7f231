"""What is counted as an action, as the real server counts it."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.message import Message
from temporalio.api.enums.v1 import command_type_pb2 as commands
from temporalio.api.update.v1 import message_pb2 as update
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.actions import counted
from perdure.core.errors import NotFoundError
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.telemetry import workflow_catalogue
from perdure.telemetry.collectors import Metrics

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"


class Silence:
    """A `RequestContext` without anything."""

    metadata: Mapping[str, str | bytes] = {}
    peer = ""

    def time_remaining(self) -> float | None:
        return None


async def actions(name: str, request: Message, response: Message | Encoded) -> dict[str, float]:
    """Returns the actions that a call counts, by type."""
    metrics = Metrics()

    async def answer(_request: Any, _context: RequestContext) -> Message | Encoded:
        return response

    handlers: dict[str, Handler] = {SERVICE + name: answer}
    own = counted(handlers, metrics.scoped(service_name="frontend"))
    assert await own[SERVICE + name](request, Silence()) is response
    series = metrics.counter(workflow_catalogue.ACTION).series()
    return {key[0]: each.value for key, each in series}


async def test_a_start_counts_when_it_started_something() -> None:
    request = wf.StartWorkflowExecutionRequest(namespace="default")
    name = "StartWorkflowExecution"
    started = wf.StartWorkflowExecutionResponse(run_id="r", started=True)
    attached = wf.StartWorkflowExecutionResponse(run_id="r")
    assert await actions(name, request, started) == {"grpc_StartWorkflowExecution": 1}
    assert await actions(name, request, Encoded(started.SerializeToString())) == {
        "grpc_StartWorkflowExecution": 1
    }
    assert await actions(name, request, attached) == {}


async def test_commands_and_messages_of_an_answer_count() -> None:
    request = wf.RespondWorkflowTaskCompletedRequest(namespace="default")
    for kind in (
        commands.COMMAND_TYPE_RECORD_MARKER,
        commands.COMMAND_TYPE_RECORD_MARKER,
        commands.COMMAND_TYPE_START_TIMER,
        commands.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
        commands.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
    ):
        request.commands.add(command_type=kind)
    for body in (update.Acceptance(), update.Rejection(), update.Response()):
        request.messages.add().body.Pack(body)
    response = wf.RespondWorkflowTaskCompletedResponse()
    assert await actions("RespondWorkflowTaskCompleted", request, response) == {
        "command_BatchMarkers": 1,
        "command_StartChildWorkflowExecution": 1,
        "command_StartChildWorkflowExecution_Extra": 1,
        "command_StartTimer": 1,
        "message_UpdateWorkflowExecution_Acceptance": 1,
        "message_UpdateWorkflowExecution_Rejection": 1,
    }


async def test_an_activity_counts_when_it_is_repeated() -> None:
    request = wf.PollActivityTaskQueueRequest(namespace="default")
    for attempt, expected in ((0, {}), (1, {}), (2, {"activity_retry": 1})):
        response = wf.PollActivityTaskQueueResponse(attempt=attempt)
        encoded = Encoded(response.SerializeToString())
        assert await actions("PollActivityTaskQueue", request, encoded) == expected


async def test_what_was_refused_is_no_action() -> None:
    metrics = Metrics().scoped(service_name="frontend")

    async def refuse(_request: Any, _context: RequestContext) -> Message | Encoded:
        raise NotFoundError("none")

    own = counted({SERVICE + "SignalWorkflowExecution": refuse}, metrics)
    request = wf.SignalWorkflowExecutionRequest(namespace="default")
    with pytest.raises(NotFoundError):
        await own[SERVICE + "SignalWorkflowExecution"](request, Silence())
    assert not len(metrics.counter(workflow_catalogue.ACTION))


async def test_other_calls_are_left_alone() -> None:
    async def answer(_request: Any, _context: RequestContext) -> Message | Encoded:
        return wf.DescribeNamespaceResponse()

    handlers: dict[str, Handler] = {SERVICE + "DescribeNamespace": answer}
    assert counted(handlers, Metrics().scoped(service_name="frontend")) == handlers
