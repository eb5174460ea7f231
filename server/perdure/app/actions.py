"""Counts what a provider would bill, around the handlers of the RPCs that bring it about.

Only calls that succeeded are counted. What counts, and as what, is as on the real server: a start
that found its workflow started already does not, a child is two actions, and the markers of one
answer are one together.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message
from temporalio.api.enums.v1 import command_type_pb2 as commands
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.app.workflow_task_metrics import command_name
from perdure.rpc.clients import Encoded
from perdure.rpc.handler import Handler, RequestContext
from perdure.telemetry import workflow_catalogue
from perdure.telemetry.collectors import Metrics
from perdure.telemetry.series import CounterSeries

_SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
_ACTS = frozenset(
    {
        "CreateSchedule",
        "DeleteSchedule",
        "PatchSchedule",
        "QueryWorkflow",
        "RecordActivityTaskHeartbeat",
        "RecordActivityTaskHeartbeatById",
        "ResetWorkflowExecution",
        "SignalWithStartWorkflowExecution",
        "SignalWorkflowExecution",
        "UpdateSchedule",
    }
)
_COMMANDS = frozenset(
    {
        commands.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION,
        commands.COMMAND_TYPE_MODIFY_WORKFLOW_PROPERTIES,
        commands.COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION,
        commands.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK,
        commands.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION,
        commands.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
        commands.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
        commands.COMMAND_TYPE_START_TIMER,
        commands.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    }
)
_MESSAGES = {
    "temporal.api.update.v1.Acceptance": "message_UpdateWorkflowExecution:Acceptance",
    "temporal.api.update.v1.Rejection": "message_UpdateWorkflowExecution:Rejection",
}
_NAMESPACES_KEPT = 500
"""Beyond these the series of a namespace is looked up at every call."""

Answer = TypeVar("Answer", bound=Message)
Actions = Callable[[Any, Message | Encoded], Iterator[str]]
"""Yields the types of the actions that a request and its response stand for."""


def counted(handlers: Mapping[str, Handler], metrics: Metrics) -> Mapping[str, Handler]:
    """Returns the handlers, those that bring actions about with a count of them."""
    own: dict[str, Actions] = {
        "PollActivityTaskQueue": _retried,
        "RespondWorkflowTaskCompleted": _answered,
        "StartWorkflowExecution": _started,
        **{name: _once(f"grpc_{name}") for name in _ACTS},
    }
    return {
        path: _counted(handler, actions, metrics.scoped(operation=name))
        if path.startswith(_SERVICE)
        and (actions := own.get(name := path.removeprefix(_SERVICE))) is not None
        else handler
        for path, handler in handlers.items()
    }


def _counted(handler: Handler, actions: Actions, metrics: Metrics) -> Handler:
    family = metrics.counter(workflow_catalogue.ACTION)
    known: dict[tuple[str, str], CounterSeries] = {}

    async def answer(request: Any, context: RequestContext) -> Message | Encoded:
        response = await handler(request, context)
        for action in actions(request, response):
            key = (request.namespace, action)
            series = known.get(key)
            if series is None:
                series = family.bind(namespace=request.namespace, action_type=action)
                if len(known) < _NAMESPACES_KEPT:
                    known[key] = series
            series.value += 1
        return response

    return answer


def _once(action: str) -> Actions:
    return lambda _request, _response: iter((action,))


def _decoded(kind: type[Answer], response: Message | Encoded) -> Answer:
    """Returns a response as a message, which it may be already."""
    if isinstance(response, bytes):
        return kind.FromString(response)
    assert isinstance(response, kind)
    return response


def _started(
    _request: wf.StartWorkflowExecutionRequest, response: Message | Encoded
) -> Iterator[str]:
    answer = _decoded(wf.StartWorkflowExecutionResponse, response)
    if answer.started:
        yield "grpc_StartWorkflowExecution"


def _answered(
    request: wf.RespondWorkflowTaskCompletedRequest, _response: Message | Encoded
) -> Iterator[str]:
    has_marker = False
    for command in request.commands:
        kind = command.command_type
        if kind == commands.COMMAND_TYPE_RECORD_MARKER:
            has_marker = True
        elif kind in _COMMANDS:
            yield f"command_{command_name(kind)}"
            if kind == commands.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
                yield f"command_{command_name(kind)}_Extra"
    if has_marker:
        yield "command_BatchMarkers"
    for message in request.messages:
        action = _MESSAGES.get(message.body.TypeName())
        if action is not None:
            yield action


def _retried(
    _request: wf.PollActivityTaskQueueRequest, response: Message | Encoded
) -> Iterator[str]:
    answer = _decoded(wf.PollActivityTaskQueueResponse, response)
    if answer.attempt > 1:
        yield "activity_retry"
