"""How each method of the Protocols travels: one table, made once.

Most methods have the shape (namespace, public request[, timeout][, partition]) -> public response:
their form follows from the Protocol's own annotations. The few others have theirs written down
here. An RPC is named as its method: `start_workflow_execution` is StartWorkflowExecution.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, get_type_hints

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from temporalio.api.workflowservice.v1 import request_response_pb2 as wf

from perdure.core.commit import DispatchTask, TaskQueueKey
from perdure.proto import internode_pb2 as internode
from perdure.proto import stored_pb2 as stored
from perdure.rpc.clients import (
    Encoded,
    ForwardOutcome,
    MatchingNode,
    Namespace,
    Poller,
    QueryOutcome,
    QueryTask,
)
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.internode import messages
from perdure.rpc.methods import path_of

HISTORY_SERVICE: Final[ServiceDescriptor] = internode.DESCRIPTOR.services_by_name["HistoryService"]
MATCHING_SERVICE: Final[ServiceDescriptor] = internode.DESCRIPTOR.services_by_name[
    "MatchingService"
]
INTERNODE_SERVICES: Final = (HISTORY_SERVICE, MATCHING_SERVICE)

LOCAL_METHODS: Final = frozenset({"reserve", "has_recent_poller"})
"""Methods that never cross: they answer from the memory of their own process."""

_EMPTY: Final = Encoded()
_FORWARD_OUTCOMES: Final = {int(outcome): outcome for outcome in ForwardOutcome}


class Form(NamedTuple):
    """How a method's arguments and its result travel.

    Attributes:
        request: Makes the request message of the arguments.
        arguments: Makes the arguments of the parsed request message.
        response: Makes the response, a message or its bytes, of the result.
        result: Makes the result of the response's bytes.
        timed: Whether an argument is how long, in seconds, the far end may wait.
        namespaced: Whether the first argument is a Namespace.
        timeout_at: Which argument that is.
    """

    request: Callable[..., Message]
    arguments: Callable[[Any], tuple[Any, ...]]
    response: Callable[[Any], Message | Encoded]
    result: Callable[[bytes], Any]
    timed: bool = False
    namespaced: bool = False
    timeout_at: int = -1


@dataclass(slots=True, frozen=True)
class WireMethod:
    """A method that crosses.

    Attributes:
        name: The method's.
        rpc: The RPC's.
        service: The service's full name.
        path: What the caller calls: `/package.Service/Name`.
        form: How arguments and result travel.
    """

    name: str
    rpc: str
    service: str
    path: str
    form: Form


def _forwarded(protocol: type, name: str) -> Form:
    """Returns the form of a method: namespace, request, and maybe a timeout and a partition."""
    types = get_type_hints(getattr(protocol, name))
    timed = "timeout" in types
    optional = [each for each in ("timeout", "partition") if each in types]
    names = ["namespace", "request", *optional, "return"]
    assert list(types) == names, f"{name} needs a form of its own"
    parse = types["request"].FromString
    returned = types["return"]

    def request(namespace: Namespace, request: Message, *values: float) -> Message:
        named: dict[str, Any] = dict(zip(optional, values, strict=False))
        return internode.Call(
            namespace_id=namespace.id,
            namespace=namespace.name,
            request=request.SerializeToString(),
            **named,
        )

    def arguments(call: internode.Call) -> tuple[Any, ...]:
        namespace = Namespace(call.namespace_id, call.namespace)
        values = (getattr(call, each) for each in optional)
        return (namespace, parse(call.request), *values)

    result = Encoded if returned is Encoded else returned.FromString
    return Form(request, arguments, _as_it_is, result, timed=timed, namespaced=True, timeout_at=2)


def _as_it_is(response: Message | Encoded) -> Message | Encoded:
    return response


def _nothing(_result: None) -> Encoded:
    return _EMPTY


def _none(_data: bytes) -> None:
    return None


def _start_request(task: DispatchTask, poller: Poller) -> Message:
    return internode.StartTaskRequest(
        task=messages.task_to(task), poller=messages.poller_to(poller)
    )


def _start_arguments(message: internode.StartTaskRequest) -> tuple[DispatchTask, Poller]:
    task = messages.task_from(message.task)
    return task, messages.poller_from(message.poller, task.key.queue.task_type)


def _undo_request(task: DispatchTask, request_id: str) -> Message:
    return internode.UndoTaskStartedRequest(task=messages.task_to(task), request_id=request_id)


def _sticky_request(task: DispatchTask) -> Message:
    return internode.StickyQueueUnpolledRequest(task=messages.task_to(task))


def _add_request(tasks: Sequence[DispatchTask]) -> Message:
    return internode.AddTasksRequest(tasks=[messages.task_to(task) for task in tasks])


def _add_arguments(message: internode.AddTasksRequest) -> tuple[list[DispatchTask]]:
    return ([messages.task_from(task) for task in message.tasks],)


def _add_response(unpolled: Sequence[int]) -> Message:
    return internode.AddTasksResponse(unpolled=unpolled)


def _add_result(data: bytes) -> Sequence[int]:
    return internode.AddTasksResponse.FromString(data).unpolled


def _message(message: stored.Message) -> Message:
    return message


def _forward_request(task: DispatchTask, limited: bool, timeout: float) -> Message:
    return internode.ForwardTaskRequest(
        task=messages.task_to(task), limited=limited, timeout=timeout
    )


def _forward_arguments(message: internode.ForwardTaskRequest) -> tuple[DispatchTask, bool, float]:
    return messages.task_from(message.task), message.limited, message.timeout


def _forward_result(data: bytes) -> ForwardOutcome:
    outcome = internode.ForwardTaskResponse.FromString(data).outcome
    return _FORWARD_OUTCOMES.get(outcome, ForwardOutcome.FAILED)


def _query_request(queue: TaskQueueKey, task: QueryTask, timeout: float) -> Message:
    return internode.QueryRequest(
        queue=messages.queue_to(queue), task=messages.query_to(task), timeout=timeout
    )


def _query_arguments(message: internode.QueryRequest) -> tuple[TaskQueueKey, QueryTask, float]:
    return messages.queue_from(message.queue), messages.query_from(message.task), message.timeout


def _query_response(outcome: QueryOutcome) -> Message:
    return outcome.request


def _query_result(data: bytes) -> QueryOutcome:
    return QueryOutcome(wf.RespondQueryTaskCompletedRequest.FromString(data))


def _answer_request(query_task_id: str, request: wf.RespondQueryTaskCompletedRequest) -> Message:
    return internode.RespondQueryTaskCompletedRequest(
        query_task_id=query_task_id, request=request.SerializeToString()
    )


def _answer_arguments(
    message: internode.RespondQueryTaskCompletedRequest,
) -> tuple[str, wf.RespondQueryTaskCompletedRequest]:
    request = wf.RespondQueryTaskCompletedRequest.FromString(message.request)
    return message.query_task_id, request


def _abandon_request(namespace_id: str, task_queue: str) -> Message:
    return internode.AbandonQueueRequest(namespace_id=namespace_id, task_queue=task_queue)


def _cancel_request(namespace_id: str, task_queue: str, worker_instance_key: str) -> Message:
    return internode.CancelPollsRequest(
        namespace_id=namespace_id, task_queue=task_queue, worker_instance_key=worker_instance_key
    )


def _cancel_arguments(message: internode.CancelPollsRequest) -> tuple[str, str, str]:
    return message.namespace_id, message.task_queue, message.worker_instance_key


_OWN_FORMS: Final[dict[str, Form]] = {
    "record_workflow_task_started": Form(_start_request, _start_arguments, _as_it_is, Encoded),
    "record_activity_task_started": Form(_start_request, _start_arguments, _as_it_is, Encoded),
    "undo_task_started": Form(
        _undo_request,
        lambda message: (messages.task_from(message.task), message.request_id),
        _nothing,
        _none,
    ),
    "sticky_queue_unpolled": Form(
        _sticky_request, lambda message: (messages.task_from(message.task),), _nothing, _none
    ),
    "deliver_message": Form(
        _message, lambda message: (message,), _as_it_is, stored.Receipt.FromString
    ),
    "add_tasks": Form(_add_request, _add_arguments, _add_response, _add_result),
    "forward_task": Form(
        _forward_request,
        _forward_arguments,
        lambda outcome: internode.ForwardTaskResponse(outcome=outcome),
        _forward_result,
        timed=True,
    ),
    "query": Form(_query_request, _query_arguments, _query_response, _query_result, timed=True),
    "respond_query_task_completed": Form(_answer_request, _answer_arguments, _nothing, _none),
    "abandon_queue": Form(
        _abandon_request,
        lambda message: (message.namespace_id, message.task_queue),
        _nothing,
        _none,
    ),
    "cancel_polls": Form(
        _cancel_request,
        _cancel_arguments,
        lambda ended: internode.CancelPollsResponse(ended=ended),
        lambda data: internode.CancelPollsResponse.FromString(data).ended,
    ),
}


def _methods(protocol: type, service: ServiceDescriptor) -> tuple[WireMethod, ...]:
    found = []
    for name, _ in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_") or name in LOCAL_METHODS:
            continue
        rpc = name.title().replace("_", "")
        assert rpc in service.methods_by_name, f"{name} needs an RPC in internode.proto"
        form = _OWN_FORMS.get(name) or _forwarded(protocol, name)
        found.append(WireMethod(name, rpc, service.full_name, path_of(service, rpc), form))
    return tuple(found)


HISTORY_METHODS: Final = _methods(HistoryClient, HISTORY_SERVICE)
MATCHING_METHODS: Final = _methods(MatchingNode, MATCHING_SERVICE)
